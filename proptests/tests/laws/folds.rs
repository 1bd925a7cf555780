//! Upcasting keeps folds; snapshot = replay.

use postfold::aggregate::{Aggregate, Context, Decision, Upcaster};
use postfold::{Change, Data};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::support::{Broken, Store};
use crate::{law, same};

/// What a product costs, in the words of today: cents and a currency. The first release knew cents, the second a text.
#[derive(Clone, Debug, Default, PartialEq)]
struct Product {
    prices: Vec<(i64, String)>,
    retired: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data")]
enum Event {
    #[serde(rename = "product.priced")]
    Priced { cents: i64, currency: String },
    #[serde(rename = "product.retired")]
    Retired {},
}

fn second(data: &mut Value) -> Result<(), String> {
    let cents = data["cents"].as_i64().ok_or("cents is no whole number")?;
    *data = json!({ "price": format!("{cents} EUR") });
    Ok(())
}

fn third(data: &mut Value) -> Result<(), String> {
    let (cents, currency) = data["price"].as_str().and_then(|price| price.split_once(' ')).ok_or("no price")?;
    *data = json!({ "cents": cents.parse::<i64>().map_err(|error| error.to_string())?, "currency": currency });
    Ok(())
}

impl Aggregate for Product {
    const ENTITY: &'static str = "product";
    const UPCASTERS: &'static [Upcaster] =
        &[Upcaster::new("product.priced", 1, second), Upcaster::new("product.priced", 2, third)];
    type Command = Event;
    type Event = Event;
    type Refusal = ();

    fn decide(&self, happens: &Event, _: &Context) -> Result<Decision<Event>, ()> {
        if self.retired { Err(()) } else { Ok(Decision::new().event(happens.clone())) }
    }

    fn evolve(mut self, event: &Event) -> Self {
        match event {
            Event::Priced { cents, currency } => self.prices.push((*cents, currency.clone())),
            Event::Retired {} => self.retired = true,
        }
        self
    }
}

/// One event, by the release that wrote it.
#[derive(Clone, Debug)]
enum Written {
    First(i64),
    Second(i64, &'static str),
    Today(Event),
}

impl Written {
    fn change(&self) -> Change {
        let (kind, schema, data) = match self {
            Self::First(cents) => ("product.priced", 1, json!({ "cents": cents })),
            Self::Second(cents, currency) => ("product.priced", 2, json!({ "price": format!("{cents} {currency}") })),
            Self::Today(Event::Priced { cents, currency }) => {
                ("product.priced", 3, json!({ "cents": cents, "currency": currency }))
            }
            Self::Today(Event::Retired {}) => ("product.retired", 1, json!({})),
        };
        Change::new("product/1", kind, Data::new(&data).expect("an object")).schema(schema)
    }

    fn today(self) -> Event {
        match self {
            Self::First(cents) => Event::Priced { cents, currency: "EUR".to_owned() },
            Self::Second(cents, currency) => Event::Priced { cents, currency: currency.to_owned() },
            Self::Today(event) => event,
        }
    }
}

fn written() -> impl Strategy<Value = Written> {
    let currency = || prop_oneof![Just("EUR"), Just("USD"), Just("CHF")];
    prop_oneof![
        3 => (0..1_000_000_i64).prop_map(Written::First),
        3 => (0..1_000_000_i64, currency()).prop_map(|(cents, currency)| Written::Second(cents, currency)),
        3 => (0..1_000_000_i64, currency()).prop_map(|(cents, currency)| {
            Written::Today(Event::Priced { cents, currency: currency.to_owned() })
        }),
        1 => Just(Written::Today(Event::Retired {})),
    ]
}

law!(folds_are_the_same_from_any_schema_and_any_snapshot, (vec(written(), 0..25), any::<Index>()));

/// Events of three releases, in any order since they may run side by side, fold to what events of today would. A
/// snapshot at any version, folded on, is the replay from the beginning; and it decides as the replay does.
async fn folds_are_the_same_from_any_schema_and_any_snapshot(
    store: Store,
    (history, cut): (Vec<Written>, Index),
) -> Result<(), Broken> {
    let book = store.book().await;
    let cut = cut.index(history.len() + 1);
    for event in &history[..cut] {
        book.ledger.record(event.change()).await?;
    }
    let snapshot = book.ledger.log().fold::<Product>("product/1").await?;
    for event in &history[cut..] {
        book.ledger.record(event.change()).await?;
    }
    let length = i64::try_from(history.len()).expect("short");
    let expected =
        history.into_iter().map(Written::today).fold(Product::default(), |state, event| state.evolve(&event));
    let replayed = book.ledger.log().fold::<Product>("product/1").await?;
    same!((&replayed.state, replayed.version), (&expected, length), "the fold of all events");
    same!(book.ledger.log().fold_from("product/1", snapshot.clone()).await?, replayed, "the fold from version {cut}");
    // A writer that knows nothing goes on from the snapshot.
    let writer = book.another_writer().await;
    let price = Event::Priced { cents: 1, currency: "EUR".to_owned() };
    let executed = writer.execute_on::<Product>("product/1", price).snapshot(snapshot).await;
    same!(executed.is_err(), expected.retired, "whether a price for a retired product is refused");
    Ok(())
}
