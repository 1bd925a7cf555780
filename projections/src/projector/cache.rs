//! Documents kept between batches.

use lru::LruCache;
use postfold::Position;

use crate::folder::State;
use crate::settings::Settings;

/// A document as far as it is known: stored, or about to be.
#[derive(Clone)]
pub(crate) struct Known {
    /// The position of the event that changed it last.
    pub(crate) position: Position,
    /// What it holds; `None` in a tombstone.
    pub(crate) state: Option<State>,
    /// Bytes that it takes as stored.
    pub(crate) weight: usize,
}

/// The documents used last, within bounds of number and of bytes.
pub(crate) struct Cache {
    documents: LruCache<String, Known>,
    weight: usize,
    documents_max: usize,
    weight_max: usize,
}

impl Cache {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            documents: LruCache::unbounded(),
            weight: 0,
            documents_max: settings.cache_documents_max,
            weight_max: settings.cache_bytes_max,
        }
    }

    pub(crate) fn get(&mut self, key: &str) -> Option<&Known> {
        self.documents.get(key)
    }

    pub(crate) fn put(&mut self, key: String, known: Known) {
        self.weight = self.weight.saturating_add(known.weight);
        if let Some(before) = self.documents.put(key, known) {
            self.weight = self.weight.saturating_sub(before.weight);
        }
        while self.documents.len() > self.documents_max || self.weight > self.weight_max {
            let Some((_, oldest)) = self.documents.pop_lru() else { break };
            self.weight = self.weight.saturating_sub(oldest.weight);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn known(weight: usize) -> Known {
        Known { position: Position::new(1), state: Some(Arc::new(())), weight }
    }

    #[test]
    fn neither_the_number_nor_the_bytes_pass_their_bounds() {
        let settings = Settings { cache_documents_max: 3, cache_bytes_max: 100, ..Settings::default() };
        let mut cache = Cache::new(&settings);
        for key in ["a", "b", "c", "d"] {
            cache.put(key.into(), known(10));
        }
        assert!(cache.get("a").is_none(), "the number is bounded");
        cache.put("e".into(), known(90));
        assert!(cache.get("c").is_none() && cache.get("d").is_some(), "the bytes are bounded");
        cache.put("e".into(), known(20));
        assert_eq!(cache.weight, 30, "a document put again counts once");
        cache.put("f".into(), known(1000));
        assert_eq!((cache.documents.len(), cache.weight), (0, 0), "one that is too large is not kept");
    }
}
