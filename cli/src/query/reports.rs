//! `trial-balance`, `balance-sheet` and `income-statement`.

use postfold::{Section, TrialBalance};

use super::args;
use crate::args::Global;
use crate::exit::{Exit, Failure};
use crate::output;

/// The columns of a report of sections.
const SECTIONS: [&str; 4] = ["currency", "section", "account", "#amount"];

/// Every account on its side.
pub(crate) async fn trial_balance(global: &Global, options: &args::Report) -> Result<Exit, Failure> {
    let report = global.open_log().await?.trial_balance(options.as_of.as_of()).await?;
    if global.json {
        output::json(&report)?;
    } else {
        print_trial(&report)?;
    }
    Ok(Exit::Done)
}

/// What is owned, owed and left.
pub(crate) async fn balance_sheet(global: &Global, options: &args::Report) -> Result<Exit, Failure> {
    let report = global.open_log().await?.balance_sheet(options.as_of.as_of()).await?;
    if global.json {
        output::json(&report)?;
        return Ok(Exit::Done);
    }
    let mut rows = Rows::default();
    for sheet in &report.currencies {
        rows.currency = sheet.currency.to_string();
        rows.section("assets", &sheet.assets);
        rows.section("liabilities", &sheet.liabilities);
        rows.section("equity", &sheet.equity);
        rows.total("earnings", &sheet.earnings);
        rows.total("liabilities and equity", &sheet.liabilities_and_equity);
    }
    output::table(&SECTIONS, rows.rows)?;
    output::print(&format!("{}\n", super::as_of(report.position, report.effective_at)))?;
    Ok(Exit::Done)
}

/// What was earned and spent.
pub(crate) async fn income_statement(global: &Global, options: &args::IncomeStatement) -> Result<Exit, Failure> {
    let log = global.open_log().await?;
    let report = log.income_statement(options.span.from, options.span.to, options.when.as_of()).await?;
    if global.json {
        output::json(&report)?;
        return Ok(Exit::Done);
    }
    let mut rows = Rows::default();
    for statement in &report.currencies {
        rows.currency = statement.currency.to_string();
        rows.section("income", &statement.income);
        rows.section("expenses", &statement.expenses);
        rows.total("net", &statement.net);
    }
    output::table(&SECTIONS, rows.rows)?;
    output::print(&format!("{}\n", super::as_of(report.position, None)))?;
    Ok(Exit::Done)
}

fn print_trial(report: &TrialBalance) -> Result<(), Failure> {
    let rows = report.currencies.iter().flat_map(|book| {
        let line = |account: &str, kind: &str, debit: String, credit: String| {
            [account.to_owned(), book.currency.to_string(), kind.to_owned(), debit, credit]
        };
        let lines = book.accounts.iter().map(move |account| {
            let (debit, credit) = (account.debit.to_string(), account.credit.to_string());
            line(&account.account, account.account_type.as_str(), debit, credit)
        });
        lines.chain([line("total", "", book.debit.to_string(), book.credit.to_string())]).collect::<Vec<_>>()
    });
    output::table(&["account", "currency", "type", "#debit", "#credit"], rows)?;
    output::print(&format!("{}\n", super::as_of(report.position, report.effective_at)))
}

/// The rows of a report of sections.
#[derive(Default)]
struct Rows {
    currency: String,
    rows: Vec<[String; 4]>,
}

impl Rows {
    fn section(&mut self, name: &str, section: &Section) {
        for line in &section.accounts {
            self.rows.push([self.currency.clone(), name.to_owned(), line.account.to_string(), line.amount.to_string()]);
        }
        self.total(name, &section.total);
    }

    fn total(&mut self, name: &str, total: &impl ToString) {
        self.rows.push([self.currency.clone(), name.to_owned(), "total".to_owned(), total.to_string()]);
    }
}
