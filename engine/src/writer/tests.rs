//! The writer over a store that fails where it is told to: what callers are answered, what the log holds.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use rust_decimal::dec;
use tokio::sync::{mpsc, oneshot, watch};

use super::inbox::Inbox;
use super::turns::Turns;
use super::{Request, Writer};
use crate::command::{Account, Command, Entry};
use crate::draft::Draft;
use crate::error::Error;
use crate::event::Event;
use crate::log::Log;
use crate::outcome::Outcome;
use crate::position::Position;
use crate::settings::Settings;
use crate::state::{Head, Need};
use crate::store::memory::MemoryStore;
use crate::store::stages::Stages;
use crate::store::{
    AppendError, Loaded, PgConnection, PostingKey, PostingRow, Queries, Store, StoredAccount, StreamKey,
};

/// What becomes of one append.
#[derive(Clone, Copy)]
enum Fault {
    /// Nothing is written, and the writer is told so.
    Refuse,
    /// Nothing is written: the database says that it waited too long for a lock.
    LockTimeout,
    /// Nothing is written, and the writer is told nothing.
    LoseRequest,
    /// All is written, and the writer is told nothing.
    LoseAnswer,
    /// Nothing is written, the writer is told nothing, and another writer takes the position.
    LoseRequestAndRace,
    /// All is written, and a rival posts its next entry before the writer is told.
    RaceBehind,
}

/// Every hazard is tried with batches one behind the other, and with each sent while the one before it is under way.
const OVERLAPS: [usize; 2] = [usize::MAX, 1];

/// A store in memory that fails as planned, append by append, and then no more.
struct Faulty {
    overlap_from_events: usize,
    inner: Arc<MemoryStore>,
    plan: Mutex<VecDeque<Option<Fault>>>,
    rival: Mutex<Option<Draft>>,
    /// What a rival posts, one after the other.
    rivals: Mutex<VecDeque<Entry>>,
    /// Comes right behind what is read of the log in a turn, and behind a rival's next entry.
    late: Mutex<Option<(mpsc::Sender<Request>, Request)>>,
    /// Leases taken and not given back.
    leases: AtomicI64,
    /// Appends that wait for their turn or are being written, and how many of them there were at most.
    under_way: AtomicI64,
    under_way_max: AtomicI64,
    /// The connection of whoever waits for its turn is lost.
    loses_who_waits: bool,
}

impl Faulty {
    fn new(overlap_from_events: usize, plan: impl IntoIterator<Item = Option<Fault>>) -> Arc<Self> {
        Arc::new(Self::failing(overlap_from_events, plan))
    }

    fn failing(overlap_from_events: usize, plan: impl IntoIterator<Item = Option<Fault>>) -> Self {
        let plan = Mutex::new(plan.into_iter().collect());
        Self {
            overlap_from_events,
            inner: Arc::new(MemoryStore::new("memory")),
            plan,
            rival: Mutex::default(),
            rivals: Mutex::default(),
            late: Mutex::default(),
            leases: AtomicI64::new(0),
            under_way: AtomicI64::new(0),
            under_way_max: AtomicI64::new(0),
            loses_who_waits: false,
        }
    }

    async fn in_turn(&self, draft: &Draft, stages: &mut Stages) -> Result<(), AppendError> {
        stages.placed();
        if self.loses_who_waits && draft.events[0].position > self.inner.head().await.unwrap().position.next() {
            return Err(Self::lost());
        }
        stages.turn().await?;
        self.append(draft).await
    }

    /// A rival on the same log posts its next entry.
    async fn race(&self) {
        let entry = self.rivals.lock().unwrap().pop_front().expect("a rival's entry");
        let rival = crate::Ledger::builder().start(Arc::clone(&self.inner) as Arc<dyn Store>);
        rival.post(entry).await.expect("a rival's entry is posted");
    }

    fn lost() -> AppendError {
        AppendError::Unknown(Error::Unavailable("the connection was lost".to_owned()))
    }
}

#[async_trait]
impl Store for Faulty {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn head(&self) -> Result<Head, Error> {
        self.inner.head().await
    }

    async fn load(&self, needs: &[Need], at: Position) -> Result<Loaded, Error> {
        self.inner.load(needs, at).await
    }

    async fn append(&self, draft: &Draft) -> Result<(), AppendError> {
        let fault = self.plan.lock().unwrap().pop_front().flatten();
        // It takes a while, in which the next batch is decided, and perhaps sent.
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        match fault {
            None => self.inner.append(draft).await,
            Some(Fault::Refuse) => Err(AppendError::Failed(Error::Unavailable("no connection".to_owned()))),
            Some(Fault::LockTimeout) => {
                let (code, message) = ("55P03".to_owned(), "canceling statement due to lock timeout".to_owned());
                Err(AppendError::Failed(Error::Database { code, message }))
            }
            Some(Fault::LoseRequest) => Err(Self::lost()),
            Some(Fault::LoseAnswer) => {
                self.inner.append(draft).await?;
                Err(Self::lost())
            }
            Some(Fault::LoseRequestAndRace) => {
                let rival = self.rival.lock().unwrap().take().expect("a rival's draft");
                self.inner.append(&rival).await?;
                Err(Self::lost())
            }
            Some(Fault::RaceBehind) => {
                self.inner.append(draft).await?;
                self.race().await;
                Ok(())
            }
        }
    }

    async fn append_in_stages(&self, draft: &Draft, stages: &mut Stages) -> Result<(), AppendError> {
        let under_way = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        self.under_way_max.fetch_max(under_way, Ordering::SeqCst);
        let appended = self.in_turn(draft, stages).await;
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        appended
    }

    async fn stream(
        &self,
        within: Option<&mut PgConnection>,
        stream: &str,
        after: i64,
        limit: usize,
    ) -> Result<Vec<Event>, Error> {
        self.inner.stream(within, stream, after, limit).await
    }

    async fn page(&self, after: Position, limit: usize) -> Result<Vec<Event>, Error> {
        let page = self.inner.page(after, limit).await;
        let late = (self.leases.load(Ordering::SeqCst) > 0).then(|| self.late.lock().unwrap().take()).flatten();
        if let Some((requests, request)) = late {
            self.race().await;
            requests.send(request).await.ok().unwrap();
        }
        page
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

    fn queries(&self) -> &dyn Queries {
        self.inner.queries()
    }

    async fn take_lease(&self) -> Result<(), Error> {
        self.leases.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn give_lease(&self) {
        self.leases.fetch_sub(1, Ordering::SeqCst);
    }

    async fn announce(&self, head: Position) {
        self.inner.announce(head).await;
    }

    async fn changed(&self, after: Position, timeout: Duration) -> Result<(), Error> {
        self.inner.changed(after, timeout).await
    }
}

fn open(code: &str) -> Command {
    Account::asset(code, "EUR").into()
}

fn entry(id: &str) -> Command {
    Entry::new(id).debit("a", dec!(1)).credit("b", dec!(1)).into()
}

/// Pays 99 into the account "a".
fn income(id: &str) -> Entry {
    Entry::new(id).debit("a", dec!(99)).credit("b", dec!(99))
}

fn request(command: Command) -> (Request, oneshot::Receiver<Answer>) {
    let (reply, answer) = oneshot::channel();
    (Request { command, stamp: "2025-03-01T12:00:00Z".parse().unwrap(), reply }, answer)
}

type Answer = Result<Outcome, Error>;

/// Sends commands, one commit each, all of them queued before the writer runs; answers in order.
async fn send(store: &Arc<Faulty>, commands: Vec<Command>) -> Vec<Answer> {
    send_in_batches(store, commands, 1).await
}

/// The same with so many commands a commit.
async fn send_in_batches(store: &Arc<Faulty>, commands: Vec<Command>, commands_max: usize) -> Vec<Answer> {
    send_with(store, commands, Settings { batch_commands_max: commands_max, ..Settings::default() }).await
}

async fn send_with(store: &Arc<Faulty>, commands: Vec<Command>, settings: Settings) -> Vec<Answer> {
    let (resolve_timeout, resolve_interval) = (settings.resolve_timeout.min(Duration::from_secs(5)), Duration::ZERO);
    let overlap_from_events = store.overlap_from_events;
    let settings = Settings { overlap_from_events, resolve_timeout, resolve_interval, ..settings };
    let (requests, queue) = mpsc::channel(commands.len());
    let mut answers = Vec::new();
    for command in commands {
        let (request, answer) = request(command);
        requests.send(request).await.ok().unwrap();
        answers.push(answer);
    }
    drop(requests);
    let (_handle, closing) = watch::channel(false);
    Writer::new(Arc::clone(store) as Arc<dyn Store>, settings).run(queue, closing).await;
    let mut answered = Vec::new();
    for answer in answers {
        answered.push(answer.await.unwrap());
    }
    answered
}

fn position(answer: &Answer) -> Option<i64> {
    match answer {
        Ok(Outcome::Ok(receipt)) if !receipt.duplicate => receipt.position.map(Position::get),
        _ => None,
    }
}

async fn ids(store: &Faulty) -> Vec<Option<String>> {
    let events = store.page(Position::START, 100).await.unwrap();
    events.into_iter().map(|event| event.id).collect()
}

#[tokio::test]
async fn what_is_queued_behind_a_failed_command_fails_with_it() {
    for overlap in OVERLAPS {
        let store = Faulty::new(overlap, [None, None, Some(Fault::Refuse)]);
        let answers = send(&store, vec![open("a"), open("b"), entry("1"), entry("2"), entry("3")]).await;
        assert_eq!(answers[..2].iter().map(position).collect::<Vec<_>>(), [Some(1), Some(2)]);
        assert!(answers[2..].iter().all(|answer| matches!(answer, Err(Error::Unavailable(_)))), "{answers:?}");
        assert_eq!(ids(&store).await.len(), 2);
    }
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_answered_as_done_and_done_once() {
    for overlap in OVERLAPS {
        let store = Faulty::new(overlap, [None, None, Some(Fault::LoseAnswer)]);
        let answers = send(&store, vec![open("a"), open("b"), entry("1"), entry("2")]).await;
        assert_eq!(answers.iter().map(position).collect::<Vec<_>>(), [Some(1), Some(2), Some(3), Some(4)]);
        assert_eq!(ids(&store).await[2..], [Some("1".to_owned()), Some("2".to_owned())]);
    }
}

#[tokio::test]
async fn a_commit_that_was_lost_on_the_way_is_sent_again_and_done_once() {
    for overlap in OVERLAPS {
        let lost = Some(Fault::LoseRequest);
        let store = Faulty::new(overlap, [None, None, lost, lost, Some(Fault::LoseAnswer), lost]);
        let answers = send(&store, vec![open("a"), open("b"), entry("1"), entry("2")]).await;
        assert_eq!(answers.iter().map(position).collect::<Vec<_>>(), [Some(1), Some(2), Some(3), Some(4)]);
        assert_eq!(ids(&store).await[2..], [Some("1".to_owned()), Some("2".to_owned())]);
    }
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_not_told_as_failed_because_the_next_try_was_refused() {
    for overlap in OVERLAPS {
        let store =
            Faulty::new(overlap, [None, None, Some(Fault::LoseAnswer), Some(Fault::LockTimeout), Some(Fault::Refuse)]);
        let answers = send(&store, vec![open("a"), open("b"), entry("1"), entry("2")]).await;
        assert_eq!(answers.iter().map(position).collect::<Vec<_>>(), [Some(1), Some(2), Some(3), Some(4)]);
        assert_eq!(ids(&store).await[2..], [Some("1".to_owned()), Some("2".to_owned())]);
    }
}

#[tokio::test]
async fn nobody_is_told_that_it_failed_while_nobody_knows_what_became_of_a_commit() {
    for overlap in OVERLAPS {
        for written in [true, false] {
            let fault = if written { Fault::LoseAnswer } else { Fault::LoseRequest };
            let store = Faulty::new(overlap, [None, None, Some(fault)]);
            let commands = vec![open("a"), open("b"), entry("1"), entry("2")];
            let settings = Settings { batch_commands_max: 1, resolve_timeout: Duration::ZERO, ..Settings::default() };
            let answers = send_with(&store, commands, settings).await;
            assert!(matches!(answers[2], Err(Error::OutcomeUnknown(_))), "{:?}", answers[2]);
            // What was decided on it fails, undone.
            assert!(matches!(answers[3], Err(Error::Unavailable(_))), "{:?}", answers[3]);
            assert_eq!(ids(&store).await.len(), if written { 3 } else { 2 });
        }
    }
}

#[tokio::test]
async fn a_lost_commit_whose_place_was_taken_is_decided_again() {
    for overlap in OVERLAPS {
        let store = Faulty::new(overlap, [None, None, Some(Fault::LoseRequestAndRace)]);
        // A rival on a copy of the same log writes an entry of its own at position 3.
        let copy = Faulty::new(overlap, []);
        send(&copy, vec![open("a"), open("b"), entry("rival")]).await;
        let events = copy.page(Position::new(2), 1).await.unwrap();
        let postings = Vec::new();
        *store.rival.lock().unwrap() = Some(Draft { events, accounts: Vec::new(), postings });
        // The last two are decided ahead, on what the lost commit would have left.
        let answers = send(&store, vec![open("a"), open("b"), entry("1"), entry("1"), entry("2")]).await;
        assert_eq!(answers[2..].iter().map(position).collect::<Vec<_>>(), [Some(4), None, Some(5)]);
        assert!(matches!(&answers[3], Ok(Outcome::Ok(receipt)) if receipt.duplicate), "{:?}", answers[3]);
        assert_eq!(ids(&store).await[2..], [Some("rival".to_owned()), Some("1".to_owned()), Some("2".to_owned())]);
    }
}

#[tokio::test]
async fn nobody_is_refused_what_another_writer_was_told_is_there() {
    for overlap in OVERLAPS {
        let store = Faulty::new(overlap, [Some(Fault::RaceBehind)]);
        store.rivals.lock().unwrap().push_back(income("in"));
        let opens = [Account::asset("a", "EUR").floor(dec!(0)).into(), open("b")];
        let pays = (0..38).map(|id| Entry::new(id.to_string()).debit("b", dec!(1)).credit("a", dec!(1)).into());
        // The first batch opens the accounts; the second is decided ahead of it, when there is nothing to pay from yet.
        let answers = send_in_batches(&store, opens.into_iter().chain(pays).collect(), 20).await;
        let refused = |answer: &Answer| matches!(answer, Ok(Outcome::Rejected(_)));
        assert!(answers[2..20].iter().all(refused), "{answers:?}");
        assert_eq!(answers[20..].iter().map(position).collect::<Vec<_>>(), (4..24).map(Some).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn who_comes_after_the_log_was_read_is_not_refused_on_what_it_said() {
    for overlap in OVERLAPS {
        let store = Faulty::new(overlap, [Some(Fault::RaceBehind)]);
        // The first takes the writer's position, with the same entry. The second pays in behind what the writer reads then.
        store.rivals.lock().unwrap().extend([Entry::new("1").debit("a", dec!(1)).credit("b", dec!(1)), income("2")]);
        let (requests, queue) = mpsc::channel(4);
        let (late, answer) = request(Entry::new("3").debit("b", dec!(50)).credit("a", dec!(50)).into());
        *store.late.lock().unwrap() = Some((requests.clone(), late));
        let floored = Account::asset("a", "EUR").floor(dec!(0)).into();
        for command in [floored, open("b"), entry("1")] {
            requests.send(request(command).0).await.ok().unwrap();
        }
        drop(requests);
        let (_handle, closing) = watch::channel(false);
        let settings = Settings { batch_commands_max: 2, overlap_from_events: overlap, ..Settings::default() };
        Writer::new(Arc::clone(&store) as Arc<dyn Store>, settings).run(queue, closing).await;
        let answer = answer.await.unwrap();
        assert_eq!(position(&answer), Some(5), "{answer:?}");
    }
}

#[tokio::test]
async fn what_was_decided_ahead_of_a_failed_commit_is_not_done() {
    for overlap in OVERLAPS {
        let fails = |number| (0..number).map(|_| None).chain([Some(Fault::Refuse)]);
        for failing in 1..5 {
            let store = Faulty::new(overlap, fails(failing));
            let entries = (0..600).map(|number| entry(&number.to_string()));
            let answers =
                send_in_batches(&store, [open("a"), open("b")].into_iter().chain(entries).collect(), 150).await;
            let done = answers.iter().filter(|answer| answer.is_ok()).count();
            assert_eq!(done, failing * 150, "one batch a commit");
            assert!(answers[..done].iter().all(Result::is_ok), "the first are done");
            assert_eq!(store.head().await.unwrap().position, Position::new(i64::try_from(done).unwrap()));
        }
    }
}

#[tokio::test]
async fn batches_decided_ahead_are_appended_in_order_and_without_a_gap() {
    for overlap in OVERLAPS {
        let store = Faulty::new(overlap, [None, Some(Fault::LoseAnswer), None, Some(Fault::LoseRequest)]);
        let entries = (0..600).map(|number| entry(&number.to_string()));
        let answers = send_in_batches(&store, [open("a"), open("b")].into_iter().chain(entries).collect(), 150).await;
        assert_eq!(answers.iter().map(position).collect::<Vec<_>>(), (1..=602).map(Some).collect::<Vec<_>>());
        let balance = Log::new(Arc::clone(&store) as Arc<dyn Store>).balance("a", None).await.unwrap();
        assert_eq!(balance.posted, dec!(600));
    }
}

#[tokio::test]
async fn what_the_cache_forgets_while_it_is_under_way_is_not_read_back_as_it_was_before() {
    for overlap in OVERLAPS {
        // Every commit takes long enough for the next command to be decided ahead of it.
        let store = Faulty::new(overlap, [None, None, None].into_iter().chain((0..8).map(|_| Some(Fault::LoseAnswer))));
        let moves = (0..8).map(|number| {
            let other = if number % 2 == 0 { "b" } else { "c" };
            Entry::new(number.to_string()).debit("a", dec!(1)).credit(other, dec!(1)).into()
        });
        let settings = Settings { batch_commands_max: 1, cached_accounts: 0, ..Settings::default() };
        let answers = send_with(&store, ["a", "b", "c"].map(open).into_iter().chain(moves).collect(), settings).await;
        assert_eq!(answers.iter().map(position).collect::<Vec<_>>(), (1..=11).map(Some).collect::<Vec<_>>());
        let log = Log::new(Arc::clone(&store) as Arc<dyn Store>);
        let report = crate::verify(&log, |_| {}).await.unwrap();
        assert!(report.problems.is_empty(), "{:?}", report.problems);
        assert_eq!(log.balance("a", None).await.unwrap().posted, dec!(8));
    }
}

#[tokio::test]
async fn a_batch_is_sent_while_the_one_before_it_is_written_and_none_before_that_one() {
    for (overlap, most) in [(usize::MAX, 0), (3, 0), (1, 2)] {
        let store = Faulty::new(overlap, []);
        let entries = (0..40).map(|number| entry(&number.to_string()));
        // Batches of two, the first of which opens the accounts: nobody overtakes that one.
        let answers = send_in_batches(&store, [open("a"), open("b")].into_iter().chain(entries).collect(), 2).await;
        assert_eq!(answers.iter().map(position).collect::<Vec<_>>(), (1..=42).map(Some).collect::<Vec<_>>());
        assert_eq!(store.under_way_max.load(Ordering::SeqCst), most, "from {overlap}");
    }
}

#[tokio::test]
async fn a_batch_whose_connection_is_lost_while_it_waits_for_its_turn_is_done_once() {
    let store = Arc::new(Faulty { loses_who_waits: true, ..Faulty::failing(1, []) });
    let entries = (0..40).map(|number| entry(&number.to_string()));
    let answers = send_in_batches(&store, [open("a"), open("b")].into_iter().chain(entries).collect(), 2).await;
    assert_eq!(answers.iter().map(position).collect::<Vec<_>>(), (1..=42).map(Some).collect::<Vec<_>>());
    assert_eq!(store.head().await.unwrap().position, Position::new(42));
    assert_eq!(store.under_way_max.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn closing_answers_all_that_was_sent_and_refuses_what_comes_later() {
    let ledger = crate::Ledger::in_memory();
    let mut answers = Vec::new();
    for command in [open("a"), open("b")].into_iter().chain((0..500).map(|number| entry(&number.to_string()))) {
        answers.push(ledger.enqueue(command).await.unwrap());
    }
    let other = ledger.clone();
    ledger.close().await;
    for answer in answers {
        assert!(answer.await.unwrap().unwrap().is_ok());
    }
    assert!(matches!(other.submit(entry("late")).await, Err(Error::Closed)));
    assert_eq!(other.log().head().await.unwrap().position, Position::new(502));
}

#[tokio::test(start_paused = true)]
async fn a_writer_takes_turns_from_its_first_lost_race_until_it_finds_nobody_else() {
    let (store, hold) = (Faulty::new(usize::MAX, []), Duration::from_millis(20));
    let leases = || store.leases.load(Ordering::SeqCst);
    let mut turns = Turns::new(Arc::clone(&store) as Arc<dyn Store>, hold);
    assert!(!turns.take().await && !turns.over() && leases() == 0, "alone it asks nobody");
    turns.lost();
    assert!(turns.take().await && leases() == 1, "others may have written before its turn");
    assert!(!turns.over() && !turns.take().await && leases() == 1, "its turn goes on");
    tokio::time::advance(hold).await;
    assert!(turns.over() && turns.take().await && leases() == 1, "the next turn, for which it handed on");
    turns.end().await;
    turns.end().await;
    assert_eq!(leases(), 0, "it hands on once");
    // So many turns in which nobody else wrote; any event of others counts them from the start again.
    for quiet in [10, 15] {
        for _ in 0..quiet {
            turns.missed(0);
            assert!(turns.take().await);
            turns.end().await;
        }
        turns.missed(1);
    }
    for _ in 0..15 {
        turns.missed(0);
    }
    assert!(turns.take().await && leases() == 1);
    turns.missed(0);
    assert!(!turns.take().await && leases() == 0, "alone again, it hands on and asks nobody");
    turns.missed(0);
    assert!(!turns.take().await);
}

#[tokio::test]
async fn the_inbox_takes_one_batch_at_a_time_and_keeps_the_order() {
    let (requests, queue) = mpsc::channel(20);
    let (_handle, closing) = watch::channel(false);
    let mut inbox = Inbox::new(queue, closing, 4);
    let send = async |commands: Vec<Command>| {
        for command in commands {
            requests.send(request(command).0).await.ok().unwrap();
        }
    };
    let ids = |taken: &[Request]| {
        let id = |request: &Request| request.command.id.clone().unwrap_or_else(|| "batch".to_owned());
        taken.iter().map(id).collect::<Vec<_>>().join(" ")
    };
    assert!(!inbox.gather().await, "nothing waits");
    send(vec![entry("1"), entry("2"), crate::Batch::atomic([entry("3"), entry("4")]).into(), entry("5"), entry("6")])
        .await;
    assert!(inbox.gather().await);
    assert_eq!(inbox.len(), 3, "four commands in three requests");
    assert!(inbox.take(0).is_empty());
    let first = inbox.take(3);
    assert_eq!(ids(&first), "1 2 batch", "the last one may go beyond");
    inbox.take_queued();
    assert_eq!(inbox.len(), 2);
    inbox.put_back(first);
    send(vec![entry("7")]).await;
    inbox.take_queued();
    assert_eq!(inbox.len(), 5, "there is a batch and more: nothing is taken from the queue");
    assert_eq!(ids(&inbox.take(5)), "1 2 batch 5");
    inbox.take_queued();
    assert_eq!(ids(&inbox.take(9)), "6 7");
    drop(requests);
    assert!(!inbox.wait().await, "none waits and none will come");
}
