//! The limit of `verify`: the rows of a log, read page by page in order of their keys and decoded, and
//! nothing done with them.

use std::hint::black_box;
use std::time::{Instant, SystemTime};

use rust_decimal::Decimal;
use tokio_postgres::{Client, Row};

use crate::error::BenchError;
use crate::figure::{Latencies, Measured};
use crate::scratch::Scratch;

/// Rows of a page.
const PAGE: i64 = 5_000;

/// Reads every event and every posting; the rate is of events.
pub(crate) async fn measure(scratch: &Scratch) -> Result<Measured, BenchError> {
    let client = &scratch.client;
    let started = Instant::now();
    let events = read_events(client, &scratch.quoted()).await?;
    read_postings(client, &scratch.quoted()).await?;
    Ok(Measured::new(events, started.elapsed(), Latencies::new()))
}

async fn read_events(client: &Client, schema: &str) -> Result<u64, BenchError> {
    let sql = format!(
        "select ledger_id, position, id, stream, version, kind, schema, data::text, meta::text, \
         effective_at, recorded_at, hash \
         from {schema}.event where (ledger_id, position) > ($1, $2) order by ledger_id, position limit $3"
    );
    let statement = client.prepare(&sql).await?;
    let (mut after, mut count) = ((0_i64, 0_i64), 0);
    loop {
        let rows = client.query(&statement, &[&after.0, &after.1, &PAGE]).await?;
        let Some(last) = rows.last() else { return Ok(count) };
        after = (last.try_get(0)?, last.try_get(1)?);
        for row in &rows {
            event(row)?;
            count += 1;
        }
    }
}

fn event(row: &Row) -> Result<(), BenchError> {
    black_box(row.try_get::<_, Option<String>>(2)?);
    black_box(row.try_get::<_, Option<String>>(3)?);
    black_box(row.try_get::<_, Option<i64>>(4)?);
    black_box(row.try_get::<_, String>(5)?);
    black_box(row.try_get::<_, i16>(6)?);
    black_box(row.try_get::<_, String>(7)?);
    black_box(row.try_get::<_, String>(8)?);
    black_box(row.try_get::<_, SystemTime>(9)?);
    black_box(row.try_get::<_, SystemTime>(10)?);
    black_box(row.try_get::<_, &[u8]>(11)?);
    Ok(())
}

async fn read_postings(client: &Client, schema: &str) -> Result<(), BenchError> {
    let sql = format!(
        "select ledger_id, account_id, position, leg, posted::text, pending::text, debits_posted::text, \
         credits_posted::text, debits_pending::text, credits_pending::text \
         from {schema}.posting where (ledger_id, account_id, position, leg) > ($1, $2, $3, $4) \
         order by ledger_id, account_id, position, leg limit $5"
    );
    let statement = client.prepare(&sql).await?;
    let mut after = (0_i64, 0_i64, 0_i64, 0_i32);
    loop {
        let rows = client.query(&statement, &[&after.0, &after.1, &after.2, &after.3, &PAGE]).await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = (last.try_get(0)?, last.try_get(1)?, last.try_get(2)?, last.try_get(3)?);
        for row in &rows {
            for column in 4..10 {
                let text: &str = row.try_get(column)?;
                let amount = Decimal::from_str_exact(text).map_err(|error| BenchError::Database(error.to_string()))?;
                black_box(amount);
            }
        }
    }
}
