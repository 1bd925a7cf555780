//! A projector is killed in the middle of its work, and the next one goes on from its checkpoint.

use std::time::Duration;

use anyhow::Result;
use comfy_table::Table;
use tokio::time::sleep;

use super::{
    postfold::{ModelStatus, Postfold, Running},
    report::{Report, number, rate, seconds, waiting},
    table,
};

/// What runs the projector until it has seen the whole log.
const CATCH_UP: [&str; 3] = ["project", "run", "--until-caught-up"];
/// How long to wait between two looks at the checkpoints.
const LOOK: Duration = Duration::from_millis(15);

/// Kills, shows, resumes, compares.
pub(crate) async fn kill_and_resume(postfold: &Postfold, report: &mut Report) -> Result<()> {
    let mut running = postfold.start(&CATCH_UP)?;
    let Some(seen) = until_half_way(postfold, &mut running).await? else {
        let finished = running.finish().await?;
        report.say(format_args!(
            "   the projector was through in {}, before it could be caught half-way: nothing was killed",
            seconds(finished.took)
        ));
        report.check("the projector ends by itself", finished.clean());
        return all_caught_up(postfold, report, &[]).await;
    };
    running.crash().await?;

    // The checkpoints may have moved between the look and the kill.
    let stood = postfold.models().await.unwrap_or(seen);
    report.say("   killed with SIGKILL; the checkpoints say where it stood:");
    report.say(progress_table(&stood));

    let bar = waiting("folding the rest");
    let finished = postfold.run(&CATCH_UP).await?;
    drop(bar);
    report.check("the next projector catches up", finished.clean());
    let folded: u64 = stood.iter().map(|model| model.head - model.position().min(model.head)).sum();
    let speed = rate(folded, finished.took);
    report.say(format_args!(
        "   resumed: {} events folded into {} read models in {}: {speed}",
        number(folded),
        stood.len(),
        seconds(finished.took)
    ));
    report.figure("events projected, all models together", speed);
    all_caught_up(postfold, report, &stood).await
}

/// Looks at the checkpoints until a third of the work is done. `None`: it was all done before that was seen.
async fn until_half_way(postfold: &Postfold, running: &mut Running) -> Result<Option<Vec<ModelStatus>>> {
    while !running.has_ended()? {
        // The very first looks may come before the projector has set up what they look at.
        let models = postfold.models().await.unwrap_or_default();
        if is_half_way(&models) {
            return Ok(Some(models));
        }
        sleep(LOOK).await;
    }
    Ok(None)
}

fn is_half_way(models: &[ModelStatus]) -> bool {
    let done: u64 = models.iter().map(ModelStatus::position).sum();
    let all: u64 = models.iter().map(|model| model.head).sum();
    done < all && done >= all / 3 && done > 0
}

async fn all_caught_up(postfold: &Postfold, report: &mut Report, stood: &[ModelStatus]) -> Result<()> {
    let head = postfold.head().await?.position;
    let models = postfold.models().await?;
    let behind: Vec<String> = models
        .iter()
        .filter(|model| model.position() != head)
        .map(|model| format!("{} is at {} of {head}", model.name, model.position()))
        .collect();
    let fell_back: Vec<String> = stood
        .iter()
        .filter(|before| {
            let now = models.iter().find(|model| model.name == before.name);
            now.is_none_or(|now| now.position() < before.position())
        })
        .map(|before| format!("{} fell back behind {}", before.name, before.position()))
        .collect();
    let faults = [behind, fell_back].concat();
    let result = if models.is_empty() {
        Err("there are no read models".to_owned())
    } else if faults.is_empty() {
        Ok(())
    } else {
        Err(faults.join(", "))
    };
    report.check(format_args!("all {} read models have seen the log to its head", models.len()), result);
    Ok(())
}

fn progress_table(models: &[ModelStatus]) -> Table {
    let mut table = table::new(&["read model", "checkpoint", "head", "done"]);
    for model in models {
        let percent = model.position() * 100 / model.head.max(1);
        table.add_row([model.name.clone(), number(model.position()), number(model.head), format!("{percent} %")]);
    }
    table::align_numbers(&mut table, 1);
    table
}
