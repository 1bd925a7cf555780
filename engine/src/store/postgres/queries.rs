//! The look-ups behind the queries, each one statement.
//!
//! | look-up | statement | cost |
//! |---|---|---|
//! | accounts with all their legs | `accounts_now.sql` | one look-up an account |
//! | accounts with the legs of a span of time | `accounts_effective.sql` | every posting of the page's accounts, and its event; of a release, its hold |
//! | what accounts were opened as | `opened.sql` | two look-ups an account |
//! | the position of a time | `recorded_by.sql` | the logarithm of the log |
//! | statement | `sums.sql`, `moves.sql` | each page: every posting of the account, and its event |
//! | events that match | built here | the range of positions it is given; a stream: its events |

use std::collections::HashMap;

use async_trait::async_trait;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use rust_decimal::Decimal;
use sqlx::postgres::{PgArguments, PgRow, Postgres};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, QueryBuilder, Row};

use super::{PostgresStore, count, event, failed, load, position};
use crate::error::Error;
use crate::event::{AccountOpened, Event};
use crate::position::Position;
use crate::state::Account;
use crate::store::{AccountPage, Codes, Matching, Move, MoveKey, Moves, Queries, Range, Sums, View};

/// The statements, with the schema's name filled in once.
pub(super) struct QuerySql {
    /// Accounts by code, and by prefix.
    accounts_now: [String; 2],
    accounts_effective: [String; 2],
    opened: String,
    count_accounts: String,
    recorded_by: String,
    event_of_id: String,
    newest: String,
    sums: String,
    moves: String,
    /// What is in front of the conditions of [`Matching`].
    matching: String,
    event_table: String,
    posting_table: String,
}

/// One page of rows from a list: so many bytes of data at most, but at least one row.
const WITHIN_BYTES: &str = "select {columns} from (\
    select *, sum(octet_length(data::text)) over legible as bytes, row_number() over legible as number from (\
    select * from {schema}.event where ledger_id = ";

const PAGE_OF_ROWS: &str = ") as rows window legible as (order by position rows unbounded preceding)\
    ) as page where number = 1 or bytes <= ";

impl QuerySql {
    pub(super) fn new(fill: impl Fn(&str) -> String) -> Self {
        let by_codes =
            |sql: &str| ["code = $3", "starts_with(code, $3)"].map(|codes| fill(&sql.replace("{codes}", codes)));
        Self {
            accounts_now: by_codes(include_str!("queries/accounts_now.sql")),
            accounts_effective: by_codes(include_str!("queries/accounts_effective.sql")),
            opened: fill(include_str!("queries/opened.sql")),
            count_accounts: fill("select count(*) from {schema}.account where ledger_id = $1 and account_id <= $2"),
            recorded_by: fill(include_str!("queries/recorded_by.sql")),
            event_of_id: fill(
                "select {columns} from {schema}.event where ledger_id = $1 and id = $2 and position <= $3",
            ),
            newest: fill(include_str!("queries/newest.sql")),
            sums: fill(include_str!("queries/sums.sql")),
            moves: fill(include_str!("queries/moves.sql")),
            matching: fill(WITHIN_BYTES),
            event_table: fill("{schema}.event"),
            posting_table: fill("{schema}.posting"),
        }
    }
}

#[async_trait]
impl Queries for PostgresStore {
    async fn account_page(&self, page: &AccountPage<'_>, view: View) -> Result<Vec<Account>, Error> {
        let spans = view.from.is_some() || view.until.is_some();
        let sql = if spans { &self.sql.queries.accounts_effective } else { &self.sql.queries.accounts_now };
        let (sql, code) = match (sql, page.codes) {
            ([sql, _], Codes::One(code)) => (sql, code),
            ([_, sql], Codes::Prefixed(prefix)) => (sql, prefix),
        };
        let query = sqlx::query(AssertSqlSafe(sql.as_str())).bind(self.ledger_id).bind(view.at.get()).bind(code);
        let mut query = query.bind(page.after.0).bind(page.after.1).bind(count(page.limit));
        if spans {
            query = query.bind(view.from.map(ToSqlx::to_sqlx)).bind(view.until.map(ToSqlx::to_sqlx));
        }
        query.fetch_all(&self.pool).await.map_err(failed)?.iter().map(account).collect()
    }

    async fn opened(&self, accounts: &[(&str, &str)]) -> Result<Vec<AccountOpened>, Error> {
        let (codes, currencies): (Vec<&str>, Vec<&str>) = accounts.iter().copied().unzip();
        let query = sqlx::query(AssertSqlSafe(self.sql.queries.opened.as_str()));
        let rows = query.bind(self.ledger_id).bind(codes).bind(currencies).fetch_all(&self.pool).await;
        rows.map_err(failed)?.iter().map(load::opened).collect()
    }

    async fn count_accounts(&self, at: Position) -> Result<u64, Error> {
        let query = sqlx::query_scalar(AssertSqlSafe(self.sql.queries.count_accounts.as_str()));
        let rows: i64 = query.bind(self.ledger_id).bind(at.get()).fetch_one(&self.pool).await.map_err(failed)?;
        Ok(rows.unsigned_abs())
    }

    async fn recorded_by(&self, time: Timestamp, upto: Position) -> Result<Position, Error> {
        let query = sqlx::query_scalar(AssertSqlSafe(self.sql.queries.recorded_by.as_str()));
        let query = query.bind(self.ledger_id).bind(upto.get()).bind(time.to_sqlx());
        query.fetch_one(&self.pool).await.map(Position::new).map_err(failed)
    }

    async fn event_of_id(&self, id: &str, at: Position) -> Result<Option<Event>, Error> {
        let query = sqlx::query(AssertSqlSafe(self.sql.queries.event_of_id.as_str()));
        let row = query.bind(self.ledger_id).bind(id).bind(at.get()).fetch_optional(&self.pool).await;
        row.map_err(failed)?.as_ref().map(event).transpose()
    }

    async fn newest(&self, streams: &[String], at: Position) -> Result<HashMap<String, Event>, Error> {
        let query = sqlx::query(AssertSqlSafe(self.sql.queries.newest.as_str()));
        let rows = query.bind(self.ledger_id).bind(streams).bind(at.get()).fetch_all(&self.pool).await;
        let events = rows.map_err(failed)?;
        let named = |row: &PgRow| event(row).map(|event| (event.stream.clone().unwrap_or_default(), event));
        events.iter().map(named).collect()
    }

    async fn matching(&self, wanted: &Matching, range: Range, limit: usize) -> Result<Vec<Event>, Error> {
        let mut query = self.conditions(wanted, range);
        query.push(" order by position limit ").push_bind(count(limit));
        query.push(PAGE_OF_ROWS).push_bind(count(self.settings.page_bytes_max)).push(" order by position");
        query.build().fetch_all(&self.pool).await.map_err(failed)?.iter().map(event).collect()
    }

    async fn sums(&self, moves: &Moves) -> Result<Sums, Error> {
        let row = self.about(&self.sql.queries.sums, moves).fetch_one(&self.pool).await.map_err(failed)?;
        let sum = |column: &str| row.try_get::<Decimal, _>(column).map_err(failed);
        Ok(Sums { opening: sum("opening")?, forward: sum("forward")?, closing: sum("closing")? })
    }

    async fn moves(&self, moves: &Moves, limit: usize) -> Result<Vec<Move>, Error> {
        let rows = self
            .about(&self.sql.queries.moves, moves)
            .bind(count(limit))
            .fetch_all(&self.pool)
            .await
            .map_err(failed)?;
        rows.iter().map(moved).collect()
    }
}

impl PostgresStore {
    /// A statement about these legs: its first eight parameters.
    fn about<'q>(&self, sql: &'q str, moves: &Moves) -> Query<'q, Postgres, PgArguments> {
        let after = moves.after;
        sqlx::query(AssertSqlSafe(sql))
            .bind(self.ledger_id)
            .bind(moves.account.get())
            .bind(moves.at.get())
            .bind(moves.from.map(ToSqlx::to_sqlx))
            .bind(moves.to.map(ToSqlx::to_sqlx))
            .bind(after.map(|key| key.effective_at.to_sqlx()))
            .bind(after.map(|key| key.position.get()))
            .bind(after.map(|key| key.leg))
    }

    /// The statement for [`Queries::matching`] as far as its conditions. Each combination is a statement
    /// of its own, so that the server plans it by the index that it can use.
    fn conditions(&self, wanted: &Matching, range: Range) -> QueryBuilder<Postgres> {
        let sql = &self.sql.queries;
        let mut query = QueryBuilder::new(sql.matching.as_str());
        query.push_bind(self.ledger_id).push(" and position > ").push_bind(range.after.get());
        query.push(" and position <= ").push_bind(range.through.get());
        if !wanted.kinds.is_empty() {
            query.push(" and kind = any(").push_bind(wanted.kinds.clone()).push(")");
        }
        if let Some(stream) = &wanted.stream {
            query.push(" and stream = ").push_bind(stream.clone());
        }
        if let Some(correlation) = &wanted.correlation {
            query.push(" and meta ->> 'correlation' = ").push_bind(correlation.clone());
        }
        if let Some(accounts) = &wanted.accounts {
            let ids: Vec<i64> = accounts.iter().map(|id| id.get()).collect();
            let streams: Vec<String> = accounts.iter().map(|id| Account::stream(*id)).collect();
            query.push(" and (position = any(").push_bind(ids.clone()).push(") or stream = any(");
            query.push_bind(streams).push(") or position in (select position from ").push(&sql.posting_table);
            query.push(" where ledger_id = ").push_bind(self.ledger_id);
            query.push(" and account_id = any(").push_bind(ids);
            query.push(") and position > ").push_bind(range.after.get());
            query.push(" and position <= ").push_bind(range.through.get()).push("))");
        }
        if let Some(at) = wanted.open_at {
            query.push(" and not exists (select from ").push(&sql.event_table);
            query.push(" as ending where ending.ledger_id = event.ledger_id");
            query.push(" and ending.stream = 'hold:' || event.position and ending.position <= ").push_bind(at.get());
            query.push(" and (ending.kind <> 'hold.settled' or ending.data -> 'rest' is null))");
        }
        query
    }
}

fn account(row: &PgRow) -> Result<Account, Error> {
    let (mut account, scale) = load::plain_account(row)?;
    account.totals = load::totals(row, scale)?;
    Ok(account)
}

fn moved(row: &PgRow) -> Result<Move, Error> {
    let time = |column: &str| {
        row.try_get::<jiff_sqlx::Timestamp, _>(column).map(jiff_sqlx::Timestamp::to_jiff).map_err(failed)
    };
    Ok(Move {
        key: MoveKey {
            effective_at: time("effective_at")?,
            position: position(row, "position")?,
            leg: row.try_get("leg").map_err(failed)?,
        },
        posted: row.try_get("posted").map_err(failed)?,
        recorded_at: time("recorded_at")?,
        id: row.try_get("id").map_err(failed)?,
        kind: row.try_get("kind").map_err(failed)?,
        text: row.try_get("text").map_err(failed)?,
        reverses: row.try_get("reverses").map_err(failed)?,
    })
}
