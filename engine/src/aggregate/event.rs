//! Typed events of an aggregate: how they are written, and how old ones are read.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::Aggregate;
use crate::command::{Data, Record};
use crate::event::{Event, PayloadError};
use crate::outcome::Invalid;

/// One step that turns the data of an older event into that of the next schema.
///
/// The log is never changed; its old events are read through the steps from their schema to today's.
///
/// ```
/// use postfold::aggregate::Upcaster;
/// use serde_json::json;
///
/// // Prices were numbers of cents, then got a currency, then became decimals.
/// const UPCASTERS: &[Upcaster] = &[
///     Upcaster::new("course.offered", 1, |data| {
///         data["currency"] = json!("EUR");
///         Ok(())
///     }),
///     Upcaster::new("course.offered", 2, |data| {
///         let cents = data["price"].as_i64().ok_or("the price is no whole number")?;
///         data["price"] = json!(format!("{}.{:02}", cents / 100, cents % 100));
///         Ok(())
///     }),
/// ];
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Upcaster {
    kind: &'static str,
    from: i16,
    step: fn(&mut Value) -> Result<(), String>,
}

impl Upcaster {
    /// The step for events of this kind from schema `from` to the next one. Its error says what of the data
    /// cannot be understood.
    pub const fn new(kind: &'static str, from: i16, step: fn(&mut Value) -> Result<(), String>) -> Self {
        Self { kind, from, step }
    }
}

/// An event as serde writes it: adjacently tagged.
#[derive(Deserialize)]
struct Tagged<'a> {
    kind: String,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// The schema in which events of a kind are written.
fn schema<A: Aggregate>(kind: &str) -> i16 {
    let newest = A::UPCASTERS.iter().filter(|upcaster| upcaster.kind == kind).map(|upcaster| upcaster.from).max();
    newest.unwrap_or(0).saturating_add(1)
}

/// The change of the entity that an event is.
pub(super) fn write<A: Aggregate>(entity: &str, event: &A::Event) -> Result<Record, Invalid> {
    let shape = |why: String| Invalid::new("events", None, why);
    let text = serde_json::to_string(event).map_err(|error| shape(error.to_string()))?;
    let tagged: Tagged<'_> = serde_json::from_str(&text).map_err(|error| {
        shape(format!(
            r#"events are an enum with #[serde(tag = "kind", content = "data")]; this one gives {text}: {error}"#
        ))
    })?;
    let data = match tagged.data {
        Some(data) => Data::new(&data)?,
        None => Data("{}".to_owned()),
    };
    let schema = schema::<A>(&tagged.kind);
    Ok(Record { entity: entity.to_owned(), kind: tagged.kind, schema, data, expected_version: None })
}

/// The event, typed; old ones through their upcasters.
pub(super) fn read<A: Aggregate>(event: &Event) -> Result<A::Event, PayloadError> {
    let (kind, found, today) = (event.kind.as_str(), event.schema, schema::<A>(&event.kind));
    if found > today || found < 1 {
        return Err(PayloadError::Unknown { position: event.position, kind: kind.to_owned(), schema: found });
    }
    let data = if found == today { Cow::Borrowed(event.data.get()) } else { Cow::Owned(upcast::<A>(event, today)?) };
    let malformed = |source| PayloadError::Malformed { position: event.position, kind: event.kind.clone(), source };
    let tag = serde_json::to_string(kind).map_err(malformed)?;
    serde_json::from_str(&format!(r#"{{"kind":{tag},"data":{data}}}"#)).or_else(|source| {
        // A variant without fields is written without data.
        let bare = if data == "{}" { serde_json::from_str(&format!(r#"{{"kind":{tag}}}"#)).ok() } else { None };
        bare.ok_or_else(|| malformed(source))
    })
}

fn upcast<A: Aggregate>(event: &Event, today: i16) -> Result<String, PayloadError> {
    let failed = |schema: i16, why: String| PayloadError::Upcast {
        position: event.position,
        kind: event.kind.clone(),
        schema,
        why,
    };
    let mut data: Value =
        serde_json::from_str(event.data.get()).map_err(|error| failed(event.schema, error.to_string()))?;
    for schema in event.schema..today {
        let step = A::UPCASTERS.iter().find(|upcaster| upcaster.kind == event.kind && upcaster.from == schema);
        let step = step.ok_or_else(|| failed(schema, "there is no upcaster for this schema".to_owned()))?;
        (step.step)(&mut data).map_err(|why| failed(schema, why))?;
    }
    Ok(data.to_string())
}
