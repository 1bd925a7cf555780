//! `record`: one change of an entity.

use super::{NewEvent, Stop};
use crate::command::Record;
use crate::event::Payload;
use crate::outcome::Conflict;
use crate::state::State;

pub(crate) fn record(state: &State, change: &Record) -> Result<NewEvent, Stop> {
    let found = state.version(&change.entity)?;
    if let Some(expected) = change.expected_version
        && expected != found
    {
        let message = format!("{} has {found} changes, not {expected}", change.entity);
        return Err(Conflict { entity: change.entity.clone(), expected, found, message }.into());
    }
    Ok(NewEvent {
        stream: Some((change.entity.clone(), found + 1)),
        kind: change.kind.clone(),
        schema: change.schema,
        data: change.data.as_str().to_owned(),
        payload: Payload::EntityChanged,
    })
}
