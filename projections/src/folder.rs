//! A projection without its type: what the projector, the rebuild and the verification work with.
//!
//! Both shapes fold into a state by key. For a keyed projection it is the document itself; for one of rows it
//! is the key's carry, and the rows come out beside it.

use std::any::Any;
use std::cell::Cell;
use std::marker::PhantomData;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use bson::raw::{RawDocument, RawDocumentBuf};
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::checkpoint::{Attempt, Checkpoint};
use crate::event::ReadEvent;
use crate::projection::{Added, Change, FoldError, Index, Keys, ORDINAL_MAX, OnPoison, Projection, RowProjection};
use crate::store::{DOCUMENT_BYTES_MAX, RESERVED_FIELDS};

/// A document of some projection; cheap to clone, so that a cache and a batch can share it.
pub(crate) type State = Arc<dyn Any + Send + Sync>;

/// A [`Projection`] or a [`RowProjection`] behind a pointer.
pub(crate) trait Folder: Send + Sync {
    fn name(&self) -> &'static str;
    fn version(&self) -> u32;
    fn shape(&self) -> Shape;
    fn on_poison(&self) -> OnPoison;
    fn reads_accounts(&self) -> bool;
    fn indexes(&self) -> Vec<Index>;
    /// Each key once.
    fn keys(&self, event: &ReadEvent) -> Result<Vec<String>, FoldError>;
    fn fold(&self, state: Option<&State>, key: &str, event: &ReadEvent) -> Result<Step, FoldError>;
    /// From when on the state counts as gone.
    fn expires_at(&self, state: &State) -> Option<Timestamp>;
    fn encode(&self, state: &State) -> Result<RawDocumentBuf, FoldError>;
    fn decode(&self, document: &RawDocument) -> Result<State, FoldError>;
}

impl dyn Folder + '_ {
    /// The checkpoint of a model that nobody has folded yet.
    pub(crate) fn first_checkpoint(&self, ledger: &str, generation: i64, buckets: usize) -> Checkpoint {
        let mut first = Checkpoint::new(self.name(), ledger, self.version(), generation, buckets, Timestamp::now());
        if self.shape() == Shape::Rows {
            first.carry = Some(Attempt { generation, epoch: first.epoch }.carry_collection(self.name()));
        }
        first
    }
}

/// What the documents of a model are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One document a key, which is its state.
    Keyed,
    /// Rows that are only added; the states are kept beside them.
    Rows,
}

/// What an event makes of a key.
pub(crate) struct Step {
    pub(crate) change: Change<State>,
    pub(crate) rows: Vec<NewRow>,
}

/// A row that an event adds.
pub(crate) struct NewRow {
    pub(crate) ordinal: u32,
    pub(crate) fields: RawDocumentBuf,
    pub(crate) expires_at: Option<Timestamp>,
}

thread_local! {
    static FOLDING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is in the code of a projection, whose panics are taken for a [`FoldError`]: for panic hooks that
/// would end the process.
pub fn is_folding() -> bool {
    FOLDING.get()
}

/// Calls an author's code. A panic in it is about this event, as an error is, and no reason to end the other projections
/// of the process. It sees nothing but shared references, so there is nothing that it could leave half done.
fn guarded<T>(call: impl FnOnce() -> Result<T, FoldError>) -> Result<T, FoldError> {
    FOLDING.set(true);
    let done = std::panic::catch_unwind(AssertUnwindSafe(call));
    FOLDING.set(false);
    done.unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        Err(FoldError::new(format!("the fold panicked: {said}")))
    })
}

/// Folds one event into one key's state: what it is now, or `None` where it stays; and the rows that the
/// event adds.
///
/// A state that had expired when the event was recorded is as good as none.
#[allow(clippy::option_option, reason = "no change, or a change to nothing: two different answers")]
pub(crate) fn fold_one(
    folder: &dyn Folder,
    state: Option<&State>,
    key: &str,
    event: &ReadEvent,
) -> Result<(Option<Option<State>>, Vec<NewRow>), FoldError> {
    let expired = |state: &&State| folder.expires_at(state).is_some_and(|at| at <= event.recorded_at);
    let state = state.filter(|state| !expired(state));
    let Step { change, rows } = folder.fold(state, key, event)?;
    let change = match change {
        Change::Put(state) => Some(Some(state)),
        Change::Delete if state.is_some() => Some(None),
        Change::Delete | Change::Keep => None,
    };
    Ok((change, rows))
}

/// A keyed projection as a [`Folder`].
pub(crate) struct Typed<P>(PhantomData<fn() -> P>);

impl<P> Typed<P> {
    pub(crate) const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<P: Projection> Folder for Typed<P> {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn version(&self) -> u32 {
        P::VERSION
    }

    fn shape(&self) -> Shape {
        Shape::Keyed
    }

    fn on_poison(&self) -> OnPoison {
        P::ON_POISON
    }

    fn reads_accounts(&self) -> bool {
        P::READS_ACCOUNTS
    }

    fn indexes(&self) -> Vec<Index> {
        P::indexes()
    }

    fn keys(&self, event: &ReadEvent) -> Result<Vec<String>, FoldError> {
        guarded(|| P::keys(event)).map(each_once)
    }

    fn fold(&self, state: Option<&State>, key: &str, event: &ReadEvent) -> Result<Step, FoldError> {
        let document = state.map(|state| typed(P::NAME, state)).transpose()?;
        Ok(Step { change: erased(guarded(|| P::fold(document, key, event))?), rows: Vec::new() })
    }

    fn expires_at(&self, state: &State) -> Option<Timestamp> {
        P::expires_at(state.downcast_ref()?)
    }

    fn encode(&self, state: &State) -> Result<RawDocumentBuf, FoldError> {
        encode(P::NAME, typed::<P::Document>(P::NAME, state)?)
    }

    fn decode(&self, document: &RawDocument) -> Result<State, FoldError> {
        decode::<P::Document>(P::NAME, document)
    }
}

/// A projection of rows as a [`Folder`].
pub(crate) struct TypedRows<P>(PhantomData<fn() -> P>);

impl<P> TypedRows<P> {
    pub(crate) const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<P: RowProjection> Folder for TypedRows<P> {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn version(&self) -> u32 {
        P::VERSION
    }

    fn shape(&self) -> Shape {
        Shape::Rows
    }

    fn on_poison(&self) -> OnPoison {
        P::ON_POISON
    }

    fn reads_accounts(&self) -> bool {
        P::READS_ACCOUNTS
    }

    fn indexes(&self) -> Vec<Index> {
        P::indexes()
    }

    fn keys(&self, event: &ReadEvent) -> Result<Vec<String>, FoldError> {
        guarded(|| P::keys(event)).map(each_once)
    }

    fn fold(&self, state: Option<&State>, key: &str, event: &ReadEvent) -> Result<Step, FoldError> {
        let carry = state.map(|state| typed(P::NAME, state)).transpose()?;
        let Added { carry, rows } = guarded(|| P::fold(carry, key, event))?;
        let new = |(ordinal, row): &(u32, P::Row)| {
            if *ordinal > ORDINAL_MAX {
                return Err(FoldError::new(format!(
                    "an event adds a row with the ordinal {ordinal}, past {ORDINAL_MAX}"
                )));
            }
            Ok(NewRow { ordinal: *ordinal, fields: encode(P::NAME, row)?, expires_at: P::expires_at(row) })
        };
        Ok(Step { change: erased(carry), rows: rows.iter().map(new).collect::<Result<_, FoldError>>()? })
    }

    fn expires_at(&self, _state: &State) -> Option<Timestamp> {
        None
    }

    fn encode(&self, state: &State) -> Result<RawDocumentBuf, FoldError> {
        encode(P::NAME, typed::<P::Carry>(P::NAME, state)?)
    }

    fn decode(&self, document: &RawDocument) -> Result<State, FoldError> {
        decode::<P::Carry>(P::NAME, document)
    }
}

fn each_once(keys: Keys) -> Vec<String> {
    let mut keys: Vec<String> = keys.into_iter().collect();
    if keys.len() > 1 {
        keys.sort_unstable();
        keys.dedup();
    }
    keys
}

fn erased<D: Send + Sync + 'static>(change: Change<D>) -> Change<State> {
    match change {
        Change::Put(document) => Change::Put(Arc::new(document)),
        Change::Delete => Change::Delete,
        Change::Keep => Change::Keep,
    }
}

fn encode(projection: &str, document: &impl Serialize) -> Result<RawDocumentBuf, FoldError> {
    let document = bson::serialize_to_raw_document_buf(document)
        .map_err(|error| FoldError::new(format!("the document does not go into BSON: {error}")))?;
    if document.as_bytes().len() > DOCUMENT_BYTES_MAX {
        return Err(FoldError::new(format!("the document is larger than {DOCUMENT_BYTES_MAX} bytes")));
    }
    for element in document.iter_elements() {
        let name = element.map_err(|error| FoldError::new(error.to_string()))?.key().as_str();
        if RESERVED_FIELDS.contains(&name) {
            return Err(FoldError::new(format!(
                "a document of {projection} has a field {name:?}, which the projector keeps for itself"
            )));
        }
    }
    Ok(document)
}

fn decode<D: DeserializeOwned + Send + Sync + 'static>(
    projection: &str,
    document: &RawDocument,
) -> Result<State, FoldError> {
    let document: D = bson::deserialize_from_slice(document.as_bytes()).map_err(|error| {
        FoldError::new(format!("a stored document of {projection} does not have its shape: {error}"))
    })?;
    Ok(Arc::new(document))
}

fn typed<'a, D: 'static>(projection: &str, state: &'a State) -> Result<&'a D, FoldError> {
    state.downcast_ref().ok_or_else(|| FoldError::new(format!("a document of {projection} came with another type")))
}
