//! Rounds of load, kills and restarts, each checked at its end.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::check::{check, lags, wait_until_caught_up};
use crate::commands::Commands;
use crate::journal::Journal;
use crate::load::{Load, send_all};
use crate::models::Models;
use crate::process::{Ledger, Process};
use crate::projectors::{LOOK, Projectors};
use crate::readers::{Read, Readers};
use crate::stack::{Server, Stack};

/// Rounds that share a ledger, whose log grows meanwhile.
const ROUNDS_PER_LEDGER: u64 = 5;
/// Projectors at a time, at most.
const PROJECTORS_MAX: usize = 3;
/// Into how many buckets a rebuild deals a model's keys.
const BUCKETS: [&str; 3] = ["1", "2", "5"];
/// The least that a rebuild can be given: larger models are folded in parts.
const MEMORY_MIN_MIB: &str = "1";
/// Commands of a round, at most.
const COMMANDS_MAX: u64 = 3_000;
/// How long a server stays away, at most.
const AWAY_MAX_MS: u64 = 1_500;

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Victim {
    Projector,
    Rebuilder,
    Server(Server),
}

/// Projectors and rebuilders most, since that is what is to be shown; a server takes seconds to come back.
const VICTIMS: [Victim; 11] = [
    Victim::Projector,
    Victim::Projector,
    Victim::Projector,
    Victim::Projector,
    Victim::Rebuilder,
    Victim::Rebuilder,
    Victim::Rebuilder,
    Victim::Rebuilder,
    Victim::Server(Server::Mongo),
    Victim::Server(Server::Gateway),
    Victim::Server(Server::Postgres),
];

/// What was done and seen in all rounds.
#[derive(Default)]
pub(crate) struct Summary {
    rounds: u64,
    took: Duration,
    kills: BTreeMap<Victim, u64>,
    commands: u64,
    events: u64,
    read: Read,
}

/// Rounds from this seed on; the seed of a round is that of the run plus its number.
pub(crate) fn run(stack: &Stack, journal: &Journal, seed: u64, rounds: u64) -> Result<Summary> {
    let (mut summary, began) = (Summary::default(), Instant::now());
    let mut number = 0;
    while number < rounds {
        let until = rounds.min(number + ROUNDS_PER_LEDGER);
        let mut ground = Ground::new(stack, journal, seed + number)?;
        while number < until {
            let place = format!("round {number}, seed {}, ledger {}", seed + number, ground.ledger.name);
            let round = ground.round(seed + number, &mut summary).with_context(|| place.clone());
            if ground.readers.have_ended() {
                return Err(ground.leave().err().context("readers end by their own error only")?.context(place));
            }
            round?;
            number += 1;
        }
        summary.read.add(ground.leave()?);
    }
    (summary.rounds, summary.took) = (rounds, began.elapsed());
    Ok(summary)
}

/// A ledger, and what lives longer than a round.
struct Ground<'a> {
    stack: &'a Stack,
    ledger: Ledger,
    commands: Option<Commands>,
    models: Vec<String>,
    readers: Readers,
    /// How long the last rebuild took that came to its end.
    rebuild: Duration,
}

impl<'a> Ground<'a> {
    fn new(stack: &'a Stack, journal: &Journal, seed: u64) -> Result<Self> {
        let ledger = Ledger::new(&stack.servers, journal)?;
        let mut commands = Commands::new(seed);
        let opening = commands.opening();
        send_all(&ledger, &mut commands, opening)?;
        ledger.must(&["project", "run", "--until-caught-up"])?;
        let models: Vec<String> = lags(&ledger)?.into_keys().collect();
        let readers = Readers::start(&ledger, &models);
        Ok(Self { stack, ledger, commands: Some(commands), models, readers, rebuild: Duration::from_millis(300) })
    }

    fn round(&mut self, seed: u64, summary: &mut Summary) -> Result<()> {
        let began = Instant::now();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        self.ledger.journal.note(format_args!("--- round of seed {seed}"));
        let commands = self.commands.take().context("the commands of a round that failed are gone")?;
        let load = Load::start(&self.ledger, commands, rng.random_range(COMMANDS_MAX / 10..=COMMANDS_MAX));
        // Now and then there is something to catch up with at first.
        rest(rng.random_range(0..2) * rng.random_range(0..800));
        let projectors = rng.random_range(1..=PROJECTORS_MAX);
        let mut field =
            Field { projectors: Projectors::start(&self.ledger, projectors)?, rebuilder: None, ground: self };
        let mut kills = Vec::new();
        for _ in 0..rng.random_range(1..=3) {
            let victim = *VICTIMS.choose(&mut rng).context("there are victims")?;
            if field.strike(victim, &mut rng)? {
                kills.push(victim);
                *summary.kills.entry(victim).or_default() += 1;
            }
        }
        field.finish_rebuild()?;
        let (commands, sent) = load.finish()?;
        let mut running = field.projectors;
        let caught_up = Instant::now();
        wait_until_caught_up(&self.ledger, || running.tend())?;
        running.stop()?;
        self.commands = Some(commands);
        summary.commands += sent.commands;
        let caught_up = caught_up.elapsed();
        let checked = check(&self.ledger, sent.position)?;
        self.rebuild = checked.rebuild;
        summary.events += sent.ok;
        eprintln!(
            "seed {seed}: {projectors} projectors, killed {kills:?}; {} commands, log at {}; caught up after {:.1} s, all in {:.1} s",
            sent.commands,
            checked.head,
            caught_up.as_secs_f64(),
            began.elapsed().as_secs_f64()
        );
        Ok(())
    }

    fn leave(self) -> Result<Read> {
        let read = self.readers.finish()?;
        Models::connect(&self.ledger)?.drop()?;
        Ok(read)
    }
}

/// What goes on within a round.
struct Field<'a, 'b> {
    ground: &'a Ground<'b>,
    projectors: Projectors,
    rebuilder: Option<Process>,
}

impl Field<'_, '_> {
    /// Kills somebody at a random moment. `false` when they had ended by then.
    fn strike(&mut self, victim: Victim, rng: &mut ChaCha8Rng) -> Result<bool> {
        if victim == Victim::Rebuilder || rng.random_ratio(1, 3) {
            self.rebuild(rng)?;
        }
        let usual = u64::try_from(self.ground.rebuild.as_millis())?;
        let moment = if victim == Victim::Rebuilder { usual } else { usual.max(1_500) };
        self.rest(rng.random_range(0..moment))?;
        match victim {
            Victim::Projector => {
                let which = rng.random_range(0..self.projectors.number());
                self.projectors.kill(which)
            }
            Victim::Rebuilder => {
                let Some(mut rebuilder) = self.rebuilder.take() else { return Ok(false) };
                let was_alive = rebuilder.kill()?;
                self.ground.ledger.journal.note(format_args!("killed the rebuilder, alive: {was_alive}"));
                Ok(was_alive)
            }
            Victim::Server(server) => {
                self.ground.stack.kill(server)?;
                self.rest(rng.random_range(0..AWAY_MAX_MS))?;
                self.ground.stack.restart()?;
                Ok(true)
            }
        }
    }

    /// Starts a rebuild, of one model or of all, unless one is under way.
    fn rebuild(&mut self, rng: &mut ChaCha8Rng) -> Result<()> {
        if let Some(rebuilder) = &mut self.rebuilder
            && rebuilder.ended()?.is_none()
        {
            return Ok(());
        }
        self.finish_rebuild()?;
        let mut arguments = vec!["project", "rebuild"];
        match self.ground.models.choose(rng).filter(|_| rng.random_ratio(1, 3)) {
            Some(model) => arguments.extend(["--only", model]),
            None => arguments.push("--all"),
        }
        if rng.random_ratio(1, 3) {
            arguments.extend(["--buckets", BUCKETS.choose(rng).context("there are numbers")?]);
        }
        if rng.random_ratio(1, 3) {
            arguments.extend(["--memory", MEMORY_MIN_MIB]);
        }
        self.rebuilder = Some(self.ground.ledger.start(&arguments)?);
        Ok(())
    }

    /// A rebuild that nobody killed comes to a good end, unless it found no server at its beginning.
    fn finish_rebuild(&mut self) -> Result<()> {
        let Some(rebuilder) = self.rebuilder.take() else { return Ok(()) };
        let ended = rebuilder.wait()?;
        let code = ended.status.code();
        ensure!(
            code == Some(0) || (ended.met_outage && code == Some(3)),
            "rebuild: {}: {}",
            ended.status,
            ended.stderr
        );
        Ok(())
    }

    /// Lets time pass, tending the projectors.
    fn rest(&mut self, milliseconds: u64) -> Result<()> {
        let end = Instant::now() + Duration::from_millis(milliseconds);
        while Instant::now() < end {
            self.projectors.tend()?;
            std::thread::sleep(LOOK.min(end.saturating_duration_since(Instant::now())));
        }
        Ok(())
    }
}

fn rest(milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(milliseconds));
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minutes = self.took.as_secs_f64() / 60.0;
        let per_minute = f64::from(u32::try_from(self.rounds).unwrap_or(u32::MAX)) / minutes;
        writeln!(f, "{} rounds in {minutes:.1} min ({per_minute:.1} a minute): no difference", self.rounds)?;
        writeln!(f, "{} commands, {} of them ok", self.commands, self.events)?;
        for (victim, kills) in &self.kills {
            writeln!(f, "{kills:>6} kills: {victim:?}")?;
        }
        write!(f, "readers: {:?}", self.read)
    }
}
