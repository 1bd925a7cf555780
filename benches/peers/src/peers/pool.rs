//! Pools of connections, one for each of the two drivers' versions, and what tables hold.

use std::str::FromStr;

use crate::peer::{Held, Place};

/// A pool of the driver that Postfold and the SQL by hand have.
pub(super) async fn new(place: &Place) -> anyhow::Result<sqlx::PgPool> {
    let options = sqlx::postgres::PgPoolOptions::new().max_connections(place.connections);
    Ok(options.connect(&place.url).await?)
}

/// A pool of the driver that the other crates have.
pub(super) async fn old(place: &Place) -> anyhow::Result<sqlx_08::PgPool> {
    let options = sqlx_08::postgres::PgPoolOptions::new().max_connections(place.connections);
    Ok(options.connect_with(sqlx_08::postgres::PgConnectOptions::from_str(&place.url)?).await?)
}

/// Runs a query of one row and four numbers: transfers, entries, sum in cents, wrong.
pub(super) async fn held(place: &Place, query: &'static str) -> anyhow::Result<Held> {
    use sqlx::Connection;
    let mut connection = sqlx::PgConnection::connect(&place.url).await?;
    let (transfers, entries, sum_cents, wrong) = sqlx::query_as(query).fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(Held { transfers, entries, sum_cents, wrong })
}
