//! What a batch touches and the cache lacks, in two statements at most.

use std::collections::HashMap;

use rust_decimal::Decimal;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Row};

use super::{PostgresStore, event, failed, position};
use crate::error::Error;
use crate::event::{AccountOpened, DailyOut, Payload};
use crate::fold;
use crate::money;
use crate::position::Position;
use crate::query::Balance;
use crate::state::{Account, Need, Outflow, Totals};
use crate::store::Loaded;

pub(super) async fn load(store: &PostgresStore, needs: &[Need], at: Position) -> Result<Loaded, Error> {
    let mut loaded = Loaded::default();
    let codes: Vec<&str> =
        needs.iter().filter_map(|need| if let Need::Code(code) = need { Some(code.as_str()) } else { None }).collect();
    if !codes.is_empty() {
        loaded.codes = accounts(store, &codes, at).await?;
    }
    if codes.len() < needs.len() {
        events(store, needs, at, &mut loaded).await?;
    }
    Ok(loaded)
}

async fn accounts(store: &PostgresStore, codes: &[&str], at: Position) -> Result<Vec<(String, Vec<Account>)>, Error> {
    let query = sqlx::query(AssertSqlSafe(store.sql.load_accounts.as_str()));
    let query = query.bind(store.ledger_id).bind(codes).bind(at.get());
    let rows = query.fetch_all(&store.pool).await.map_err(failed)?;
    let mut found: HashMap<String, Vec<Account>> = HashMap::with_capacity(codes.len());
    for code in codes {
        found.entry((*code).to_owned()).or_default();
    }
    for row in &rows {
        let code: String = row.try_get("code").map_err(failed)?;
        found.entry(code).or_default().push(account(row)?);
    }
    Ok(found.into_iter().collect())
}

fn account(row: &PgRow) -> Result<Account, Error> {
    let id = position(row, "account_id")?;
    let opened: String = row.try_get("opened").map_err(failed)?;
    let damaged = |what: String| Error::Damaged { position: id, what };
    let opened: AccountOpened = serde_json::from_str(&opened).map_err(|error| damaged(error.to_string()))?;
    let mut account = Account::opened(id, &opened).map_err(|_| damaged("a limit has too many digits".to_owned()))?;
    account.totals = totals(row, opened.scale)?;
    let outs: Option<String> = row.try_get("outs").map_err(failed)?;
    let recorded_at: Option<jiff_sqlx::Timestamp> = row.try_get("recorded_at").map_err(failed)?;
    if let (Some(outs), Some(recorded_at)) = (outs, recorded_at) {
        let outs: Vec<DailyOut> = serde_json::from_str(&outs).map_err(|error| damaged(error.to_string()))?;
        let out = outs.iter().find(|out| out.account == opened.account && out.currency == opened.currency);
        account.out = out.map(|out| Outflow {
            day: recorded_at.to_jiff().to_zoned(jiff::tz::TimeZone::UTC).date(),
            sum: money::to_minor(out.sum, opened.scale).unwrap_or_default(),
        });
    }
    Ok(account)
}

pub(super) fn balance(row: &PgRow, at: Position) -> Result<Balance, Error> {
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
    let mut account = Account::opened(id, &opened).map_err(|_| damaged("a limit has too many digits"))?;
    account.totals = totals(row, opened.scale)?;
    Ok(account.balance(at))
}

fn totals(row: &PgRow, scale: u8) -> Result<Totals, Error> {
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

async fn events(store: &PostgresStore, needs: &[Need], at: Position, loaded: &mut Loaded) -> Result<(), Error> {
    let (mut ids, mut streams, mut positions) = (Vec::new(), Vec::new(), Vec::new());
    for need in needs {
        match need {
            Need::Id(id) => ids.push(id.clone()),
            Need::Stream(stream) => streams.push(stream.clone()),
            Need::Currency(code) => streams.push(currency_stream(code)),
            Need::Record(position) => positions.push(position.get()),
            Need::Code(_) => {}
        }
    }
    let query = sqlx::query(AssertSqlSafe(store.sql.load_events.as_str()));
    let query = query.bind(store.ledger_id).bind(ids).bind(streams).bind(positions).bind(at.get());
    let rows = query.fetch_all(&store.pool).await.map_err(failed)?;
    let mut by_key = HashMap::with_capacity(rows.len());
    for row in &rows {
        let found: String = row.try_get("found").map_err(failed)?;
        let key: String = row.try_get("key").map_err(failed)?;
        let event = event(row)?;
        if found == "position" {
            loaded.records.push(fold::record(&event, &event.payload()?)?);
        } else {
            by_key.insert((found, key), event);
        }
    }
    let mut take = |found: &str, key: String| by_key.remove(&(found.to_owned(), key));
    for need in needs {
        match need {
            Need::Id(id) => {
                let record = take("id", id.clone()).map(|event| fold::record(&event, &event.payload()?)).transpose()?;
                loaded.ids.push((id.clone(), record));
            }
            Need::Stream(stream) => {
                let version = take("stream", stream.clone()).and_then(|event| event.version).unwrap_or_default();
                loaded.streams.push((stream.clone(), version));
            }
            Need::Currency(code) => {
                let registered = take("stream", currency_stream(code))
                    .map(|event| Ok::<_, Error>((event.payload()?, event.position)));
                let registered = match registered.transpose()? {
                    Some((Payload::CurrencyRegistered(currency), position)) => Some((currency.scale, position)),
                    _ => None,
                };
                loaded.currencies.push((code.clone(), registered));
            }
            Need::Code(_) | Need::Record(_) => {}
        }
    }
    Ok(())
}

fn currency_stream(code: &str) -> String {
    format!("currency:{code}")
}
