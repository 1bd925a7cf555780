//! `verify`: is the log what it was when it was written?
//!
//! | what | how |
//! |---|---|
//! | every hash | recomputed from the row and the hash stored before it: the chain is whole if each link is, so pages are checked side by side |
//! | every total | the events are folded anew; each posting that the fold makes and each posting that is stored goes into its account's digest |
//! | every account | as it is stored, against the event that opened it |
//! | every stream | versions from 1 on, without a gap, in the order of the log |
//! | what is elsewhere | no row stands before the first position, no account or posting behind the head |
//!
//! Each table is read once, in its own order, page by page: memory grows with accounts, not with
//! events. Where two digests differ, a further pass compares posting by posting and names the first
//! that is wrong.

mod books;
mod chain;
mod postings;
mod rows;

use std::sync::Mutex;
use std::sync::PoisonError;

use serde::Serialize;

use crate::error::Error;
use crate::log::Log;
use crate::position::Position;
use crate::state::Head;
use books::Books;

/// Rows read at a time.
const PAGE_ROWS: usize = 4_000;
/// Problems named in a report; more are only counted.
const PROBLEMS_MAX: usize = 100;

/// What `verify` found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The position behind which was verified; 0: from the beginning.
    pub after: Position,
    /// The position up to which was verified, with its hash.
    pub head: Head,
    /// Events whose hash was recomputed.
    pub events: u64,
    /// Postings that were compared with the fold.
    pub postings: u64,
    /// Accounts whose facts and balance were compared with the fold.
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where.
    pub position: Position,
    /// In which table and column; the table alone where its row cannot be read.
    pub column: String,
    /// What is there, and what should be.
    pub message: String,
}

impl Problem {
    fn new(position: Position, column: &str, message: impl Into<String>) -> Self {
        Self { position, column: column.to_owned(), message: message.into() }
    }
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
/// What this cannot see: a log that was rewritten as a whole, or whose tail was cut off. A head noted
/// elsewhere tells: compare it with [`Log::hash_at`], as `postfold verify --head` does.
///
/// # Errors
///
/// When the database is not available. What is wrong with the log is not an error but in the report.
pub async fn verify(log: &Log, progress: impl FnMut(Progress)) -> Result<Report, Error> {
    verify_between(log, Position::START, None, progress).await
}

/// The same for the part of the log behind `after`, up to `upto` (default: the head as it is now).
///
/// The hash at `after`, the accounts and their totals there are taken as they are stored; what comes
/// behind must follow from them. So what an earlier run has verified need not be verified again.
///
/// # Errors
///
/// As [`verify`].
pub async fn verify_between(
    log: &Log,
    after: Position,
    upto: Option<Position>,
    progress: impl FnMut(Progress),
) -> Result<Report, Error> {
    let head = head(log).await?;
    let range = Range { after: after.min(head), upto: upto.map_or(head, |upto| upto.min(head)).max(after.min(head)) };
    let told = Told::new(range, progress);
    let books = Books::as_of(log, range.after).await?;
    let folding = fold(log, range, books, |events| told.add(events, 0));
    let reading = postings::digest(log, range, |rows| told.add(0, rows));
    let versions = rows::streams(log, range);
    let ((mut books, end), stored, wrong_versions) = tokio::try_join!(folding, reading, versions)?;
    let differing = books.differing(&stored.digests);
    let mut problems = std::mem::take(&mut books.problems);
    problems.extend(wrong_versions);
    problems.extend(stored.outside(log).await?);
    problems.extend(rows::strays(log).await?);
    problems.extend(postings::compare(log, range, &differing).await?);
    problems.extend(rows::accounts(log, range, &books, &differing).await?);
    // Stable: of one position, what its row says comes before what its postings say.
    problems.sort_by_key(|problem| problem.position);
    let problems_total = problems.len();
    problems.truncate(PROBLEMS_MAX);
    let (events, postings) = told.so_far();
    Ok(Report { after: range.after, head: end, events, postings, accounts: books.len(), problems_total, problems })
}

/// Where the log ends, also where the row there cannot be read.
async fn head(log: &Log) -> Result<Position, Error> {
    match log.head().await {
        Ok(head) => Ok(head.position),
        Err(Error::Damaged { position, .. }) => Ok(position),
        Err(error) => Err(error),
    }
}

/// The part of the log that is verified.
#[derive(Clone, Copy)]
struct Range {
    after: Position,
    upto: Position,
}

impl Range {
    fn len(self) -> u64 {
        (self.upto.get() - self.after.get()).unsigned_abs()
    }
}

/// What was told of the progress, by several passes.
struct Told<F>(Range, Mutex<(u64, u64, F)>);

impl<F: FnMut(Progress)> Told<F> {
    const fn new(range: Range, progress: F) -> Self {
        Self(range, Mutex::new((0, 0, progress)))
    }

    fn add(&self, more_events: u64, more_postings: u64) {
        let mut told = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        let (events, postings, progress) = &mut *told;
        *events += more_events;
        *postings += more_postings;
        progress(Progress { events: *events, postings: *postings, events_total: self.0.len() });
    }

    fn so_far(&self) -> (u64, u64) {
        let told = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        (told.0, told.1)
    }
}

/// Checks the chain and folds the events, and answers the last of them.
async fn fold(log: &Log, range: Range, mut books: Books, mut done: impl FnMut(u64)) -> Result<(Books, Head), Error> {
    let start = chain::link(log, range.after).await?;
    let mut pages = chain::pages(log.clone(), start, range.upto);
    let mut end = Head { position: start.position, hash: start.hash, recorded_at: start.recorded_at };
    while let Some(page) = pages.next().await? {
        end = page.end;
        done(u64::try_from(page.events.len()).unwrap_or(u64::MAX));
        books.problems.extend(page.problems);
        for event in page.events {
            books.fold(&event, |_| {});
        }
    }
    if end.position < range.upto {
        let message = format!("the log ends here, before its head {}", range.upto);
        books.problems.push(Problem::new(end.position.next(), "event.position", message));
    }
    Ok((books, end))
}
