//! The state of an entity, and up to where it is folded.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Aggregate, event};
use crate::event::{Event, PayloadError};
use crate::hash::Hash;

/// The state of an entity as of one of its versions.
///
/// It is also a snapshot: where `A` is serde, so is this, and [`Log::fold_from`](crate::Log::fold_from) and
/// [`Execute::snapshot`](super::Execute::snapshot) go on from it. A snapshot is only a shortcut. Keep it where
/// you like (a table of your own, a cache), lose it when you like; drop it when the shape or the meaning of `A`
/// changes. One that is not of this log (an older backup was restored) is recognised by its hash, and
/// passed over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Folded<A> {
    /// The state.
    pub state: A,
    /// How many events it is the fold of.
    pub version: i64,
    /// The log's hash at the last of them; `None` before the first.
    pub hash: Option<Hash>,
}

impl<A: Aggregate> Folded<A> {
    /// With one more event.
    pub(super) fn evolve(self, event: &Event) -> Result<Self, PayloadError> {
        let typed = event::read::<A>(event)?;
        let version = event.version.unwrap_or_default();
        Ok(Self { state: self.state.evolve(&typed), version, hash: Some(event.hash) })
    }
}

/// A state in the writer's cache, whatever its type.
pub(crate) type Cached = Arc<dyn AnyFolded>;

pub(crate) trait AnyFolded: Any + Send + Sync {
    /// The state after an event of its entity; `None` when it is not to be had.
    fn follow(self: Arc<Self>, event: &Event) -> Option<Cached>;
}

impl<A: Aggregate> AnyFolded for Folded<A> {
    fn follow(self: Arc<Self>, event: &Event) -> Option<Cached> {
        match event.version.unwrap_or_default() - self.version {
            ..=0 => Some(self),
            1 => {
                // A panic of the embedder's must not end the writer: the caller meets it again when it folds.
                let folded = catch_unwind(AssertUnwindSafe(|| self.as_ref().clone().evolve(event)));
                Some(Arc::new(folded.ok()?.ok()?))
            }
            _ => None,
        }
    }
}

/// The state, if it is of this type.
pub(super) fn typed<A: Aggregate>(cached: Cached) -> Option<Arc<Folded<A>>> {
    let any: Arc<dyn Any + Send + Sync> = cached;
    any.downcast().ok()
}
