//! `close_period` and `reopen_period`: where the closed books end.

use jiff::civil::Date;

use super::{Decision, NewEvent, Stop};
use crate::command::{ClosePeriod, ReopenPeriod};
use crate::event::{Payload, PeriodMoved, kind};
use crate::outcome::{Rejection, Rule};
use crate::state::{PERIOD_STREAM, State};

pub(super) fn close(state: &State, close: &ClosePeriod) -> Result<Decision, Stop> {
    let mark = state.period()?;
    if let Some(through) = mark.through.filter(|through| close.through <= *through) {
        let message = format!("the books are closed through {through} already");
        return Err(Rejection::new(Rule::PeriodClosed, message).into());
    }
    moved(kind::PERIOD_CLOSED, Some(close.through), None, mark.version)
}

pub(super) fn reopen(state: &State, reopen: &ReopenPeriod) -> Result<Decision, Stop> {
    let mark = state.period()?;
    let earlier = match (mark.through, reopen.through) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(through), Some(wanted)) => wanted < through,
    };
    if !earlier {
        let closed = mark
            .through
            .map_or("nothing is closed".to_owned(), |through| format!("closed is what is on or before {through}"));
        let message = format!("{closed}; a period is reopened to an earlier date");
        return Err(Rejection::new(Rule::PeriodOpen, message).into());
    }
    moved(kind::PERIOD_REOPENED, reopen.through, Some(reopen.reason.clone()), mark.version)
}

fn moved(kind: &str, through: Option<Date>, reason: Option<String>, version: i64) -> Result<Decision, Stop> {
    let moved = PeriodMoved { through, reason };
    let mut event = NewEvent::new(kind, &moved, Payload::PeriodMoved(moved.clone()))?;
    event.stream = Some((PERIOD_STREAM.to_owned(), version + 1));
    Ok(Decision::Write(event))
}
