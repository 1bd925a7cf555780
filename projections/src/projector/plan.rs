//! Which events a batch takes, and which keys they touch.

use std::collections::HashMap;

use super::apply::poisoned;
use super::cache::Known;
use super::parking::Parking;
use crate::event::ReadEvent;
use crate::folder::Folder;
use crate::halt::Halt;
use crate::patience::Context;

/// The events of a batch, and its keys in the order of first touch.
pub(crate) struct Plan {
    pub(crate) events: usize,
    pub(crate) touches: Vec<Touch>,
}

/// A key that the batch touches, the places of the events that do, and what is known of it.
pub(crate) struct Touch {
    pub(crate) key: String,
    pub(crate) events: Vec<usize>,
    pub(crate) found: Option<Known>,
}

impl Plan {
    /// As many events as the bounds of a batch allow, and at least one.
    pub(crate) fn of(
        events: &[ReadEvent],
        folder: &dyn Folder,
        context: &Context,
        parking: &Parking,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Self, Halt> {
        let settings = &context.settings;
        let mut plan = Self { events: 0, touches: Vec::new() };
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut bytes = 0_usize;
        for (at, event) in events.iter().enumerate().take(settings.batch_events_max) {
            bytes = bytes.saturating_add(event.weight());
            if at > 0 && bytes > settings.batch_bytes_max {
                break;
            }
            let mut keys = match folder.keys(event) {
                Ok(keys) => keys,
                Err(_) if parking.skips_whole(event.position) => Vec::new(),
                Err(error) if at == 0 => return Err(poisoned(context.projection, event.position, None, &error)),
                Err(_) => break,
            };
            keys.retain(|key| wanted(key));
            let fresh = keys.iter().filter(|key| !places.contains_key(*key)).count();
            if at > 0 && plan.touches.len() + fresh > settings.batch_documents_max {
                break;
            }
            for key in keys {
                plan.touch(&mut places, key, at);
            }
            plan.events = at + 1;
        }
        Ok(plan)
    }

    fn touch(&mut self, places: &mut HashMap<String, usize>, key: String, at: usize) {
        let place = places.get(&key).copied().unwrap_or_else(|| {
            self.touches.push(Touch { key: key.clone(), events: Vec::new(), found: None });
            places.insert(key, self.touches.len() - 1);
            self.touches.len() - 1
        });
        if let Some(touch) = self.touches.get_mut(place) {
            touch.events.push(at);
        }
    }

    /// Takes only the events before this one.
    pub(crate) fn cut_before(&mut self, event: usize) {
        self.events = self.events.min(event);
        for touch in &mut self.touches {
            touch.events.retain(|at| *at < event);
        }
        self.touches.retain(|touch| !touch.events.is_empty());
    }

    /// Takes only the events before the first that touches this key; `false` where that is the very
    /// first event, which has to be taken whole.
    pub(crate) fn cut_before_touch(&mut self, touch: usize) -> bool {
        let first = self.touches.get(touch).and_then(|touch| touch.events.first()).copied().unwrap_or_default();
        if first > 0 {
            self.cut_before(first);
        }
        first > 0
    }
}
