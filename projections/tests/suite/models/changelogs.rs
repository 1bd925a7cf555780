//! `changelogs`, by given / when / then.

use bson::doc;
use postfold::AccountType;
use postfold_projections::models::Changelogs;
use postfold_projections::testing::Scenario;

#[test]
fn every_change_of_an_entity_is_a_document_of_its_own() {
    let meta = r#"{"fingerprint":"","correlation":"import-3","meta":{"by":"admin/7","user":"x"}}"#;
    Scenario::<Changelogs>::new()
        .given(|log| drop(log.change("user/42", "user.added", r#"{"name":"Ada"}"#)))
        .when(|log| {
            let data = r#"{"name":"Ada L.","$odd.name":1.50,"tags":[]}"#;
            log.append_with(Some("user/42"), "user.renamed", data, meta);
        })
        .then_touches(&["user/42|0000000002"])
        .then("user/42|0000000001", |first| {
            assert_eq!((first.version, &*first.kind, &first.by), (1, "user.added", &None));
        })
        .then("user/42|0000000002", |second| {
            assert_eq!((&*second.entity, &*second.entity_type, second.version), ("user/42", "user", 2));
            assert_eq!(second.fields, ["name", "$odd.name", "tags"]);
            let amount: bson::Decimal128 = "1.50".parse().unwrap();
            assert_eq!(second.data, doc! { "name": "Ada L.", "%24odd%2Ename": amount, "tags": [] });
            assert_eq!((second.by.as_deref(), second.correlation.as_deref()), (Some("admin/7"), Some("import-3")));
        });
}

#[test]
fn what_is_no_change_of_an_entity_leaves_the_changelogs_alone() {
    Scenario::<Changelogs>::new()
        .when(|log| drop(log.open_account("a/b", "EUR", AccountType::Asset)))
        .then_touches(&[]);
}
