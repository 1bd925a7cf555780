//! The checkpoint of a projection: how far it is, in which generation, and who may move it.

use jiff::Timestamp;
use postfold::{Hash, Position};
use serde::{Deserialize, Serialize};

/// One document per projection in `postfold_checkpoints`, in the same database as the model, so that
/// a restored backup restores both.
///
/// It is only ever written by compare-and-set on `epoch` and `revision`.
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
    /// Every event up to here is in the model.
    pub position: Position,
    /// The hash of the log at that position.
    pub hash: Hash,
    /// Goes up when a projector takes over, a rebuild begins, or a generation is switched.
    pub epoch: i64,
    /// Goes up with every write of this document.
    pub revision: i64,
    /// The projector that moves the checkpoint; absent where none ever ran.
    pub owner: Option<String>,
    /// The rebuild that may switch: the newest that began.
    pub rebuild: Option<Attempt>,
    /// A switch of generations that has begun and not ended.
    pub switching: Option<Switching>,
    /// Tombstones or late writes of an earlier generation may be there, to be swept later.
    pub sweep_due: bool,
    /// Why the projector stopped, if it did by itself.
    pub halted: Option<Halted>,
    /// When this document was written, by the writer's clock.
    #[serde(with = "crate::money::date")]
    pub updated_at: Timestamp,
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

    /// Reads back what [`collection`](Self::collection) wrote; `None` for any other collection.
    pub fn of_collection(projection: &str, collection: &str) -> Option<Self> {
        let rest = collection.strip_prefix(projection)?.strip_prefix(ATTEMPT_MARK)?;
        let (generation, epoch) = rest.split_once("_e")?;
        Some(Self { generation: generation.parse().ok()?, epoch: epoch.parse().ok()? })
    }
}

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
    /// It holds every event up to here, at least.
    pub position: Position,
    /// The hash of the log at that position.
    pub hash: Hash,
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
    /// Before the first event: nothing folded, nobody's.
    pub fn new(name: &str, ledger: &str, version: u32, generation: i64, now: Timestamp) -> Self {
        Self {
            name: name.to_owned(),
            ledger: ledger.to_owned(),
            version,
            generation,
            position: Position::START,
            hash: Hash::genesis(ledger),
            epoch: 1,
            revision: 1,
            owner: None,
            rebuild: None,
            switching: None,
            sweep_due: false,
            halted: None,
            updated_at: now,
        }
    }

    /// The next state of this checkpoint: the same, one revision on.
    pub(crate) fn next(&self) -> Self {
        Self { revision: self.revision.saturating_add(1), updated_at: Timestamp::now(), ..self.clone() }
    }

    /// The generation that a new rebuild builds: never one that any attempt had before.
    pub(crate) fn next_generation(&self) -> i64 {
        let attempted = self.rebuild.as_ref().map_or(0, |attempt| attempt.generation);
        self.generation.max(attempted).saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_an_attempts_collection_can_be_read_back() {
        let attempt = Attempt { generation: 7, epoch: 12 };
        assert_eq!(attempt.collection("balances"), "balances__g7_e12");
        assert_eq!(Attempt::of_collection("balances", "balances__g7_e12"), Some(attempt));
        for other in ["balances", "balances__g7", "balances_x__g7_e12", "other__g7_e12", "balances__gx_e1"] {
            assert_eq!(Attempt::of_collection("balances", other), None, "{other}");
        }
    }
}
