//! `verify`: is the log what it was when it was written?
//!
//! Two passes side by side, each once over its table and in the table's order. One recomputes every
//! hash and folds the events anew; the other reads the postings as they are stored. Each boils the
//! postings of an account down to one digest, so memory grows with accounts, not with events. Where
//! two digests differ, a third pass compares posting by posting and names the first that is wrong.

use std::collections::{BTreeMap, HashMap};

use rust_decimal::Decimal;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::event::{Event, Payload};
use crate::fold::{self, Posting};
use crate::hash::Fields;
use crate::log::Log;
use crate::position::Position;
use crate::state::{Account, Head, State};
use crate::store::{PostingAmounts, PostingKey, PostingRow};

/// Rows read at a time.
const PAGE_ROWS: usize = 2_000;
/// Problems named in a report; more are only counted.
const PROBLEMS_MAX: usize = 100;
/// Accounts whose postings are compared one by one, after their digests differed.
const ACCOUNTS_COMPARED_MAX: usize = 1_000;

/// What `verify` found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The head up to which was verified.
    pub head: Head,
    /// Events whose hash was recomputed.
    pub events: u64,
    /// Postings that were compared with the fold.
    pub postings: u64,
    /// Accounts whose balance was compared with the fold.
    pub accounts: usize,
    /// How many problems there are in all.
    pub problems_total: usize,
    /// The first of them, by position.
    pub problems: Vec<Problem>,
}

impl Report {
    /// Whether nothing is wrong.
    pub const fn is_clean(&self) -> bool {
        self.problems_total == 0
    }
}

/// One thing that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// Where.
    pub position: Position,
    /// In which table and column.
    pub column: String,
    /// What is there, and what should be.
    pub message: String,
}

/// How far `verify` is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Events done.
    pub events: u64,
    /// Postings done.
    pub postings: u64,
    /// Events there are in all.
    pub events_total: u64,
}

/// Recomputes every hash, folds every balance anew and compares, up to the head as it is now.
///
/// # Errors
///
/// When the database is not available. What is wrong with the log is not an error but in the report.
pub async fn verify(log: &Log, mut progress: impl FnMut(Progress)) -> Result<Report, Error> {
    let head = log.head().await?;
    let counters = std::cell::Cell::new((0, 0));
    let mut tell = |events, postings| {
        let (old_events, old_postings) = counters.get();
        counters.set((old_events + events, old_postings + postings));
        progress(Progress {
            events: old_events + events,
            postings: old_postings + postings,
            events_total: head.position.get().unsigned_abs(),
        });
    };
    let tell = std::cell::RefCell::new(&mut tell);
    let folding = fold_log(log, head, |events| tell.borrow_mut()(events, 0));
    let reading = digest_postings(log, head, |postings| tell.borrow_mut()(0, postings));
    let (mut folded, stored) = tokio::try_join!(folding, reading)?;
    let differing = differing_accounts(&folded, &stored);
    if !differing.is_empty() {
        compare_postings(log, head, &differing, &mut folded.problems).await?;
    }
    compare_balances(log, &mut folded, &differing).await?;
    let (events, postings) = counters.get();
    // What has no position of its own comes last.
    folded.problems.sort_by_key(|problem| (problem.position == Position::START, problem.clone()));
    let problems_total = folded.problems.len();
    folded.problems.truncate(PROBLEMS_MAX);
    Ok(Report { head, events, postings, accounts: folded.digests.len(), problems_total, problems: folded.problems })
}

/// What the events say.
struct Folded {
    state: State,
    digests: BTreeMap<Position, AccountDigest>,
    problems: Vec<Problem>,
}

/// All postings of an account, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct AccountDigest {
    rows: u64,
    digest: [u8; 32],
}

impl AccountDigest {
    fn add(&mut self, key: PostingKey, amounts: &PostingAmounts) {
        let mut digest = Sha256::new();
        digest.update(self.digest);
        digest.update(key.position.get().to_be_bytes());
        digest.update(key.leg.to_be_bytes());
        for amount in amounts.columns().map(|(_, amount)| amount.normalize()) {
            digest.update(amount.mantissa().to_be_bytes());
            digest.update(amount.scale().to_be_bytes());
        }
        self.digest = digest.finalize().into();
        self.rows += 1;
    }
}

impl PostingAmounts {
    fn columns(&self) -> [(&'static str, Decimal); 6] {
        [
            ("posted", self.posted),
            ("pending", self.pending),
            ("debits_posted", self.debits_posted),
            ("credits_posted", self.credits_posted),
            ("debits_pending", self.debits_pending),
            ("credits_pending", self.credits_pending),
        ]
    }
}

/// A state that knows every account that was opened so far.
fn fold_whole(state: &mut State, event: &Event) -> Result<Vec<Posting>, Error> {
    let payload = event.payload()?;
    if let Payload::AccountOpened(opened) = &payload
        && state.accounts_of(&opened.account).is_err()
    {
        state.load_code(&opened.account, Vec::<Account>::new());
    }
    Ok(fold::fold(state, event, &payload)?)
}

async fn fold_log(log: &Log, head: Head, mut done: impl FnMut(u64)) -> Result<Folded, Error> {
    let genesis = log.hash_at(Position::START).await?.unwrap_or(head.hash);
    let start = Head { position: Position::START, hash: genesis, recorded_at: None };
    let mut folded = Folded { state: State::new(start), digests: BTreeMap::new(), problems: Vec::new() };
    while folded.state.head.position < head.position {
        let page = log.page(folded.state.head.position, PAGE_ROWS).await?;
        let count = page.len();
        for event in page.into_iter().take_while(|event| event.position <= head.position) {
            folded.event(&event);
        }
        // The undo log is of no use here.
        folded.state.commit(crate::state::CacheBounds { accounts: usize::MAX, ids: 0, streams: usize::MAX });
        done(u64::try_from(count).unwrap_or_default());
        if count == 0 {
            let at = folded.state.head.position.next();
            folded.problem(at, "event.position", format!("the log ends here, before its head {}", head.position));
            break;
        }
    }
    Ok(folded)
}

impl Folded {
    fn event(&mut self, event: &Event) {
        let before = self.state.head;
        if event.position != before.position.next() {
            self.problem(
                before.position.next(),
                "event.position",
                format!("the next event stands at {}", event.position),
            );
        }
        if before.recorded_at.is_some_and(|before| event.recorded_at < before) {
            self.problem(event.position, "event.recorded_at", "recorded time goes back".to_owned());
        }
        let hash = before.hash.chain(&Fields::from(event));
        if hash != event.hash {
            self.problem(
                event.position,
                "event.hash",
                format!("{} is stored, {hash} follows from the row", event.hash),
            );
        }
        if let (Some(stream), Some(version)) = (&event.stream, event.version) {
            let known = self.state.version(stream).unwrap_or_default();
            if version != known + 1 {
                self.problem(
                    event.position,
                    "event.version",
                    format!("{stream} was at version {known}, this is {version}"),
                );
            }
        }
        match fold_whole(&mut self.state, event) {
            Ok(postings) => {
                if matches!(event.payload(), Ok(Payload::AccountOpened(_))) {
                    self.digests.entry(event.position).or_default();
                }
                for row in postings.iter().map(PostingRow::from) {
                    self.digests.entry(row.key.account).or_default().add(row.key, &row.amounts);
                }
                self.balanced(event, &postings);
            }
            Err(error) => {
                self.problem(event.position, "event.data", error.to_string());
                self.state.head =
                    Head { position: event.position, hash: event.hash, recorded_at: Some(event.recorded_at) };
            }
        }
    }

    fn balanced(&mut self, event: &Event, postings: &[Posting]) {
        let Ok(payload) = event.payload() else { return };
        let mut sums: HashMap<(&str, &str), Decimal> = HashMap::new();
        let mut legs = 0;
        for moved in payload.movements() {
            legs += 1;
            let sign = if moved.leg.amount.side() == crate::Side::Debit { Decimal::ONE } else { Decimal::NEGATIVE_ONE };
            let currency = moved.leg.currency.as_str();
            *sums.entry((currency, "posted")).or_default() += sign * moved.posted;
            *sums.entry((currency, "pending")).or_default() += sign * moved.pending;
        }
        if postings.len() != legs {
            self.problem(event.position, "event.data", "a leg names an account that was not opened".to_owned());
        }
        if let Some(((currency, what), sum)) = sums.into_iter().find(|(_, sum)| !sum.is_zero()) {
            self.problem(event.position, "event.data", format!("debits less credits are {sum} {currency} {what}"));
        }
    }

    fn problem(&mut self, position: Position, column: &str, message: String) {
        self.problems.push(Problem { position, column: column.to_owned(), message });
    }
}

async fn digest_postings(
    log: &Log,
    head: Head,
    mut done: impl FnMut(u64),
) -> Result<BTreeMap<Position, AccountDigest>, Error> {
    let mut digests: BTreeMap<Position, AccountDigest> = BTreeMap::new();
    let mut after = PostingKey::default();
    loop {
        let page = log.store().postings(after, head.position, PAGE_ROWS).await?;
        for row in &page {
            digests.entry(row.key.account).or_default().add(row.key, &row.amounts);
        }
        done(u64::try_from(page.len()).unwrap_or_default());
        match page.last() {
            Some(last) if page.len() == PAGE_ROWS => after = last.key,
            _ => return Ok(digests),
        }
    }
}

fn differing_accounts(folded: &Folded, stored: &BTreeMap<Position, AccountDigest>) -> Vec<Position> {
    let none = AccountDigest::default();
    let all = folded.digests.keys().chain(stored.keys().filter(|id| !folded.digests.contains_key(id)));
    let differs = |id: &&Position| folded.digests.get(id).unwrap_or(&none) != stored.get(id).unwrap_or(&none);
    all.filter(differs).copied().take(ACCOUNTS_COMPARED_MAX).collect()
}

/// Folds the log once more and compares the postings of these accounts one by one.
async fn compare_postings(
    log: &Log,
    head: Head,
    accounts: &[Position],
    problems: &mut Vec<Problem>,
) -> Result<(), Error> {
    let mut stored: HashMap<Position, Cursor> = accounts.iter().map(|id| (*id, Cursor::new(*id))).collect();
    let mut state = State::new(Head { position: Position::START, ..head });
    while state.head.position < head.position {
        let page = log.page(state.head.position, PAGE_ROWS).await?;
        if page.is_empty() {
            break;
        }
        for event in page.into_iter().take_while(|event| event.position <= head.position) {
            // What cannot be folded was reported by the first pass.
            let postings = fold_whole(&mut state, &event).unwrap_or_default();
            state.head.position = event.position;
            for expected in postings.iter().map(PostingRow::from) {
                if let Some(cursor) = stored.get_mut(&expected.key.account).filter(|cursor| !cursor.broken) {
                    cursor.expect(log, head, &expected, problems).await?;
                }
            }
        }
    }
    for cursor in stored.values_mut().filter(|cursor| !cursor.broken) {
        if let Some(extra) = cursor.next(log, head).await? {
            let message = format!("account {} has a posting here that no event made", extra.key.account);
            problems.push(Problem { position: extra.key.position, column: "posting.position".to_owned(), message });
        }
    }
    Ok(())
}

/// The stored postings of one account, page by page.
struct Cursor {
    after: PostingKey,
    page: std::collections::VecDeque<PostingRow>,
    account: Position,
    /// A difference was found; what follows it would differ as well.
    broken: bool,
}

impl Cursor {
    /// Rows read at a time: there may be many such cursors.
    const ROWS: usize = 100;

    fn new(account: Position) -> Self {
        let after = PostingKey { account, position: Position::START, leg: 0 };
        Self { after, page: std::collections::VecDeque::new(), account, broken: false }
    }

    async fn next(&mut self, log: &Log, head: Head) -> Result<Option<PostingRow>, Error> {
        if self.page.is_empty() {
            self.page = log.store().postings(self.after, head.position, Self::ROWS).await?.into();
        }
        let row = self.page.pop_front().filter(|row| row.key.account == self.account);
        if let Some(row) = &row {
            self.after = row.key;
        }
        Ok(row)
    }

    async fn expect(
        &mut self,
        log: &Log,
        head: Head,
        expected: &PostingRow,
        problems: &mut Vec<Problem>,
    ) -> Result<(), Error> {
        let stored = self.next(log, head).await?;
        let difference = match &stored {
            None => Some(("posting.position", "the posting of this leg is missing".to_owned())),
            Some(stored) if stored.key != expected.key => Some((
                "posting.position",
                format!("the next posting of the account stands at {}, leg {}", stored.key.position, stored.key.leg),
            )),
            Some(stored) => {
                let columns = stored.amounts.columns().into_iter().zip(expected.amounts.columns());
                let different = columns.into_iter().find(|((_, stored), (_, expected))| stored != expected);
                different.map(|((column, stored), (_, expected))| {
                    (column, format!("{stored} is stored, {expected} follows from the log"))
                })
            }
        };
        if let Some((column, message)) = difference {
            self.broken = true;
            let column = if column.starts_with("posting.") { column.to_owned() } else { format!("posting.{column}") };
            let message = format!("account {}: {message}", self.account);
            problems.push(Problem { position: expected.key.position, column, message });
        }
        Ok(())
    }
}

/// The accounts as they are stored, with the balance of their newest posting, against the fold.
async fn compare_balances(log: &Log, folded: &mut Folded, reported: &[Position]) -> Result<(), Error> {
    let at = folded.state.head.position;
    let stored = log.store().balances("", at).await?;
    let mut problems = Vec::new();
    for balance in &stored {
        let account = folded.state.account(&balance.account, &balance.currency);
        let Some(account) = account else {
            let message = format!("{} in {} was opened by no event", balance.account, balance.currency);
            problems.push(Problem { position: Position::START, column: "account.code".to_owned(), message });
            continue;
        };
        let expected = account.balance(at);
        // Where a posting was found to be wrong, the balance is wrong for that reason.
        if *balance != expected && !reported.contains(&account.facts.id) {
            let message =
                format!("{} in {}: stored {balance:?}, folded {expected:?}", balance.account, balance.currency);
            problems.push(Problem { position: account.facts.id, column: "account".to_owned(), message });
        }
    }
    if stored.len() < folded.digests.len() {
        let message = format!("{} accounts are stored, {} were opened", stored.len(), folded.digests.len());
        problems.push(Problem { position: Position::START, column: "account.account_id".to_owned(), message });
    }
    folded.problems.append(&mut problems);
    Ok(())
}
