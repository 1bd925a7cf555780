//! doubleentry: `record` and `record_batch` on its PostgreSQL store, as its own benchmark has them; no limits on
//! the accounts.

use async_trait::async_trait;
use doubleentry::currency::EUR;
use doubleentry::store::{Postgres, SqlOptions, SqlStore};
use doubleentry::{AccountKind, Amount, Entry, Ledger, LedgerId, date};

use super::pool;
use crate::peer::{ACCOUNTS, CENTS, Held, Peer, Place, Transfer};

const LEDGER: &str = "example.com/peers";
/// Amounts are 16 bytes that SQL does not add up: what is compared is how many postings each balance counts.
/// Whether debits equal credits, its own trial balance tells.
const HELD: &str = "
    with moved as (select handle, count(*) as postings from doubleentry.postings group by handle)
    select (select count(*) from doubleentry.entries), (select count(*) from doubleentry.postings), 0::bigint,
           count(*) filter (where kept.postings is distinct from moved.postings)
    from doubleentry.balances as kept full join moved using (handle)";

pub(super) struct Doubleentry {
    ledger: Ledger<SqlStore<Postgres>>,
    place: Place,
}

pub(super) async fn open(place: &Place) -> anyhow::Result<Doubleentry> {
    let options = SqlOptions { max_connections: place.connections, ..SqlOptions::default() };
    let store = SqlStore::postgres_with(&place.url, options).await?;
    let ledger = Ledger::new(store, LedgerId::new(LEDGER)?).await?;
    if place.fresh {
        let from = date!("2026-01-01");
        ledger.declare_currency(EUR, 2, from).await?;
        ledger.define_months(2026, 1..=12).await?;
        for number in 0..ACCOUNTS {
            ledger.open(wallet(number), AccountKind::Liability, from).await?;
        }
    }
    Ok(Doubleentry { ledger, place: place.clone() })
}

#[async_trait]
impl Peer for Doubleentry {
    async fn post(&self, transfers: &[Transfer]) -> anyhow::Result<()> {
        match transfers {
            [transfer] => {
                Box::pin(self.ledger.record(entry(transfer)?)).await?;
            }
            many => {
                self.ledger.record_batch(many.iter().map(entry).collect::<Result<Vec<_>, _>>()?).await?;
            }
        }
        Ok(())
    }

    async fn held(&self) -> anyhow::Result<Held> {
        let trial = self.ledger.trial_balance(&doubleentry::BalanceQuery::all()).await?;
        let totals = trial.totals(EUR)?;
        let sum = totals.credit().to_minor() - totals.debit().to_minor();
        Ok(Held { sum_cents: sum.try_into()?, ..pool::held(&self.place, HELD).await? })
    }
}

fn entry(transfer: &Transfer) -> anyhow::Result<Entry> {
    let amount = Amount::from_minor(CENTS.into())?;
    let entry = Entry::new(transfer.key.as_str(), date!("2026-06-15"));
    Ok(entry.debit(wallet(transfer.from), amount, EUR).credit(wallet(transfer.to), amount, EUR))
}

fn wallet(number: u32) -> String {
    format!("Liabilities:W{number:06}")
}
