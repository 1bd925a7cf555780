//! Hazards of following: an event skipped, an event twice, a follower that waits for ever.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test ends at the first thing that goes wrong")]

mod support;

use futures::StreamExt;
use postfold::{Account, Entry, Log, Position};
use rust_decimal::dec;
use support::{both, database_url, given, postgres, settings};

#[tokio::test]
async fn the_stream_catches_up_and_goes_on_live_without_gap_or_repeat() {
    let (ledger, name) = postgres().await;
    ledger.open(Account::asset("a", "EUR")).await.unwrap();
    ledger.open(Account::asset("b", "EUR")).await.unwrap();
    // A reader of another process: all it can know comes from the database.
    let log = Log::connect_with(database_url(), &name, settings()).await.unwrap();
    let following = tokio::spawn(async move {
        let events: Vec<_> =
            log.follow(Position::START).take(302).map(|event| event.unwrap().position.get()).collect().await;
        events
    });
    for number in 0..300 {
        ledger.post(Entry::new(number.to_string()).debit("a", dec!(1)).credit("b", dec!(1))).await.unwrap();
    }
    let followed = tokio::time::timeout(std::time::Duration::from_secs(30), following).await;
    assert_eq!(followed.expect("a follower must see every event").unwrap(), (1..=302).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_finite_stream_ends_at_the_head() {
    for (store, ledger, _) in both().await {
        given(&ledger, &[r#"{"do":"record","entity":"a/1","kind":"k","data":{"n":1.50}}"#]).await;
        let events: Vec<_> = ledger.log().events(Position::START).map(Result::unwrap).collect().await;
        assert_eq!(events.len(), 1, "{store}");
        assert_eq!(events[0].data.get(), r#"{"n":1.50}"#, "{store}");
        assert_eq!(events[0].entity(), Some("a/1"), "{store}");
        assert_eq!(ledger.log().head().await.unwrap().hash, events[0].hash, "{store}");
    }
}

#[tokio::test]
async fn a_page_is_bounded_by_bytes_and_skips_nothing() {
    let (ledger, name) = postgres().await;
    let text = "x".repeat(100_000);
    for number in 0..30 {
        let line = format!(r#"{{"do":"record","entity":"a/{number}","kind":"k","data":{{"text":"{text}"}}}}"#);
        given(&ledger, &[&line]).await;
    }
    let small = postfold::PostgresSettings { page_bytes_max: 250_000, ..settings() };
    let log = Log::connect_with(database_url(), &name, small).await.unwrap();
    assert_eq!(log.page(Position::START, 1_000).await.unwrap().len(), 2);
    let tiny = postfold::PostgresSettings { page_bytes_max: 10, ..settings() };
    let log = Log::connect_with(database_url(), &name, tiny).await.unwrap();
    let events: Vec<_> = log.events(Position::START).map(|event| event.unwrap().position.get()).collect().await;
    assert_eq!(events, (1..=30).collect::<Vec<_>>());
    assert!(postfold::verify(&log, |_| {}).await.unwrap().is_clean());
}

#[tokio::test]
async fn a_filter_lets_through_what_matches_and_skips_nothing_of_it() {
    use postfold::EventFilter;
    for (store, ledger, _) in both().await {
        given(
            &ledger,
            &[
                r#"{"do":"open_account","account":"a","currency":"EUR","type":"asset"}"#,
                r#"{"do":"open_account","account":"b","currency":"EUR","type":"asset","id":"open-b"}"#,
                r#"{"do":"transfer","id":"t1","amount":"1","debit":"a","credit":"b","correlation":"order-7"}"#,
                r#"{"do":"record","entity":"user/1","kind":"user.named","data":{"name":"Ada"},"correlation":"order-7"}"#,
                r#"{"do":"record","entity":"user/2","kind":"user.named","data":{"name":"Bo"}}"#,
                r#"{"do":"freeze","account":"a","reason":"why not"}"#,
                r#"{"do":"unfreeze","account":"a","reason":"why"}"#,
                r#"{"do":"record","entity":"user/1","kind":"user.moved","data":{"to":"Bern"}}"#,
                r#"{"do":"open_account","account":"a","currency":"USD","type":"asset"}"#,
            ],
        )
        .await;
        let all = EventFilter::all;
        for (filter, after, expected) in [
            (all(), 0, vec![1, 2, 3, 4, 5, 6, 7, 8, 9]),
            (all().account("a"), 0, vec![1, 3, 6, 7, 9]),
            (all().account("a"), 3, vec![6, 7, 9]),
            (all().account("b"), 0, vec![2, 3]),
            (all().account("a").kind("entry.posted"), 0, vec![3]),
            (all().entity("user/1"), 0, vec![4, 8]),
            (all().entity("user/1").kind("user.moved").kind("user.named"), 4, vec![8]),
            (all().kind("user.named"), 0, vec![4, 5]),
            (all().correlation("order-7"), 0, vec![3, 4]),
            (all().correlation("order-7").entity("user/1"), 0, vec![4]),
            (all().kind("nothing"), 0, vec![]),
            (all(), 99, vec![]),
        ] {
            let events = ledger.log().events_matching(filter.clone(), Position::new(after));
            let found: Vec<i64> = events.map(|event| event.unwrap().position.get()).collect().await;
            assert_eq!(found, expected, "{store}: {filter:?}");
        }
        let unknown = ledger.log().events_matching(all().account("none"), Position::START);
        let unknown: Vec<_> = unknown.collect().await;
        assert!(matches!(unknown.as_slice(), [Err(postfold::Error::UnknownAccount { .. })]), "{store}");
    }
}

#[tokio::test]
async fn a_filtered_follower_sees_all_that_matches_while_others_write() {
    use postfold::{Change, Data, EventFilter};
    let (ledger, name) = postgres().await;
    ledger.open(Account::asset("a", "EUR")).await.unwrap();
    ledger.open(Account::asset("b", "EUR")).await.unwrap();
    let log = Log::connect_with(database_url(), &name, settings()).await.unwrap();
    let following = tokio::spawn(async move {
        let filter = EventFilter::all().kind("tick.seen");
        let events = log.follow_matching(filter, Position::START).take(30);
        events.map(|event| event.unwrap().version.unwrap()).collect::<Vec<_>>().await
    });
    for number in 0..300 {
        ledger.post(Entry::new(number.to_string()).debit("a", dec!(1)).credit("b", dec!(1))).await.unwrap();
        if number % 10 == 9 {
            let data = Data::new(&serde_json::json!({"number": number})).unwrap();
            ledger.record(Change::new("tick/1", "tick.seen", data)).await.unwrap();
        }
    }
    let followed = tokio::time::timeout(std::time::Duration::from_secs(30), following).await;
    assert_eq!(followed.expect("a follower must see every event").unwrap(), (1..=30).collect::<Vec<_>>());
}
