//! Appending a draft until it is known what became of it.

use std::sync::Arc;

use tokio::time::Instant;

use crate::draft::Draft;
use crate::error::Error;
use crate::observe::name;
use crate::settings::Settings;
use crate::store::stages::Stages;
use crate::store::{AppendError, Store, hash_at};

/// Appends; when the outcome is unknown, the same rows are sent again, and the log tells.
///
/// If the first attempt was committed after all, or still is to be, the second is refused the
/// position, and the hash there is ours: it covers every row and everything before.
pub(super) async fn append(
    store: Arc<dyn Store>,
    settings: Settings,
    draft: Draft,
    mut stages: Stages,
) -> Result<(), AppendError> {
    let mut appended = if may_overlap(&draft, &settings) {
        store.append_in_stages(&draft, &mut stages).await
    } else {
        stages.turn().await?;
        store.append(&draft).await
    };
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
        stages.turn().await?;
        appended = store.append(&draft).await;
    }
}

/// Whether a batch may be written while the one before it, or behind it, is. What stands in an account that was opened
/// a moment ago can be written only when the account is there.
pub(super) fn may_overlap(draft: &Draft, settings: &Settings) -> bool {
    draft.events.len() >= settings.overlap_from_events && draft.accounts.is_empty()
}
