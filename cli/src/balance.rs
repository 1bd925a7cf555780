//! `balance` and `balances`: what accounts hold, from the log itself.

use std::slice;

use postfold::Balance;

use crate::args::{self, Global};
use crate::exit::{Exit, Failure};
use crate::output;

/// The columns of the table; `#` marks numbers.
const COLUMNS: [&str; 8] =
    ["account", "currency", "type", "normal", "#posted", "#pending in", "#pending out", "#available"];

/// One account.
pub(crate) async fn balance(global: &Global, options: &args::Balance) -> Result<Exit, Failure> {
    let log = global.open_log().await?;
    let balance = log.balance(&options.account, options.currency.as_deref()).await?;
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
    let balances = log.balances(&options.prefix).await?;
    if global.json {
        output::json(&balances)?;
    } else {
        print(&balances)?;
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
