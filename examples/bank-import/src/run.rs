//! The whole run: read, post, reconcile, audit.

use std::path::{Path, PathBuf};

use anyhow::{Context, Error, anyhow};
use postfold::{Ledger, PostgresSettings};

use crate::audit;
use crate::bank::Bank;
use crate::post;
use crate::report::{Import, Reconciliation, Report};

/// What to import, and where to.
#[derive(Clone, Debug)]
pub struct Options {
    /// The directory that holds `account.asc` and `trans.asc`, plain or with `.gz`.
    pub directory: PathBuf,
    /// The name of the ledger; created if it is not there.
    pub ledger: String,
    /// The PostgreSQL database.
    pub database_url: String,
}

/// Why there is no report.
#[derive(Debug)]
pub enum Failure {
    /// The call or the files are wrong: exit code 2.
    Usage(Error),
    /// The database does not answer, or a file cannot be read: exit code 3.
    Infrastructure(Error),
}

/// Imports the files and reconciles; a second run posts nothing and reports the same.
///
/// # Errors
///
/// [`Failure`]. What does not agree is in the report.
pub async fn run(options: &Options) -> Result<Report, Failure> {
    let bank = read(&options.directory)?;
    let file = Reconciliation::of(&bank);
    let ledger = open(options).await.map_err(Failure::Infrastructure)?;
    let import = import(&ledger, &bank).await.map_err(Failure::Infrastructure)?;
    let audit = audit::audit(ledger.log(), &bank).await;
    let audit = audit.context("the audit of the ledger").map_err(Failure::Infrastructure)?;

    let mut unexplained = file.unexplained();
    let refusals = [&import.accounts, &import.entries].map(|tally| tally.refused).iter().sum::<u64>();
    if refusals > 0 {
        unexplained.push(format!("the ledger refused {refusals} commands"));
    }
    if audit.findings_total > 0 {
        unexplained.push(format!("the audit of the ledger has {} findings", audit.findings_total));
    }
    Ok(Report { ledger: options.ledger.clone(), import, file, audit, unexplained })
}

fn read(directory: &Path) -> Result<Bank, Failure> {
    Bank::read(directory).map_err(|error| {
        let unreadable = error.chain().any(<dyn std::error::Error>::is::<std::io::Error>);
        if unreadable { Failure::Infrastructure(error) } else { Failure::Usage(error) }
    })
}

async fn open(options: &Options) -> anyhow::Result<Ledger> {
    let Options { ledger, database_url, .. } = options;
    let settings = PostgresSettings::default();
    postfold::init(database_url, ledger, &settings, false).await.context("the ledger cannot be created")?;
    Ledger::connect(database_url, ledger).await.context("the ledger cannot be opened")
}

async fn import(ledger: &Ledger, bank: &Bank) -> anyhow::Result<Import> {
    let again = |error: postfold::Error| {
        anyhow!(error).context("the import stopped; run it again, what was posted is not posted twice")
    };
    let accounts = bank.accounts.iter().map(post::open_customer).chain(post::counters(bank));
    let accounts = post::send(ledger, accounts).await.map_err(again)?;
    let entries = post::send(ledger, post::entries(bank)).await.map_err(again)?;
    Ok(Import { entries_per_second: entries.per_second(), accounts, entries })
}
