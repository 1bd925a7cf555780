//! PostgreSQL without a line of Postfold.

use anyhow::{Context, Result};
use tokio_postgres::NoTls;

use crate::process::Ledger;

/// Copies the database of a ledger's log as it is now, and returns the copy's URL: a backup, restored. Nobody
/// may be connected to the log meanwhile.
pub(crate) fn copy(ledger: &Ledger) -> Result<String> {
    let url = &ledger.servers.database_url;
    let (server, database) = url.rsplit_once('/').context("a URL with a database")?;
    let copy = format!("copy_{}", uuid::Uuid::now_v7().simple());
    execute(&format!("{server}/postgres"), &format!("create database {copy} template {database}"))?;
    Ok(format!("{server}/{copy}"))
}

/// Drops such a copy.
pub(crate) fn drop(url: &str) -> Result<()> {
    let (server, database) = url.rsplit_once('/').context("a URL with a database")?;
    execute(&format!("{server}/postgres"), &format!("drop database {database}"))
}

/// Ends one of the backends that work for a ledger's clients, if there are any.
pub(crate) fn terminate_a_backend(url: &str) -> Result<()> {
    execute(
        url,
        "select pg_terminate_backend(pid) from pg_stat_activity
          where datname = current_database() and pid <> pg_backend_pid() order by random() limit 1",
    )
}

fn execute(url: &str, statement: &str) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        let connection = tokio::spawn(connection);
        client.batch_execute(statement).await?;
        std::mem::drop(client);
        connection.await??;
        Ok(())
    })
}
