//! `project parked`: keys that could not take an event, and what an operator decides about them.
//!
//! A decision is an entity change on the log itself, so it is audited like everything else, and every process
//! and every rebuild learns of it in the order of the log.

use postfold::{Change, Command, Position};
use postfold_projections::{Parked as Entry, parking};
use serde_json::json;

use super::Desk;
use super::args::{Key, Parked, Retry, Skip, Why};
use crate::args::Global;
use crate::exit::{Exit, Failure};
use crate::output::{self, count};
use crate::program;

/// Runs one of the commands.
pub(super) async fn parked(global: &Global, desk: &Desk, command: &Parked) -> Result<Exit, Failure> {
    match command {
        Parked::List(_) => list(desk).await,
        Parked::Show(key) => show(global, desk, key).await,
        Parked::Retry(options) => retry(global, desk, options).await,
        Parked::Skip(options) => skip(global, desk, options).await,
    }
}

async fn list(desk: &Desk) -> Result<Exit, Failure> {
    let mut all = Vec::new();
    for status in desk.status().await?.iter().filter(|status| status.parked > 0) {
        all.extend(desk.projector.parked(status.name).await?);
    }
    if desk.json {
        output::json(&all)?;
    } else if all.is_empty() {
        output::print("nothing is parked\n")?;
    } else {
        let row = |entry: &Entry| {
            let Entry { projection, key, position, attempts, reason, .. } = entry;
            [projection.clone(), key.clone(), position.to_string(), count(*attempts), reason.clone()]
        };
        output::text_table(&["read model", "key", "#event", "#tries", "why"], all.iter().map(row))?;
    }
    Ok(Exit::Done)
}

async fn show(global: &Global, desk: &Desk, key: &Key) -> Result<Exit, Failure> {
    let entry = find(desk, &key.model, &key.key).await?;
    let before = Position::new(entry.position.get() - 1);
    let event = desk.log.page(before, 1).await?.pop();
    if global.json {
        output::json(&json!({"parked": entry, "event": event}))?;
        return Ok(Exit::Done);
    }
    let Entry { projection, key, generation, position, reason, attempts, at } = &entry;
    let mut lines = vec![
        format!("read model  {projection}, generation {generation}"),
        format!("key         {key}"),
        format!("why         {reason}"),
        format!("tried       {}, last at {at:.0}", output::counted(*attempts, "time")),
        format!("event       {position}"),
    ];
    if let Some(event) = event {
        lines.push(format!("kind        {}, recorded at {}", event.kind, event.recorded_at));
        lines.push(format!("data        {}", event.data.get()));
    }
    let lines: Vec<String> = lines.iter().map(|line| output::plain(line).into_owned()).collect();
    output::print(&format!("{}\n", lines.join("\n")))?;
    Ok(Exit::Done)
}

async fn retry(global: &Global, desk: &Desk, options: &Retry) -> Result<Exit, Failure> {
    let Retry { model, keys, why } = options;
    let all = desk.projector.parked(model).await?;
    let chosen: Vec<&str> = if keys.all {
        all.iter().map(|entry| entry.key.as_str()).collect()
    } else {
        for key in &keys.keys {
            find_in(&all, model, key)?;
        }
        keys.keys.iter().map(String::as_str).collect()
    };
    let changes = chosen.iter().map(|key| parking::retry(model, key, &why.reason));
    let changes: Vec<Change> = changes.collect::<Result<_, _>>().map_err(|error| Failure::usage(error.to_string()))?;
    let position = record(global, why, changes).await?;
    if desk.json {
        output::json(&json!({"projection": model, "retried": chosen, "position": position}))?;
    } else if let Some(position) = position {
        let what = output::counted(chosen.len(), "parked key");
        output::print(&format!("{what} of {model} will be tried again{}\n", recorded(position)))?;
    } else {
        output::print(&format!("no key of {model} is parked\n"))?;
    }
    Ok(Exit::Done)
}

async fn skip(global: &Global, desk: &Desk, options: &Skip) -> Result<Exit, Failure> {
    let Skip { model, key, position, why } = options;
    let event = match (position, key) {
        (Some(position), _) => Position::new(*position),
        (None, Some(key)) => find(desk, model, key).await?.position,
        (None, None) => return Err(Failure::usage("name the key, or the event with --position")),
    };
    let head = desk.log.head().await?.position;
    if event > head {
        return Err(Failure::problem(format!("there is no event {event} yet: the log ends at {head}")));
    }
    let change = parking::skip(model, key.as_deref(), event, &why.reason);
    let change = change.map_err(|error| Failure::usage(error.to_string()))?;
    let position = record(global, why, vec![change]).await?;
    if desk.json {
        output::json(&json!({"projection": model, "key": key, "skipped": event, "position": position}))?;
    } else if let Some(position) = position {
        let whose = key.as_ref().map_or_else(|| "all keys".to_owned(), |key| format!("the key {key}"));
        let what = format!("event {event} will be skipped for {whose} of {model}, now and in every rebuild");
        output::print(&format!("{}\n", output::plain(&format!("{what}{}", recorded(position)))))?;
    }
    Ok(Exit::Done)
}

/// Writes the decisions into the log; the position of the last one.
async fn record(global: &Global, why: &Why, changes: Vec<Change>) -> Result<Option<Position>, Failure> {
    let ledger = global.open_ledger(None).await?;
    let mut last = None;
    for change in changes {
        let mut command = Command::from(change);
        if let Some(by) = &why.by {
            command = command.meta("by", by);
        }
        last = ledger.execute(command).await?.position.or(last);
    }
    ledger.close().await;
    Ok(last)
}

fn recorded(position: Position) -> String {
    format!(" (recorded at {position}; `{} project run` carries it out when it gets there)", program::name())
}

async fn find(desk: &Desk, model: &str, key: &str) -> Result<Entry, Failure> {
    find_in(&desk.projector.parked(model).await?, model, key).cloned()
}

fn find_in<'a>(all: &'a [Entry], model: &str, key: &str) -> Result<&'a Entry, Failure> {
    all.iter().find(|entry| entry.key == key).ok_or_else(|| {
        let way_out = "`postfold project parked list` shows those that are";
        Failure::problem(format!("the key {key:?} of {model} is not parked; {way_out}"))
    })
}
