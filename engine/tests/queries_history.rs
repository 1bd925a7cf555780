//! A change that is forgotten, an image of an entity that it never had.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test ends at the first thing that goes wrong")]

mod support;

use futures::TryStreamExt;
use postfold::{Error, Ledger, Revision};
use serde_json::{Value, json};
use support::{both, contains, given};

async fn history(ledger: &Ledger, entity: &str, after: i64) -> Vec<Revision> {
    ledger.log().history(entity, after).try_collect().await.unwrap()
}

#[tokio::test]
async fn each_change_shows_the_entity_before_and_after_it() {
    for (store, ledger, _) in both().await {
        given(
            &ledger,
            &[
                r#"{"do":"record","entity":"user/42","kind":"user.named","data":{"name":"Ada","mail":{"weekly":true,"to":"a@b"}},"id":"c-1"}"#,
                r#"{"do":"record","entity":"user/4","kind":"user.named","data":{"name":"Bo"}}"#,
                r#"{"do":"record","entity":"user/42","kind":"user.moved","data":{"city":"Bern","name":"Ada","mail":{"weekly":false}},"meta":{"by":"admin/7"},"correlation":"move-1","at":"2024-12-31T00:00:00Z"}"#,
                r#"{"do":"record","entity":"user/42","kind":"user.cleared","data":{"city":null,"rate":1.50,"mail":[1]}}"#,
            ],
        )
        .await;
        let found: Vec<Value> = history(&ledger, "user/42", 0)
            .await
            .iter()
            .map(|revision| serde_json::to_value(revision).unwrap())
            .collect();
        let first = json!({"name": "Ada", "mail": {"weekly": true, "to": "a@b"}});
        let second = json!({"name": "Ada", "mail": {"weekly": false, "to": "a@b"}, "city": "Bern"});
        let expected = json!([
            {"entity": "user/42", "version": 1, "kind": "user.named", "position": 1, "id": "c-1", "before": null,
                "after": first, "changed": ["name", "mail"]},
            {"version": 2, "kind": "user.moved", "position": 3, "before": first, "after": second, "changed": ["city", "mail"],
                "meta": {"by": "admin/7"}, "correlation": "move-1", "effective_at": "2024-12-31T00:00:00Z",
                "recorded_at": "2025-03-01T12:00:00Z", "data": {"city": "Bern", "name": "Ada", "mail": {"weekly": false}}},
            {"version": 3, "before": second, "changed": ["city", "rate", "mail"]},
        ]);
        assert!(contains(&json!(found), &expected), "{store}: {found:#?}");
        // Digits stay as they were written.
        let last = &history(&ledger, "user/42", 2).await[0];
        assert_eq!(last.after.get(), r#"{"name":"Ada","mail":[1],"city":null,"rate":1.50}"#, "{store}");
        assert!(history(&ledger, "user/none", 0).await.is_empty(), "{store}");
        let wrong: Result<Vec<_>, _> = ledger.log().history("user", 0).try_collect().await;
        assert!(matches!(wrong, Err(Error::Query(invalid)) if invalid.field == "entity"), "{store}");
    }
}

#[tokio::test]
async fn a_long_history_comes_whole_from_any_version_on() {
    for (store, ledger, _) in both().await {
        let change = |number| json!({"do": "record", "entity": "a/1", "kind": "k", "data": {"n": number}});
        let commands: Vec<Value> = (1..=250).map(change).collect();
        given(&ledger, &[&json!({"do": "batch", "atomic": true, "commands": commands}).to_string()]).await;
        for after in [0, 1, 99, 100, 101, 249, 250, 999] {
            let found = history(&ledger, "a/1", after).await;
            let versions: Vec<i64> = found.iter().map(|revision| revision.version).collect();
            assert_eq!(versions, (after + 1..=250).collect::<Vec<_>>(), "{store}");
            assert!(
                found.iter().all(|revision| revision.after.get() == format!(r#"{{"n":{}}}"#, revision.version)),
                "{store}"
            );
        }
    }
}
