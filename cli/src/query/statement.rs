//! `statement`: what happened on an account, page by page.

use postfold::{Statement, StatementQuery};

use super::args;
use crate::args::Global;
use crate::exit::{Exit, Failure};
use crate::output;

const COLUMNS: [&str; 7] = ["effective at", "entry", "kind", "text", "#debit", "#credit", "#balance"];

/// One page of a statement.
pub(crate) async fn statement(global: &Global, options: &args::Statement) -> Result<Exit, Failure> {
    let log = global.open_log().await?;
    let mut query = StatementQuery::of(&options.account).limit(options.limit).as_of(options.when.as_of());
    if let Some(currency) = &options.currency {
        query = query.currency(currency);
    }
    if let Some(from) = options.span.from {
        query = query.from(from);
    }
    if let Some(to) = options.span.to {
        query = query.to(to);
    }
    if let Some(page) = &options.page {
        query = query.cursor(page);
    }
    let statement = log.statement(&query).await?;
    if global.json {
        output::json(&statement)?;
    } else {
        print(&statement, options.page.is_some())?;
    }
    Ok(Exit::Done)
}

fn print(statement: &Statement, later_page: bool) -> Result<(), Failure> {
    let (first, amount) =
        if later_page { ("brought forward", statement.forward) } else { ("opening balance", statement.opening) };
    let total = |text: &str, balance: String| {
        let none = String::new;
        [none(), none(), none(), text.to_owned(), none(), none(), balance]
    };
    let lines = statement.lines.iter().map(|line| {
        [
            line.effective_at.to_string(),
            cell(line.id.as_ref()),
            line.kind.as_str().to_owned(),
            cell(line.text.as_ref()),
            cell(line.debit),
            cell(line.credit),
            line.balance.to_string(),
        ]
    });
    let last = match &statement.next {
        None => Some(total("closing balance", statement.closing.to_string())),
        Some(_) => None,
    };
    output::table(&COLUMNS, std::iter::once(total(first, amount.to_string())).chain(lines).chain(last))?;
    let (account, currency) = (&statement.account, &statement.currency);
    output::print(&format!("{} in {currency}, {}\n", output::plain(account), super::as_of(statement.position, None)))?;
    match &statement.next {
        Some(next) => output::print(&format!("there is more: --page {next}\n")),
        None => Ok(()),
    }
}

fn cell(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}
