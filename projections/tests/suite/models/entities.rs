//! `entities`, by given / when / then.

use bson::{Document, doc};
use postfold::AccountType;
use postfold_projections::models::Entities;
use postfold_projections::testing::Scenario;

#[test]
fn an_entity_is_what_its_changes_add_up_to() {
    let table = [
        (r#"{"name":"Ada","mail":{"weekly":true}}"#, doc! { "name": "Ada", "mail": { "weekly": true } }),
        (r#"{"mail":{"daily":null}}"#, doc! { "name": "Ada", "mail": { "weekly": true, "daily": null } }),
        (r#"{"name":["A","L"]}"#, doc! { "name": ["A", "L"], "mail": { "weekly": true, "daily": null } }),
        (r#"{"name":{"first":"A"}}"#, doc! { "name": { "first": "A" }, "mail": { "weekly": true, "daily": null } }),
        (r#"{"mail":1e9999}"#, doc! { "name": { "first": "A" }, "mail": { "%number": "1e9999" } }),
        (r#"{"mail":{"%number":2}}"#, doc! { "name": { "first": "A" }, "mail": { "%25number": 2_i64 } }),
    ];
    let mut scenario = Scenario::<Entities>::new();
    for (version, (data, expected)) in (1..).zip(table) {
        scenario = scenario.when(|log| drop(log.change("user/1", "user.changed", data))).then("user/1", |entity| {
            assert_eq!(Document::try_from(&*entity.state).unwrap(), expected, "after {data}");
            assert_eq!(entity.version, version);
        });
    }
}

#[test]
fn an_entity_tells_its_first_and_its_last_change() {
    let meta = r#"{"fingerprint":"","meta":{"user":"admin/7"}}"#;
    Scenario::<Entities>::new()
        .given(|log| drop(log.append_with(Some("user/42"), "user.added", r#"{"name":"Ada"}"#, meta)))
        .then("user/42", |entity| assert_eq!(entity.by.as_deref(), Some("admin/7")))
        .when(|log| {
            log.change("team/1", "team.added", "{}");
            log.change("user/42", "user.renamed", r#"{"name":"Ada L."}"#);
        })
        .then_touches(&["user/42", "team/1"])
        .then("user/42", |entity| {
            assert_eq!((&*entity.entity_type, &*entity.kind, entity.version), ("user", "user.renamed", 2));
            assert_eq!(entity.created_at.to_string(), "2026-01-01T00:00:01Z");
            assert_eq!(entity.updated_at.to_string(), "2026-01-01T00:00:03Z");
            assert_eq!(entity.by, None, "nobody said so this time");
        });
}

#[test]
fn what_is_no_change_of_an_entity_leaves_the_entities_alone() {
    Scenario::<Entities>::new().when(|log| drop(log.open_account("a/b", "EUR", AccountType::Asset))).then_touches(&[]);
}
