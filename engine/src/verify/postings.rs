//! The postings as they are stored, against those that the events make.

use std::collections::{HashMap, VecDeque};

use super::books::{Books, Digest};
use super::{PAGE_ROWS, Problem, Range, chain, head};
use crate::error::Error;
use crate::log::Log;
use crate::position::Position;
use crate::state::AccountId;
use crate::store::{PostingAmounts, PostingKey, PostingRow};

/// Accounts whose postings are compared one by one at a time, after their digests differed.
const ACCOUNTS_COMPARED_MAX: usize = 1_000;

/// What was read of the posting table.
#[derive(Default)]
pub(super) struct Stored {
    pub(super) digests: HashMap<AccountId, Digest>,
    /// A posting beyond what is verified, the last by position: its event must be in the log by now.
    last_beyond: Option<PostingKey>,
    /// A posting before the first position, where no event can be.
    before_start: Option<PostingKey>,
}

/// Reads every posting of the range once, in the order of its table.
pub(super) async fn digest(log: &Log, range: Range, mut done: impl FnMut(u64)) -> Result<Stored, Error> {
    let mut stored = Stored::default();
    let mut after = PostingKey::default();
    loop {
        let page = log.store().postings(after, range.after, PAGE_ROWS).await?;
        let Some(last) = page.last() else { return Ok(stored) };
        after = last.key;
        for row in &page {
            stored.add(range, row);
        }
        let within = page.iter().filter(|row| row.key.position <= range.upto).count();
        done(u64::try_from(within).unwrap_or(u64::MAX));
    }
}

impl Stored {
    fn add(&mut self, range: Range, row: &PostingRow) {
        if row.key.position == Position::START {
            self.before_start = Some(row.key);
        } else if row.key.position <= range.upto {
            self.digests.entry(row.key.account).or_default().add(row);
        } else if self.last_beyond.is_none_or(|last| last.position < row.key.position) {
            self.last_beyond = Some(row.key);
        }
    }

    /// A posting and its event are written together, so one that was read has its event in the log: where it has none,
    /// the first event that is missing is the one behind the head.
    pub(super) async fn outside(&self, log: &Log) -> Result<Vec<Problem>, Error> {
        let before = self.before_start.map(|key| {
            let message = format!("account {} has a posting before the first event", key.account);
            Problem::new(Position::START, "posting.position", message)
        });
        let Some(key) = self.last_beyond else { return Ok(before.into_iter().collect()) };
        let head = head(log).await?;
        let message = format!("the log ends at {head}, and account {} has a posting at {}", key.account, key.position);
        let beyond = (key.position > head).then(|| Problem::new(head.next(), "event.position", message));
        Ok(before.into_iter().chain(beyond).collect())
    }
}

/// Folds the log once more and compares the postings of these accounts one by one.
pub(super) async fn compare(log: &Log, range: Range, accounts: &[AccountId]) -> Result<Vec<Problem>, Error> {
    let mut problems = Vec::new();
    let few = &accounts[..accounts.len().min(ACCOUNTS_COMPARED_MAX)];
    if few.is_empty() {
        return Ok(problems);
    }
    let mut stored: HashMap<AccountId, Cursor> = few.iter().map(|id| (*id, Cursor::new(*id, range))).collect();
    let mut books = Books::as_of(log, range.after).await?;
    let mut pages = chain::pages(log.clone(), chain::link(log, range.after).await?, range.upto);
    while let Some(page) = pages.next().await? {
        for event in &page.events {
            let mut expected = Vec::new();
            books.fold(event, |row| expected.push(row.clone()));
            for row in &expected {
                if let Some(cursor) = stored.get_mut(&row.key.account) {
                    problems.extend(cursor.expect(log, row).await?);
                }
            }
        }
        // What cannot be folded was reported by the first pass.
        books.problems.clear();
    }
    for cursor in stored.values_mut() {
        problems.extend(cursor.expect_no_more(log).await?);
    }
    Ok(problems)
}

/// The stored postings of one account, page by page.
struct Cursor {
    account: AccountId,
    range: Range,
    after: PostingKey,
    page: VecDeque<PostingRow>,
    /// A difference was found; what follows it would differ as well.
    broken: bool,
}

impl Cursor {
    /// Rows read at a time: there may be many such cursors.
    const ROWS: usize = 100;

    const fn new(account: AccountId, range: Range) -> Self {
        let after = PostingKey { account, position: range.after, leg: i32::MAX };
        Self { account, range, after, page: VecDeque::new(), broken: false }
    }

    async fn next(&mut self, log: &Log) -> Result<Option<PostingRow>, Error> {
        if self.page.is_empty() {
            self.page = log.store().postings(self.after, self.range.after, Self::ROWS).await?.into();
        }
        let (account, upto) = (self.account, self.range.upto);
        let row = self.page.pop_front().filter(|row| row.key.account == account && row.key.position <= upto);
        if let Some(row) = &row {
            self.after = row.key;
        }
        Ok(row)
    }

    async fn expect(&mut self, log: &Log, expected: &PostingRow) -> Result<Option<Problem>, Error> {
        if self.broken {
            return Ok(None);
        }
        let stored = self.next(log).await?;
        // Where one of the two stands first, there the difference is.
        let position = stored.as_ref().map_or(expected.key, |row| row.key).position.min(expected.key.position);
        let difference = difference(stored.as_ref(), expected);
        Ok(difference.map(|(column, message)| self.problem(position, column, &message)))
    }

    async fn expect_no_more(&mut self, log: &Log) -> Result<Option<Problem>, Error> {
        let extra = if self.broken { None } else { self.next(log).await? };
        Ok(extra.map(|row| self.problem(row.key.position, "position", "no event made the posting here")))
    }

    fn problem(&mut self, position: Position, column: &str, message: &str) -> Problem {
        self.broken = true;
        Problem::new(position, &format!("posting.{column}"), format!("account {}: {message}", self.account))
    }
}

/// In which column a stored posting is not as it must be.
fn difference(stored: Option<&PostingRow>, expected: &PostingRow) -> Option<(&'static str, String)> {
    let Some(stored) = stored else {
        return Some(("position", "the posting of this leg is missing".to_owned()));
    };
    if stored.key != expected.key {
        let PostingKey { position, leg, .. } = stored.key;
        return Some(("position", format!("the next posting of the account stands at {position}, leg {leg}")));
    }
    let mut columns = stored.amounts.columns().into_iter().zip(expected.amounts.columns());
    let ((column, stored), (_, expected)) = columns.find(|((_, stored), (_, expected))| stored != expected)?;
    Some((column, format!("{stored} is stored, {expected} follows from the log")))
}

impl PostingAmounts {
    /// The columns of a posting that the fold of the log determines.
    pub(super) const fn columns(&self) -> [(&'static str, rust_decimal::Decimal); 6] {
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
