//! The suite must pass on a store that is right, and must fail, in the case that says so, on each store
//! that breaks one promise.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test ends at the first thing that goes wrong")]

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{Timestamp, ToSpan};

use super::{Fixture, run};
use crate::draft::{AccountRow, Draft};
use crate::error::Error;
use crate::event::{AccountOpened, Event};
use crate::hash::Hash;
use crate::ledger::Ledger;
use crate::position::Position;
use crate::state::{Account, Head, Need};
use crate::store::memory::MemoryStore;
use crate::store::{AccountPage, Matching, Move, Moves, Queries, Range, Sums, View};
use crate::store::{AppendError, Loaded, PostingKey, PostingRow, Store, StoredAccount, StreamKey};

/// What a store does wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    /// The last event is not in any page.
    LosesTheTail,
    /// One commit is acknowledged and not made.
    AcknowledgesAndDrops,
    /// One position is not there.
    LeavesAGap,
    /// An id that is in the log may be used again.
    AcceptsUsedIds,
    /// A version of a stream that is in the log may be taken again.
    AcceptsTakenVersions,
    /// Two events of a page stand in each other's place.
    SwapsTwoInAPage,
    /// The event at the edge of two pages is in neither.
    SkipsAtPageEdges,
    /// Balances as of a position are those of now.
    IgnoresThePosition,
    /// Only the first event of a commit is made.
    AppliesHalf,
    /// A position that another writer took is acknowledged.
    LiesAboutLostRaces,
    /// Readers see another hash than was written.
    AltersHashes,
    /// Readers see another recorded time than was written.
    AltersRecordedTime,
    /// The head is the one before.
    ReportsAStaleHead,
    /// Whoever waits for new events is never woken.
    NeverWakes,
    /// Postings are not stored.
    DropsPostings,
}

struct Wrong {
    inner: Arc<MemoryStore>,
    fault: Fault,
    dropped: AtomicBool,
}

#[async_trait]
impl Store for Wrong {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn head(&self) -> Result<Head, Error> {
        let head = self.inner.head().await?;
        if self.fault != Fault::ReportsAStaleHead || head.position.get() < 4 {
            return Ok(head);
        }
        let before = self.inner.page(Position::new(head.position.get() - 2), 1).await?.remove(0);
        Ok(Head { position: before.position, hash: before.hash, recorded_at: Some(before.recorded_at) })
    }

    async fn load(&self, needs: &[Need], at: Position) -> Result<Loaded, Error> {
        let mut loaded = self.inner.load(needs, at).await?;
        match self.fault {
            Fault::AcceptsUsedIds => loaded.ids.iter_mut().for_each(|(_, record)| *record = None),
            Fault::AcceptsTakenVersions => loaded.streams.iter_mut().for_each(|(_, version)| *version = 0),
            _ => {}
        }
        Ok(loaded)
    }

    async fn append(&self, draft: &Draft) -> Result<(), AppendError> {
        let mut written = copy(draft);
        match self.fault {
            Fault::AcknowledgesAndDrops
                if draft.events[0].position.get() > 3 && !self.dropped.swap(true, Ordering::Relaxed) =>
            {
                return Ok(());
            }
            Fault::AcceptsUsedIds => written.events.iter_mut().for_each(|event| event.id = None),
            Fault::AcceptsTakenVersions => written.events.iter_mut().for_each(|event| event.stream = None),
            Fault::AppliesHalf => {
                written.events.truncate(1);
                let first = written.events[0].position;
                written.postings.retain(|posting| posting.position == first);
                written.accounts.retain(|row| row.0.id == first);
            }
            Fault::DropsPostings => written.postings.clear(),
            _ => {}
        }
        match self.inner.append(&written).await {
            Err(AppendError::LostRace) if self.fault == Fault::LiesAboutLostRaces => Ok(()),
            other => other,
        }
    }

    async fn page(&self, after: Position, limit: usize) -> Result<Vec<Event>, Error> {
        // So that whoever reads in circles lets time pass, and comes to his end; one that never wakes comes to it by
        // waiting, if nothing is written while it reads.
        if self.fault != Fault::NeverWakes {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let head = self.inner.head().await?.position;
        let skipped = usize::from(self.fault == Fault::SkipsAtPageEdges && after > Position::START);
        let mut page = self.inner.page(after.plus(skipped), limit).await?;
        match self.fault {
            Fault::LosesTheTail => page.retain(|event| event.position < head),
            Fault::LeavesAGap => page.retain(|event| event.position.get() != 5),
            Fault::SwapsTwoInAPage if page.len() > 3 => page.swap(1, 2),
            Fault::AltersHashes => page.iter_mut().for_each(|event| event.hash = Hash::genesis("another")),
            Fault::AltersRecordedTime => {
                for event in &mut page {
                    event.recorded_at -= event.position.get().hours();
                }
            }
            _ => {}
        }
        Ok(page)
    }

    async fn postings(&self, after: PostingKey, from: Position, limit: usize) -> Result<Vec<PostingRow>, Error> {
        self.inner.postings(after, from, limit).await
    }

    async fn accounts(&self, after: Position, at: Position, limit: usize) -> Result<Vec<StoredAccount>, Error> {
        self.inner.accounts(after, at, limit).await
    }

    async fn streams(&self, after: &StreamKey, limit: usize) -> Result<Vec<StreamKey>, Error> {
        self.inner.streams(after, limit).await
    }

    async fn stream(
        &self,
        within: Option<&mut sqlx::PgConnection>,
        stream: &str,
        after: i64,
        limit: usize,
    ) -> Result<Vec<Event>, Error> {
        self.inner.stream(within, stream, after, limit).await
    }

    fn queries(&self) -> &dyn Queries {
        self
    }

    async fn announce(&self, head: Position) {
        self.inner.announce(head).await;
    }

    async fn changed(&self, after: Position, timeout: Duration) -> Result<(), Error> {
        if self.fault == Fault::NeverWakes {
            std::future::pending::<()>().await;
        }
        self.inner.changed(after, timeout).await
    }
}

#[async_trait]
impl Queries for Wrong {
    async fn account_page(&self, page: &AccountPage<'_>, mut view: View) -> Result<Vec<Account>, Error> {
        if self.fault == Fault::IgnoresThePosition {
            view.at = self.inner.head().await?.position;
        }
        self.inner.queries().account_page(page, view).await
    }

    async fn opened(&self, accounts: &[(&str, &str)]) -> Result<Vec<AccountOpened>, Error> {
        self.inner.queries().opened(accounts).await
    }

    async fn count_accounts(&self, at: Position) -> Result<u64, Error> {
        self.inner.queries().count_accounts(at).await
    }

    async fn recorded_by(&self, time: Timestamp, upto: Position) -> Result<Position, Error> {
        self.inner.queries().recorded_by(time, upto).await
    }

    async fn event_of_id(&self, id: &str, at: Position) -> Result<Option<Event>, Error> {
        self.inner.queries().event_of_id(id, at).await
    }

    async fn newest(&self, streams: &[String], at: Position) -> Result<HashMap<String, Event>, Error> {
        self.inner.queries().newest(streams, at).await
    }

    async fn matching(&self, wanted: &Matching, range: Range, limit: usize) -> Result<Vec<Event>, Error> {
        self.inner.queries().matching(wanted, range, limit).await
    }

    async fn sums(&self, moves: &Moves) -> Result<Sums, Error> {
        self.inner.queries().sums(moves).await
    }

    async fn moves(&self, moves: &Moves, limit: usize) -> Result<Vec<Move>, Error> {
        self.inner.queries().moves(moves, limit).await
    }
}

fn copy(draft: &Draft) -> Draft {
    Draft {
        events: draft.events.clone(),
        accounts: draft.accounts.iter().map(|row| AccountRow(Arc::clone(&row.0))).collect(),
        postings: draft.postings.clone(),
    }
}

/// Ledgers in memory, each with writers that share one store.
struct InMemory {
    fault: Fault,
    stores: Mutex<HashMap<String, Arc<MemoryStore>>>,
}

impl InMemory {
    fn new(fault: Fault) -> Self {
        Self { fault, stores: Mutex::default() }
    }
}

impl Fixture for InMemory {
    async fn create(&self, name: &str) -> Result<(), Error> {
        self.stores.lock().unwrap().insert(name.to_owned(), Arc::new(MemoryStore::new(name)));
        Ok(())
    }

    async fn open(&self, name: &str) -> Result<Ledger, Error> {
        let inner = Arc::clone(&self.stores.lock().unwrap()[name]);
        let settings =
            crate::Settings { attempts_max: 20, resolve_timeout: Duration::ZERO, ..crate::Settings::default() };
        Ok(Ledger::builder().settings(settings).start(Arc::new(Wrong {
            inner,
            fault: self.fault,
            dropped: AtomicBool::default(),
        })))
    }
}

/// Time that nothing else uses passes at once.
#[tokio::test(start_paused = true)]
async fn a_store_that_is_right_keeps_every_promise() {
    let report = run(&InMemory::new(Fault::None)).await;
    assert!(report.is_clean(), "{report}");
}

#[tokio::test(start_paused = true)]
async fn each_store_that_breaks_a_promise_fails_in_its_case() {
    let cases = [
        (Fault::LosesTheTail, "positions are dense"),
        (Fault::AcknowledgesAndDrops, "what was acknowledged"),
        (Fault::LeavesAGap, "positions are dense"),
        (Fault::AcceptsUsedIds, "an id is used once"),
        (Fault::AcceptsTakenVersions, "a version of an entity"),
        (Fault::SwapsTwoInAPage, "pages of every size"),
        (Fault::SkipsAtPageEdges, "pages of every size"),
        (Fault::IgnoresThePosition, "a balance as of a position"),
        (Fault::AppliesHalf, "an atomic batch"),
        (Fault::LiesAboutLostRaces, "what was acknowledged"),
        (Fault::AltersHashes, "each hash follows"),
        (Fault::AltersRecordedTime, "recorded time"),
        (Fault::ReportsAStaleHead, "what one writer was told"),
        (Fault::NeverWakes, "who follows"),
        (Fault::DropsPostings, "a balance as of a position"),
        (Fault::DropsPostings, "verification"),
    ];
    for (fault, promise) in cases {
        let report = run(&InMemory::new(fault)).await;
        let broken = report.failures().any(|case| case.name.starts_with(promise));
        assert!(broken, "{fault:?} was not found in {promise:?}:\n{report}");
    }
}
