//! The acts of the demo, in the order in which they are played.

pub(crate) mod audit;
pub(crate) mod crash;
pub(crate) mod dashboard;
mod feed;
pub(crate) mod filing;
pub(crate) mod postfold;
pub(crate) mod read_models;
pub(crate) mod rebuild;
pub(crate) mod report;
mod table;
mod watch;

use anyhow::{Context, Result};
use small_bank::bank::Bank;

use self::{postfold::Postfold, read_models::ReadModels, report::Report};

/// What a run of the demo is made of.
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) customers: usize,
    pub(crate) mongodb_uri: String,
}

/// Plays the whole demo. An error means that it could not go on; checks that fail are in the report.
pub(crate) async fn play(plan: &Plan, postfold: &Postfold, report: &mut Report) -> Result<()> {
    report.headline("A new ledger");
    let opened = postfold.run(&["init"]).await?;
    opened.clean().map_err(anyhow::Error::msg).context("postfold init")?;
    report.say(format_args!("   {}", postfold.ledger()));

    report.headline("A year of a small bank is made up from a seed");
    let mut bank = Bank::new(plan.seed, plan.customers);
    let (script, files) = filing::write_year(&mut bank, postfold.ledger(), report)?;

    report.headline("The year is applied");
    filing::apply_year(postfold, &script, &files, report).await?;

    report.headline("A projector is killed half-way, and the next one resumes");
    crash::kill_and_resume(postfold, report).await?;

    report.headline("All read models are rebuilt side by side while the bank goes on");
    let read_models = ReadModels::connect(&plan.mongodb_uri, postfold.ledger()).await?;
    let bank = rebuild::side_by_side(postfold, &read_models, bank, report).await?;

    report.headline("Everything is verified");
    audit::verify(postfold, report).await?;
    let balances = audit::compare_balances(postfold, &bank, report).await?;
    audit::compare_preferences(&read_models, &bank, report).await?;

    report.headline("The books");
    dashboard::trial_balance(&balances, report);
    dashboard::income(&balances, report);
    dashboard::richest(&balances, report);
    dashboard::changes(&read_models, &bank, report).await?;

    close(postfold, &files, report)
}

/// The figures, the verdict, and what to try next.
fn close(postfold: &Postfold, files: &filing::Files, report: &mut Report) -> Result<()> {
    report.headline("Measured on this machine");
    let mut figures = table::new(&["what", "measured"]);
    for (name, value) in report.figures() {
        figures.add_row([name, value]);
    }
    figures.add_row(["the whole demo".to_owned(), report::seconds(report.elapsed())]);
    table::align_numbers(&mut figures, 1);
    report.say(figures);

    if report.failed().is_empty() {
        std::fs::remove_dir_all(&files.directory)
            .with_context(|| format!("{} cannot be removed", files.directory.display()))?;
    } else {
        report.say(format_args!("   commands, outcomes and expectations are kept in {}", files.directory.display()));
    }

    let again = format!("{} --ledger {}", shown(postfold), postfold.ledger());
    report.say("\nTry next:");
    report.say("   eval \"$(make -s stack-env)\"");
    report.say(format_args!("   {again} balances liabilities:customers:0001"));
    report.say(format_args!("   {again} events --limit 5"));
    report.say(format_args!("   {again} project status"));
    Ok(())
}

/// The binary as one would type it from here.
fn shown(postfold: &Postfold) -> String {
    let binary = postfold.binary();
    std::env::current_dir().ok().and_then(|here| binary.strip_prefix(here).ok()).unwrap_or(binary).display().to_string()
}
