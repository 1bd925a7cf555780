//! All read models are rebuilt beside the live ones, while the bank goes on and a reader looks.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use small_bank::bank::Bank;
use tokio::time::sleep;

use super::{
    feed::Feed,
    filing::agreement,
    postfold::{Finished, ModelStatus, Postfold},
    read_models::ReadModels,
    report::{Report, number, rate, seconds, waiting},
    table,
    watch::{Seen, Watcher},
};

/// How long the bank goes on after the switch, so that the reader sees the new generation being followed.
const AFTERGLOW: Duration = Duration::from_millis(700);
/// How long the following projector may take to see the last entries.
const CATCH_UP_SECONDS_MAX: u64 = 30;
/// How long to wait between two looks at the checkpoints.
const LOOK: Duration = Duration::from_millis(100);

/// Rebuilds under load. Gives back the bank, whose books know of the new entries.
pub(crate) async fn side_by_side(
    postfold: &Postfold,
    read_models: &ReadModels,
    bank: Bank,
    report: &mut Report,
) -> Result<Bank> {
    let before = postfold.models().await?;
    let mut projector = postfold.start(&["project", "run"])?;
    let watcher = Watcher::start(read_models.balances()).await?;
    let feed = Feed::start(postfold, bank)?;

    let bar = waiting("rebuilding");
    let rebuild = postfold.run(&["project", "rebuild", "--all"]).await?;
    sleep(AFTERGLOW).await;
    drop(bar);
    let posted = feed.finish().await?;
    let caught_up = wait_for_head(postfold).await?;
    let seen = watcher.finish().await?;
    let outlived = !projector.has_ended()?;
    let ended = projector.interrupt().await?;

    let after = postfold.models().await?;
    tell_rebuild(&rebuild, &before, &after, report);
    report.say(format_args!(
        "   meanwhile {} commands of {} new days were posted",
        number(posted.tally.taken()),
        posted.days
    ));
    report.check("every command posted meanwhile got its expected outcome", agreement(&posted.tally));
    tell_reader(&seen, report);
    report.check(
        "the projector followed the log through it all",
        if !outlived {
            Err(ended.clean().err().unwrap_or_else(|| "it ended by itself".to_owned()))
        } else if !caught_up {
            Err(format!("it was not at the head {CATCH_UP_SECONDS_MAX} s after the last entry"))
        } else {
            ended.clean()
        },
    );
    Ok(posted.bank)
}

fn tell_rebuild(rebuild: &Finished, before: &[ModelStatus], after: &[ModelStatus], report: &mut Report) {
    let mut table = table::new(&["read model", "generation before", "after"]);
    let mut unchanged = Vec::new();
    for model in after {
        let old = before.iter().find(|old| old.name == model.name);
        let generation = old.map(|old| &old.generation);
        if generation == Some(&model.generation) {
            unchanged.push(model.name.clone());
        }
        table.add_row([
            model.name.clone(),
            generation.map_or_else(String::new, ToString::to_string),
            model.generation.to_string(),
        ]);
    }
    table::align_numbers(&mut table, 1);
    report.say(table);

    let folded = after.iter().map(|model| model.head).sum();
    report.say(format_args!(
        "   rebuilt in {}: {} events folded, {}",
        seconds(rebuild.took),
        number(folded),
        rate(folded, rebuild.took)
    ));
    report.figure("rebuild of all read models, under load", seconds(rebuild.took));
    let switched = if unchanged.is_empty() {
        rebuild.clean()
    } else {
        Err(format!("still the old generation: {}", unchanged.join(", ")))
    };
    report.check("every read model is a new generation", switched);
}

fn tell_reader(seen: &Seen, report: &mut Report) {
    report.say(format_args!(
        "   a reader looked {} times at the balances; slowest {} ms",
        number(seen.reads),
        seen.slowest.as_millis()
    ));
    let clean = if seen.errors == 0 && seen.gaps == 0 && seen.older == 0 {
        Ok(())
    } else {
        Err(format!(
            "{} errors{}, {} gaps, {} older than before",
            seen.errors,
            seen.first_error.as_ref().map(|words| format!(" (such as {words})")).unwrap_or_default(),
            seen.gaps,
            seen.older
        ))
    };
    report.check("the reader saw no error, no gap and no step back", clean);
}

/// Waits until every read model is at the head of a log that no longer grows.
async fn wait_for_head(postfold: &Postfold) -> Result<bool> {
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(CATCH_UP_SECONDS_MAX) {
        let models = postfold.models().await?;
        if models.is_empty() {
            bail!("there are no read models to rebuild");
        }
        if models.iter().all(|model| model.position() == model.head) {
            return Ok(true);
        }
        sleep(LOOK).await;
    }
    Ok(false)
}
