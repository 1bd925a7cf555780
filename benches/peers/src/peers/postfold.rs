//! Postfold itself, with its default settings: floors on every account, the hash chain and the checking
//! triggers on.

use async_trait::async_trait;
use postfold::{Account, Batch, Command, Ledger, Outcome, PostgresSettings};
use rust_decimal::Decimal;

use super::pool;
use crate::peer::{ACCOUNTS, CENTS, FLOOR_CENTS, Held, Peer, Place, Transfer};

const LEDGER: &str = "peers";
/// Events that post an entry; the newest posting of an account has its totals.
const HELD: &str = "
    with moved as (
        select account_id, sum(posted) as posted from postfold.posting group by account_id
    ), newest as (
        select distinct on (account_id) account_id, debits_posted - credits_posted as balance
        from postfold.posting order by account_id, position desc, leg desc
    )
    select (select count(distinct position) from postfold.posting),
           (select count(*) from postfold.posting),
           coalesce((sum(-balance) * 100)::bigint, 0),
           count(*) filter (where moved.posted is distinct from newest.balance)
    from newest full join moved using (account_id)";

pub(super) struct Postfold {
    ledger: Ledger,
    place: Place,
}

pub(super) async fn open(place: &Place) -> anyhow::Result<Postfold> {
    let url = place.url.as_str();
    if place.fresh {
        postfold::init(url, LEDGER, &PostgresSettings::default(), false).await?;
    }
    let ledger = Ledger::connect(url, LEDGER).await?;
    if place.fresh {
        let open =
            |number| Command::from(Account::liability(wallet(number), "EUR").floor(Decimal::new(FLOOR_CENTS, 2)));
        for first in (0..ACCOUNTS).step_by(1_000) {
            done(ledger.submit(Batch::independent((first..first + 1_000).map(open)).into()).await?)?;
        }
    }
    Ok(Postfold { ledger, place: place.clone() })
}

#[async_trait]
impl Peer for Postfold {
    async fn post(&self, transfers: &[Transfer]) -> anyhow::Result<()> {
        let command = match transfers {
            [transfer] => command(transfer),
            many => Batch::independent(many.iter().map(command)).into(),
        };
        done(self.ledger.submit(command).await?)
    }

    async fn held(&self) -> anyhow::Result<Held> {
        pool::held(&self.place, HELD).await
    }
}

fn command(transfer: &Transfer) -> Command {
    let amount = Decimal::new(CENTS, 2);
    postfold::Transfer::between(transfer.key.as_str(), wallet(transfer.from), wallet(transfer.to), amount).into()
}

fn wallet(number: u32) -> String {
    format!("wallets:{number:06}")
}

fn done(outcome: Outcome) -> anyhow::Result<()> {
    outcome.into_result()?.outcomes.into_iter().flatten().try_for_each(done)
}
