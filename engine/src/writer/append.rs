//! Appending a draft until it is known what became of it.

use std::sync::Arc;

use tokio::time::Instant;

use crate::draft::Draft;
use crate::error::Error;
use crate::observe::name;
use crate::settings::Settings;
use crate::store::{AppendError, Store, hash_at};

/// Appends; when the outcome is unknown, the same rows are sent again, and the log tells.
///
/// If the first attempt was committed after all, or still is to be, the second is refused the
/// position, and the hash there is ours: it covers every row and everything before.
pub(super) async fn append(store: Arc<dyn Store>, settings: Settings, draft: Draft) -> Result<(), AppendError> {
    let mut appended = store.append(&draft).await;
    let Some(last) = draft.events.last() else { return appended };
    let deadline = Instant::now() + settings.resolve_timeout;
    let mut unknown = false;
    loop {
        match appended {
            Err(AppendError::Unknown(error)) => {
                let first = !std::mem::replace(&mut unknown, true);
                metrics::counter!(name::OUTCOMES_UNKNOWN).increment(1);
                if Instant::now() >= deadline {
                    return Err(AppendError::Unknown(Error::OutcomeUnknown(error.to_string())));
                }
                // Once is enough for whoever looks at the log: the next try is a moment away.
                if first {
                    tracing::warn!(%error, "the outcome of a commit is not known; asking the log");
                } else {
                    tracing::debug!(%error, "the outcome of a commit is still not known");
                }
                tokio::time::sleep(settings.resolve_interval).await;
            }
            Err(AppendError::LostRace | AppendError::Duplicate) if unknown => {
                match hash_at(store.as_ref(), last.position).await {
                    Ok(Some(hash)) if hash == last.hash => return Ok(()),
                    Ok(_) => return appended,
                    Err(error) => {
                        appended = Err(AppendError::Unknown(error));
                        continue;
                    }
                }
            }
            // Nothing can be concluded from how a later attempt failed (no connection, a lock held by the first one)
            // while that first one is open.
            Err(AppendError::Failed(error)) if unknown => {
                appended = Err(AppendError::Unknown(error));
                continue;
            }
            other => return other,
        }
        appended = store.append(&draft).await;
    }
}
