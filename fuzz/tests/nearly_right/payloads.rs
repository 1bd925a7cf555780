use postfold::{Command, Event, Position};
use postfold_fuzz::{corpus, fuzz, nearly};
use proptest::prelude::*;

use super::{ledger, open, runtime, send};

/// Every event that the corpus makes, with its data as a text.
fn events() -> Vec<Event> {
    runtime().block_on(async {
        let ledger = ledger();
        open(&ledger).await;
        for text in corpus("commands.jsonl") {
            send(&ledger, Command::from_json(&String::from_utf8_lossy(&text))).await;
        }
        ledger.log().page(Position::START, 1_000).await.unwrap()
    })
}

#[test]
fn data_that_somebody_altered_is_read_or_refused() {
    let events = events();
    let kinds: std::collections::BTreeSet<&str> = events.iter().map(|event| event.kind.as_str()).collect();
    assert!(kinds.len() > 8, "{kinds:?}");
    let seeds = events.iter().map(|event| event.data.get().as_bytes().to_vec()).collect();
    let altered = (prop::sample::select(events), nearly(seeds));
    fuzz(&altered, |(mut event, data)| {
        if let Ok(data) = serde_json::value::RawValue::from_string(String::from_utf8_lossy(&data).into_owned()) {
            event.data = data;
        }
        if let Ok(payload) = event.payload() {
            let _ = (payload.movements().count(), payload.outflow().len());
        }
        drop(event.envelope());
        Ok(())
    });
}
