//! Reading the log: once for all projections that are in step, and in parallel for those that start
//! from its beginning.

use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::stream::{self, Stream, StreamExt};
use jiff::Timestamp;
use postfold::{Event, Hash, Position};
use tokio::time::Instant;

use crate::event::ReadEvent;
use crate::halt::{Halt, Stop};
use crate::log::{LogError, LogSource};
use crate::patience::Context;
use crate::settings::Settings;

/// Pages of the newest events that are kept for the projections that have not taken them yet.
const WINDOW_PAGES: usize = 4;
/// Events of the first page, before it is known how large events are.
const FIRST_PAGE_EVENTS: usize = 1_000;
/// Events of a page of [`replay`].
const REPLAY_PAGE_EVENTS: usize = 5_000;
/// Pages of [`replay`] that are read side by side.
const REPLAY_READERS: usize = 2;

/// The newest events of the log, read once however many projections follow it.
///
/// Projections that are in step share each page, read and parsed once. One that is further behind than
/// the window reads pages of its own, so it neither holds up the others nor is held up by them.
pub(crate) struct Feed {
    log: Arc<dyn LogSource>,
    window: Mutex<Window>,
    /// Held by the one who reads, or waits, at the end of the log.
    tail: tokio::sync::Mutex<()>,
    page_events: AtomicUsize,
    page_events_max: usize,
    page_bytes_max: usize,
    head: AtomicI64,
    head_asked: Mutex<Option<Instant>>,
    /// When the newest event that was read was recorded, in microseconds.
    newest: AtomicI64,
}

/// Pages without a gap between them.
struct Window {
    /// The position before the first event held.
    start: Position,
    /// The position of the last event held.
    end: Position,
    pages: VecDeque<Arc<Vec<ReadEvent>>>,
}

/// The events of a page from some place on.
pub(crate) struct Slice {
    page: Arc<Vec<ReadEvent>>,
    from: usize,
}

impl Deref for Slice {
    type Target = [ReadEvent];

    fn deref(&self) -> &[ReadEvent] {
        self.page.get(self.from..).unwrap_or_default()
    }
}

impl Slice {
    /// Goes on behind so many events.
    pub(crate) const fn skip(&mut self, events: usize) {
        self.from += events;
    }
}

impl Feed {
    pub(crate) fn new(log: Arc<dyn LogSource>, settings: &Settings) -> Self {
        Self {
            log,
            window: Mutex::new(Window { start: Position::START, end: Position::START, pages: VecDeque::new() }),
            tail: tokio::sync::Mutex::new(()),
            page_events: AtomicUsize::new(FIRST_PAGE_EVENTS.min(settings.batch_events_max)),
            page_events_max: settings.batch_events_max,
            page_bytes_max: settings.batch_bytes_max,
            head: AtomicI64::new(0),
            head_asked: Mutex::new(None),
            newest: AtomicI64::new(0),
        }
    }

    pub(crate) fn log(&self) -> &dyn LogSource {
        &*self.log
    }

    /// Events behind this position, as soon as there are any; `None` when there were none for the poll
    /// interval.
    pub(crate) async fn next(&self, after: Position, context: &Context) -> Result<Option<Slice>, Stop> {
        if let Some(slice) = self.held(after) {
            return Ok(Some(slice));
        }
        if self.lags(after) {
            return self.read(after, context).await;
        }
        let _tail = context.unless_cancelled(self.tail.lock()).await?;
        // Another projection may have read it while this one waited for its turn.
        if let Some(slice) = self.held(after) {
            return Ok(Some(slice));
        }
        let mut read = self.read(after, context).await?;
        if read.is_none() {
            context.log(|| self.log.changed(after, context.settings.poll_interval)).await?;
            read = self.read(after, context).await?;
        }
        if let Some(slice) = &read {
            self.hold(after, Arc::clone(&slice.page));
        }
        Ok(read)
    }

    /// Events between this position and the head, as far as the head is known.
    pub(crate) async fn lag(&self, position: Position, context: &Context) -> Result<u64, Stop> {
        let seen = self.head.load(Ordering::Relaxed);
        let stale = {
            let mut asked = lock(&self.head_asked);
            let stale = asked.is_none_or(|at| at.elapsed() >= context.settings.poll_interval);
            if stale {
                *asked = Some(Instant::now());
            }
            stale
        };
        if stale {
            let head = context.log(|| self.log.head()).await?.position;
            self.head.fetch_max(head.get(), Ordering::Relaxed);
        }
        Ok(u64::try_from(seen.max(self.head.load(Ordering::Relaxed)).saturating_sub(position.get())).unwrap_or(0))
    }

    /// Seconds between a recorded time and that of the newest event that was read.
    pub(crate) fn seconds_behind(&self, recorded_at: Timestamp) -> f64 {
        let newest = self.newest.load(Ordering::Relaxed);
        Duration::from_micros(u64::try_from(newest.saturating_sub(recorded_at.as_microsecond())).unwrap_or(0))
            .as_secs_f64()
    }

    fn held(&self, after: Position) -> Option<Slice> {
        let window = lock(&self.window);
        if after < window.start || after >= window.end {
            return None;
        }
        let page = window.pages.iter().find(|page| page.last().is_some_and(|last| last.position > after))?;
        let from = page.iter().position(|event| event.position > after)?;
        Some(Slice { page: Arc::clone(page), from })
    }

    fn lags(&self, after: Position) -> bool {
        let window = lock(&self.window);
        !window.pages.is_empty() && after < window.start
    }

    fn hold(&self, after: Position, page: Arc<Vec<ReadEvent>>) {
        let Some(last) = page.last().map(|event| event.position) else { return };
        let mut window = lock(&self.window);
        if window.pages.is_empty() || window.end != after {
            window.pages.clear();
            window.start = after;
        }
        window.end = last;
        window.pages.push_back(page);
        if window.pages.len() > WINDOW_PAGES {
            let oldest = window.pages.pop_front();
            window.start = oldest.and_then(|page| page.last().map(|event| event.position)).unwrap_or(window.start);
        }
    }

    async fn read(&self, after: Position, context: &Context) -> Result<Option<Slice>, Stop> {
        let limit = self.page_events.load(Ordering::Relaxed);
        let events = read_page(&*self.log, after, limit, context).await?;
        let Some(last) = events.last() else { return Ok(None) };
        self.head.fetch_max(last.position.get(), Ordering::Relaxed);
        self.newest.fetch_max(last.recorded_at.as_microsecond(), Ordering::Relaxed);
        let weight: usize = events.iter().map(ReadEvent::weight).sum();
        let fitting = self.page_bytes_max / (weight / events.len()).max(1);
        self.page_events.store(fitting.clamp(1, self.page_events_max), Ordering::Relaxed);
        Ok(Some(Slice { page: Arc::new(events), from: 0 }))
    }
}

/// All pages from the start of the log through this position, in order, read side by side.
pub(crate) fn replay(
    log: Arc<dyn LogSource>,
    through: Position,
    context: Context,
) -> impl Stream<Item = Result<Vec<ReadEvent>, Stop>> + Send {
    let starts = stream::unfold(Position::START, move |after| async move {
        (after < through).then(|| (after, after.plus(REPLAY_PAGE_EVENTS)))
    });
    let read = move |after: Position| {
        let (log, context) = (Arc::clone(&log), context.clone());
        // A task of its own, so that another core decodes while this one folds.
        let page = tokio::spawn(async move { read_replay_page(&*log, after, through, &context).await });
        async move { page.await.unwrap_or(Err(Stop::Cancelled)) }
    };
    starts.map(read).buffered(REPLAY_READERS)
}

async fn read_replay_page(
    log: &dyn LogSource,
    after: Position,
    through: Position,
    context: &Context,
) -> Result<Vec<ReadEvent>, Stop> {
    let last = after.plus(REPLAY_PAGE_EVENTS).min(through);
    let mut events: Vec<ReadEvent> = Vec::new();
    let mut at = after;
    while at < last {
        let wanted = usize::try_from(last.get() - at.get()).unwrap_or(REPLAY_PAGE_EVENTS);
        let more = read_page(log, at, wanted, context).await?;
        let Some(end) = more.last() else {
            let message = format!("the log ends at {at}, and reached {through} before");
            return Err(Halt::Log { projection: context.projection, message }.into());
        };
        at = end.position;
        events.extend(more);
    }
    // Read here, on the core that has time, and not where it is folded. What cannot be read is told there.
    for event in &events {
        let _ = event.payload();
    }
    Ok(events)
}

pub(crate) async fn read_page(
    log: &dyn LogSource,
    after: Position,
    limit: usize,
    context: &Context,
) -> Result<Vec<ReadEvent>, Stop> {
    let page = || async {
        let events = dense(after, log.page(after, limit).await?)?;
        let mut events: Vec<_> = events.into_iter().map(ReadEvent::new).collect();
        if let Some(accounts) = &context.accounts {
            accounts.attach(log, &mut events).await?;
        }
        Ok(events)
    };
    context.log(page).await
}

/// A projector leans on it that nothing is ever missing between two events.
fn dense(after: Position, events: Vec<Event>) -> Result<Vec<Event>, LogError> {
    let mut expected = after;
    for event in &events {
        expected = expected.next();
        if event.position != expected {
            return Err(LogError::new(format!("position {expected} is missing: {} follows", event.position), false));
        }
    }
    Ok(events)
}

/// Whether these events continue the log whose last hash is this one.
///
/// Looks at the first event only: that is enough to notice a log that was replaced under a projector,
/// and `postfold verify` is there for the rest.
pub(crate) fn continues(hash: Hash, events: &[ReadEvent]) -> bool {
    events.first().is_none_or(|first| hash.chain(&(&**first).into()) == first.hash)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
