//! Whether the read models are well: for load balancers, orchestrators and people.

use std::time::Duration;

use postfold_projections::{State, Status};
use serde::Serialize;

/// What `/health` answers.
#[derive(Debug, Serialize)]
pub(super) struct Health {
    /// Whether nothing is wrong.
    healthy: bool,
    /// What is wrong, in words.
    trouble: Vec<String>,
    /// As `project status --json` shows them.
    projections: Vec<Status>,
}

impl Health {
    /// The health of models in this state, none of which may be further behind. A paused model is meant to be: it is no
    /// trouble.
    pub(super) fn of(projections: Vec<Status>, lag_max: Duration) -> Self {
        let trouble: Vec<String> = projections.iter().filter_map(|status| trouble(status, lag_max)).collect();
        Self { healthy: trouble.is_empty(), trouble, projections }
    }

    /// Nobody can tell.
    pub(super) fn unknown(reason: String) -> Self {
        Self { healthy: false, trouble: vec![reason], projections: Vec::new() }
    }

    pub(super) const fn is_good(&self) -> bool {
        self.healthy
    }
}

fn trouble(status: &Status, lag_max: Duration) -> Option<String> {
    let name = status.name;
    match status.state {
        State::Paused => None,
        State::Halted => Some(format!("{name} stopped: {}", status.halted.as_deref().unwrap_or("no reason is known"))),
        State::Outdated => Some(format!("{name} was built by another version: it wants a rebuild")),
        State::Ahead => Some(format!("{name} is ahead of the log: it wants a rebuild")),
        State::New | State::CaughtUp | State::Behind | State::Switching => {
            let behind = status.lag_seconds;
            let late = behind > lag_max.as_secs_f64();
            late.then(|| format!("{name} is {} events and {behind:.1} s behind", status.lag))
        }
    }
}

#[cfg(test)]
mod tests {
    use postfold::Position;

    use super::*;

    fn status(state: State, lag: u64, lag_seconds: f64) -> Status {
        Status {
            name: "balances",
            version: 1,
            model_version: Some(1),
            generation: Some(1),
            position: Position::START,
            head: Position::START,
            lag,
            lag_seconds,
            state,
            halted: (state == State::Halted).then(|| "no room".to_owned()),
            paused: None,
            parked: 0,
            drift: Vec::new(),
            epoch: Some(1),
            updated_at: None,
            buckets: Vec::new(),
        }
    }

    #[test]
    fn a_model_is_well_that_runs_or_is_paused_and_is_not_too_far_behind() {
        let table = [
            (State::CaughtUp, 0, 0.0, None),
            (State::Behind, 9, 59.0, None),
            (State::Behind, 9, 61.0, Some("balances is 9 events and 61.0 s behind")),
            (State::Switching, 9, 61.0, Some("balances is 9 events and 61.0 s behind")),
            (State::Paused, 9, 61.0, None),
            (State::Halted, 0, 0.0, Some("balances stopped: no room")),
            (State::Outdated, 0, 0.0, Some("balances was built by another version: it wants a rebuild")),
            (State::Ahead, 0, 0.0, Some("balances is ahead of the log: it wants a rebuild")),
        ];
        for (state, lag, lag_seconds, expected) in table {
            let health = Health::of(vec![status(state, lag, lag_seconds)], Duration::from_mins(1));
            assert_eq!(health.trouble.first().map(String::as_str), expected, "{state:?}");
            assert_eq!(health.is_good(), expected.is_none(), "{state:?}");
        }
    }
}
