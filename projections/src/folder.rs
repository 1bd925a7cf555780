//! A projection without its type: what the projector, the rebuild and the verification work with.

use std::any::Any;
use std::marker::PhantomData;
use std::sync::Arc;

use bson::raw::{RawDocument, RawDocumentBuf};

use crate::event::ReadEvent;
use crate::projection::{Change, FoldError, Index, Projection};
use crate::store::{DOCUMENT_BYTES_MAX, RESERVED_FIELDS};

/// A document of some projection; cheap to clone, so that a cache and a batch can share it.
pub(crate) type State = Arc<dyn Any + Send + Sync>;

/// A [`Projection`] behind a pointer.
pub(crate) trait Folder: Send + Sync {
    fn name(&self) -> &'static str;
    fn version(&self) -> u32;
    fn indexes(&self) -> Vec<Index>;
    /// Each key once.
    fn keys(&self, event: &ReadEvent) -> Result<Vec<String>, FoldError>;
    fn fold(&self, state: Option<&State>, key: &str, event: &ReadEvent) -> Result<Change<State>, FoldError>;
    fn encode(&self, state: &State) -> Result<RawDocumentBuf, FoldError>;
    fn decode(&self, document: &RawDocument) -> Result<State, FoldError>;
}

/// The one implementation of [`Folder`].
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

    fn indexes(&self) -> Vec<Index> {
        P::indexes()
    }

    fn keys(&self, event: &ReadEvent) -> Result<Vec<String>, FoldError> {
        let mut keys: Vec<String> = P::keys(event)?.into_iter().collect();
        if keys.len() > 1 {
            keys.sort_unstable();
            keys.dedup();
        }
        Ok(keys)
    }

    fn fold(&self, state: Option<&State>, key: &str, event: &ReadEvent) -> Result<Change<State>, FoldError> {
        let document = state.map(typed::<P>).transpose()?;
        Ok(match P::fold(document, key, event)? {
            Change::Put(document) => Change::Put(Arc::new(document)),
            Change::Delete => Change::Delete,
            Change::Keep => Change::Keep,
        })
    }

    fn encode(&self, state: &State) -> Result<RawDocumentBuf, FoldError> {
        let document = bson::serialize_to_raw_document_buf(typed::<P>(state)?)
            .map_err(|error| FoldError::new(format!("the document does not go into BSON: {error}")))?;
        if document.as_bytes().len() > DOCUMENT_BYTES_MAX {
            return Err(FoldError::new(format!("the document is larger than {DOCUMENT_BYTES_MAX} bytes")));
        }
        for element in &document {
            let (name, _) = element.map_err(|error| FoldError::new(error.to_string()))?;
            if RESERVED_FIELDS.contains(&name.as_str()) {
                let name = name.as_str();
                return Err(FoldError::new(format!(
                    "a document of {} has a field {name:?}, which the projector keeps for itself",
                    P::NAME
                )));
            }
        }
        Ok(document)
    }

    fn decode(&self, document: &RawDocument) -> Result<State, FoldError> {
        let document: P::Document = bson::deserialize_from_slice(document.as_bytes()).map_err(|error| {
            FoldError::new(format!("a stored document of {} does not have its shape: {error}", P::NAME))
        })?;
        Ok(Arc::new(document))
    }
}

fn typed<P: Projection>(state: &State) -> Result<&P::Document, FoldError> {
    state.downcast_ref().ok_or_else(|| FoldError::new(format!("a document of {} came with another type", P::NAME)))
}
