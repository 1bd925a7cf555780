//! disintegrate: one event a transfer, decided on all that the payer paid and received, as its banking example
//! does. A decision is only invalidated by another payment of the same payer, as its documentation advises:
//! income cannot hurt it. No ledger: no double entry, no ids that make a retry safe.
//!
//! Each event carries how many payments of its payer the decision had seen, so that one which missed a payment
//! can be told afterwards.

use async_trait::async_trait;
use disintegrate::serde::json::Json;
use disintegrate::{Decision, Event, EventId, NoSnapshot, StateMutate, StateQuery, StreamQuery, WithSnapshot, query};
use disintegrate_postgres::{PgDecisionMaker, PgEventStore, PgSnapshotter, WithPgSnapshot};
use serde::{Deserialize, Serialize};

use super::pool;
use crate::peer::{CENTS, FLOOR_CENTS, Held, Load, Peer, Place, Transfer};

const SCHEMA: &str = include_str!("disintegrate.sql");
/// Events between two snapshots of a state, as in its example of courses.
const SNAPSHOT_EVENTS: u64 = 10;

/// Payments of one payer that bear the same number: all but one were decided without one of the others.
const HELD: &str = "
    with paid as (
        select payer_id, convert_from(payload, 'UTF8')::json as event from event
    ), numbered as (
        select payer_id, (event -> 'Paid' ->> 'nth')::bigint as nth, count(*) as times from paid group by 1, 2
    )
    select (select count(*) from event), (select count(*) from event), 0::bigint,
           coalesce(sum(times - 1), 0)::bigint
    from numbered";

#[derive(Clone, Debug, PartialEq, Eq, Event, Serialize, Deserialize)]
enum Payment {
    Paid {
        #[id]
        payer_id: i64,
        #[id]
        payee_id: i64,
        amount: i64,
        nth: i64,
    },
}

/// What an account paid.
#[derive(Clone, Debug, Default, StateQuery, Serialize, Deserialize)]
#[state_query(Payment)]
struct Outgo {
    #[id]
    payer_id: i64,
    cents: i64,
    payments: i64,
}

/// What an account received.
#[derive(Clone, Debug, Default, StateQuery, Serialize, Deserialize)]
#[state_query(Payment)]
struct Income {
    #[id]
    payee_id: i64,
    cents: i64,
}

impl StateMutate for Outgo {
    fn mutate(&mut self, event: Self::Event) {
        let Payment::Paid { amount, .. } = event;
        self.cents += amount;
        self.payments += 1;
    }
}

impl StateMutate for Income {
    fn mutate(&mut self, event: Self::Event) {
        let Payment::Paid { amount, .. } = event;
        self.cents += amount;
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the balance is not enough")]
struct NotEnough;

struct Pay {
    payer: i64,
    payee: i64,
}

impl Decision for Pay {
    type Event = Payment;
    type StateQuery = (Outgo, Income);
    type Error = NotEnough;

    fn state_query(&self) -> Self::StateQuery {
        (Outgo { payer_id: self.payer, ..Outgo::default() }, Income { payee_id: self.payer, ..Income::default() })
    }

    fn validation_query<ID: EventId>(&self) -> Option<StreamQuery<ID, Payment>> {
        Some(query!(Payment; payer_id == self.payer))
    }

    fn process(&self, (outgo, income): &Self::StateQuery) -> Result<Vec<Payment>, NotEnough> {
        if income.cents - outgo.cents - CENTS < FLOOR_CENTS {
            return Err(NotEnough);
        }
        let nth = outgo.payments + 1;
        Ok(vec![Payment::Paid { payer_id: self.payer, payee_id: self.payee, amount: CENTS, nth }])
    }
}

/// Snapshots pay where streams are long, and cost two look-ups where they are short.
enum Maker {
    Plain(PgDecisionMaker<Payment, Json<Payment>, NoSnapshot>),
    Snapshots(PgDecisionMaker<Payment, Json<Payment>, WithPgSnapshot>),
}

pub(super) struct Disintegrate {
    maker: Maker,
    place: Place,
}

pub(super) async fn open(place: &Place) -> anyhow::Result<Disintegrate> {
    let pool = pool::old(place).await?;
    if place.fresh {
        PgSnapshotter::try_new(pool.clone(), SNAPSHOT_EVENTS).await?;
        sqlx_08::raw_sql(SCHEMA).execute(&pool).await?;
    }
    let store = PgEventStore::new_uninitialized(pool.clone(), Json::<Payment>::default());
    let maker = match place.load {
        Load::Uniform => Maker::Plain(disintegrate_postgres::decision_maker(store, NoSnapshot)),
        Load::Hot => {
            let snapshotter = PgSnapshotter::new_uninitialized(pool, SNAPSHOT_EVENTS);
            Maker::Snapshots(disintegrate_postgres::decision_maker(store, WithSnapshot::new(snapshotter)))
        }
    };
    Ok(Disintegrate { maker, place: place.clone() })
}

#[async_trait]
impl Peer for Disintegrate {
    async fn post(&self, transfers: &[Transfer]) -> anyhow::Result<()> {
        for transfer in transfers {
            let pay = Pay { payer: transfer.from.into(), payee: transfer.to.into() };
            match &self.maker {
                Maker::Plain(maker) => maker.make(pay).await?,
                Maker::Snapshots(maker) => maker.make(pay).await?,
            };
        }
        Ok(())
    }

    async fn held(&self) -> anyhow::Result<Held> {
        pool::held(&self.place, HELD).await
    }
}
