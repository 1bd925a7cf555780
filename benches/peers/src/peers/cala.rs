//! cala-ledger: a transaction template as in its documentation and in its own benchmark, posted by
//! `post_transaction` and `post_transactions`; no account sets, velocity limits or effective balances, none of
//! which a plain transfer needs. Its job for eventually consistent accounts is registered and not polled:
//! there are no such accounts, and it would only take time.

use async_trait::async_trait;
use cala_ledger::account::NewAccount;
use cala_ledger::job::{JobSvcConfig, Jobs};
use cala_ledger::journal::NewJournal;
use cala_ledger::posting::PostingInput;
use cala_ledger::tx_template::{
    NewParamDefinition, NewTxTemplate, NewTxTemplateEntry, NewTxTemplateTransaction, ParamDataType, Params,
};
use cala_ledger::{AccountId, CalaLedger, CalaLedgerConfig, JournalId, TransactionId};
use rust_decimal::Decimal;
use uuid::Uuid;

use super::pool;
use crate::peer::{ACCOUNTS, CENTS, Held, Peer, Place, Transfer};

const TEMPLATE: &str = "TRANSFER";
const JOURNAL: u128 = 0xca1a_0000_0000_4000_8000_0000_0000_0001;
/// Added to the number of an account.
const FIRST_ACCOUNT: u128 = 0xca1a_0000_0000_4000_8001_0000_0000_0000;

const HELD: &str = "
    with moved as (
        select (event -> 'values' ->> 'account_id')::uuid as account_id,
               sum((event -> 'values' ->> 'units')::numeric
                   * case when lower(event -> 'values' ->> 'direction') = 'debit' then -1 else 1 end) as amount
        from cala_entry_events group by 1
    ), kept as (
        select account_id, (latest_values -> 'settled' ->> 'cr_balance')::numeric
               - (latest_values -> 'settled' ->> 'dr_balance')::numeric as balance
        from cala_current_balances
    )
    select (select count(*) from cala_transactions), (select count(*) from cala_entries),
           coalesce((sum(balance) * 100)::bigint, 0), count(*) filter (where balance is distinct from amount)
    from kept full join moved using (account_id)";

pub(super) struct Cala {
    ledger: CalaLedger,
    place: Place,
    /// What the ledger has registered its job with.
    _jobs: Jobs,
}

pub(super) async fn open(place: &Place) -> anyhow::Result<Cala> {
    let pool = pool::old(place).await?;
    let mut jobs = Jobs::init(JobSvcConfig::builder().pool(pool.clone()).build()?).await?;
    let config = CalaLedgerConfig::builder().pool(pool).exec_migrations(place.fresh).build()?;
    let ledger = CalaLedger::init(config, &mut jobs).await?;
    if place.fresh {
        set_up(&ledger).await?;
    }
    Ok(Cala { ledger, place: place.clone(), _jobs: jobs })
}

async fn set_up(ledger: &CalaLedger) -> anyhow::Result<()> {
    let journal = JournalId::from(Uuid::from_u128(JOURNAL));
    ledger.journals().create(NewJournal::builder().id(journal).name("Peers").build()).await?;
    ledger.tx_templates().create(template()?).await?;
    for first in (0..ACCOUNTS).step_by(500) {
        let accounts = (first..first + 500).map(|number| {
            let code = format!("wallets:{number:06}");
            NewAccount::builder().id(account(number)).name(code.clone()).code(code).build()
        });
        ledger.accounts().create_all(accounts.collect()).await?;
    }
    Ok(())
}

fn template() -> anyhow::Result<NewTxTemplate> {
    let param = |name: &str, of: ParamDataType| NewParamDefinition::builder().name(name).r#type(of).build();
    let entry = |entry_type: &str, account: &str, direction: &str| {
        NewTxTemplateEntry::builder()
            .entry_type(entry_type)
            .account_id(account)
            .layer("SETTLED")
            .direction(direction)
            .units("params.amount")
            .currency("'EUR'")
            .build()
    };
    let transaction = NewTxTemplateTransaction::builder()
        .effective("date()")
        .journal_id(format!("uuid('{}')", Uuid::from_u128(JOURNAL)))
        .build()?;
    Ok(NewTxTemplate::builder()
        .id(Uuid::now_v7())
        .code(TEMPLATE)
        .params(vec![
            param("sender", ParamDataType::Uuid)?,
            param("recipient", ParamDataType::Uuid)?,
            param("amount", ParamDataType::Decimal)?,
        ])
        .transaction(transaction)
        .entries(vec![
            entry("'TRANSFER_DR'", "params.sender", "DEBIT")?,
            entry("'TRANSFER_CR'", "params.recipient", "CREDIT")?,
        ])
        .build())
}

#[async_trait]
impl Peer for Cala {
    async fn post(&self, transfers: &[Transfer]) -> anyhow::Result<()> {
        match transfers {
            [transfer] => {
                let id = TransactionId::from(transfer.id);
                self.ledger.post_transaction(id, TEMPLATE, params(transfer)).await?;
            }
            many => {
                let posting = |transfer: &Transfer| {
                    PostingInput::new(TransactionId::from(transfer.id), TEMPLATE, params(transfer))
                };
                self.ledger.post_transactions(many.iter().map(posting).collect()).await?;
            }
        }
        Ok(())
    }

    async fn held(&self) -> anyhow::Result<Held> {
        pool::held(&self.place, HELD).await
    }
}

fn params(transfer: &Transfer) -> Params {
    let mut params = Params::new();
    params.insert("sender", account(transfer.from));
    params.insert("recipient", account(transfer.to));
    params.insert("amount", Decimal::new(CENTS, 2));
    params
}

fn account(number: u32) -> AccountId {
    AccountId::from(Uuid::from_u128(FIRST_ACCOUNT + u128::from(number)))
}
