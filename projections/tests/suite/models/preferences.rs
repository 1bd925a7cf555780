//! `preferences`, by given / when / then.

use bson::{Document, doc};
use postfold_projections::models::{Preference, Preferences};
use postfold_projections::testing::Scenario;

fn chosen(preference: &Preference) -> Document {
    Document::try_from(&*preference.preferences).unwrap()
}

#[test]
fn preferences_are_merged_to_any_depth() {
    let table = [
        (r#"{"a":1}"#, doc! { "a": 1_i64 }),
        (r#"{"b":{"c":{"d":true}}}"#, doc! { "a": 1_i64, "b": { "c": { "d": true } } }),
        (r#"{"b":{"c":{"e":null}}}"#, doc! { "a": 1_i64, "b": { "c": { "d": true, "e": null } } }),
        (r#"{"b":{"c":[1]}}"#, doc! { "a": 1_i64, "b": { "c": [1_i64] } }),
        (r#"{"a":{"x":1}}"#, doc! { "a": { "x": 1_i64 }, "b": { "c": [1_i64] } }),
        (r#"{"a":{}}"#, doc! { "a": { "x": 1_i64 }, "b": { "c": [1_i64] } }),
        (r#"{"a":1e9999}"#, doc! { "a": { "%number": "1e9999" }, "b": { "c": [1_i64] } }),
        (r#"{"a":{"%number":2}}"#, doc! { "a": { "%25number": 2_i64 }, "b": { "c": [1_i64] } }),
        ("{}", doc! { "a": { "%25number": 2_i64 }, "b": { "c": [1_i64] } }),
    ];
    let mut scenario = Scenario::<Preferences>::new();
    for (number, (patch, expected)) in (1..).zip(table) {
        scenario =
            scenario.when(|log| drop(log.change("user/1", "preference.changed", patch))).then("user/1", |found| {
                assert_eq!(chosen(found), expected, "after {patch}");
                assert_eq!(found.version, number);
            });
    }
}

#[test]
fn preferences_are_taken_away_by_path() {
    let given = r#"{"a":{"b":1,"c":2},"x.y":3,"$z":4,"l":[1]}"#;
    let table = [
        (r#"{"paths":["a.b"]}"#, doc! { "a": { "c": 2_i64 }, "x%2Ey": 3_i64, "%24z": 4_i64, "l": [1_i64] }),
        (r#"{"paths":["a","l"]}"#, doc! { "x%2Ey": 3_i64, "%24z": 4_i64 }),
        (r#"{"paths":[["x.y"],"$z"]}"#, doc! { "a": { "b": 1_i64, "c": 2_i64 }, "l": [1_i64] }),
        (
            r#"{"paths":["x.y","a.q.r","l.0",[],""]}"#,
            doc! { "a": { "b": 1_i64, "c": 2_i64 }, "x%2Ey": 3_i64, "%24z": 4_i64, "l": [1_i64] },
        ),
    ];
    for (unset, expected) in table {
        Scenario::<Preferences>::new()
            .given(|log| drop(log.change("user/1", "preference.changed", given)))
            .when(|log| drop(log.change("user/1", "preference.unset", unset)))
            .then("user/1", |found| assert_eq!(chosen(found), expected, "after {unset}"));
    }
}

#[test]
fn preferences_are_those_of_entities_and_of_nothing_else() {
    Scenario::<Preferences>::new()
        .when(|log| {
            log.change("user/1", "user.renamed", r#"{"name":"Ada"}"#);
            log.append_with(None, "currency.registered", r#"{"code":"XAU","scale":3}"#, r#"{"fingerprint":""}"#);
        })
        .then_touches(&[])
        .then_none("user/1");
}

#[test]
fn an_unset_without_paths_is_refused() {
    Scenario::<Preferences>::new()
        .when(|log| drop(log.change("user/1", "preference.unset", r#"{"path":"a"}"#)))
        .then_refuses(|error| assert!(error.to_string().starts_with("preference.unset needs {\"paths\": [..]}")));
}
