//! Tombstones on their way out.
//!
//! A deleted document leaves a tombstone, so that folding the same events again after a crash does not
//! bring it back. Once the checkpoint has passed it that cannot happen any more; but a process that
//! was thought dead may still send a write of its own, so it stays for the
//! [grace](Settings::late_write_grace) besides.

use std::collections::VecDeque;
use std::time::Duration;

use postfold::Position;
use tokio::time::Instant;

use crate::settings::Settings;

/// Tombstones that are remembered one by one; with more, the collection is swept instead.
const GRAVES_MAX: usize = 10_000;

/// Which tombstones there are, and since when.
pub(crate) struct Graves {
    grace: Duration,
    dead: VecDeque<Grave>,
    sweep: Option<Sweep>,
    /// More tombstones were forgotten since the sweep was planned.
    sweep_again: bool,
}

struct Grave {
    id: String,
    position: Position,
    since: Instant,
}

struct Sweep {
    at: Instant,
    through: Position,
}

/// What may be removed now.
#[derive(Debug, Default)]
pub(crate) struct Due {
    /// These tombstones.
    pub(crate) ids: Vec<String>,
    /// Every tombstone not beyond this, and every document of an earlier generation.
    pub(crate) sweep: Option<Position>,
}

impl Graves {
    /// `left`: an earlier session left some behind, not beyond this position.
    pub(crate) fn new(settings: &Settings, left: Option<Position>) -> Self {
        let grace = settings.late_write_grace;
        let sweep = left.map(|through| Sweep { at: Instant::now() + grace, through });
        Self { grace, dead: VecDeque::new(), sweep, sweep_again: false }
    }

    pub(crate) fn dig(&mut self, dead: Vec<(String, Position)>) {
        let since = Instant::now();
        self.dead.extend(dead.into_iter().map(|(id, position)| Grave { id, position, since }));
        if self.dead.len() > GRAVES_MAX {
            self.dead.clear();
            self.sweep_again = true;
        }
    }

    pub(crate) fn any(&self) -> bool {
        !self.dead.is_empty() || self.sweep.is_some() || self.sweep_again
    }

    /// Takes out what has waited long enough and lies not beyond the checkpoint.
    pub(crate) fn due(&mut self, checkpoint: Position) -> Due {
        let now = Instant::now();
        let mut due = Due::default();
        while self.dead.front().is_some_and(|grave| now - grave.since >= self.grace && grave.position <= checkpoint) {
            due.ids.extend(self.dead.pop_front().map(|grave| grave.id));
        }
        due.sweep = self.sweep.take_if(|sweep| now >= sweep.at).map(|sweep| sweep.through);
        if self.sweep_again && self.sweep.is_none() {
            self.sweep = Some(Sweep { at: now + self.grace, through: checkpoint });
            self.sweep_again = false;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dead(ids: std::ops::Range<usize>) -> Vec<(String, Position)> {
        ids.map(|id| (id.to_string(), Position::new(5))).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_tombstone_stays_until_its_grace_is_over_and_the_checkpoint_has_passed_it() {
        let settings = Settings::default();
        let mut graves = Graves::new(&settings, None);
        graves.dig(dead(0..2));
        assert!(graves.due(Position::new(5)).ids.is_empty(), "too early");
        tokio::time::advance(settings.late_write_grace).await;
        assert!(graves.due(Position::new(4)).ids.is_empty(), "the checkpoint is before it");
        assert_eq!(graves.due(Position::new(5)).ids, ["0", "1"]);
        assert!(!graves.any());
    }

    #[tokio::test(start_paused = true)]
    async fn too_many_tombstones_are_swept_and_never_put_off_for_ever() {
        let settings = Settings::default();
        let mut graves = Graves::new(&settings, None);
        graves.dig(dead(0..GRAVES_MAX + 1));
        assert!(graves.due(Position::new(7)).sweep.is_none());
        graves.dig(dead(0..GRAVES_MAX + 1));
        tokio::time::advance(settings.late_write_grace).await;
        assert_eq!(
            graves.due(Position::new(9)).sweep,
            Some(Position::new(7)),
            "only what was there when it was planned"
        );
        tokio::time::advance(settings.late_write_grace).await;
        assert_eq!(graves.due(Position::new(9)).sweep, Some(Position::new(9)));
        assert!(!graves.any());
    }
}
