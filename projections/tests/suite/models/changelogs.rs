//! `changelogs`, by given / when / then.

use bson::{Document, doc};
use jiff::ToSpan;
use postfold::AccountType;
use postfold_projections::models::{Changelog, Changelogs, ENTITY_BYTES_MAX, ExpiringChangelogs};
use postfold_projections::testing::RowScenario;
use postfold_projections::{DOCUMENT_BYTES_MAX, RowProjection};

fn document(raw: &bson::raw::RawDocument) -> Document {
    Document::try_from(raw).unwrap()
}

fn is_omitted(row: &Changelog) -> bool {
    row.omitted && row.before.is_none() && row.after.is_none() && row.changed.is_none()
}

#[test]
fn a_change_tells_what_was_there_before_and_after_it() {
    let meta = r#"{"fingerprint":"","correlation":"import-3","meta":{"by":"admin/7","user":"x"}}"#;
    RowScenario::<Changelogs>::new()
        .when(|log| drop(log.change("user/42", "user.added", r#"{"name":"Ada","mail":{"weekly":true}}"#)))
        .then_touches(&["user/42"])
        .then_rows(|rows| {
            let [(id, row)] = rows else { panic!("one row, not {}", rows.len()) };
            assert_eq!((&**id, row.version, &*row.kind), ("0000000000000001:00000", 1, "user.added"));
            assert_eq!(
                (&row.before, row.changed.as_deref()),
                (&None, Some(["name".to_owned(), "mail".to_owned()].as_slice()))
            );
        })
        .when(|log| {
            let data = r#"{"name":"Ada","mail":{"daily":1.50},"$odd.name":[]}"#;
            log.append_with(Some("user/42"), "user.renamed", data, meta);
        })
        .then_rows(|rows| {
            let row = &rows[0].1;
            let amount: bson::Decimal128 = "1.50".parse().unwrap();
            assert_eq!((&*row.entity, &*row.entity_type, row.version), ("user/42", "user", 2));
            assert_eq!(document(&row.data), doc! { "name": "Ada", "mail": { "daily": amount }, "%24odd%2Ename": [] });
            assert_eq!(document(row.before.as_ref().unwrap()), doc! { "name": "Ada", "mail": { "weekly": true } });
            assert_eq!(
                document(row.after.as_ref().unwrap()),
                doc! { "name": "Ada", "mail": { "weekly": true, "daily": amount }, "%24odd%2Ename": [] }
            );
            assert_eq!(row.changed.as_deref().unwrap(), ["mail", "$odd.name"]);
            assert_eq!((row.by.as_deref(), row.correlation.as_deref()), (Some("admin/7"), Some("import-3")));
            assert_eq!((row.omitted, row.expires_at), (false, None));
        });
}

#[test]
fn a_change_that_changes_nothing_says_so() {
    RowScenario::<Changelogs>::new()
        .given(|log| drop(log.change("thing/1", "thing.set", r#"{"a":[{"x":1,"y":2}],"b":1.0,"c":0}"#)))
        .when(|log| drop(log.change("thing/1", "thing.set", r#"{"a":[{"y":2,"x":1}]}"#)))
        .then_rows(|rows| {
            assert_eq!(rows[0].1.changed.as_deref(), Some([].as_slice()), "the order of names means nothing");
        })
        .when(|log| drop(log.change("thing/1", "thing.set", r#"{"b":1.00,"c":-0}"#)))
        .then_rows(|rows| assert_eq!(rows[0].1.changed.as_deref().unwrap(), ["b", "c"], "digits and signs do"));
}

#[test]
fn an_entity_that_is_too_large_is_told_without_before_and_after() {
    let half = "x".repeat(ENTITY_BYTES_MAX / 2 - 100);
    let field = |name: &str| format!(r#"{{"{name}":"{half}"}}"#);
    RowScenario::<Changelogs>::new()
        .given(|log| drop(log.change("thing/1", "thing.set", &field("a"))))
        .when(|log| drop(log.change("thing/1", "thing.set", &field("b"))))
        .then_rows(|rows| assert!(!rows[0].1.omitted, "just about"))
        .when(|log| drop(log.change("thing/1", "thing.set", &field("c"))))
        .then_rows(|rows| assert!(is_omitted(&rows[0].1)))
        .then_carries("thing/1", |carried| assert_eq!(carried.state, None))
        .when(|log| drop(log.change("thing/1", "thing.set", r#"{"a":1,"b":2,"c":3}"#)))
        .then_rows(|rows| {
            assert!(is_omitted(&rows[0].1), "nobody knows any more what it was before");
            assert_eq!(document(&rows[0].1.data), doc! { "a": 1_i64, "b": 2_i64, "c": 3_i64 });
        });
}

#[test]
fn the_largest_change_that_a_ledger_takes_fits_into_a_row() {
    // Of 1 MiB of JSON these take most room in BSON: one number in two bytes, one field of short name in six.
    let numbers = format!(r#"{{"a":[{}1]}}"#, "1,".repeat(524_200));
    let names: Vec<String> = (0..95_000).map(|number| format!("\"{number:x}\":1")).collect();
    let names = format!("{{{}}}", names.join(","));
    assert!(numbers.len() <= 1 << 20 && names.len() <= 1 << 20);
    for largest in [numbers, names] {
        RowScenario::<Changelogs>::new()
            .given(|log| drop(log.change("thing/1", "thing.set", &largest)))
            .when(|log| drop(log.change("thing/1", "thing.set", &largest)))
            .then_rows(|rows| {
                let bytes = bson::serialize_to_vec(&rows[0].1).unwrap().len();
                assert!(bytes < DOCUMENT_BYTES_MAX, "{bytes}");
            });
    }
}

#[test]
fn rows_that_expire_say_when_and_the_days_are_part_of_the_version() {
    RowScenario::<ExpiringChangelogs<30>>::new().when(|log| drop(log.change("user/1", "user.added", "{}"))).then_rows(
        |rows| {
            let row = &rows[0].1;
            let kept = ExpiringChangelogs::<30>::expires_at(row).unwrap() - row.recorded_at;
            assert_eq!(kept.fieldwise(), (30 * 24 * 3600).seconds().fieldwise());
        },
    );
    assert_ne!(ExpiringChangelogs::<30>::VERSION, ExpiringChangelogs::<31>::VERSION);
    assert_eq!(ExpiringChangelogs::<30>::indexes().len(), Changelogs::indexes().len() + 1);
}

#[test]
fn what_is_no_change_of_an_entity_leaves_the_changelogs_alone() {
    RowScenario::<Changelogs>::new()
        .when(|log| drop(log.open_account("a/b", "EUR", AccountType::Asset)))
        .then_touches(&[]);
}
