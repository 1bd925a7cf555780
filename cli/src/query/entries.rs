//! `entry` and `holds`: what was posted or reserved, and what became of it.

use futures::{StreamExt, TryStreamExt};
use postfold::{EntryView, HoldFilter};

use super::{args, legs};
use crate::args::Global;
use crate::exit::{Exit, Failure};
use crate::output;

/// One entry, with all that belongs to it.
pub(crate) async fn entry(global: &Global, options: &args::Entry) -> Result<Exit, Failure> {
    let entry = global.open_log().await?.entry(&options.id).await?;
    if global.json {
        output::json(&entry)?;
    } else {
        output::text_table(&["field", "value"], fields(&entry))?;
    }
    Ok(Exit::Done)
}

/// Holds, in the order in which they were placed.
pub(crate) async fn holds(global: &Global, options: &args::Holds) -> Result<Exit, Failure> {
    let log = global.open_log().await?;
    let mut filter = HoldFilter::all().after(options.after);
    if let Some(account) = &options.account {
        filter = filter.account(account, options.currency.as_deref());
    }
    if options.open {
        filter = filter.open();
    }
    let holds = log.holds(filter).take(options.limit.unwrap_or(usize::MAX));
    if global.json {
        output::json_array(holds).await?;
        return Ok(Exit::Done);
    }
    let holds: Vec<EntryView> = holds.try_collect().await?;
    if holds.is_empty() {
        output::print("no holds\n")?;
        return Ok(Exit::Done);
    }
    let rows = holds.iter().map(|entry| {
        let (state, expires_at, left) = match &entry.state {
            Some(hold) => (state(hold), hold.expires_at.map(|time| time.to_string()), legs(&hold.left)),
            None => Default::default(),
        };
        [entry.position.to_string(), entry.id.clone(), state, expires_at.unwrap_or_else(|| "-".to_owned()), left]
    });
    output::text_table(&["#position", "hold", "state", "expires at", "left"], rows)?;
    Ok(Exit::Done)
}

fn state(hold: &postfold::HoldView) -> String {
    let overdue = if hold.overdue { ", overdue" } else { "" };
    format!("{}{overdue}", hold.state.as_str())
}

fn fields(entry: &EntryView) -> Vec<[String; 2]> {
    let mut fields = vec![("id", entry.id.clone()), ("kind", entry.kind.as_str().to_owned())];
    let mut add = |name, value: Option<String>| fields.extend(value.map(|value| (name, value)));
    add("text", entry.text.clone());
    add("legs", Some(legs(&entry.legs)));
    add("hold", entry.hold.clone());
    add("released", Some(legs(&entry.released)).filter(|released| !released.is_empty()));
    if let Some(hold) = &entry.state {
        add("state", Some(state(hold)));
        add("left", Some(legs(&hold.left)).filter(|left| !left.is_empty()));
        add("expires at", hold.expires_at.map(|time| time.to_string()));
        add("settles", Some(hold.settles.join(", ")).filter(|settles| !settles.is_empty()));
    }
    add("reverses", entry.reverses.clone());
    add("reason", entry.reason.clone());
    add("reversed by", entry.reversed_by.clone());
    add("effective at", Some(entry.effective_at.to_string()));
    add("recorded at", Some(entry.recorded_at.to_string()));
    add("correlation", entry.correlation.clone());
    for (name, value) in &entry.meta {
        add("meta", Some(format!("{name}: {value}")));
    }
    add("position", Some(entry.position.to_string()));
    add("hash", Some(entry.hash.to_string()));
    fields.into_iter().map(|(name, value)| [name.to_owned(), value]).collect()
}
