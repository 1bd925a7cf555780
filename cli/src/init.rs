//! `init`: schema, roles, ledger.

use serde_json::json;

use crate::args::{Global, Init};
use crate::exit::{Exit, Failure};
use crate::output;

/// Creates what is not there yet.
pub(crate) async fn init(global: &Global, options: &Init) -> Result<Exit, Failure> {
    let (ledger, schema) = (global.ledger()?, &global.schema);
    let url = global.reach().await?;
    let created = postfold::init(url, ledger, &global.postgres(), options.roles).await?;
    if global.json {
        let done = json!({"ledger": ledger, "schema": schema, "created": created, "roles": options.roles});
        output::json(&done)?;
    } else if created {
        output::print(&format!("created the ledger {ledger} in schema {schema}\n"))?;
    } else {
        output::print(&format!("the ledger {ledger} is in schema {schema} already; it stays as it is\n"))?;
    }
    Ok(Exit::Done)
}
