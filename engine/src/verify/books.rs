//! The books as the events make them: every account's totals, and a digest of all its postings.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::{Arc, LazyLock};

use super::chain::Checked;
use super::{PAGE_ROWS, Problem};
use crate::error::Error;
use crate::event::{AccountOpened, Movement, Payload, PostedLeg};
use crate::fold::Posting;
use crate::log::Log;
use crate::money;
use crate::position::Position;
use crate::state::{Account, AccountId, Facts, Totals};
use crate::store::{PostingRow, StoredAccount};

/// Drawn anew for each run of the program: whoever alters rows cannot know it, and so cannot look for
/// rows that add up to the same digest.
static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// The postings of one account, whatever their order.
///
/// A sum of keyed hashes (64 bits, `SipHash`): equal sets give equal sums, others do with a probability
/// of 2^-64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Digest {
    rows: u64,
    sum: u64,
}

impl Digest {
    pub(super) fn add(&mut self, row: &PostingRow) {
        let mut bytes = [0; 20 + 6 * 20];
        bytes[..8].copy_from_slice(&row.key.account.get().to_ne_bytes());
        bytes[8..16].copy_from_slice(&row.key.position.get().to_ne_bytes());
        bytes[16..20].copy_from_slice(&row.key.leg.to_ne_bytes());
        let parts = bytes[20..].chunks_exact_mut(20);
        for (part, (_, amount)) in parts.zip(row.amounts.columns()) {
            // The scale as it is stored: where it is another, but the value the same, the pass that
            // compares posting by posting finds nothing wrong.
            part[..16].copy_from_slice(&amount.mantissa().to_ne_bytes());
            part[16..].copy_from_slice(&amount.scale().to_ne_bytes());
        }
        let mut hasher = KEY.build_hasher();
        hasher.write(&bytes);
        self.rows += 1;
        self.sum = self.sum.wrapping_add(hasher.finish());
    }
}

/// Every account that was opened so far. Grows with accounts, not with events.
#[derive(Default)]
pub(super) struct Books {
    by_code: HashMap<Arc<str>, Vec<usize>>,
    all: Vec<Book>,
    pub(super) problems: Vec<Problem>,
}

pub(super) struct Book {
    pub(super) facts: Arc<Facts>,
    pub(super) totals: Totals,
    digest: Digest,
}

impl Books {
    /// The accounts and their totals as they are stored as of a position.
    pub(super) async fn as_of(log: &Log, at: Position) -> Result<Self, Error> {
        let mut books = Self::default();
        let mut after = Position::START;
        while after < at {
            let page = log.store().accounts(after, at, PAGE_ROWS).await?;
            let Some(last) = page.last() else { break };
            after = last.id;
            for StoredAccount { id, facts, totals } in page {
                books.add(Arc::new(facts.map_err(|what| Error::Damaged { position: id, what })?), totals);
            }
        }
        Ok(books)
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Book> {
        self.all.iter()
    }

    /// Takes over what an event says, and shows each posting that it makes.
    pub(super) fn fold(&mut self, event: &Checked, mut each: impl FnMut(&PostingRow)) {
        // What cannot be read was reported by the chain.
        let Some(payload) = &event.payload else { return };
        if let Payload::AccountOpened(opened) = payload {
            self.open(event.position, opened);
        }
        for (leg, moved) in (0..).zip(payload.movements()) {
            match self.posting(event.position, leg, moved) {
                Ok((slot, posting)) => {
                    let row = PostingRow::from(&posting);
                    self.all[slot].totals = posting.totals;
                    self.all[slot].digest.add(&row);
                    each(&row);
                }
                Err(why) => {
                    self.problems.push(Problem::new(event.position, "event.data", format!("leg {leg}: {why}")));
                }
            }
        }
    }

    /// The accounts whose stored postings are not those that the events make.
    pub(super) fn differing(&self, stored: &HashMap<AccountId, Digest>) -> Vec<AccountId> {
        let made = |id: &AccountId| {
            let book = self.all.binary_search_by_key(id, |book| book.facts.id);
            book.map(|slot| self.all[slot].digest).unwrap_or_default()
        };
        let changed = stored.iter().filter(|(id, digest)| made(id) != **digest).map(|(id, _)| *id);
        let opened = self.all.iter().filter(|book| book.digest != Digest::default()).map(|book| book.facts.id);
        let mut differing: Vec<AccountId> = changed.chain(opened.filter(|id| !stored.contains_key(id))).collect();
        differing.sort_unstable();
        differing
    }

    fn open(&mut self, position: Position, opened: &AccountOpened) {
        if let Ok(account) = Account::opened(position, opened) {
            self.add(account.facts, Totals::default());
        } else {
            let message = format!("a limit of {} does not fit its currency", opened.account);
            self.problems.push(Problem::new(position, "event.data", message));
        }
    }

    fn add(&mut self, facts: Arc<Facts>, totals: Totals) {
        self.by_code.entry(Arc::clone(&facts.code)).or_default().push(self.all.len());
        self.all.push(Book { facts, totals, digest: Digest::default() });
    }

    fn posting(&self, position: Position, leg: i32, moved: Movement<'_>) -> Result<(usize, Posting), String> {
        let Movement { leg: PostedLeg { account, currency, amount }, posted, pending } = moved;
        let slots = self.by_code.get(account.as_str()).into_iter().flatten().copied();
        let slot = slots.into_iter().find(|slot| *self.all[*slot].facts.currency == **currency);
        let slot = slot.ok_or_else(|| format!("{account} was not opened in {currency}"))?;
        let Book { facts, totals, .. } = &self.all[slot];
        let minor =
            |amount| money::to_minor(amount, facts.scale).map_err(|_| format!("{amount} does not fit {currency}"));
        let (posted, pending, side) = (minor(posted)?, minor(pending)?, amount.side());
        let totals = totals.post(side, posted).and_then(|totals| totals.pend(side, pending));
        let totals = totals.ok_or_else(|| format!("the totals of {account} overflow"))?;
        let (posted, pending) = (side.signed(posted), side.signed(pending));
        Ok((slot, Posting { account_id: facts.id, position, leg, scale: facts.scale, posted, pending, totals }))
    }
}
