//! What a batch touches and the cache lacks, in two statements at most.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use rust_decimal::Decimal;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Row};

use super::{PostgresStore, event, failed, position};
use crate::error::Error;
use crate::event::{AccountOpened, AccountStatus, DailyOut, Event, Payload, PostedLeg};
use crate::fold;
use crate::money;
use crate::position::Position;
use crate::state::{
    Account, AccountId, Hold, Need, Outflow, PERIOD_STREAM, PeriodMark, PostedEntry, Totals, reversal_stream,
};
use crate::store::{Loaded, StoredAccount};

/// Reads on the given connection: the pool's, or that of a transaction of the host's, which then sees what it
/// wrote itself.
pub(super) async fn load(
    store: &PostgresStore,
    connection: &mut PgConnection,
    needs: &[Need],
    at: Position,
) -> Result<Loaded, Error> {
    let mut loaded = Loaded::default();
    let mut wanted = Wanted::default();
    for need in needs {
        wanted.add(need);
    }
    for now in std::mem::take(&mut wanted.due) {
        let due = due(store, connection, now, at).await?;
        for placed in &due {
            wanted.hold(*placed);
        }
        loaded.due.push((now, due));
    }
    if !wanted.codes.is_empty() {
        loaded.codes = accounts(store, connection, &wanted.codes, at).await?;
    }
    if !wanted.as_of.is_empty() {
        loaded.as_of = as_of(store, connection, &wanted.as_of, at).await?;
    }
    if wanted.asks_for_events() {
        let found = events(store, connection, &wanted, at).await?;
        found.answer(needs, &wanted, &mut loaded)?;
    }
    Ok(loaded)
}

/// What is needed, sorted by the statement that finds it.
#[derive(Default)]
struct Wanted {
    codes: Vec<String>,
    ids: Vec<String>,
    streams: Vec<String>,
    positions: Vec<i64>,
    holds: Vec<Position>,
    due: Vec<Timestamp>,
    as_of: Vec<(AccountId, Timestamp)>,
}

impl Wanted {
    fn add(&mut self, need: &Need) {
        match need {
            Need::Code(code) => self.codes.push(code.clone()),
            Need::Id(id) => self.ids.push(id.clone()),
            Need::Stream(stream) => self.streams.push(stream.clone()),
            Need::Currency(code) => self.streams.push(currency_stream(code)),
            Need::Record(position) => self.positions.push(position.get()),
            Need::Hold(placed) => self.hold(*placed),
            Need::Due(now) => self.due.push(*now),
            Need::Entry(position) => {
                self.positions.push(position.get());
                self.streams.push(reversal_stream(*position));
            }
            Need::Period => self.streams.push(PERIOD_STREAM.to_owned()),
            Need::AsOf(account, time) => self.as_of.push((*account, *time)),
        }
    }

    fn hold(&mut self, placed: Position) {
        self.positions.push(placed.get());
        self.streams.push(Hold::stream(placed));
        self.holds.push(placed);
    }

    fn asks_for_events(&self) -> bool {
        !(self.ids.is_empty() && self.streams.is_empty() && self.positions.is_empty())
    }
}

async fn accounts(
    store: &PostgresStore,
    connection: &mut PgConnection,
    codes: &[String],
    at: Position,
) -> Result<Vec<(String, Vec<Account>)>, Error> {
    let query = sqlx::query(AssertSqlSafe(store.sql.load_accounts.as_str()));
    let query = query.bind(store.ledger_id).bind(codes).bind(at.get());
    let rows = query.fetch_all(&mut *connection).await.map_err(failed)?;
    let mut found: HashMap<String, Vec<Account>> = HashMap::with_capacity(codes.len());
    for code in codes {
        found.entry(code.clone()).or_default();
    }
    for row in &rows {
        let code: String = row.try_get("code").map_err(failed)?;
        found.entry(code).or_default().push(account(row)?);
    }
    Ok(found.into_iter().collect())
}

/// What opened an account, by its row.
pub(super) fn opened(row: &PgRow) -> Result<AccountOpened, Error> {
    let position = position(row, "account_id")?;
    let opened: String = row.try_get("opened").map_err(failed)?;
    serde_json::from_str(&opened).map_err(|error| Error::Damaged { position, what: error.to_string() })
}

fn account(row: &PgRow) -> Result<Account, Error> {
    let id = position(row, "account_id")?;
    let damaged = |what: String| Error::Damaged { position: id, what };
    let opened = opened(row)?;
    let mut account = Account::opened(id, &opened).map_err(|_| damaged("a limit has too many digits".to_owned()))?;
    account.totals = totals(row, opened.scale)?;
    let changes: Option<i64> = row.try_get("changes").map_err(failed)?;
    let status: Option<String> = row.try_get("status").map_err(failed)?;
    if let (Some(version), Some(status)) = (changes, status) {
        let status: AccountStatus = serde_json::from_str(&status).map_err(|error| damaged(error.to_string()))?;
        account.changed(version, &status).map_err(|_| damaged("a limit has too many digits".to_owned()))?;
    }
    let outs: Option<String> = row.try_get("outs").map_err(failed)?;
    let recorded_at: Option<jiff_sqlx::Timestamp> = row.try_get("recorded_at").map_err(failed)?;
    if let (Some(outs), Some(recorded_at)) = (outs, recorded_at) {
        let outs: Vec<DailyOut> = serde_json::from_str(&outs).map_err(|error| damaged(error.to_string()))?;
        let out = outs.iter().find(|out| out.account == opened.account && out.currency == opened.currency);
        account.out = out.map(|out| Outflow {
            day: money::day(recorded_at.to_jiff()),
            sum: money::to_minor(out.sum, opened.scale).unwrap_or_default(),
        });
    }
    Ok(account)
}

/// An account as its row has it, and its scale.
pub(super) fn plain_account(row: &PgRow) -> Result<(Account, u8), Error> {
    let id = position(row, "account_id")?;
    let text = |column: &str| row.try_get::<String, _>(column).map_err(failed);
    let damaged = |what: &str| Error::Damaged { position: id, what: what.to_owned() };
    let word = |column: &str| -> Result<serde_json::Value, Error> { Ok(serde_json::Value::String(text(column)?)) };
    let scale: i16 = row.try_get("scale").map_err(failed)?;
    let opened = AccountOpened {
        account: text("code")?,
        currency: text("currency")?,
        scale: u8::try_from(scale).map_err(|_| damaged("the scale is out of range"))?,
        account_type: serde_json::from_value(word("type")?).map_err(|_| damaged("the type is unknown"))?,
        normal: serde_json::from_value(word("normal")?).map_err(|_| damaged("the normal side is unknown"))?,
        limits: crate::account::Limits::default(),
        owner: None,
        name: None,
    };
    let account = Account::opened(id, &opened).map_err(|_| damaged("a limit has too many digits"))?;
    Ok((account, opened.scale))
}

/// An account for verification: totals that cannot be read are none, and so found to be wrong.
pub(super) fn stored_account(row: &PgRow) -> Result<StoredAccount, Error> {
    let id = position(row, "account_id")?;
    Ok(match plain_account(row) {
        Ok((account, scale)) => {
            let totals = totals(row, scale).unwrap_or_default();
            StoredAccount { id, facts: Ok(Arc::unwrap_or_clone(account.facts)), totals }
        }
        Err(why) => StoredAccount { id, facts: Err(why.to_string()), totals: Totals::default() },
    })
}

pub(super) fn totals(row: &PgRow, scale: u8) -> Result<Totals, Error> {
    let total = |column: &str| -> Result<money::Minor, Error> {
        let decimal: Decimal = row.try_get(column).map_err(failed)?;
        let what = format!("the total {column} = {decimal} does not fit its currency");
        money::to_minor(decimal, scale).map_err(|_| Error::Damaged { position: Position::START, what })
    };
    Ok(Totals {
        debits_posted: total("debits_posted")?,
        credits_posted: total("credits_posted")?,
        debits_pending: total("debits_pending")?,
        credits_pending: total("credits_pending")?,
    })
}

async fn due(
    store: &PostgresStore,
    connection: &mut PgConnection,
    now: Timestamp,
    at: Position,
) -> Result<Vec<Position>, Error> {
    let query = sqlx::query_scalar(AssertSqlSafe(store.sql.load_due.as_str()));
    let query = query.bind(store.ledger_id).bind(format!("{now:.6}")).bind(at.get());
    let found: Vec<i64> = query.fetch_all(&mut *connection).await.map_err(failed)?;
    Ok(found.into_iter().map(Position::new).collect())
}

async fn as_of(
    store: &PostgresStore,
    connection: &mut PgConnection,
    wanted: &[(AccountId, Timestamp)],
    at: Position,
) -> Result<Vec<((AccountId, Timestamp), Decimal)>, Error> {
    let (ids, times): (Vec<i64>, Vec<_>) = wanted.iter().map(|(id, time)| (id.get(), time.to_sqlx())).unzip();
    let query = sqlx::query(AssertSqlSafe(store.sql.load_as_of.as_str()));
    let rows = query.bind(store.ledger_id).bind(ids).bind(times).bind(at.get()).fetch_all(&mut *connection).await;
    let mut found = Vec::with_capacity(wanted.len());
    for row in rows.map_err(failed)? {
        let ordinal: i64 = row.try_get("ordinal").map_err(failed)?;
        let balance: Decimal = row.try_get("balance").map_err(failed)?;
        let key = usize::try_from(ordinal - 1).ok().and_then(|index| wanted.get(index));
        if let Some(key) = key {
            found.push((*key, balance));
        }
    }
    Ok(found)
}

/// The events that were found, by what was asked for.
#[derive(Default)]
struct Found {
    ids: HashMap<String, Event>,
    streams: HashMap<String, Event>,
    positions: HashMap<Position, Event>,
}

async fn events(
    store: &PostgresStore,
    connection: &mut PgConnection,
    wanted: &Wanted,
    at: Position,
) -> Result<Found, Error> {
    let query = sqlx::query(AssertSqlSafe(store.sql.load_events.as_str()));
    let query = query.bind(store.ledger_id).bind(&wanted.ids).bind(&wanted.streams).bind(&wanted.positions);
    let rows = query.bind(at.get()).fetch_all(&mut *connection).await.map_err(failed)?;
    let mut found = Found::default();
    for row in &rows {
        let what: &str = row.try_get("found").map_err(failed)?;
        let key: String = row.try_get("key").map_err(failed)?;
        let event = event(row)?;
        match what {
            "id" => drop(found.ids.insert(key, event)),
            "stream" => drop(found.streams.insert(key, event)),
            _ => drop(found.positions.insert(event.position, event)),
        }
    }
    Ok(found)
}

impl Found {
    /// Answers each need; what was not found is answered as absent.
    fn answer(&self, needs: &[Need], wanted: &Wanted, loaded: &mut Loaded) -> Result<(), Error> {
        for need in needs {
            match need {
                Need::Id(id) => {
                    let record = self.ids.get(id).map(|event| fold::record(event, &event.payload()?)).transpose()?;
                    loaded.ids.push((id.clone(), record));
                }
                Need::Stream(stream) => loaded.streams.push((stream.clone(), self.version(stream))),
                Need::Currency(code) => loaded.currencies.push((code.clone(), self.currency(code)?)),
                Need::Record(position) => {
                    if let Some(event) = self.positions.get(position) {
                        loaded.records.push(fold::record(event, &event.payload()?)?);
                    }
                }
                Need::Entry(position) => {
                    let reversed = self.version(&reversal_stream(*position)) > 0;
                    if let Some(legs) = self.legs(*position)? {
                        loaded.entries.push((*position, PostedEntry { legs, reversed }));
                    }
                }
                Need::Period => loaded.period = Some(self.period()?),
                Need::Code(_) | Need::Hold(_) | Need::Due(_) | Need::AsOf(..) => {}
            }
        }
        for placed in &wanted.holds {
            loaded.holds.extend(self.hold(*placed)?);
        }
        Ok(())
    }

    fn version(&self, stream: &str) -> i64 {
        self.streams.get(stream).and_then(|event| event.version).unwrap_or_default()
    }

    fn currency(&self, code: &str) -> Result<Option<(u8, Position)>, Error> {
        let Some(event) = self.streams.get(&currency_stream(code)) else { return Ok(None) };
        match event.payload()? {
            Payload::CurrencyRegistered(currency) => Ok(Some((currency.scale, event.position))),
            _ => Ok(None),
        }
    }

    fn legs(&self, position: Position) -> Result<Option<Arc<[PostedLeg]>>, Error> {
        let Some(event) = self.positions.get(&position) else { return Ok(None) };
        Ok(match event.payload()? {
            Payload::EntryPosted(entry) => Some(entry.legs),
            Payload::HoldSettled(settled) => Some(settled.legs),
            _ => None,
        })
    }

    fn period(&self) -> Result<PeriodMark, Error> {
        let Some(event) = self.streams.get(PERIOD_STREAM) else { return Ok(PeriodMark::default()) };
        let through = match event.payload()? {
            Payload::PeriodMoved(moved) => moved.through,
            _ => None,
        };
        Ok(PeriodMark { through, version: event.version.unwrap_or_default() })
    }

    fn hold(&self, position: Position) -> Result<Option<Hold>, Error> {
        let Some(event) = self.positions.get(&position) else { return Ok(None) };
        let Payload::HoldPlaced(placed) = event.payload()? else { return Ok(None) };
        let mut hold = Hold::placed(event, &placed);
        if let Some(newest) = self.streams.get(&Hold::stream(position)) {
            hold.changed(newest, &newest.payload()?);
        }
        Ok(Some(hold))
    }
}

fn currency_stream(code: &str) -> String {
    format!("currency:{code}")
}
