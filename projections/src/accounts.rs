//! What accounts were opened as, for projections whose documents are by type or owner of an account.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;
use postfold::event::{AccountOpened, Payload};

use crate::event::ReadEvent;
use crate::log::{LogError, LogSource};

/// Accounts that are remembered, about 300 bytes each.
const CACHE_ACCOUNTS_MAX: NonZeroUsize = NonZeroUsize::new(100_000).unwrap();
/// Accounts that one query reads.
const FETCH_ACCOUNTS_MAX: usize = 1_000;

/// Accounts by code and currency.
pub(crate) type Known = HashMap<String, Arc<AccountOpened>>;

/// What accounts of a log were opened as; it never changes, so it is remembered.
///
/// It is a function of the log before the event that names the account, so a fold that uses it is as pure as
/// one that does not.
pub(crate) struct Accounts {
    cache: Mutex<LruCache<String, Arc<AccountOpened>>>,
}

impl Accounts {
    pub(crate) fn new() -> Self {
        Self { cache: Mutex::new(LruCache::new(CACHE_ACCOUNTS_MAX)) }
    }

    /// Gives each event the accounts that it names.
    pub(crate) async fn attach(&self, log: &dyn LogSource, events: &mut [ReadEvent]) -> Result<(), LogError> {
        let (mut known, lacking) = self.recall(events);
        for chunk in lacking.chunks(FETCH_ACCOUNTS_MAX) {
            let wanted: Vec<_> = chunk.iter().map(|(code, currency)| (code.as_str(), currency.as_str())).collect();
            for opened in log.opened(&wanted).await? {
                known.insert(key(&opened.account, &opened.currency), Arc::new(opened));
            }
        }
        {
            let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
            for (key, opened) in &known {
                if !cache.contains(key) {
                    cache.put(key.clone(), Arc::clone(opened));
                }
            }
        }
        for event in events {
            event.attach(&known);
        }
        Ok(())
    }

    /// What is remembered of the accounts that these events name, or open; and those that are not.
    fn recall(&self, events: &[ReadEvent]) -> (Known, Vec<(String, String)>) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut known, mut lacking) = (Known::new(), HashMap::new());
        for event in events {
            note_opened(event, &mut known);
            for (account, currency) in event.named() {
                let key = key(account, currency);
                if known.contains_key(&key) {
                    continue;
                }
                match cache.get(&key) {
                    Some(opened) => drop(known.insert(key, Arc::clone(opened))),
                    None => drop(lacking.insert(key, (account.to_owned(), currency.to_owned()))),
                }
            }
        }
        lacking.retain(|key, _| !known.contains_key(key));
        (known, lacking.into_values().collect())
    }
}

/// Adds the account that an event opens.
pub(crate) fn note_opened(event: &ReadEvent, known: &mut Known) {
    if let Ok(Payload::AccountOpened(opened)) = event.payload() {
        known.insert(key(&opened.account, &opened.currency), Arc::new(opened.clone()));
    }
}

/// No currency's code holds a `|`, so the last one parts the two.
pub(crate) fn key(account: &str, currency: &str) -> String {
    [account, "|", currency].concat()
}
