//! One bar, or one line now and then, for each read model that is worked on.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use postfold_projections::{Phase, Progress as At};

use crate::progress::{Progress, Step};

/// What is shown, by read model.
#[derive(Default)]
pub(super) struct Watch {
    shown: Mutex<HashMap<&'static str, Shown>>,
}

struct Shown {
    phase: Phase,
    /// Where the phase began: what was done before says nothing about the rate.
    began: u64,
    /// How far it is: as far as the bucket that is furthest.
    reached: u64,
    progress: Progress,
}

impl Watch {
    /// Takes in what a projector says.
    pub(super) fn tell(&self, at: &At) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.get(at.projection).is_none_or(|shown| shown.phase != at.phase) {
            // The bar of the phase before goes first.
            shown.remove(at.projection);
            let progress = Progress::new(format!("{}: {}", at.projection, doing(at.phase)), unit(at.phase));
            shown.insert(at.projection, Shown { phase: at.phase, began: at.position, reached: at.position, progress });
        }
        if let Some(shown) = shown.get_mut(at.projection)
            && at.position > shown.reached
        {
            shown.reached = at.position;
            let count = shown.reached.saturating_sub(shown.began);
            let total = at.end.saturating_sub(shown.began);
            shown.progress.at(Step::of(count, total));
        }
    }

    /// Takes the bar of a read model away that is done.
    pub(super) fn done(&self, projection: &str) {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).remove(projection);
    }

    /// Takes the bars away, to make room for what was found.
    pub(super) fn clear(&self) {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

const fn doing(phase: Phase) -> &'static str {
    match phase {
        Phase::Follow => "following the log",
        Phase::Fold => "folding the log",
        Phase::Load => "writing the documents",
        Phase::Index => "building the indexes",
        Phase::Tail => "folding what came meanwhile",
        Phase::Switch => "switching",
        Phase::Scan => "reading the documents",
    }
}

/// What is counted in a phase.
const fn unit(phase: Phase) -> &'static str {
    match phase {
        Phase::Follow | Phase::Fold | Phase::Tail => "event",
        Phase::Load | Phase::Scan => "document",
        Phase::Index | Phase::Switch => "step",
    }
}
