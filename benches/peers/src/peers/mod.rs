//! The peers, one a file.

mod cala;
mod disintegrate;
mod doubleentry;
mod esrs;
mod pool;
mod postfold;
mod postgres_es;
mod sql;
mod sqlx_ledger;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::peer::{Peer, Place, Way};

/// Who is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Postfold,
    Cala,
    Doubleentry,
    SqlxLedger,
    Sql,
    SqlSets,
    Disintegrate,
    PostgresEs,
    Esrs,
}

impl Kind {
    pub(crate) const ALL: [Self; 9] = [
        Self::Postfold,
        Self::Cala,
        Self::Doubleentry,
        Self::SqlxLedger,
        Self::Sql,
        Self::SqlSets,
        Self::Disintegrate,
        Self::PostgresEs,
        Self::Esrs,
    ];

    /// What readers call it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Postfold => "postfold",
            Self::Cala => "cala-ledger",
            Self::Doubleentry => "doubleentry",
            Self::SqlxLedger => "sqlx-ledger",
            Self::Sql => "SQL by hand",
            Self::SqlSets => "SQL by hand, in sets",
            Self::Disintegrate => "disintegrate",
            Self::PostgresEs => "postgres-es",
            Self::Esrs => "esrs",
        }
    }

    /// The crate that is measured.
    pub(crate) const fn package(self) -> Option<&'static str> {
        match self {
            Self::Postfold => Some("postfold"),
            Self::Cala => Some("cala-ledger"),
            Self::Doubleentry => Some("doubleentry"),
            Self::SqlxLedger => Some("sqlx-ledger"),
            Self::Sql | Self::SqlSets => None,
            Self::Disintegrate => Some("disintegrate-postgres"),
            Self::PostgresEs => Some("postgres-es"),
            Self::Esrs => Some("esrs"),
        }
    }

    /// How it posts many transfers in one call, if it has such a call; the best of these counts.
    pub(crate) fn batches(self) -> Vec<Way> {
        match self {
            Self::Postfold => vec![Way::batches(4, 1_000)],
            // One batch may touch 1,000 balances: `MAX_DISTINCT_BALANCES_PER_BATCH`.
            Self::Cala => vec![Way::batches(1, 500), Way::batches(4, 100)],
            // One writer a ledger.
            Self::Doubleentry => vec![Way::batches(1, 1_000), Way::batches(2, 100)],
            Self::Sql => vec![Way::batches(1, 1_000), Way::batches(4, 100)],
            Self::SqlSets => vec![Way::batches(1, 1_000), Way::batches(4, 1_000)],
            Self::SqlxLedger | Self::Disintegrate | Self::PostgresEs | Self::Esrs => Vec::new(),
        }
    }

    /// Opens it in its database.
    pub(crate) async fn open(self, place: &Place) -> anyhow::Result<Box<dyn Peer>> {
        Ok(match self {
            Self::Postfold => Box::new(postfold::open(place).await?),
            Self::Cala => Box::new(cala::open(place).await?),
            Self::Doubleentry => Box::new(doubleentry::open(place).await?),
            Self::SqlxLedger => Box::new(sqlx_ledger::open(place).await?),
            Self::Sql => Box::new(sql::open(place, sql::Form::Rows).await?),
            Self::SqlSets => Box::new(sql::open(place, sql::Form::Sets).await?),
            Self::Disintegrate => Box::new(disintegrate::open(place).await?),
            Self::PostgresEs => Box::new(postgres_es::open(place).await?),
            Self::Esrs => Box::new(esrs::open(place).await?),
        })
    }
}
