//! States kept between batches.

use std::collections::HashMap;

use lru::LruCache;
use postfold::Position;

use super::deliver::Place;
use crate::folder::State;
use crate::settings::Settings;

/// A key's state as far as it is known: stored, or about to be.
#[derive(Clone)]
pub(crate) struct Known {
    /// The position of the event that changed it last.
    pub(crate) position: Position,
    /// What it holds; `None` in a tombstone.
    pub(crate) state: Option<State>,
    /// Bytes that it takes as stored.
    pub(crate) weight: usize,
    /// What is thought to be stored under its key.
    pub(crate) place: Place,
    /// It is not stored, and nobody is about to.
    pub(crate) dirty: bool,
}

impl Known {
    /// What is known of a key that is not stored.
    pub(crate) const NOTHING: Self =
        Self { position: Position::START, state: None, weight: 0, place: Place::Empty, dirty: false };
    /// What a carry takes, roughly: it is not encoded until it is stored.
    pub(crate) const CARRY_BYTES: usize = 300;
}

/// The states used last, within bounds of number and of bytes.
///
/// What it drops while a batch that may write it is on its way is held until that batch has landed: the
/// store would still tell the state before.
pub(crate) struct Cache {
    states: LruCache<String, Known>,
    leaving: HashMap<String, (u64, Known)>,
    weight: usize,
    states_max: usize,
    weight_max: usize,
}

impl Cache {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            states: LruCache::unbounded(),
            leaving: HashMap::new(),
            weight: 0,
            states_max: settings.cache_documents_max,
            weight_max: settings.cache_bytes_max,
        }
    }

    pub(crate) fn get(&mut self, key: &str) -> Option<&Known> {
        self.states.get(key).or_else(|| self.leaving.get(key).map(|(_, known)| known))
    }

    pub(crate) fn put(&mut self, key: String, known: Known) {
        self.leaving.remove(&key);
        self.weight = self.weight.saturating_add(known.weight);
        if let Some(before) = self.states.put(key, known) {
            self.weight = self.weight.saturating_sub(before.weight);
        }
    }

    /// Drops what was used longest ago until the bounds are kept, as of this batch. Returns what has to be
    /// stored with it.
    pub(crate) fn evict(&mut self, batch: u64) -> Vec<(String, Known)> {
        let mut to_store = Vec::new();
        while self.states.len() > self.states_max || self.weight > self.weight_max {
            let Some((key, mut known)) = self.states.pop_lru() else { break };
            self.weight = self.weight.saturating_sub(known.weight);
            if known.dirty {
                to_store.push((key.clone(), known.clone()));
                (known.dirty, known.place) = (false, Place::Behind);
            }
            self.leaving.insert(key, (batch, known));
        }
        to_store
    }

    /// Everything up to this batch is stored.
    pub(crate) fn landed(&mut self, batch: u64) {
        if !self.leaving.is_empty() {
            self.leaving.retain(|_, (left, _)| *left > batch);
        }
    }

    pub(crate) fn dirty(&self) -> impl Iterator<Item = (&str, &Known)> {
        self.states.iter().filter(|(_, known)| known.dirty).map(|(key, known)| (key.as_str(), known))
    }

    /// Everything is stored now.
    pub(crate) fn clean(&mut self) {
        for (_, known) in self.states.iter_mut().filter(|(_, known)| known.dirty) {
            (known.dirty, known.place) = (false, Place::Behind);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn known(weight: usize) -> Known {
        Known { weight, state: Some(Arc::new(())), ..Known::NOTHING }
    }

    fn dirty(weight: usize) -> Known {
        Known { dirty: true, ..known(weight) }
    }

    fn cache(states: usize, bytes: usize) -> Cache {
        Cache::new(&Settings { cache_documents_max: states, cache_bytes_max: bytes, ..Settings::default() })
    }

    #[test]
    fn neither_the_number_nor_the_bytes_pass_their_bounds() {
        let mut cache = cache(3, 100);
        let mut batch = 0;
        let mut put = |cache: &mut Cache, key: &str, weight| {
            batch += 1;
            cache.put(key.into(), known(weight));
            cache.evict(batch);
            cache.landed(batch);
        };
        for key in ["a", "b", "c", "d"] {
            put(&mut cache, key, 10);
        }
        assert!(cache.get("a").is_none(), "the number is bounded");
        put(&mut cache, "e", 90);
        assert!(cache.get("c").is_none() && cache.get("d").is_some(), "the bytes are bounded");
        put(&mut cache, "e", 20);
        assert_eq!(cache.weight, 30, "a state put again counts once");
        put(&mut cache, "f", 1000);
        assert_eq!((cache.states.len(), cache.weight), (0, 0), "one that is too large is not kept");
    }

    #[test]
    fn what_is_dropped_is_known_until_its_batch_has_landed() {
        let mut cache = cache(1, 100);
        cache.put("a".into(), known(1));
        cache.put("b".into(), known(1));
        cache.evict(1);
        assert!(cache.get("a").is_some(), "the store may still tell what was before");
        cache.landed(1);
        assert!(cache.get("a").is_none());
    }

    #[test]
    fn what_is_dropped_and_not_stored_is_handed_over_once() {
        let mut cache = cache(1, 100);
        cache.put("a".into(), dirty(1));
        cache.put("b".into(), dirty(1));
        let stored: Vec<String> = cache.evict(1).into_iter().map(|(key, _)| key).collect();
        assert_eq!(stored, ["a"]);
        assert_eq!(cache.get("a").map(|known| (known.dirty, known.place)), Some((false, Place::Behind)));
        assert_eq!(cache.dirty().map(|(key, _)| key).collect::<Vec<_>>(), ["b"]);
        cache.clean();
        assert!(cache.dirty().next().is_none() && cache.evict(2).is_empty());
    }
}
