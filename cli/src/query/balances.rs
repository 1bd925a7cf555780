//! `balance` and `balances`: what accounts hold, from the log itself.

use std::slice;

use futures::TryStreamExt;
use postfold::{AsOf, Balance, Log, TreeBalance};

use super::args;
use crate::args::Global;
use crate::exit::{Exit, Failure};
use crate::output;

/// The columns of the table; `#` marks numbers.
const COLUMNS: [&str; 8] =
    ["account", "currency", "type", "normal", "#posted", "#pending in", "#pending out", "#available"];

/// One account.
pub(crate) async fn balance(global: &Global, options: &args::Balance) -> Result<Exit, Failure> {
    let log = global.open_log().await?;
    let as_of = options.as_of.as_of();
    let balance = log.balance_as_of(&options.account, options.currency.as_deref(), as_of).await?;
    if global.json {
        output::json(&balance)?;
    } else {
        print(slice::from_ref(&balance))?;
    }
    Ok(Exit::Done)
}

/// Every account ever opened, or those below a prefix.
pub(crate) async fn balances(global: &Global, options: &args::Balances) -> Result<Exit, Failure> {
    let log = global.open_log().await?;
    let as_of = options.as_of.as_of();
    if options.tree {
        return tree(global, &log, options, as_of).await;
    }
    let balances = log.stream_balances(options.prefix(), as_of);
    if global.json {
        output::json_array(balances).await?;
    } else {
        print(&balances.try_collect::<Vec<_>>().await?)?;
    }
    Ok(Exit::Done)
}

async fn tree(global: &Global, log: &Log, options: &args::Balances, as_of: AsOf) -> Result<Exit, Failure> {
    let rows = log.balance_tree(options.prefix(), as_of, options.depth).await?;
    if global.json {
        output::json(&rows)?;
    } else {
        print_tree(&rows)?;
    }
    Ok(Exit::Done)
}

fn print(balances: &[Balance]) -> Result<(), Failure> {
    let Some(first) = balances.first() else {
        return output::print("no accounts\n");
    };
    let rows = balances.iter().map(|balance| {
        [
            balance.account.to_string(),
            balance.currency.to_string(),
            balance.account_type.as_str().to_owned(),
            balance.normal.as_str().to_owned(),
            balance.posted.to_string(),
            balance.pending_in.to_string(),
            balance.pending_out.to_string(),
            balance.available.to_string(),
        ]
    });
    output::table(&COLUMNS, rows)?;
    let accounts = output::counted(balances.len(), "account");
    output::print(&format!("{accounts}, as of position {}\n", first.position))
}

fn print_tree(rows: &[TreeBalance]) -> Result<(), Failure> {
    let Some(first) = rows.first() else {
        return output::print("no accounts\n");
    };
    let least = rows.iter().map(|row| row.depth).min().unwrap_or_default();
    let position = first.position;
    let rows = rows.iter().map(|row| {
        [
            format!("{}{}", "  ".repeat(row.depth - least), row.account),
            row.currency.to_string(),
            row.account_type.map_or("-", postfold::AccountType::as_str).to_owned(),
            row.normal.as_str().to_owned(),
            row.posted.to_string(),
            row.pending_in.to_string(),
            row.pending_out.to_string(),
            row.available.to_string(),
        ]
    });
    output::table(&COLUMNS, rows)?;
    output::print(&format!("as of position {position}\n"))
}
