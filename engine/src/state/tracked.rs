//! A cache that can take back what was done since a mark, and that evicts only what is settled.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::Hash;

use lru::LruCache;

/// A least-recently-used map with an undo log.
///
/// While a batch is decided nothing is evicted, so what it has loaded stays; [`Tracked::settle`] brings the
/// map back to its bound.
#[derive(Debug)]
pub(crate) struct Tracked<K: Hash + Eq, V> {
    map: LruCache<K, V>,
    undo: Vec<(K, Option<V>)>,
    /// Changes that were made final: marks count from the first of all.
    settled: usize,
}

impl<K: Hash + Eq + Clone, V: Clone> Tracked<K, V> {
    pub(crate) fn new() -> Self {
        Self { map: LruCache::unbounded(), undo: Vec::new(), settled: 0 }
    }

    pub(crate) fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.map.peek(key)
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &K> {
        self.map.iter().map(|(key, _)| key)
    }

    /// A change that [`Tracked::rollback`] takes back.
    pub(crate) fn set(&mut self, key: K, value: V) {
        let before = self.map.put(key.clone(), value);
        self.undo.push((key, before));
    }

    /// What was read from the log: stays, whatever becomes of the batch.
    pub(crate) fn load(&mut self, key: K, value: V) {
        self.map.put(key, value);
    }

    /// What has changes that may still be taken back: newer than anything that can be read from the log.
    pub(crate) fn under_way(&self) -> HashSet<K> {
        self.undo.iter().map(|(key, _)| key.clone()).collect()
    }

    pub(crate) fn mark(&self) -> usize {
        self.settled + self.undo.len()
    }

    /// Takes back what was done since a mark, as far as it is not final.
    pub(crate) fn rollback(&mut self, mark: usize) {
        let kept = mark.saturating_sub(self.settled);
        while self.undo.len() > kept {
            match self.undo.pop() {
                Some((key, Some(before))) => {
                    self.map.put(key, before);
                }
                Some((key, None)) => {
                    self.map.pop(&key);
                }
                None => {}
            }
        }
    }

    /// Makes the changes up to a mark final, and evicts what is beyond `most` entries, but nothing whose
    /// changes may still be taken back.
    pub(crate) fn settle(&mut self, mark: usize, most: usize) {
        let done = mark.saturating_sub(self.settled).min(self.undo.len());
        self.undo.drain(..done);
        self.settled += done;
        if self.map.len() <= most {
            return;
        }
        let kept: HashSet<&K> = self.undo.iter().map(|(key, _)| key).collect();
        while self.map.len() > most && self.map.peek_lru().is_some_and(|(key, _)| !kept.contains(key)) {
            self.map.pop_lru();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rollback_restores_what_was_there_and_removes_what_was_not() {
        let mut map = Tracked::new();
        map.load("loaded", 1);
        map.set("kept", 1);
        let mark = map.mark();
        map.set("kept", 2);
        map.set("kept", 3);
        map.set("new", 1);
        map.set("loaded", 9);
        map.rollback(mark);
        assert_eq!((map.get("kept"), map.get("new"), map.get("loaded")), (Some(&1), None, Some(&1)));
        map.rollback(0);
        assert_eq!((map.get("kept"), map.get("loaded")), (None, Some(&1)));
    }

    #[test]
    fn settling_evicts_what_was_used_least_recently() {
        let mut map = Tracked::new();
        for key in ["a", "b", "c"] {
            map.set(key, 0);
        }
        map.set("a", 0);
        map.settle(map.mark(), 2);
        assert_eq!((map.get("a"), map.get("b"), map.get("c")), (Some(&0), None, Some(&0)));
    }

    #[test]
    fn settling_keeps_what_may_still_be_taken_back() {
        let mut map = Tracked::new();
        map.set("done", 1);
        map.set("also done", 1);
        let mark = map.mark();
        map.set("done", 2);
        map.set("under way", 2);
        map.settle(mark, 1);
        assert_eq!((map.get("done"), map.get("also done"), map.get("under way")), (Some(&2), None, Some(&2)));
        map.rollback(0);
        assert_eq!((map.get("done"), map.get("under way")), (Some(&1), None));
    }

    #[test]
    fn a_mark_stays_where_it_is_while_what_is_before_it_becomes_final() {
        let mut map = Tracked::new();
        map.set("a", 1);
        let first = map.mark();
        map.set("a", 2);
        let second = map.mark();
        map.set("a", 3);
        map.settle(first, 9);
        map.rollback(second);
        assert_eq!(map.get("a"), Some(&2));
        map.set("a", 4);
        map.settle(second, 9);
        map.rollback(0);
        assert_eq!(map.get("a"), Some(&2), "what is final is not taken back");
    }
}
