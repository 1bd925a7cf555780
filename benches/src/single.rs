//! The limit of a single post: a statement by hand, prepared, for the rows that the engine wrote.
//!
//! One round trip and one commit, as the engine has them; no triggers, nothing decided, nothing hashed. As
//! it is for whoever keeps no state, the totals before are looked up within the statement.

use std::time::Instant;

use crate::error::BenchError;
use crate::figure::{Latencies, Measured};
use crate::limit;
use crate::scratch::Scratch;

/// Entries of two legs, to be written again.
pub(crate) struct Entries(Vec<Entry>);

struct Entry {
    ledger: i64,
    position: i64,
    id: String,
    data: String,
    meta: String,
    recorded_at: String,
    hash: Vec<u8>,
    accounts: [i64; 2],
    posted: [String; 2],
}

impl Entries {
    /// Takes the entries of the ledger in the scratch.
    pub(crate) async fn export(scratch: &Scratch) -> Result<Self, BenchError> {
        let sql = include_str!("single_export.sql").replace("{schema}", &scratch.quoted());
        let rows = scratch.client.query(&sql, &[]).await?;
        let entry = |row: &tokio_postgres::Row| {
            Ok(Entry {
                ledger: row.try_get(0)?,
                position: row.try_get(1)?,
                id: row.try_get(2)?,
                data: row.try_get(3)?,
                meta: row.try_get(4)?,
                recorded_at: row.try_get(5)?,
                hash: row.try_get(6)?,
                accounts: [row.try_get(7)?, row.try_get(9)?],
                posted: [row.try_get(8)?, row.try_get(10)?],
            })
        };
        Ok(Self(rows.iter().map(entry).collect::<Result<_, tokio_postgres::Error>>()?))
    }

    /// Writes them one by one. The first tenth is not timed.
    pub(crate) async fn measure(&self, scratch: &Scratch) -> Result<Measured, BenchError> {
        limit::create_tables(scratch).await?;
        let sql = include_str!("single_insert.sql").replace("{schema}", &scratch.quoted());
        let statement = scratch.client.prepare(&sql).await?;
        let (mut latencies, mut started, mut count) = (Latencies::new(), Instant::now(), 0);
        let warm_up = self.0.len() / 10;
        for (index, entry) in self.0.iter().enumerate() {
            if index == warm_up {
                (latencies, started, count) = (Latencies::new(), Instant::now(), 0);
            }
            let began = Instant::now();
            let Entry { ledger, position, id, data, meta, recorded_at, hash, accounts, posted } = entry;
            let row: [&(dyn tokio_postgres::types::ToSql + Sync); 11] = [
                ledger,
                position,
                id,
                data,
                meta,
                recorded_at,
                hash,
                &accounts[0],
                &posted[0],
                &accounts[1],
                &posted[1],
            ];
            scratch.client.execute(&statement, &row).await?;
            latencies.record(began.elapsed());
            count += 1;
        }
        Ok(Measured::new(count, started.elapsed(), latencies).at_median())
    }
}
