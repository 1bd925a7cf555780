//! The year goes into the ledger: one file of commands, one outcome for each.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, Result, bail};
use small_bank::{bank::Bank, expectation::Expectation, outcome::Tally, script::Script};
use tokio::io::{AsyncBufReadExt, BufReader};

use super::{
    postfold::{Postfold, drain, last_words},
    report::{Report, number, progress, rate, seconds},
};

/// How often the progress bar moves, in outcomes.
const OUTCOMES_PER_TICK: usize = 256;

/// The files of a run.
pub(crate) struct Files {
    pub(crate) directory: PathBuf,
    commands: PathBuf,
    outcomes: PathBuf,
}

/// Generates the year and writes it down, with what must come of it.
pub(crate) fn write_year(bank: &mut Bank, ledger: &str, report: &mut Report) -> Result<(Script, Files)> {
    let started = Instant::now();
    let script = bank.year();
    let directory = std::env::temp_dir().join(ledger);
    let files =
        Files { commands: directory.join("commands.jsonl"), outcomes: directory.join("outcomes.jsonl"), directory };
    let said = || format!("{} cannot be written", files.directory.display());
    std::fs::create_dir_all(&files.directory).with_context(said)?;
    std::fs::write(&files.commands, &script.text).with_context(said)?;
    let expected = serde_json::to_vec_pretty(&Expectation::of(bank, &script))?;
    std::fs::write(files.directory.join("expected.json"), expected).with_context(said)?;

    let kinds: Vec<String> = script.kinds.iter().map(|(kind, count)| format!("{} {kind}", number(count))).collect();
    report.say(format_args!(
        "   {} commands in {}: {}",
        number(script.expected.len()),
        seconds(started.elapsed()),
        kinds.join(", ")
    ));
    report.say(format_args!("   {}", files.commands.display()));
    Ok((script, files))
}

/// Applies the file and compares every outcome with the one that it must be.
pub(crate) async fn apply_year(postfold: &Postfold, script: &Script, files: &Files, report: &mut Report) -> Result<()> {
    let started = Instant::now();
    let tally = apply_file(postfold, script, files).await?;
    let took = started.elapsed();

    let applied = u64::try_from(tally.taken())?;
    let speed = rate(applied, took);
    report.say(format_args!("   {} commands answered in {}: {speed}", number(applied), seconds(took)));
    for (sort, count) in tally.counts() {
        report.say(format_args!("   {:>9}  {sort}", number(count)));
    }
    report.figure("commands applied", speed);
    report.check("every command got the outcome that the generator expects", agreement(&tally));

    let head = postfold.head().await?;
    let last = tally.last_position().unwrap_or(0);
    let same = (head.position == last)
        .then_some(())
        .ok_or_else(|| format!("the log ends at {}, the last receipt says {last}", head.position));
    report.check(
        format_args!(
            "the log ends where the last receipt says, at position {} (hash {}...)",
            number(head.position),
            head.hash.get(..12).unwrap_or(&head.hash)
        ),
        same,
    );
    Ok(())
}

/// `Err` names the first differences.
pub(crate) fn agreement(tally: &Tally) -> Result<(), String> {
    if tally.differences_total() == 0 {
        return Ok(());
    }
    Err(format!("{} differ, such as\n      {}", tally.differences_total(), tally.differences().join("\n      ")))
}

async fn apply_file(postfold: &Postfold, script: &Script, files: &Files) -> Result<Tally> {
    let path = utf8(&files.commands)?;
    let mut child = postfold.command(&["apply", path, "--manual-clock"]).spawn()?;
    let stderr = drain(child.stderr.take());
    let stdout = child.stdout.take().context("the outcomes are not piped")?;
    let mut copy = BufWriter::new(File::create(&files.outcomes)?);

    let bar = progress(u64::try_from(script.expected.len())?, "applying");
    let mut tally = Tally::default();
    let mut lines = BufReader::new(stdout).lines();
    while let Some(line) = lines.next_line().await? {
        tally.take(&line, script.expected.get(tally.taken()).copied());
        writeln!(copy, "{line}")?;
        if tally.taken().is_multiple_of(OUTCOMES_PER_TICK) {
            bar.inc(u64::try_from(OUTCOMES_PER_TICK)?);
        }
    }
    tally.finish(script.expected.len());
    copy.flush()?;
    bar.finish_and_clear();

    // 1 says that some commands were refused, which is so by design.
    let status = child.wait().await?;
    if !matches!(status.code(), Some(0 | 1)) {
        let words = stderr.await.unwrap_or_default();
        bail!("postfold apply: {status}: {}", last_words(&words));
    }
    Ok(tally)
}

fn utf8(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}
