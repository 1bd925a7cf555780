//! A ledger by hand, as one writes it who knows SQL and wants no library: tables for accounts with their
//! balance, for transfers and for entries, and the rows of the accounts locked by `SELECT .. FOR UPDATE` in
//! order of their numbers, so that nothing deadlocks.

use async_trait::async_trait;
use sqlx::{PgConnection, PgPool};

use super::pool;
use crate::peer::{ACCOUNTS, CENTS, FLOOR_CENTS, Held, Peer, Place, Transfer};

const SCHEMA: &str = "
    create table account (
        id integer primary key,
        balance bigint not null default 0,
        floor bigint not null
    );
    create table transfer (
        id text primary key,
        created_at timestamptz not null default now()
    );
    create table entry (
        id bigint generated always as identity primary key,
        transfer_id text not null references transfer,
        account_id integer not null references account,
        amount bigint not null,
        balance_after bigint not null
    );
    create index on entry (account_id, id);
    create index on entry (transfer_id);";

const HELD: &str = "
    select (select count(*) from transfer), (select count(*) from entry), sum(balance)::bigint,
           count(*) filter (where balance <> coalesce(amount, 0))
    from account left join (select account_id, sum(amount) as amount from entry group by account_id) as moved
        on account_id = id";

const LOCK: &str = "select id, balance, floor from account where id = any($1) order by id for update";
const LOG: &str = "insert into transfer (id) values ($1)";
const ENTER: &str = "insert into entry (transfer_id, account_id, amount, balance_after) values ($1, $2, $3, $4)";
const UPDATE: &str = "update account set balance = $2 where id = $1";

const LOG_ALL: &str = "insert into transfer (id) select unnest($1::text[])";
const ENTER_ALL: &str = "
    insert into entry (transfer_id, account_id, amount, balance_after)
    select * from unnest($1::text[], $2::integer[], $3::bigint[], $4::bigint[])";
const UPDATE_ALL: &str = "
    update account set balance = changed.balance
    from unnest($1::integer[], $2::bigint[]) as changed (id, balance) where account.id = changed.id";

/// How several transfers go into one transaction.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    /// By the statements of a single transfer, one after the other.
    Rows,
    /// By four statements over arrays, whatever the number.
    Sets,
}

pub(super) struct Sql {
    pool: PgPool,
    place: Place,
    form: Form,
}

/// A debit or a credit, not yet written.
struct Entry<'a> {
    transfer: &'a str,
    account: i32,
    amount: i64,
    after: i64,
}

pub(super) async fn open(place: &Place, form: Form) -> anyhow::Result<Sql> {
    let pool = pool::new(place).await?;
    if place.fresh {
        sqlx::raw_sql(SCHEMA).execute(&pool).await?;
        let accounts = "insert into account (id, floor) select number, $2 from generate_series(0, $1 - 1) as number";
        sqlx::query(accounts).bind(i32::try_from(ACCOUNTS)?).bind(FLOOR_CENTS).execute(&pool).await?;
    }
    Ok(Sql { pool, place: place.clone(), form })
}

#[async_trait]
impl Peer for Sql {
    async fn post(&self, transfers: &[Transfer]) -> anyhow::Result<()> {
        let mut transaction = self.pool.begin().await?;
        let mut accounts = lock(&mut transaction, transfers).await?;
        let entries = decide(&mut accounts, transfers)?;
        match self.form {
            Form::Rows => write_rows(&mut transaction, &entries).await?,
            Form::Sets => write_sets(&mut transaction, transfers, &accounts, &entries).await?,
        }
        Ok(transaction.commit().await?)
    }

    async fn held(&self) -> anyhow::Result<Held> {
        pool::held(&self.place, HELD).await
    }
}

/// Number, balance and floor of the accounts of the transfers, in order, locked.
async fn lock(transaction: &mut PgConnection, transfers: &[Transfer]) -> anyhow::Result<Vec<(i32, i64, i64)>> {
    let mut ids = transfers
        .iter()
        .flat_map(|transfer| [transfer.from, transfer.to])
        .map(i32::try_from)
        .collect::<Result<Vec<_>, _>>()?;
    ids.sort_unstable();
    ids.dedup();
    Ok(sqlx::query_as(LOCK).bind(ids).fetch_all(transaction).await?)
}

fn decide<'a>(accounts: &mut [(i32, i64, i64)], transfers: &'a [Transfer]) -> anyhow::Result<Vec<Entry<'a>>> {
    let mut entries = Vec::with_capacity(transfers.len() * 2);
    for transfer in transfers {
        for (number, amount) in [(transfer.from, -CENTS), (transfer.to, CENTS)] {
            let number = i32::try_from(number)?;
            let found = accounts.binary_search_by_key(&number, |account| account.0);
            let (account, balance, floor) = &mut accounts[found.map_err(|_| anyhow::anyhow!("no account {number}"))?];
            *balance += amount;
            anyhow::ensure!(*balance >= *floor, "account {account} would be below its floor");
            entries.push(Entry { transfer: &transfer.key, account: *account, amount, after: *balance });
        }
    }
    Ok(entries)
}

async fn write_rows(transaction: &mut PgConnection, entries: &[Entry<'_>]) -> anyhow::Result<()> {
    for pair in entries.chunks(2) {
        sqlx::query(LOG).bind(pair[0].transfer).execute(&mut *transaction).await?;
        for entry in pair {
            let insert = sqlx::query(ENTER).bind(entry.transfer).bind(entry.account);
            insert.bind(entry.amount).bind(entry.after).execute(&mut *transaction).await?;
            sqlx::query(UPDATE).bind(entry.account).bind(entry.after).execute(&mut *transaction).await?;
        }
    }
    Ok(())
}

async fn write_sets(
    transaction: &mut PgConnection,
    transfers: &[Transfer],
    accounts: &[(i32, i64, i64)],
    entries: &[Entry<'_>],
) -> anyhow::Result<()> {
    let keys: Vec<&str> = transfers.iter().map(|transfer| transfer.key.as_str()).collect();
    sqlx::query(LOG_ALL).bind(keys).execute(&mut *transaction).await?;
    let (of, to): (Vec<&str>, Vec<i32>) = entries.iter().map(|entry| (entry.transfer, entry.account)).unzip();
    let (amounts, after): (Vec<i64>, Vec<i64>) = entries.iter().map(|entry| (entry.amount, entry.after)).unzip();
    sqlx::query(ENTER_ALL).bind(of).bind(to).bind(amounts).bind(after).execute(&mut *transaction).await?;
    let (ids, balances): (Vec<i32>, Vec<i64>) = accounts.iter().map(|account| (account.0, account.1)).unzip();
    sqlx::query(UPDATE_ALL).bind(ids).bind(balances).execute(&mut *transaction).await?;
    Ok(())
}
