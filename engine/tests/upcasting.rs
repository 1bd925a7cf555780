//! Hazard: types change and the log does not. Events of old schemas are read by the types of today.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test ends at the first thing that goes wrong")]

mod support;

use postfold::aggregate::{Aggregate, Context, Decision, Upcaster};
use postfold::{Change, Command, Data, Ledger, PayloadError, Position};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use support::{assert_verifies, both};

/// The first release: a price in cents.
mod v1 {
    use super::*;

    #[derive(Clone, Default)]
    pub(super) struct Product;

    #[derive(Serialize, Deserialize)]
    #[serde(tag = "kind", content = "data")]
    pub(super) enum Event {
        #[serde(rename = "product.priced")]
        Priced { cents: i64 },
    }

    impl Aggregate for Product {
        const ENTITY: &'static str = "product";
        type Command = i64;
        type Event = Event;
        type Refusal = ();

        fn decide(&self, cents: &i64, _: &Context) -> Result<Decision<Event>, ()> {
            Ok(Decision::new().event(Event::Priced { cents: *cents }))
        }

        fn evolve(self, _: &Event) -> Self {
            self
        }
    }
}

/// The second: with a currency.
mod v2 {
    use super::*;

    #[derive(Clone, Default)]
    pub(super) struct Product;

    #[derive(Serialize, Deserialize)]
    #[serde(tag = "kind", content = "data")]
    pub(super) enum Event {
        #[serde(rename = "product.priced")]
        Priced { cents: i64, currency: String },
    }

    pub(super) const TO_2: Upcaster = Upcaster::new("product.priced", 1, |data| {
        data["currency"] = json!("EUR");
        Ok(())
    });

    impl Aggregate for Product {
        const ENTITY: &'static str = "product";
        const UPCASTERS: &'static [Upcaster] = &[TO_2];
        type Command = (i64, String);
        type Event = Event;
        type Refusal = ();

        fn decide(&self, (cents, currency): &(i64, String), _: &Context) -> Result<Decision<Event>, ()> {
            Ok(Decision::new().event(Event::Priced { cents: *cents, currency: currency.clone() }))
        }

        fn evolve(self, _: &Event) -> Self {
            self
        }
    }
}

/// Today: a price is a text, and a second kind came.
#[derive(Clone, Debug, Default, PartialEq)]
struct Product {
    prices: Vec<String>,
    retired: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", content = "data")]
enum Event {
    #[serde(rename = "product.priced")]
    Priced { price: String },
    #[serde(rename = "product.retired")]
    Retired,
}

fn to_3(data: &mut Value) -> Result<(), String> {
    let cents = data["cents"].as_i64().ok_or("cents is no whole number")?;
    let currency = data["currency"].as_str().ok_or("there is no currency")?;
    *data = json!({ "price": format!("{}.{:02} {currency}", cents / 100, cents % 100) });
    Ok(())
}

#[derive(Serialize)]
enum Ask {
    Price(String),
    Retire,
}

impl Aggregate for Product {
    const ENTITY: &'static str = "product";
    const UPCASTERS: &'static [Upcaster] = &[v2::TO_2, Upcaster::new("product.priced", 2, to_3)];
    type Command = Ask;
    type Event = Event;
    type Refusal = ();

    fn decide(&self, command: &Ask, _: &Context) -> Result<Decision<Event>, ()> {
        Ok(Decision::new().event(match command {
            Ask::Price(price) => Event::Priced { price: price.clone() },
            Ask::Retire => Event::Retired,
        }))
    }

    fn evolve(mut self, event: &Event) -> Self {
        match event {
            Event::Priced { price } => self.prices.push(price.clone()),
            Event::Retired => self.retired = true,
        }
        self
    }
}

/// What three releases wrote, one after the other.
async fn history(ledger: &Ledger) {
    ledger.execute_on::<v1::Product>("product/1", 1_250).await.unwrap();
    ledger.execute_on::<v2::Product>("product/1", (999, "USD".to_owned())).await.unwrap();
    ledger.execute_on::<Product>("product/1", Ask::Price("7.00 CHF".to_owned())).await.unwrap();
    ledger.execute_on::<Product>("product/1", Ask::Retire).await.unwrap();
}

#[tokio::test]
async fn upcasting_keeps_folds() {
    for (store, ledger, _) in both().await {
        history(&ledger).await;
        let folded = ledger.log().fold::<Product>("product/1").await.unwrap();
        let prices = ["12.50 EUR", "9.99 USD", "7.00 CHF"].map(str::to_owned).to_vec();
        assert_eq!(folded.state, Product { prices, retired: true }, "{store}");
        let events = ledger.log().page(Position::START, 10).await.unwrap();
        let schemas: Vec<i16> = events.iter().map(|event| event.schema).collect();
        assert_eq!(schemas, [1, 2, 3, 1], "{store}");
        assert_verifies(&ledger).await;
    }
}

#[tokio::test]
async fn a_schema_of_a_newer_release_is_an_error_that_names_it() {
    for (store, ledger, _) in both().await {
        history(&ledger).await;
        let error = ledger.log().fold::<v2::Product>("product/1").await.err().unwrap();
        let postfold::Error::Payload(PayloadError::Unknown { position, kind, schema }) = error else {
            panic!("{store}: {error}")
        };
        assert_eq!((position, kind.as_str(), schema), (Position::new(3), "product.priced", 3), "{store}");
    }
}

#[tokio::test]
async fn data_that_a_step_does_not_understand_is_an_error_that_says_where() {
    for (store, ledger, _) in both().await {
        let odd = Change::new("product/2", "product.priced", Data::new(&json!({"cents": "many"})).unwrap());
        ledger.record(odd).await.unwrap();
        let error = ledger.log().fold::<Product>("product/2").await.err().unwrap();
        let postfold::Error::Payload(PayloadError::Upcast { position, schema, why, .. }) = error else {
            panic!("{store}: {error}")
        };
        assert_eq!((position, schema, why.as_str()), (Position::new(1), 2, "cents is no whole number"), "{store}");
    }
}

#[tokio::test]
async fn the_schema_of_a_change_tells_it_from_another_only_where_it_is_not_the_first() {
    let change = |schema| {
        let change = Change::new("product/3", "product.priced", Data::new(&json!({"price": "1"})).unwrap());
        Command::from(change.schema(schema)).id("c")
    };
    let json = r#"{"do":"record","id":"c","entity":"product/3","kind":"product.priced","data":{"price":"1"}}"#;
    assert_eq!(Command::from_json(json).unwrap().fingerprint(), change(1).fingerprint());
    assert_ne!(change(1).fingerprint(), change(3).fingerprint());
    for (store, ledger, _) in both().await {
        assert!(!ledger.execute(change(3)).await.unwrap().duplicate, "{store}");
        assert!(ledger.execute(change(3)).await.unwrap().duplicate, "{store}");
        assert!(ledger.execute(change(1)).await.is_err(), "{store}: the id is used");
        assert!(ledger.execute(change(0)).await.is_err(), "{store}: schemas are counted from 1");
        assert_eq!(ledger.log().fold::<Product>("product/3").await.unwrap().state.prices, ["1"], "{store}");
    }
}
