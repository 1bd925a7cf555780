//! Processes that share the work, and keys that wait for an operator.

use jiff::Timestamp;
use postfold::Position;

use crate::store::{Member, Parked, Store};

pub(super) async fn all(store: &dyn Store) {
    a_member_is_there_from_its_first_beat_until_it_leaves(store).await;
    a_parked_key_waits_until_it_is_taken_out(store).await;
}

fn member(id: &str, beat: i64) -> Member {
    Member {
        id: id.to_owned(),
        name: format!("process {id}"),
        beat,
        lease_ms: 10_000,
        projections: vec!["balances".to_owned(), "statements".to_owned()],
        at: Timestamp::from_millisecond(1_767_225_600_123 + beat % 1_000).unwrap_or_default(),
    }
}

async fn members(store: &dyn Store) -> Vec<Member> {
    let mut members = store.members().await.expect("members");
    members.retain(|member| member.id.starts_with("c_"));
    members.sort_by(|one, other| one.id.cmp(&other.id));
    members
}

async fn a_member_is_there_from_its_first_beat_until_it_leaves(store: &dyn Store) {
    assert_eq!(members(store).await, []);
    store.leave("c_1").await.expect("who is not there may leave");
    for (id, beat) in [("c_1", 1), ("c_2", 1), ("c_1", 2)] {
        store.beat(&member(id, beat)).await.expect("beat");
    }
    assert_eq!(members(store).await, [member("c_1", 2), member("c_2", 1)]);
    let changed = Member { projections: Vec::new(), lease_ms: 1, ..member("c_2", i64::MAX) };
    store.beat(&changed).await.expect("beat");
    store.leave("c_1").await.expect("leave");
    assert_eq!(members(store).await, [changed], "and nobody else leaves with it");
    store.leave("c_2").await.expect("leave");
    assert_eq!(members(store).await, []);
}

fn parked(projection: &str, generation: i64, key: &str) -> Parked {
    Parked {
        projection: projection.to_owned(),
        generation,
        key: key.to_owned(),
        position: Position::new(812),
        reason: "no \"amount\" in $data".to_owned(),
        attempts: 1,
        at: Timestamp::from_millisecond(1_767_225_600_123).unwrap_or_default(),
    }
}

async fn a_parked_key_waits_until_it_is_taken_out(store: &dyn Store) {
    let (name, other) = ("c_parked", "c_parked_too");
    assert_eq!(store.parked(name).await.expect("parked"), []);
    store.unpark(name, 1, "a").await.expect("what is not there may be taken out");
    // Keys that could be mistaken for one another, were they only joined.
    let keys = ["", "$a.b", "1|a", "a", "a|1", "ä\u{1F600}"];
    for key in keys {
        store.park(&parked(name, 1, key)).await.expect("park");
    }
    store.park(&parked(name, 11, "a")).await.expect("park in a later generation");
    store.park(&parked(other, 1, "a")).await.expect("park in another projection");
    let again = Parked { attempts: 2, reason: "still not".to_owned(), ..parked(name, 1, "a") };
    store.park(&again).await.expect("park again");

    let mut expected: Vec<Parked> = keys.iter().map(|key| parked(name, 1, key)).collect();
    expected[3] = again;
    expected.insert(4, parked(name, 11, "a"));
    let mut found = store.parked(name).await.expect("parked");
    let order: Vec<String> = found.iter().map(|parked| parked.key.clone()).collect();
    assert!(order.is_sorted(), "by key: {order:?}");
    found.sort_by(|one, other| (&one.key, one.generation).cmp(&(&other.key, other.generation)));
    assert_eq!(found, expected);

    store.unpark(name, 1, "a").await.expect("unpark");
    expected.remove(3);
    assert_eq!(store.parked(name).await.expect("parked").len(), expected.len());
    assert!(store.parked(name).await.expect("parked").contains(&parked(name, 11, "a")), "each generation on its own");
    assert_eq!(store.parked(other).await.expect("parked"), [parked(other, 1, "a")]);
}
