//! Writers under faults: several clients post through the binary, each by a way of its own that is cut, held up or
//! closed, while processes, backends and the server are killed. What each was told is compared with the log.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use crate::commands::Commands;
use crate::database;
use crate::journal::Journal;
use crate::load::{Apply, json_lines, send_all};
use crate::process::{Ledger, PATIENCE};
use crate::proxy::{Proxy, Way};
use crate::stack::{Server, Stack};

/// Rounds that share a ledger, whose log grows meanwhile.
const ROUNDS_PER_LEDGER: u64 = 10;
/// Clients at a time, at most.
const CLIENTS_MAX: usize = 4;
/// Commands that a client sends at a time, at most; seldom, and always. Of many, several batches are under way at once.
const BURSTS_MAX: [u64; 2] = [1_500, 120];
/// One burst of so many may be large.
const LARGE_BURST: u32 = 4;
/// Faults of a round, at most.
const STRIKES_MAX: u32 = 4;
/// Longest pause before a fault.
const REST_MAX_MS: u64 = 400;
/// How long something stays away, at most.
const AWAY_MAX_MS: u64 = 700;

/// What befalls writers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// SIGKILL of a process.
    WriterKilled,
    /// SIGSTOP of a process, and later SIGCONT.
    WriterSuspended,
    /// `pg_terminate_backend` of a backend at random.
    BackendTerminated,
    /// All connections of a client closed.
    ConnectionsCut,
    /// Nothing passes, for a while.
    ConnectionsHeld,
    /// Commands arrive, answers do not; then the connections are cut.
    AnswersLost,
    /// What the client reads is closed; what it sends still arrives.
    HalfClosed,
    /// SIGKILL of the database server.
    ServerKilled,
}

const FAULTS: [Fault; 8] = [
    Fault::WriterKilled,
    Fault::WriterSuspended,
    Fault::BackendTerminated,
    Fault::ConnectionsCut,
    Fault::ConnectionsHeld,
    Fault::AnswersLost,
    Fault::HalfClosed,
    Fault::ServerKilled,
];

/// What was done and seen in all rounds.
#[derive(Default)]
pub(crate) struct Summary {
    rounds: u64,
    took: Duration,
    faults: BTreeMap<Fault, u64>,
    acknowledged: u64,
    refused: u64,
    repeated: u64,
    restarts: u64,
}

/// Rounds from this seed on; the seed of a round is that of the run plus its number.
pub(crate) fn run(stack: &Stack, journal: &Journal, seed: u64, rounds: u64) -> Result<Summary> {
    let (mut summary, began) = (Summary::default(), Instant::now());
    let mut field = None;
    for number in 0..rounds {
        if number % ROUNDS_PER_LEDGER == 0 {
            field = None;
        }
        let field = match &mut field {
            Some(field) => field,
            none => none.insert(Field::new(stack, journal, seed + number)?),
        };
        field.round(seed + number, &mut summary).with_context(|| format!("round {number}, seed {}", seed + number))?;
    }
    (summary.rounds, summary.took) = (rounds, began.elapsed());
    Ok(summary)
}

/// A ledger, and what its clients were told so far.
struct Field<'a> {
    stack: &'a Stack,
    ledger: Ledger,
    told: BTreeMap<String, u64>,
    clients: u64,
}

impl<'a> Field<'a> {
    fn new(stack: &'a Stack, journal: &Journal, seed: u64) -> Result<Self> {
        let ledger = Ledger::new(&stack.servers, journal)?;
        let mut commands = Commands::new(seed);
        let opening = commands.opening();
        send_all(&ledger, &mut commands, opening)?;
        Ok(Self { stack, ledger, told: BTreeMap::new(), clients: 0 })
    }

    fn round(&mut self, seed: u64, summary: &mut Summary) -> Result<()> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        self.ledger.journal.note(format_args!("--- round of seed {seed}"));
        let struck = Arc::new(AtomicU64::new(0));
        let mut writers = Vec::new();
        for _ in 0..rng.random_range(1..=CLIENTS_MAX) {
            self.clients += 1;
            writers.push(Writer::start(&self.ledger, seed, self.clients, &struck)?);
        }
        let mut faults = Vec::new();
        for _ in 0..rng.random_range(1..=STRIKES_MAX) {
            sleep(Duration::from_millis(rng.random_range(0..REST_MAX_MS)));
            let fault = *FAULTS.choose(&mut rng).context("there are faults")?;
            let writer = writers.choose(&mut rng).context("there are writers")?;
            struck.fetch_add(1, Ordering::SeqCst);
            self.ledger.journal.note(format_args!("{fault:?} for {}", writer.name));
            self.strike(fault, writer, Duration::from_millis(rng.random_range(0..AWAY_MAX_MS)))?;
            struck.fetch_add(1, Ordering::SeqCst);
            *summary.faults.entry(fault).or_default() += 1;
            faults.push(fault);
        }
        for writer in writers {
            let told = writer.finish()?;
            summary.acknowledged += u64::try_from(told.ok.len())?;
            summary.refused += told.refused;
            summary.repeated += told.repeated;
            summary.restarts += told.restarts;
            self.told.extend(told.ok);
        }
        let events = self.check()?;
        eprintln!("seed {seed}: {faults:?}; {} acknowledged, {events} events", self.told.len());
        Ok(())
    }

    fn strike(&self, fault: Fault, writer: &Writer, away: Duration) -> Result<()> {
        let proxy = &writer.proxy;
        match fault {
            Fault::WriterKilled => writer.signal(Signal::SIGKILL),
            Fault::WriterSuspended => {
                writer.signal(Signal::SIGSTOP);
                sleep(away);
                writer.signal(Signal::SIGCONT);
            }
            Fault::BackendTerminated => database::terminate_a_backend(&self.ledger.servers.database_url)?,
            Fault::ConnectionsCut => proxy.cut(),
            Fault::ConnectionsHeld => {
                proxy.set(Way::Held);
                sleep(away);
                proxy.set(Way::Open);
            }
            Fault::AnswersLost => {
                proxy.set(Way::Mute);
                sleep(away);
                proxy.cut();
                proxy.set(Way::Open);
            }
            Fault::HalfClosed => proxy.half_close(),
            Fault::ServerKilled => {
                self.stack.kill(Server::Postgres)?;
                sleep(away);
                self.stack.restart()?;
            }
        }
        Ok(())
    }

    /// The log holds what was acknowledged, at the place that was told, once, and nothing else that has an id.
    fn check(&self) -> Result<u64> {
        let printed = self.ledger.must(&["events", "--json"])?;
        let (mut events, mut found) = (0_u64, BTreeMap::new());
        for line in printed.lines() {
            let event: Value = serde_json::from_str(line)?;
            events += 1;
            let position = event["position"].as_u64().context("a position")?;
            ensure!(position == events, "position {events} is missing: {position} follows");
            let Some(id) = event["id"].as_str() else { continue };
            if let Some(before) = found.insert(id.to_owned(), position) {
                bail!("doubled: {id} is at {before} and at {position}");
            }
        }
        for (id, position) in &self.told {
            let there = found.remove(id);
            ensure!(there == Some(*position), "lost: {id} was acknowledged at {position}, and the log has {there:?}");
        }
        let untold: BTreeSet<&String> = found.keys().collect();
        ensure!(untold.is_empty(), "in the log, and the last answer was not ok: {untold:?}");
        self.ledger.must(&["verify"])?;
        Ok(events)
    }
}

/// A client in a thread of its own, and its way to the server.
struct Writer {
    name: String,
    proxy: Proxy,
    /// The process that works for it now; 0 while there is none.
    process: Arc<AtomicU32>,
    ends: Arc<AtomicBool>,
    client: JoinHandle<Result<Told>>,
}

/// What a client was told at last.
#[derive(Default)]
struct Told {
    /// The position of each id that was answered with `ok`.
    ok: BTreeMap<String, u64>,
    refused: u64,
    /// Answers that said that it was done before.
    repeated: u64,
    restarts: u64,
}

impl Writer {
    fn start(ledger: &Ledger, seed: u64, number: u64, struck: &Arc<AtomicU64>) -> Result<Self> {
        let (name, mut ledger) = (format!("client-{number}"), ledger.clone());
        let (url, port) = ledger.servers.through_a_proxy()?;
        let proxy = Proxy::start(port)?;
        ledger.servers.database_url = url(proxy.port());
        let (process, ends) = (Arc::<AtomicU32>::default(), Arc::<AtomicBool>::default());
        let client = Client {
            commands: Commands::of_client(seed.wrapping_add(number << 32), &name),
            ledger,
            told: Told::default(),
            process: Arc::clone(&process),
            ends: Arc::clone(&ends),
            struck: Arc::clone(struck),
        };
        Ok(Self { name, proxy, process, ends, client: thread::spawn(move || client.run()) })
    }

    /// A process that has ended already does not mind; it is waited for by its client only, so the number is still its own.
    fn signal(&self, signal: Signal) {
        if let Ok(id @ 1..) = i32::try_from(self.process.load(Ordering::SeqCst)) {
            let _ = kill(Pid::from_raw(id), signal);
        }
    }

    fn finish(self) -> Result<Told> {
        self.ends.store(true, Ordering::SeqCst);
        let told = self.client.join().unwrap_or_else(|_| bail!("{} has panicked", self.name));
        self.proxy.end();
        told
    }
}

struct Client {
    ledger: Ledger,
    commands: Commands,
    told: Told,
    process: Arc<AtomicU32>,
    ends: Arc<AtomicBool>,
    /// Grows before and after each fault.
    struck: Arc<AtomicU64>,
}

impl Client {
    fn run(mut self) -> Result<Told> {
        let mut apply = None;
        while !self.ends.load(Ordering::SeqCst) {
            let most = BURSTS_MAX[usize::from(!self.commands.rng.random_ratio(1, LARGE_BURST))];
            let number = self.commands.rng.random_range(1..=most);
            let lines: Vec<Value> = (0..number).map(|_| self.commands.next_with_id()).collect();
            // What was not answered may have happened or not: all of it is sent again until all is answered.
            while !self.exchange(&mut apply, &lines)? {
                self.told.restarts += 1;
            }
        }
        self.process.store(0, Ordering::SeqCst);
        if let Some((apply, _)) = apply {
            // A fault may have struck between the last answer and the end.
            apply.process.stop()?;
        }
        Ok(self.told)
    }

    /// Reads an outcome for each line; `false` when there were fewer.
    fn hear(&mut self, apply: &mut Apply, lines: &[Value]) -> Result<bool> {
        for line in lines {
            let Some(outcome) = apply.next()? else { return Ok(false) };
            self.told.hear(line, &outcome)?;
            if outcome.get("ok").is_some() {
                self.commands.done(line);
            }
        }
        Ok(true)
    }

    /// Sends a burst and reads its outcomes. `false` when the process ended before the last of them, which a fault
    /// must explain.
    fn exchange(&mut self, running: &mut Option<(Apply, u64)>, lines: &[Value]) -> Result<bool> {
        let (mut apply, struck) = match running.take() {
            Some(running) => running,
            None => self.connect()?,
        };
        let text = json_lines(lines);
        let mut stdin = apply.process.child.stdin.take().context("a pipe")?;
        // Written beside reading: each way holds less than many commands are.
        let sent = thread::scope(|scope| {
            let write = scope.spawn(|| stdin.write_all(text.as_bytes()).is_ok());
            let heard = self.hear(&mut apply, lines);
            write.join().map_or(Ok(false), |written| heard.map(|heard| written && heard))
        })?;
        apply.process.child.stdin = Some(stdin);
        if sent {
            *running = Some((apply, struck));
            return Ok(true);
        }
        self.process.store(0, Ordering::SeqCst);
        let ended = apply.process.wait()?;
        let was_killed = ended.status.signal() == Some(Signal::SIGKILL as i32);
        let lost_its_server = ended.status.code() == Some(3);
        let was_struck = self.struck.load(Ordering::SeqCst) != struck || struck % 2 == 1;
        ensure!(
            was_struck && (was_killed || lost_its_server),
            "apply ended by itself: {}: {}",
            ended.status,
            ended.stderr
        );
        Ok(false)
    }

    /// Starts a process; again, as long as a fault keeps it from its server.
    fn connect(&mut self) -> Result<(Apply, u64)> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            let struck = self.struck.load(Ordering::SeqCst);
            if self.ledger.command(&["head"]).output()?.status.success() {
                let apply = Apply::start(&self.ledger)?;
                self.process.store(apply.process.child.id(), Ordering::SeqCst);
                return Ok((apply, struck));
            }
            sleep(Duration::from_millis(20));
        }
        bail!("the log does not come back")
    }
}

impl Told {
    /// Takes note of an outcome, and of those of a batch's members.
    fn hear(&mut self, command: &Value, outcome: &Value) -> Result<()> {
        let Some(receipt) = outcome.get("ok") else {
            self.refused += 1;
            let known = command["id"].as_str().and_then(|id| self.ok.get(id));
            ensure!(known.is_none(), "{command} was acknowledged at {known:?}, and now it is {outcome}");
            return Ok(());
        };
        let position = receipt["position"].as_u64();
        if let Some(members) = command["commands"].as_array() {
            self.hear_members(members, receipt, position.context("a batch with an id has a position")?)?;
        }
        self.repeated += u64::from(receipt["duplicate"] == true);
        // What moved nothing, since nothing was there to move, is not in the log.
        position.map_or(Ok(()), |position| self.note(command, position))
    }

    /// An answer that was given before does not repeat those of the members: each has one event, in a row before the
    /// batch's own.
    fn hear_members(&mut self, members: &[Value], receipt: &Value, own: u64) -> Result<()> {
        if let Some(outcomes) = receipt["outcomes"].as_array() {
            return members.iter().zip(outcomes).try_for_each(|(member, outcome)| self.hear(member, outcome));
        }
        let first = own.saturating_sub(u64::try_from(members.len())?);
        members.iter().zip(first..).try_for_each(|(member, position)| self.note(member, position))
    }

    fn note(&mut self, command: &Value, position: u64) -> Result<()> {
        let id = command["id"].as_str().context("an id")?.to_owned();
        let before = self.ok.insert(id, position).unwrap_or(position);
        ensure!(before == position, "{command} was acknowledged at {before}, and now at {position}");
        Ok(())
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} rounds in {:.1} min", self.rounds, self.took.as_secs_f64() / 60.0)?;
        for (fault, number) in &self.faults {
            writeln!(f, "{number:>6} {fault:?}")?;
        }
        writeln!(f, "{:>6} processes started again", self.restarts)?;
        writeln!(f, "{:>6} acknowledged, {} refused", self.acknowledged, self.refused)?;
        write!(f, "{:>6} answered as done before; lost 0, doubled 0", self.repeated)
    }
}
