//! Whether a model is what its log says: the log folded anew, document by document against the store.
//!
//! The projector may go on meanwhile. Every stored document tells by its `p` how far it is, and
//! everything up to the checkpoint that was read first has to be in it; so each is compared with the
//! fold of its key up to just there. What looks different is looked at a second time, from a new
//! checkpoint on, so that a document that was deleted, or a generation that was switched, in between is
//! not reported.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher};
use std::sync::Arc;
use std::time::Duration;

use bson::raw::RawDocumentBuf;
use bson::{Bson, Document};
use futures::StreamExt;
use postfold::{Hash, Position};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::checkpoint::Checkpoint;
use crate::folder::Folder;
use crate::halt::{Halt, Stop};
use crate::log::LogSource;
use crate::patience::Context;
use crate::progress::{Phase, Reporter, count};
use crate::projector::ConfigError;
use crate::reader::{continues, replay};
use crate::rebuild::{Heap, switch};
use crate::store::Row;

/// Documents that one query of a scan reads.
const SCAN_DOCUMENTS: usize = 5_000;
/// Documents that are looked at a second time, at most.
const SUSPECTS_MAX: usize = 10_000;
/// Characters of a value that a difference shows.
const VALUE_CHARACTERS_MAX: usize = 200;

/// What a verification found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verification {
    /// The projection.
    pub projection: &'static str,
    /// The generation that was compared.
    pub generation: i64,
    /// Everything up to here was in the model when it was compared.
    pub position: Position,
    /// Documents compared.
    pub documents: u64,
    /// Documents that differ. More than the second look takes (10,000) are counted after the first.
    pub different: u64,
    /// What differs, by key, up to [`verify_differences_max`](crate::Settings::verify_differences_max).
    pub differences: Vec<Difference>,
    /// How long it took.
    pub elapsed: Duration,
}

impl Verification {
    /// Whether the model is what the log says.
    pub const fn is_clean(&self) -> bool {
        self.different == 0
    }
}

/// A document that is not what the log says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The document.
    pub key: String,
    /// What is wrong with it.
    pub what: Wrong,
}

/// What is wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wrong {
    /// The log has it and the store does not.
    Missing,
    /// The store has it and the log does not.
    Extra,
    /// It is of another generation than the model.
    Generation {
        /// Its generation.
        found: i64,
    },
    /// It says that another event changed it last.
    Position {
        /// The event that did.
        expected: Position,
        /// The one that it names.
        found: Position,
    },
    /// A field has another value; absent values are `None`. Long ones are cut off.
    Field {
        /// The field, at the top of the document.
        name: String,
        /// By the log.
        expected: Option<String>,
        /// In the store.
        found: Option<String>,
    },
}

/// Why a verification did not come to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The projector is put together wrongly, or does not have this projection.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There is nothing to compare.
    #[error("there is no model of {0} yet")]
    NoModel(&'static str),
    /// The caller cancelled it.
    #[error("the verification was cancelled")]
    Cancelled,
    /// The log cannot be folded, or something cannot be read.
    #[error(transparent)]
    Halted(#[from] Halt),
}

impl From<Stop> for VerifyError {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Halt(halt) => Self::Halted(halt),
            Stop::Cancelled | Stop::Displaced => Self::Cancelled,
        }
    }
}

/// Compares one model with the log.
pub(crate) struct Verify {
    pub(crate) context: Context,
    pub(crate) folder: Arc<dyn Folder>,
    pub(crate) log: Arc<dyn LogSource>,
    pub(crate) reporter: Reporter,
}

/// A stored document, as much of it as a look needs.
struct Stored {
    generation: i64,
    position: Position,
    content: Content,
}

#[derive(PartialEq)]
enum Content {
    Dead,
    Digest([u8; 32]),
    Whole(RawDocumentBuf),
}

/// How a look keeps what is stored: by hash, or as it is.
type Keep = fn(RawDocumentBuf) -> Content;

/// What one look over some of the keys found.
struct Look {
    checkpoint: Checkpoint,
    documents: u64,
    differences: Vec<Difference>,
}

impl Verify {
    pub(crate) async fn run(&self) -> Result<Verification, VerifyError> {
        let began = tokio::time::Instant::now();
        let mut checkpoint = self.open().await?;
        let context = &self.context;
        let stored = context.store("count documents", || context.store.count(context.projection)).await?;
        let parts = stored.div_ceil(u64::try_from(context.settings.verify_documents_max).unwrap_or(u64::MAX)).max(1);
        let (mut documents, mut different, mut suspects) = (0_u64, 0_u64, HashSet::new());
        for part in 0..parts {
            let look = self.look(|key| part_of(key, parts) == part, by_digest).await?;
            documents = documents.saturating_add(look.documents);
            let keys: HashSet<String> = look.differences.into_iter().map(|difference| difference.key).collect();
            different = different.saturating_add(u64::try_from(keys.len()).unwrap_or(u64::MAX));
            suspects.extend(keys.into_iter().take(SUSPECTS_MAX.saturating_sub(suspects.len())));
            checkpoint = look.checkpoint;
        }
        let mut differences = Vec::new();
        if !suspects.is_empty() {
            let look = self.look(|key| suspects.contains(key), Content::Whole).await?;
            differences = look.differences;
            if suspects.len() < SUSPECTS_MAX {
                let keys: HashSet<&str> = differences.iter().map(|difference| difference.key.as_str()).collect();
                different = u64::try_from(keys.len()).unwrap_or(u64::MAX);
            }
            checkpoint = look.checkpoint;
        }
        differences.sort_by(|one, other| one.key.cmp(&other.key));
        differences.truncate(context.settings.verify_differences_max);
        let (projection, generation, position) = (context.projection, checkpoint.generation, checkpoint.position);
        Ok(Verification {
            projection,
            generation,
            position,
            documents,
            different,
            differences,
            elapsed: began.elapsed(),
        })
    }

    /// The checkpoint, when it is one that can be compared with this log by this program.
    async fn open(&self) -> Result<Checkpoint, VerifyError> {
        let projection = self.context.projection;
        loop {
            let found = self.context.store("read the checkpoint", || self.context.store.checkpoint(projection)).await?;
            let found = found.ok_or(VerifyError::NoModel(projection))?;
            if found.switching.is_some() {
                switch::settle(&self.context, found).await?;
                continue;
            }
            let (wanted, ledger) = (self.folder.version(), self.log.ledger_name());
            if found.ledger != ledger {
                return Err(Halt::OtherLedger { projection, found: found.ledger, wanted: ledger.to_owned() }.into());
            }
            if found.version != wanted {
                return Err(Halt::VersionChanged { projection, built: found.version, wanted }.into());
            }
            let position = found.position;
            let hash = match position {
                Position::START => Some(Hash::genesis(ledger)),
                _ => self.context.log(|| self.log.hash_at(position)).await?,
            };
            if hash != Some(found.hash) {
                return Err(Halt::LogDiffers { projection, position }.into());
            }
            return Ok(found);
        }
    }

    /// Compares the documents whose keys are wanted.
    async fn look(&self, wanted: impl Fn(&str) -> bool, keep: Keep) -> Result<Look, VerifyError> {
        let checkpoint = self.open().await?;
        let stored = self.scan(&wanted, keep).await?;
        let ours = |stored: &&Stored| stored.generation == checkpoint.generation;
        let furthest = stored.values().filter(ours).map(|stored| stored.position).max().unwrap_or_default();
        let stop = |key: &str| {
            stored.get(key).filter(ours).map_or(checkpoint.position, |stored| stored.position.max(checkpoint.position))
        };
        let heap = self.fold(checkpoint.position.max(furthest), |key, at| wanted(key) && at <= stop(key)).await?;
        let documents = u64::try_from(heap.len()).unwrap_or(u64::MAX);
        let differences = self.compare(heap, stored, checkpoint.generation, keep)?;
        Ok(Look { checkpoint, documents, differences })
    }

    async fn scan(&self, wanted: &impl Fn(&str) -> bool, keep: Keep) -> Result<HashMap<String, Stored>, Stop> {
        let context = &self.context;
        let total = context.store("count documents", || context.store.count(context.projection)).await?;
        let stage = self.reporter.phase(context.projection, Phase::Scan, total);
        let mut found = HashMap::new();
        let mut after: Option<String> = None;
        let (mut seen, mut at_end) = (0_u64, false);
        loop {
            // By key, not by cursor: a cursor would not outlive a switch of generations.
            let rows = context
                .store("scan documents", || context.store.scan(context.projection, after.as_deref(), SCAN_DOCUMENTS))
                .await?;
            let Some(last) = rows.last() else {
                if at_end {
                    return Ok(found);
                }
                // A compatible server may answer nothing to a query that meets a switch: ask once more.
                at_end = true;
                continue;
            };
            at_end = false;
            after = Some(last.id.clone());
            seen = seen.saturating_add(u64::try_from(rows.len()).unwrap_or(u64::MAX));
            for Row { id, generation, position, state } in rows {
                if wanted(&id) {
                    found.insert(id, Stored { generation, position, content: state.map_or(Content::Dead, keep) });
                }
            }
            stage.at(seen);
            if context.cancel.is_cancelled() {
                return Err(Stop::Cancelled);
            }
        }
    }

    async fn fold(&self, end: Position, wanted: impl Fn(&str, Position) -> bool) -> Result<Heap, Stop> {
        let projection = self.context.projection;
        let stage = self.reporter.phase(projection, Phase::Fold, count(end));
        let mut heap = Heap::default();
        let (mut at, mut hash) = (Position::START, Hash::genesis(self.log.ledger_name()));
        let mut pages = Box::pin(replay(Arc::clone(&self.log), end, self.context.clone()));
        while let Some(page) = self.context.unless_cancelled(pages.next()).await? {
            let page = page?;
            if !continues(hash, &page) {
                return Err(Halt::LogDiffers { projection, position: at }.into());
            }
            for event in &page {
                heap.fold(&*self.folder, event, |key| wanted(key, event.position))?;
                (at, hash) = (event.position, event.hash);
            }
            stage.at(count(at));
        }
        Ok(heap)
    }

    fn compare(
        &self,
        heap: Heap,
        mut stored: HashMap<String, Stored>,
        generation: i64,
        keep: Keep,
    ) -> Result<Vec<Difference>, Stop> {
        let mut differences = Vec::new();
        for row in heap.into_rows(&*self.folder, generation) {
            let Row { id: key, position, state, .. } = row?;
            let Some(found) = stored.remove(&key) else {
                differences.push(Difference { key, what: Wrong::Missing });
                continue;
            };
            let expected = Stored { generation, position, content: state.map_or(Content::Dead, keep) };
            let wrong = differ(&expected, &found).map_err(|message| Halt::Refused {
                projection: self.context.projection,
                what: "read documents",
                message,
            })?;
            differences.extend(wrong.into_iter().map(|what| Difference { key: key.clone(), what }));
        }
        for (key, found) in stored {
            if found.generation != generation {
                differences.push(Difference { key, what: Wrong::Generation { found: found.generation } });
            } else if found.content != Content::Dead {
                differences.push(Difference { key, what: Wrong::Extra });
            }
        }
        Ok(differences)
    }
}

fn differ(expected: &Stored, found: &Stored) -> Result<Vec<Wrong>, String> {
    if found.generation != expected.generation {
        return Ok(vec![Wrong::Generation { found: found.generation }]);
    }
    if found.content == Content::Dead {
        return Ok(vec![Wrong::Missing]);
    }
    let mut wrong = Vec::new();
    if found.position != expected.position {
        wrong.push(Wrong::Position { expected: expected.position, found: found.position });
    }
    match (&expected.content, &found.content) {
        (Content::Whole(expected), Content::Whole(found)) => wrong.extend(fields(expected, found)?),
        (expected, found) if expected == found => {}
        // Which field it is, the second look tells.
        _ => wrong.push(Wrong::Field { name: String::new(), expected: None, found: None }),
    }
    Ok(wrong)
}

fn fields(expected: &RawDocumentBuf, found: &RawDocumentBuf) -> Result<Vec<Wrong>, String> {
    let decode = |raw: &RawDocumentBuf| Document::try_from(raw.as_ref()).map_err(|error| error.to_string());
    let (expected, found) = (decode(expected)?, decode(found)?);
    let mut names: Vec<&String> =
        expected.keys().chain(found.keys().filter(|name| !expected.contains_key(name.as_str()))).collect();
    names.retain(|name| expected.get(name.as_str()) != found.get(name.as_str()));
    let show = |value: Option<&Bson>| value.map(|value| value.to_string().chars().take(VALUE_CHARACTERS_MAX).collect());
    let wrong = names.into_iter().map(|name| Wrong::Field {
        name: name.clone(),
        expected: show(expected.get(name)),
        found: show(found.get(name)),
    });
    Ok(wrong.collect())
}

fn by_digest(state: RawDocumentBuf) -> Content {
    Content::Digest(Sha256::digest(state.into_bytes()).into())
}

fn part_of(key: &str, parts: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish() % parts
}
