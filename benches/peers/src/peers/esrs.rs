//! esrs: one event a transfer, on the aggregate of the payer. A command concerns one aggregate, so the payee is
//! named in the event and not checked. It has no snapshots: every event of the payer is folded for each
//! payment. No ledger: no double entry, no ids that make a retry safe.
//!
//! Of the two strategies of its documentation, the optimistic one is taken where payers seldom meet, and the
//! lock where all pay from one account.

use async_trait::async_trait;
use esrs::manager::AggregateManager;
use esrs::store::postgres::{PgStore, PgStoreBuilder, UuidFormat};
use esrs::{Aggregate, AggregateState};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::pool;
use crate::peer::{CENTS, FLOOR_CENTS, Held, Load, Peer, Place, Transfer};

/// Numbers of one payer's events are a key, so none can be decided without the one before.
const HELD: &str = "select count(*), count(*), 0::bigint, 0::bigint from payer_events";
/// Added to the number of an account. In the upper half, which is what its lock looks at.
const FIRST_ACCOUNT: u128 = 0xe5e5_0000_0000_0000_8000_0000_0000_0000;

struct Payer;

struct Pay {
    payee: u32,
}

#[derive(Serialize, Deserialize)]
enum Payment {
    Paid { payee: u32, amount: i64 },
}

#[derive(Debug, thiserror::Error)]
#[error("the balance is not enough")]
struct NotEnough;

impl Aggregate for Payer {
    const NAME: &'static str = "payer";
    type State = i64;
    type Command = Pay;
    type Event = Payment;
    type Error = NotEnough;

    fn handle_command(paid_cents: &i64, command: Pay) -> Result<Vec<Payment>, NotEnough> {
        if -paid_cents - CENTS < FLOOR_CENTS {
            return Err(NotEnough);
        }
        Ok(vec![Payment::Paid { payee: command.payee, amount: CENTS }])
    }

    fn apply_event(paid_cents: i64, event: Payment) -> i64 {
        let Payment::Paid { amount, .. } = event;
        paid_cents + amount
    }
}

pub(super) struct Esrs {
    manager: AggregateManager<PgStore<Payer>>,
    place: Place,
    /// A payment under a lock takes a second connection while it holds one: were all connections given to
    /// those who wait for the lock, none would be left for its holder.
    pairs: Semaphore,
}

pub(super) async fn open(place: &Place) -> anyhow::Result<Esrs> {
    let locked = matches!(place.load, Load::Hot);
    let connections = if locked { place.connections.max(2) } else { place.connections };
    let pool = pool::old(&Place { connections, ..place.clone() }).await?;
    let builder = PgStoreBuilder::<Payer>::new(pool).with_event_id_format(UuidFormat::V7);
    let builder = if place.fresh { builder } else { builder.without_running_migrations() };
    let manager = AggregateManager::new(builder.try_build().await?);
    let pairs = Semaphore::new(usize::try_from(connections / 2)?);
    Ok(Esrs { manager, place: place.clone(), pairs })
}

#[async_trait]
impl Peer for Esrs {
    async fn post(&self, transfers: &[Transfer]) -> anyhow::Result<()> {
        for transfer in transfers {
            let payer = Uuid::from_u128(FIRST_ACCOUNT + (u128::from(transfer.from) << 64));
            let pay = Pay { payee: transfer.to };
            match self.place.load {
                Load::Uniform => {
                    let state = self.manager.load(payer).await?;
                    let state = state.unwrap_or_else(|| AggregateState::with_id(payer));
                    self.manager.handle_command(state, pay).await??;
                }
                Load::Hot => {
                    let _pair = self.pairs.acquire().await?;
                    let state = self.manager.lock_and_load(payer).await?.unwrap_or_default();
                    self.manager.handle_command(state, pay).await??;
                }
            }
        }
        Ok(())
    }

    async fn held(&self) -> anyhow::Result<Held> {
        pool::held(&self.place, HELD).await
    }
}
