//! Checkpoints: of those who would move one, one does.

use futures::future::{join, join_all};
use jiff::Timestamp;
use postfold::{Hash, Position};

use crate::checkpoint::{Attempt, Bucket, Checkpoint, Halted, Owner, Paused, Switching};
use crate::store::Store;

/// How often writers of one bucket race.
const RACES: usize = 10;
/// How many buckets they race for.
const BUCKETS: usize = 4;
/// Writes of one bucket that a switch meets, at most.
const WRITES_MAX: usize = 200;

pub(super) async fn all(store: &dyn Store) {
    a_checkpoint_comes_back_as_it_was(store).await;
    one_of_two_swaps_of_a_header_wins(store).await;
    a_header_leaves_the_buckets_alone(store).await;
    a_bucket_leaves_everything_else_alone(store).await;
    one_of_two_swaps_of_a_bucket_wins(store).await;
    a_bucket_of_another_generation_or_dealing_is_left_alone(store).await;
    no_bucket_moves_while_a_switch_is_under_way(store).await;
    of_writers_at_once_one_wins_each_bucket(store).await;
    a_switch_finds_each_bucket_as_its_writer_left_it(store).await;
}

fn checkpoint(name: &str, buckets: usize) -> Checkpoint {
    let now = Timestamp::from_millisecond(1_767_225_600_123).unwrap_or_default();
    Checkpoint::new(name, "shop", 1, 1, buckets, now)
}

async fn created(store: &dyn Store, name: &str, buckets: usize) -> Checkpoint {
    let first = checkpoint(name, buckets);
    assert!(store.create_checkpoint(&first).await.expect("create"));
    first
}

async fn read(store: &dyn Store, name: &str) -> Checkpoint {
    store.checkpoint(name).await.expect("read").expect("it is there")
}

fn next(of: &Checkpoint) -> Checkpoint {
    Checkpoint { revision: of.revision + 1, ..of.clone() }
}

fn further(bucket: &Bucket) -> Bucket {
    Bucket { position: Position::new(bucket.position.get() + 1), revision: bucket.revision + 1, ..bucket.clone() }
}

fn switching(of: &Checkpoint) -> Checkpoint {
    let to = Attempt { generation: of.generation + 1, epoch: of.epoch };
    let (position, hash) = (Position::new(9), Hash::genesis("shop"));
    let mark = Switching {
        to,
        uuid: "00ff".to_owned(),
        version: 2,
        buckets: 1,
        carry: None,
        position,
        hash,
        turn: 0,
        yielded: Vec::new(),
    };
    Checkpoint { switching: Some(mark), epoch: of.epoch + 1, ..next(of) }
}

async fn a_checkpoint_comes_back_as_it_was(store: &dyn Store) {
    let mut full = checkpoint("c_checkpoint", 2);
    let to = Attempt { generation: 7, epoch: 12 };
    full.rebuild = Some(to.clone());
    let hash = Hash::genesis("shop");
    let position = Position::new(i64::MAX);
    let carry = Some("c_checkpoint__g7_e12_carry".to_owned());
    full.switching = Some(Switching {
        to,
        uuid: "00ff".to_owned(),
        version: 3,
        buckets: 2,
        carry: carry.clone(),
        position,
        hash,
        turn: 0,
        yielded: vec![0],
    });
    full.paused = Some(Paused { reason: "because".to_owned(), at: full.updated_at });
    full.carry = carry;
    if let Some(bucket) = full.buckets.last_mut() {
        bucket.owner = Some(Owner { id: "1".to_owned(), name: "process 1".to_owned() });
        bucket.halted = Some(Halted { reason: "because".to_owned(), at: full.updated_at });
        (bucket.sweep_due, bucket.position) = (true, Position::new(812));
        bucket.recorded_at = Some(full.updated_at);
    }
    assert_eq!(store.checkpoint("c_checkpoint").await.expect("read"), None);
    assert!(store.create_checkpoint(&full).await.expect("create"));
    assert_eq!(store.checkpoint("c_checkpoint").await.expect("read"), Some(full.clone()));
    assert!(store.checkpoints().await.expect("read all").contains(&full));
}

async fn one_of_two_swaps_of_a_header_wins(store: &dyn Store) {
    let first = checkpoint("c_swap", 2);
    assert!(!store.swap_header(&first, &next(&first)).await.expect("swap"), "there is none yet");
    assert!(store.create_checkpoint(&first).await.expect("create"));
    assert!(!store.create_checkpoint(&first).await.expect("create again"));
    store.probe("c_swap").await.expect("a probe changes nothing that a swap looks at");
    let second = next(&first);
    assert!(store.swap_header(&first, &second).await.expect("swap"));
    assert!(!store.swap_header(&first, &second).await.expect("swap"), "the revision has moved on");
    let taken = Checkpoint { epoch: 2, ..next(&second) };
    assert!(store.swap_header(&second, &taken).await.expect("swap"));
    let stale = Checkpoint { epoch: 1, ..taken.clone() };
    assert!(!store.swap_header(&stale, &next(&stale)).await.expect("swap"), "the epoch has moved on");
    assert!(!store.swap_checkpoint(&stale, &next(&stale)).await.expect("swap"), "the epoch has moved on");
    assert_eq!(read(store, "c_swap").await, taken);
}

async fn a_header_leaves_the_buckets_alone(store: &dyn Store) {
    let first = created(store, "c_header", 2).await;
    let moved = further(&first.buckets[1]);
    assert!(store.swap_bucket(&first, 1, &moved).await.expect("swap"));
    let paused = Some(Paused { reason: "because".to_owned(), at: first.updated_at });
    let header = Checkpoint { paused, epoch: 7, version: 3, buckets: Vec::new(), ..next(&first) };
    assert!(store.swap_header(&first, &header).await.expect("a bucket that moves does not hold up the header"));
    let written = Checkpoint { buckets: vec![first.buckets[0].clone(), moved], ..header };
    assert_eq!(read(store, "c_header").await, written);
    let resumed = Checkpoint { paused: None, ..next(&written) };
    assert!(store.swap_header(&written, &resumed).await.expect("swap"));
    assert_eq!(read(store, "c_header").await, resumed, "what is absent is taken away");
}

async fn a_bucket_leaves_everything_else_alone(store: &dyn Store) {
    let first = created(store, "c_bucket", 3).await;
    let header = Checkpoint { epoch: 5, ..next(&first) };
    assert!(store.swap_header(&first, &header).await.expect("swap"));
    let owner = Some(Owner { id: "1".to_owned(), name: "process 1".to_owned() });
    let taken = Bucket { owner, epoch: 2, ..further(&first.buckets[1]) };
    assert!(store.swap_bucket(&first, 1, &taken).await.expect("a header that moves does not hold up a bucket"));
    let buckets = vec![first.buckets[0].clone(), taken, first.buckets[2].clone()];
    assert_eq!(read(store, "c_bucket").await, Checkpoint { buckets, ..header });
}

async fn one_of_two_swaps_of_a_bucket_wins(store: &dyn Store) {
    let first = created(store, "c_bucket_swap", 2).await;
    let second = further(&first.buckets[0]);
    assert!(store.swap_bucket(&first, 0, &second).await.expect("swap"));
    assert!(!store.swap_bucket(&first, 0, &second).await.expect("swap"), "the revision has moved on");
    assert!(store.swap_bucket(&first, 1, &further(&first.buckets[1])).await.expect("the other bucket has not"));
    let owned = read(store, "c_bucket_swap").await;
    let taken = Bucket { epoch: 2, ..second.clone() };
    assert!(store.swap_bucket(&owned, 0, &taken).await.expect("swap"));
    assert!(!store.swap_bucket(&owned, 0, &further(&second)).await.expect("swap"), "the epoch has moved on");
    assert_eq!(read(store, "c_bucket_swap").await.buckets[0], taken);
}

async fn a_bucket_of_another_generation_or_dealing_is_left_alone(store: &dyn Store) {
    let first = created(store, "c_dealing", 2).await;
    let new = further(&first.buckets[0]);
    let other = Checkpoint { generation: 2, ..first.clone() };
    assert!(!store.swap_bucket(&other, 0, &new).await.expect("swap"), "of another generation");
    let more = Checkpoint { buckets: vec![first.buckets[0].clone(); 3], ..first.clone() };
    assert!(!store.swap_bucket(&more, 0, &new).await.expect("swap"), "of three");
    assert!(!store.swap_bucket(&more, 2, &new).await.expect("swap"), "the third of two");
    assert!(!store.swap_bucket(&first, 2, &new).await.expect("swap"), "the third of two");
    let absent = Checkpoint { name: "c_no_such".to_owned(), ..first.clone() };
    assert!(!store.swap_bucket(&absent, 0, &new).await.expect("swap"), "there is no such checkpoint");
    assert_eq!(read(store, "c_dealing").await, first);
}

async fn no_bucket_moves_while_a_switch_is_under_way(store: &dyn Store) {
    let first = created(store, "c_switching", 2).await;
    let marked = switching(&first);
    assert!(store.swap_header(&first, &marked).await.expect("swap"));
    for of in [&first, &marked] {
        assert!(!store.swap_bucket(of, 0, &further(&of.buckets[0])).await.expect("swap"), "a switch is under way");
    }
    let now = first.updated_at;
    let switched =
        Checkpoint { switching: None, generation: 2, buckets: vec![Bucket::new("shop", now)], ..next(&marked) };
    assert!(store.swap_checkpoint(&marked, &switched).await.expect("swap"));
    assert!(!store.swap_checkpoint(&marked, &switched).await.expect("swap"), "once");
    assert_eq!(read(store, "c_switching").await, switched);
    assert!(!store.swap_bucket(&first, 0, &further(&first.buckets[0])).await.expect("swap"), "of the old generation");
    assert!(store.swap_bucket(&switched, 0, &further(&switched.buckets[0])).await.expect("of the new one"));
}

async fn of_writers_at_once_one_wins_each_bucket(store: &dyn Store) {
    let name = "c_races";
    let mut before = created(store, name, BUCKETS).await;
    for _ in 0..RACES {
        let writers = (0..BUCKETS * 3).map(|writer| {
            let (before, bucket) = (&before, writer % BUCKETS);
            let owner = Some(Owner { id: writer.to_string(), name: String::new() });
            let new = Bucket { owner, ..further(&before.buckets[bucket]) };
            async move {
                let won = store.swap_bucket(before, bucket, &new).await.expect("swap");
                won.then_some((bucket, new))
            }
        });
        let mut winners: Vec<(usize, Bucket)> = join_all(writers).await.into_iter().flatten().collect();
        winners.sort_by_key(|(bucket, _)| *bucket);
        assert!(winners.iter().map(|(bucket, _)| *bucket).eq(0..BUCKETS), "one for each bucket: {winners:?}");
        let after = read(store, name).await;
        let buckets = winners.into_iter().map(|(_, new)| new).collect();
        assert_eq!(after, Checkpoint { buckets, ..before }, "nobody's write is lost");
        before = after;
    }
}

async fn a_switch_finds_each_bucket_as_its_writer_left_it(store: &dyn Store) {
    let first = created(store, "c_switch_race", BUCKETS).await;
    let writers = (0..BUCKETS).map(|bucket| {
        let mut of = first.clone();
        async move {
            for _ in 0..WRITES_MAX {
                let new = further(&of.buckets[bucket]);
                if !store.swap_bucket(&of, bucket, &new).await.expect("swap") {
                    break;
                }
                of.buckets[bucket] = new;
                tokio::task::yield_now().await;
            }
            of.buckets.swap_remove(bucket)
        }
    });
    let switch = async {
        // Somewhere in the middle of the others' writes.
        while store.checkpoint(&first.name).await.expect("read").is_some_and(|found| found.buckets[0].revision < 5) {
            tokio::task::yield_now().await;
        }
        assert!(store.swap_header(&first, &switching(&first)).await.expect("swap"));
        read(store, &first.name).await.buckets
    };
    let (left, found) = join(join_all(writers), switch).await;
    assert_eq!(found, left, "what the switch finds is what each writer knows to be written");
    assert_eq!(read(store, &first.name).await.buckets, left);
}
