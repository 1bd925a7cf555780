//! postgres-es with cqrs-es: one event a transfer, on the aggregate of the payer. A command concerns one
//! aggregate, so the payee is named in the event and not checked. No ledger: no double entry, no ids that make
//! a retry safe.
//!
//! Where streams are short, every event is folded; where one is long, the aggregate is stored with its events,
//! as its documentation advises.

use async_trait::async_trait;
use cqrs_es::event_sink::EventSink;
use cqrs_es::{Aggregate, DomainEvent};
use postgres_es::{PostgresCqrs, postgres_aggregate_cqrs, postgres_cqrs};
use serde::{Deserialize, Serialize};

use super::pool;
use crate::peer::{CENTS, FLOOR_CENTS, Held, Load, Peer, Place, Transfer};

/// The two tables that its documentation asks for.
const SCHEMA: &str = "
    create table events (
        aggregate_type text not null,
        aggregate_id   text not null,
        sequence       bigint not null check (sequence >= 0),
        event_type     text not null,
        event_version  text not null,
        payload        json not null,
        metadata       json not null,
        primary key (aggregate_type, aggregate_id, sequence)
    );
    create table snapshots (
        aggregate_type   text not null,
        aggregate_id     text not null,
        last_sequence    bigint not null check (last_sequence >= 0),
        current_snapshot bigint not null check (current_snapshot >= 0),
        payload          json not null,
        primary key (aggregate_type, aggregate_id, last_sequence)
    );";

/// Numbers of one payer's events are a key, so none can be decided without the one before.
const HELD: &str = "select count(*), count(*), 0::bigint, 0::bigint from events";

#[derive(Debug, Default, Serialize, Deserialize)]
struct Payer {
    paid_cents: i64,
}

struct Pay {
    payee: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Payment {
    Paid { payee: u32, amount: i64 },
}

#[derive(Debug, thiserror::Error)]
#[error("the balance is not enough")]
struct NotEnough;

impl DomainEvent for Payment {
    fn event_type(&self) -> String {
        "Paid".to_owned()
    }

    fn event_version(&self) -> String {
        "1.0".to_owned()
    }
}

impl Aggregate for Payer {
    const TYPE: &'static str = "payer";
    type Command = Pay;
    type Event = Payment;
    type Error = NotEnough;
    type Services = ();

    async fn handle(&mut self, command: Pay, (): &(), sink: &EventSink<Self>) -> Result<(), NotEnough> {
        if -self.paid_cents - CENTS < FLOOR_CENTS {
            return Err(NotEnough);
        }
        sink.write(Payment::Paid { payee: command.payee, amount: CENTS }, self).await;
        Ok(())
    }

    fn apply(&mut self, event: Payment) {
        let Payment::Paid { amount, .. } = event;
        self.paid_cents += amount;
    }
}

pub(super) struct PostgresEs {
    cqrs: PostgresCqrs<Payer>,
    place: Place,
}

pub(super) async fn open(place: &Place) -> anyhow::Result<PostgresEs> {
    let pool = pool::old(place).await?;
    if place.fresh {
        sqlx_08::raw_sql(SCHEMA).execute(&pool).await?;
    }
    let cqrs = match place.load {
        Load::Uniform => postgres_cqrs(pool, Vec::new(), ()),
        Load::Hot => postgres_aggregate_cqrs(pool, Vec::new(), ()),
    };
    Ok(PostgresEs { cqrs, place: place.clone() })
}

#[async_trait]
impl Peer for PostgresEs {
    async fn post(&self, transfers: &[Transfer]) -> anyhow::Result<()> {
        for transfer in transfers {
            self.cqrs.execute(&transfer.from.to_string(), Pay { payee: transfer.to }).await?;
        }
        Ok(())
    }

    async fn held(&self) -> anyhow::Result<Held> {
        pool::held(&self.place, HELD).await
    }
}
