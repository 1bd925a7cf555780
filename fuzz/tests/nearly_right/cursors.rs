use postfold::{Command, Error, Ledger, StatementQuery};
use postfold_fuzz::{fuzz, nearly};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::{ledger, open, runtime, send};

/// A number near the ends of its type, or any.
fn number() -> impl Strategy<Value = i64> {
    prop_oneof![
        prop::sample::select(vec![0, 1, -1, i64::MAX, i64::MIN, i64::from(i32::MAX), i64::from(i32::MIN) - 1]),
        any::<i64>()
    ]
}

/// A ledger with a statement of four lines.
async fn of_four_lines() -> Ledger {
    let ledger = ledger();
    open(&ledger).await;
    for id in 0..4 {
        let post = format!(r#"{{"do":"transfer","id":"{id}","amount":"1","debit":"till","credit":"sales"}}"#);
        assert!(send(&ledger, Command::from_json(&post)).await.get("ok").is_some());
    }
    ledger
}

#[test]
fn a_cursor_that_was_not_given_out_is_refused_and_does_no_harm() {
    let runtime = runtime();
    let ledger = runtime.block_on(of_four_lines());
    let page = |query: StatementQuery| runtime.block_on(ledger.log().statement(&query.limit(1)));
    let first = page(StatementQuery::of("till")).unwrap().next.unwrap();
    let second = page(StatementQuery::of("till").cursor(&first)).unwrap().next.unwrap();
    let given = vec![first.into_bytes(), second.clone().into_bytes()];
    // The check is no secret: whoever knows how it is made can make one up.
    let times = (prop::option::of(number()), prop::option::of(number()));
    let made_up = (number(), number(), times, number(), number(), number()).prop_map(
        |(at, account, (from, to), effective_at, position, leg)| {
            let [from, to] = [from, to].map(|time| time.map_or_else(String::new, |time| time.to_string()));
            let body = format!("{at}_{account}_{from}_{to}_{effective_at}_{position}_{leg}");
            let check = Sha256::new().chain_update("memory").chain_update([0]).chain_update(&body).finalize();
            format!("s1_{body}_{}", hex::encode(&check[..6])).into_bytes()
        },
    );
    fuzz(&prop_oneof![nearly(given), made_up], |cursor| {
        match page(StatementQuery::of("till").cursor(String::from_utf8_lossy(&cursor))) {
            Ok(page) => prop_assert!(page.lines.len() <= 1),
            Err(Error::Query(invalid)) => prop_assert!(["cursor", "at"].contains(&invalid.field.as_str())),
            // A position before the account was opened.
            Err(Error::UnknownAccount { .. }) => {}
            Err(other) => prop_assert!(false, "{other}"),
        }
        Ok(())
    });
    assert_eq!(page(StatementQuery::of("till").cursor(second)).unwrap().lines.len(), 1);
}
