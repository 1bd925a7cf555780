//! The checkpoint of a projection: how far it is, in which generation, and who may move it.

use jiff::Timestamp;
use postfold::{Hash, Position};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// One document per projection in `postfold_checkpoints`, in the same database as the model, so that
/// a restored backup restores both.
///
/// It is only ever written by compare-and-set: the whole on `epoch` and `revision`, a bucket on its own
/// epoch and revision, and only while no switch of generations is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The projection.
    #[serde(rename = "_id")]
    pub name: String,
    /// The ledger whose log was folded.
    pub ledger: String,
    /// The version of the projection that folded it.
    pub version: u32,
    /// The generation that the documents belong to.
    pub generation: i64,
    /// The collection that holds what the rows' keys carry; absent for keyed models.
    pub carry: Option<String>,
    /// Goes up when a rebuild begins, a generation is switched, or the projection is paused or resumed.
    pub epoch: i64,
    /// Goes up with every write of what is not a bucket.
    pub revision: i64,
    /// The rebuild that may switch: the newest that began.
    pub rebuild: Option<Attempt>,
    /// A switch of generations that has begun and not ended.
    pub switching: Option<Switching>,
    /// Nobody is to work on the projection.
    pub paused: Option<Paused>,
    /// When this document was written, buckets aside, by the writer's clock.
    #[serde(with = "crate::money::date")]
    pub updated_at: Timestamp,
    /// How far the model is, by bucket of keys; at least one.
    pub buckets: Vec<Bucket>,
}

/// A share of a model's keys, by hash: how far it is, and who moves it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// Every event up to here is in the bucket's documents.
    pub position: Position,
    /// The hash of the log at that position.
    pub hash: Hash,
    /// When the event at that position was recorded; absent at the log's start.
    #[serde(with = "crate::money::optional_date")]
    pub recorded_at: Option<Timestamp>,
    /// What the keys of rows carry is stored as of this position, or further; folding from here on gives
    /// it back. The same as `position` for keyed models.
    pub carried: Position,
    /// Goes up at every take-over.
    pub epoch: i64,
    /// Goes up with every write of this bucket.
    pub revision: i64,
    /// The process that moves it; absent where none does.
    pub owner: Option<Owner>,
    /// Tombstones or late writes of an earlier generation may be there, to be swept later.
    pub sweep_due: bool,
    /// Why its owner stopped, if it did by itself.
    pub halted: Option<Halted>,
    /// When the bucket was written, by the writer's clock.
    #[serde(with = "crate::money::date")]
    pub updated_at: Timestamp,
}

/// A process that works on projections, as a bucket names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Its [`Member`](crate::Member) id.
    pub id: String,
    /// Its name, for people.
    pub name: String,
}

/// Why nobody is to work on a projection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paused {
    /// What the operator said.
    pub reason: String,
    /// Since when.
    #[serde(with = "crate::money::date")]
    pub at: Timestamp,
}

/// A rebuild that began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// The generation that it builds.
    pub generation: i64,
    /// The epoch of the checkpoint when it began: no two attempts have the same.
    pub epoch: i64,
}

impl Attempt {
    /// The collection that it builds in.
    pub fn collection(&self, projection: &str) -> String {
        format!("{projection}{ATTEMPT_MARK}{}_e{}", self.generation, self.epoch)
    }

    /// The collection beside it, for what the keys of rows carry.
    pub fn carry_collection(&self, projection: &str) -> String {
        format!("{}{CARRY_MARK}", self.collection(projection))
    }

    /// What its collection is called on the way to the stable name: another name each time, that nothing is ever
    /// inserted under.
    pub(crate) fn way_collection(&self, projection: &str) -> String {
        format!("{}{WAY_MARK}{}", self.collection(projection), Uuid::now_v7().simple())
    }

    /// Reads back what [`collection`](Self::collection) or [`carry_collection`](Self::carry_collection) wrote, or
    /// what a switch named it on its way; `None` for any other collection.
    pub fn of_collection(projection: &str, collection: &str) -> Option<Self> {
        let rest = collection.strip_prefix(projection)?.strip_prefix(ATTEMPT_MARK)?;
        let rest = rest.strip_suffix(CARRY_MARK).unwrap_or(rest);
        let rest = rest.split_once(WAY_MARK).map_or(rest, |(rest, _)| rest);
        let (generation, epoch) = rest.split_once("_e")?;
        Some(Self { generation: generation.parse().ok()?, epoch: epoch.parse().ok()? })
    }
}

/// What ends the name of a collection of carries.
const CARRY_MARK: &str = "_carry";

/// What stands before what tells one name on the way from another.
const WAY_MARK: &str = "_x";

/// What stands between the name of a projection and the generation under construction; no name of a
/// projection holds it.
const ATTEMPT_MARK: &str = "__g";

/// A switch of generations that has begun: enough for anybody to end it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switching {
    /// The attempt whose collection takes the stable name.
    pub to: Attempt,
    /// The UUID of that collection, by which it is known under either name.
    pub uuid: String,
    /// The version of the projection that built it.
    pub version: u32,
    /// Into how many buckets its keys are dealt.
    pub buckets: usize,
    /// The collection of what its rows' keys carry.
    pub carry: Option<String>,
    /// It holds every event up to here, at least.
    pub position: Position,
    /// The hash of the log at that position.
    pub hash: Hash,
    /// Goes up when somebody takes the switch out of the hands of whoever began it, or had it before.
    #[serde(default)]
    pub turn: i64,
    /// Buckets of the live model whose owners have heard of the switch, and write no more.
    #[serde(default)]
    pub yielded: Vec<usize>,
}

impl Switching {
    /// Whether it is the switch that is noted there.
    pub(crate) fn is_of(&self, marked: &Checkpoint) -> bool {
        marked.switching.as_ref().is_some_and(|mark| mark.to == self.to)
    }
}

/// Why and where a projector stopped by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halted {
    /// The reason, for people.
    pub reason: String,
    /// When, by the projector's clock.
    #[serde(with = "crate::money::date")]
    pub at: Timestamp,
}

impl Checkpoint {
    /// Before the first event: nothing folded, nobody's, in this many buckets.
    pub fn new(name: &str, ledger: &str, version: u32, generation: i64, buckets: usize, now: Timestamp) -> Self {
        Self {
            name: name.to_owned(),
            ledger: ledger.to_owned(),
            version,
            generation,
            carry: None,
            epoch: 1,
            revision: 1,
            rebuild: None,
            switching: None,
            paused: None,
            updated_at: now,
            buckets: vec![Bucket::new(ledger, now); buckets.max(1)],
        }
    }

    /// Every event up to here is in the model: the position of the bucket that is furthest behind.
    pub fn position(&self) -> Position {
        self.slowest().map_or(Position::START, |bucket| bucket.position)
    }

    /// The bucket that is furthest behind.
    pub(crate) fn slowest(&self) -> Option<&Bucket> {
        self.buckets.iter().min_by_key(|bucket| bucket.position)
    }

    /// How far any bucket is.
    pub(crate) fn furthest(&self) -> Position {
        self.buckets.iter().map(|bucket| bucket.position).max().unwrap_or_default()
    }

    /// The next state of this checkpoint: the same, one revision on.
    pub(crate) fn next(&self) -> Self {
        Self { revision: self.revision.saturating_add(1), updated_at: Timestamp::now(), ..self.clone() }
    }

    /// The next state where the owner of this bucket has heard of the switch; `None` where there is nothing to say.
    pub(crate) fn yielding(&self, bucket: usize) -> Option<Self> {
        let mut said = self.next();
        let yielded = &mut said.switching.as_mut()?.yielded;
        if yielded.contains(&bucket) {
            return None;
        }
        yielded.push(bucket);
        Some(said)
    }

    /// The generation that a new rebuild builds: never one that any attempt had before.
    pub(crate) fn next_generation(&self) -> i64 {
        let attempted = self.rebuild.as_ref().map_or(0, |attempt| attempt.generation);
        self.generation.max(attempted).saturating_add(1)
    }
}

impl Bucket {
    /// Before the first event, nobody's.
    pub fn new(ledger: &str, now: Timestamp) -> Self {
        Self {
            position: Position::START,
            hash: Hash::genesis(ledger),
            recorded_at: None,
            carried: Position::START,
            epoch: 1,
            revision: 1,
            owner: None,
            sweep_due: false,
            halted: None,
            updated_at: now,
        }
    }

    /// The next state of this bucket: the same, one revision on.
    pub(crate) fn next(&self) -> Self {
        Self { revision: self.revision.saturating_add(1), updated_at: Timestamp::now(), ..self.clone() }
    }

    pub(crate) fn is_of(&self, member: &str) -> bool {
        self.owner.as_ref().is_some_and(|owner| owner.id == member)
    }
}

/// The bucket of a key, of so many.
pub(crate) fn bucket_of(key: &str, buckets: usize) -> usize {
    if buckets <= 1 {
        return 0;
    }
    usize::try_from(key_hash(key) % u64::try_from(buckets).unwrap_or(1)).unwrap_or(0)
}

/// A hash of a key, spread over all of its range but the last number.
///
/// Part of what is stored, by [`bucket_of`]: FNV-1a and a last round of mixing, so that every version of every
/// program agrees.
pub(crate) fn key_hash(key: &str) -> u64 {
    let fnv = key
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let mixed = (fnv ^ (fnv >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    (mixed ^ (mixed >> 32)).min(u64::MAX - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_an_attempts_collection_can_be_read_back() {
        let attempt = Attempt { generation: 7, epoch: 12 };
        assert_eq!(attempt.collection("balances"), "balances__g7_e12");
        assert_eq!(Attempt::of_collection("balances", "balances__g7_e12"), Some(attempt));
        let carry = Attempt { generation: 7, epoch: 12 }.carry_collection("rows");
        assert_eq!(Attempt::of_collection("rows", &carry), Some(Attempt { generation: 7, epoch: 12 }));
        let [way, another] = [(), ()].map(|()| Attempt { generation: 7, epoch: 12 }.way_collection("rows"));
        assert_eq!(Attempt::of_collection("rows", &way), Some(Attempt { generation: 7, epoch: 12 }));
        assert_ne!(way, another);
        for other in ["balances", "balances__g7", "balances_x__g7_e12", "other__g7_e12", "balances__gx_e1"] {
            assert_eq!(Attempt::of_collection("balances", other), None, "{other}");
        }
    }

    #[test]
    fn every_version_of_every_program_deals_the_same_keys_to_the_same_buckets() {
        let dealt = |key| (1..=4).map(|buckets| bucket_of(key, buckets)).collect::<Vec<_>>();
        assert_eq!(
            (dealt("a"), dealt("user/42"), dealt("assets:cash|EUR")),
            (vec![0, 1, 1, 1], vec![0, 0, 0, 0], vec![0, 1, 0, 1])
        );
        let mut sizes = [0_u32; 8];
        for number in 0..8_000 {
            sizes[bucket_of(&format!("wallet:{number}|EUR"), 8)] += 1;
        }
        assert!(sizes.iter().all(|size| (800..1_200).contains(size)), "{sizes:?}");
    }
}
