//! sqlx-ledger: a template as in its documentation, `post_transaction`. It has no call for several.
//!
//! Its crate comes without its migration, which users copy from its repository. `sqlx_ledger.sql` makes the
//! same tables, keys and triggers; the notification carries less than the original one, as later users of the
//! crate have made it, which is faster.

use async_trait::async_trait;
use rust_decimal::Decimal;
use sqlx_ledger::account::NewAccount;
use sqlx_ledger::journal::NewJournal;
use sqlx_ledger::tx_template::{EntryInput, NewTxTemplate, ParamDataType, ParamDefinition, TxInput, TxParams};
use sqlx_ledger::{AccountId, SqlxLedger, TransactionId};
use uuid::Uuid;

use super::pool;
use crate::peer::{ACCOUNTS, CENTS, Held, Peer, Place, Transfer};

const SCHEMA: &str = include_str!("sqlx_ledger.sql");
const TEMPLATE: &str = "TRANSFER";
const JOURNAL: u128 = 0x5eed_0000_0000_4000_8000_0000_0000_0001;
/// Added to the number of an account.
const FIRST_ACCOUNT: u128 = 0x5eed_0000_0000_4000_8001_0000_0000_0000;

const HELD: &str = "
    with moved as (
        select account_id, sum(units * case when direction = 'debit' then -1 else 1 end) as amount
        from sqlx_ledger_entries group by account_id
    ), kept as (
        select account_id, settled_cr_balance - settled_dr_balance as balance
        from sqlx_ledger_current_balances join sqlx_ledger_balances using (journal_id, account_id, currency, version)
    )
    select (select count(*) from sqlx_ledger_transactions), (select count(*) from sqlx_ledger_entries),
           coalesce((sum(balance) * 100)::bigint, 0), count(*) filter (where balance is distinct from amount)
    from kept full join moved using (account_id)";

pub(super) struct Sqlx {
    ledger: SqlxLedger,
    place: Place,
}

pub(super) async fn open(place: &Place) -> anyhow::Result<Sqlx> {
    let pool = pool::old(place).await?;
    let ledger = SqlxLedger::new(&pool);
    if place.fresh {
        sqlx_08::raw_sql(SCHEMA).execute(&pool).await?;
        set_up(&pool, &ledger).await?;
    }
    Ok(Sqlx { ledger, place: place.clone() })
}

async fn set_up(pool: &sqlx_08::PgPool, ledger: &SqlxLedger) -> anyhow::Result<()> {
    let journal = NewJournal::builder().id(Uuid::from_u128(JOURNAL)).name("Peers").build()?;
    ledger.journals().create(journal).await?;
    ledger.tx_templates().create(template()?).await?;
    let mut transaction = pool.begin().await?;
    for number in 0..ACCOUNTS {
        let code = format!("wallets:{number:06}");
        let account = NewAccount::builder().id(account(number)).name(code.clone()).code(code).build()?;
        ledger.accounts().create_in_tx(&mut transaction, account).await?;
    }
    Ok(transaction.commit().await?)
}

fn template() -> anyhow::Result<NewTxTemplate> {
    let param = |name: &str, of: ParamDataType| ParamDefinition::builder().name(name).r#type(of).build();
    let entry = |entry_type: &str, account: &str, direction: &str| {
        EntryInput::builder()
            .entry_type(entry_type)
            .account_id(account)
            .layer("SETTLED")
            .direction(direction)
            .units("params.amount")
            .currency("'EUR'")
            .build()
    };
    let journal = format!("uuid('{}')", Uuid::from_u128(JOURNAL));
    Ok(NewTxTemplate::builder()
        .id(Uuid::now_v7())
        .code(TEMPLATE)
        .params(vec![
            param("sender", ParamDataType::UUID)?,
            param("recipient", ParamDataType::UUID)?,
            param("amount", ParamDataType::DECIMAL)?,
        ])
        .tx_input(TxInput::builder().effective("date()").journal_id(journal).build()?)
        .entries(vec![
            entry("'TRANSFER_DR'", "params.sender", "DEBIT")?,
            entry("'TRANSFER_CR'", "params.recipient", "CREDIT")?,
        ])
        .build()?)
}

#[async_trait]
impl Peer for Sqlx {
    async fn post(&self, transfers: &[Transfer]) -> anyhow::Result<()> {
        for transfer in transfers {
            let mut params = TxParams::new();
            params.insert("sender", account(transfer.from));
            params.insert("recipient", account(transfer.to));
            params.insert("amount", Decimal::new(CENTS, 2));
            let id = TransactionId::from(transfer.id);
            self.ledger.post_transaction(id, TEMPLATE, Some(params)).await?;
        }
        Ok(())
    }

    async fn held(&self) -> anyhow::Result<Held> {
        pool::held(&self.place, HELD).await
    }
}

fn account(number: u32) -> AccountId {
    AccountId::from(Uuid::from_u128(FIRST_ACCOUNT + u128::from(number)))
}
