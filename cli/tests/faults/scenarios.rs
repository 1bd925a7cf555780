//! Faults that chance would hardly bring about, one function each.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;

use crate::check::{check, head, lags, names, wait_until_caught_up};
use crate::commands::Commands;
use crate::database;
use crate::journal::Journal;
use crate::load::{Load, send_all};
use crate::models::{Models, ensure_equal};
use crate::process::{Ledger, PATIENCE, Process};
use crate::readers::Readers;
use crate::stack::{Server, Stack};

/// The model that is looked at where one is enough.
const MODEL: &str = "balances";
/// Events in a log that takes a while to fold.
const MANY: u64 = 5_000;
/// Between two looks at something that will come.
const LOOK: Duration = Duration::from_millis(20);

/// A projector is suspended for longer than it may hold what it works on; another takes over, and the first
/// goes on beside it, on the same documents.
pub(crate) fn stale_owner(stack: &Stack, journal: &Journal) -> Result<()> {
    let (ledger, mut commands) = begun(stack, journal)?;
    send_all(&ledger, &mut commands, MANY)?;
    let load = Load::start(&ledger, commands, u64::MAX);
    let first = ledger.start(&["project", "run"])?;
    wait_for(|| owned_by(&ledger, &first), "the first projector begins")?;
    sleep(Duration::from_millis(300));
    first.signal(Signal::SIGSTOP)?;
    let taken_over = Instant::now();
    let second = ledger.start(&["project", "run"])?;
    wait_for(|| owned_by(&ledger, &second), "another one takes over")?;
    let taken_over = taken_over.elapsed();
    first.signal(Signal::SIGCONT)?;
    let both = Instant::now();
    let reason = "another process took the bucket over";
    wait_for(|| first.said().map(|said| said.contains(reason)), "the first one says why it stops")?;
    let (_, sent) = load.finish()?;
    wait_until_caught_up(&ledger, || Ok(()))?;
    eprintln!(
        "taken over after {:.1} s; both at work, all caught up {:.1} s later",
        taken_over.as_secs_f64(),
        both.elapsed().as_secs_f64()
    );
    first.stop()?;
    let stopped = second.stop()?;
    ensure!(stopped.status.success(), "the second projector: {}", stopped.stderr);
    check(&ledger, sent.position)?;
    ended(&ledger)
}

/// The log is restored from an older backup, and goes on from there: not a document is changed, and the way
/// out is said.
pub(crate) fn older_backup(stack: &Stack, journal: &Journal) -> Result<()> {
    let (ledger, mut commands) = begun(stack, journal)?;
    send_all(&ledger, &mut commands, 300)?;
    catch_up(&ledger)?;
    let mut restored = ledger.clone();
    restored.servers.database_url = database::copy(&ledger)?;
    send_all(&ledger, &mut commands, 300)?;
    catch_up(&ledger)?;
    let (models, names) = (Models::connect(&ledger)?, names(&ledger)?);
    let before = models.documents(&names)?;

    // At first the log ends before the models do, later it goes on beyond them with other events.
    for _ in 0..2 {
        ensure!(head(&restored)? != head(&ledger)?, "the copy is the same");
        for arguments in [&["project", "run"][..], &["project", "run", "--until-caught-up"]] {
            let ended = restored.start(arguments)?.wait()?;
            ensure!(ended.status.code() == Some(1), "{}: {}", ended.status, ended.stderr);
            for words in ["restored from an older backup?", "postfold project rebuild"] {
                ensure!(ended.stderr.contains(words), "it does not say {words:?}: {}", ended.stderr);
            }
        }
        ensure_equal(&before, &models.documents(&names)?)?;
        send_all(&restored, &mut commands, 900)?;
    }
    restored.must(&["project", "rebuild", "--all"])?;
    catch_up(&restored)?;
    check(&restored, 0)?;
    ended(&restored)?;
    database::drop(&restored.servers.database_url)
}

/// A rebuilder dies right after its collection took the stable name; a late write then makes the collection
/// of the attempt anew. Whoever ends the switch drops this ghost, and the good model stays.
pub(crate) fn ghost(stack: &Stack, journal: &Journal) -> Result<()> {
    let (ledger, mut commands) = begun(stack, journal)?;
    send_all(&ledger, &mut commands, 500)?;
    catch_up(&ledger)?;
    let models = Models::connect(&ledger)?;
    let names = names(&ledger)?;
    let before = models.documents(&names)?;
    let began = Instant::now();
    let attempt = loop {
        ensure!(began.elapsed() < PATIENCE, "no rebuilder could be killed within its switch");
        if let Some(attempt) = killed_after_rename(&ledger, &models)? {
            break attempt;
        }
    };
    models.plant(&attempt, "wallet:1|EUR")?;
    ensure!(models.collections()?.contains(&attempt), "the ghost is not there");
    catch_up(&ledger)?;
    ensure!(!models.collections()?.contains(&attempt), "the ghost is still there");
    ensure_equal(&before, &models.documents(&names)?)?;
    check(&ledger, 0)?;
    ended(&ledger)
}

/// MongoDB is away for a while: commands are answered as ever, the models lag, and catch up when it is back.
pub(crate) fn away(stack: &Stack, journal: &Journal) -> Result<()> {
    let (ledger, mut commands) = begun(stack, journal)?;
    send_all(&ledger, &mut commands, 300)?;
    let mut projector = ledger.start(&["project", "run"])?;
    wait_until_caught_up(&ledger, || Ok(()))?;
    let readers = Readers::start(&ledger, &names(&ledger)?);
    let load = Load::start(&ledger, commands, u64::MAX);
    stack.kill(Server::Mongo)?;
    let before = head(&ledger)?;
    wait_for(|| Ok(head(&ledger)? > before + 1_000), "the log grows meanwhile")?;
    stack.restart()?;
    let behind = lags(&ledger)?;
    let back = Instant::now();
    let (_, sent) = load.finish()?;
    ensure!(sent.restarts == 0, "a client was bothered by it");
    wait_until_caught_up(&ledger, || Ok(()))?;
    ensure!(projector.ended()?.is_none(), "the projector ended");
    eprintln!("away until the models were behind by {behind:?}; caught up {:.1} s later", back.elapsed().as_secs_f64());
    eprintln!("readers: {:?}", readers.finish()?);
    ensure!(projector.stop()?.status.success(), "the projector does not end well");
    check(&ledger, sent.position)?;
    ended(&ledger)
}

/// A ledger with its chart of accounts.
fn begun(stack: &Stack, journal: &Journal) -> Result<(Ledger, Commands)> {
    let ledger = Ledger::new(&stack.servers, journal)?;
    let mut commands = Commands::new(1);
    let opening = commands.opening();
    send_all(&ledger, &mut commands, opening)?;
    Ok((ledger, commands))
}

fn ended(ledger: &Ledger) -> Result<()> {
    Models::connect(ledger)?.drop()
}

fn catch_up(ledger: &Ledger) -> Result<()> {
    ledger.must(&["project", "run", "--until-caught-up"]).map(drop)
}

/// Rebuilds the model and kills the rebuilder as soon as its collection has the stable name. Returns the
/// collection's former name, unless the rebuilder was done by then.
fn killed_after_rename(ledger: &Ledger, models: &Models) -> Result<Option<String>> {
    let old = models.uuid(MODEL)?;
    let mut rebuilder = ledger.start(&["project", "rebuild", "--only", MODEL])?;
    while models.uuid(MODEL)? == old {
        ensure!(rebuilder.ended()?.is_none(), "the rebuilder ended and did not switch: {}", rebuilder.said()?);
    }
    rebuilder.kill()?;
    models.switching(MODEL)
}

/// Whether this process moves the checkpoint of the model.
fn owned_by(ledger: &Ledger, process: &Process) -> Result<bool> {
    let status = ledger.ask(&["project", "status"])?;
    let model = status.as_array().context("an array")?.iter().find(|model| model["name"] == MODEL);
    let buckets = model.and_then(|model| model["buckets"].as_array()).context("the buckets of the model")?;
    let name = format!("process {}", process.child.id());
    Ok(buckets.iter().all(|bucket| bucket["owner"].as_str().is_some_and(|owner| owner.starts_with(&name))))
}

fn wait_for(mut is_so: impl FnMut() -> Result<bool>, what: &str) -> Result<()> {
    let began = Instant::now();
    while !is_so()? {
        ensure!(began.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        sleep(LOOK);
    }
    Ok(())
}
