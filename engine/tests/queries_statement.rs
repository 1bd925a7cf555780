//! A statement that does not add up, a page that repeats or forgets a line, a cursor that is believed.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test ends at the first thing that goes wrong")]

mod support;

use postfold::{AsOf, Error, Ledger, Position, Statement, StatementLine, StatementQuery, Timestamp};
use rust_decimal::{Decimal, dec};
use serde_json::json;
use support::{both, contains, given, postgres};

const SETUP: &[&str] = &[
    r#"{"do":"open_account","account":"till","currency":"EUR","type":"asset"}"#,
    r#"{"do":"open_account","account":"wallet","currency":"EUR","type":"liability"}"#,
    r#"{"do":"transfer","id":"t1","amount":"10","debit":"till","credit":"wallet","at":"2025-01-31T23:59:59.999999Z","text":"before"}"#,
    r#"{"do":"transfer","id":"t2","amount":"20","debit":"till","credit":"wallet","at":"2025-02-01T00:00:00Z","text":"first"}"#,
    r#"{"do":"transfer","id":"t3","amount":"5","debit":"wallet","credit":"till","at":"2025-02-20T00:00:00Z"}"#,
    r#"{"do":"post","id":"e1","legs":[{"account":"wallet","debit":"3"},{"account":"wallet","credit":"1"},{"account":"till","credit":"2"}],"at":"2025-02-10T00:00:00Z"}"#,
    r#"{"do":"hold","id":"h1","amount":"7","debit":"wallet","credit":"till","at":"2025-02-11T00:00:00Z"}"#,
    r#"{"do":"settle","id":"s1","hold":"h1","amount":"4","text":"taken","at":"2025-02-12T00:00:00Z"}"#,
    r#"{"do":"reverse","id":"r1","entry":"t3","at":"2025-02-20T00:00:00Z"}"#,
    r#"{"do":"transfer","id":"t4","amount":"100","debit":"till","credit":"wallet","at":"2025-03-01T00:00:00Z"}"#,
];

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn february() -> StatementQuery {
    StatementQuery::of("wallet").from(time("2025-02-01T00:00:00Z")).to(time("2025-03-01T00:00:00Z"))
}

/// Every page, the first one first.
async fn pages(ledger: &Ledger, mut query: StatementQuery) -> Vec<Statement> {
    let mut pages = Vec::new();
    loop {
        let page = ledger.log().statement(&query).await.unwrap();
        let next = page.next.clone();
        pages.push(page);
        match next {
            Some(next) => query = query.cursor(next),
            None => return pages,
        }
    }
}

fn lines(pages: &[Statement]) -> Vec<StatementLine> {
    pages.iter().flat_map(|page| page.lines.clone()).collect()
}

/// Opening plus lines is closing, each page begins where the one before ended.
fn adds_up(pages: &[Statement]) {
    let sign = if pages[0].normal == postfold::Side::Debit { Decimal::ONE } else { Decimal::NEGATIVE_ONE };
    let mut balance = pages[0].opening;
    for page in pages {
        assert_eq!((page.opening, page.closing), (pages[0].opening, pages[0].closing));
        assert_eq!(page.position, pages[0].position);
        assert_eq!(page.forward, balance);
        for line in &page.lines {
            balance += sign * (line.debit.unwrap_or_default() - line.credit.unwrap_or_default());
            assert_eq!(line.balance, balance);
        }
    }
    assert_eq!(balance, pages[0].closing);
}

#[tokio::test]
async fn a_statement_goes_by_effective_time_and_adds_up() {
    for (store, ledger, _) in both().await {
        given(&ledger, SETUP).await;
        let statement = ledger.log().statement(&february()).await.unwrap();
        adds_up(std::slice::from_ref(&statement));
        let expected = json!({
            "account": "wallet", "currency": "EUR", "type": "liability", "normal": "credit", "position": 10,
            "from": "2025-02-01T00:00:00Z", "to": "2025-03-01T00:00:00Z",
            "opening": "10.00", "forward": "10.00", "closing": "24.00",
            "lines": [
                {"position": 4, "leg": 1, "id": "t2", "kind": "entry", "text": "first", "credit": "20.00", "balance": "30.00",
                    "effective_at": "2025-02-01T00:00:00Z", "recorded_at": "2025-03-01T12:00:00Z"},
                {"position": 6, "leg": 0, "id": "e1", "debit": "3.00", "balance": "27.00"},
                {"position": 6, "leg": 1, "id": "e1", "credit": "1.00", "balance": "28.00"},
                {"position": 8, "id": "s1", "kind": "settle", "text": "taken", "debit": "4.00", "balance": "24.00"},
                {"position": 5, "id": "t3", "debit": "5.00", "balance": "19.00"},
                {"position": 9, "id": "r1", "kind": "reversal", "reverses": "t3", "credit": "5.00", "balance": "24.00"},
            ],
        });
        let found = serde_json::to_value(&statement).unwrap();
        assert!(contains(&found, &expected), "{store}: {found:#}");
        assert_eq!(found.get("next"), None, "{store}");
        assert_eq!(found["lines"][1].get("credit"), None, "{store}");

        let whole = ledger.log().statement(&StatementQuery::of("wallet")).await.unwrap();
        assert_eq!((whole.opening, whole.closing, whole.lines.len()), (dec!(0), dec!(124), 8), "{store}");
        let early = StatementQuery::of("wallet").to(time("2025-01-01T00:00:00Z"));
        let early = ledger.log().statement(&early).await.unwrap();
        assert_eq!((early.opening.to_string().as_str(), early.lines.len()), ("0.00", 0), "{store}");
        assert_eq!(early.closing.to_string(), "0.00", "{store}");
        let as_of = february().as_of(AsOf::position(Position::new(5)));
        let as_of = ledger.log().statement(&as_of).await.unwrap();
        assert_eq!((as_of.closing, as_of.lines.len(), as_of.position.get()), (dec!(25), 2, 5), "{store}");
    }
}

#[tokio::test]
async fn pages_of_every_size_join_to_the_whole() {
    for (store, ledger, _) in both().await {
        given(&ledger, SETUP).await;
        for query in
            [february(), StatementQuery::of("till"), StatementQuery::of("wallet").from(time("2025-02-10T00:00:00Z"))]
        {
            let whole = pages(&ledger, query.clone().limit(1_000)).await;
            assert_eq!(whole.len(), 1, "{store}");
            for limit in 1..=9 {
                let pages = pages(&ledger, query.clone().limit(limit)).await;
                adds_up(&pages);
                assert_eq!(lines(&pages), lines(&whole), "{store}: {limit} lines a page");
                assert!(pages.iter().all(|page| page.lines.len() <= limit), "{store}");
                let full = pages.len() - 1;
                assert!(pages[..full].iter().all(|page| page.lines.len() == limit), "{store}");
            }
        }
    }
}

#[tokio::test]
async fn what_cannot_be_asked_so_is_refused_with_what_is_wrong() {
    for (store, ledger, _) in both().await {
        given(&ledger, SETUP).await;
        let log = ledger.log();
        let next = log.statement(&february().limit(2)).await.unwrap().next.unwrap();
        // The span of time need not be said again.
        let second = log.statement(&StatementQuery::of("wallet").cursor(next.clone())).await.unwrap();
        assert_eq!((second.from, second.lines[0].leg), (Some(time("2025-02-01T00:00:00Z")), 1), "{store}");
        for (query, field) in [
            (february().cursor("nonsense"), "cursor"),
            (february().cursor(next.replace('1', "2")), "cursor"),
            (StatementQuery::of("till").cursor(next.clone()), "cursor"),
            (february().to(time("2025-04-01T00:00:00Z")).cursor(next.clone()), "cursor"),
            (february().limit(0), "limit"),
            (february().limit(10_001), "limit"),
            (february().to(time("2025-01-01T00:00:00Z")), "to"),
            (february().as_of(AsOf::position(Position::new(99))), "at"),
            (february().as_of(AsOf::effective(time("2025-02-20T00:00:00Z"))), "effective_at"),
        ] {
            let error = log.statement(&query).await.unwrap_err();
            assert!(matches!(&error, Error::Query(invalid) if invalid.field == field), "{store}: {query:?}: {error}");
        }
        assert!(
            matches!(log.statement(&StatementQuery::of("none")).await, Err(Error::UnknownAccount { .. })),
            "{store}"
        );
    }
}

#[tokio::test]
async fn pages_stay_as_of_the_first_one_while_others_write() {
    let (ledger, _) = postgres().await;
    given(&ledger, SETUP).await;
    let writer = ledger.clone();
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let writing = tokio::spawn(async move {
        let mut number = 0;
        // Not without end: each page reads all that the account has.
        while number < 400 && stopped.try_recv().is_err() {
            // Into the middle of what is being read.
            let line = format!(
                r#"{{"do":"transfer","id":"w{number}","amount":"1","debit":"till","credit":"wallet","at":"2025-02-12T00:00:00Z"}}"#
            );
            given(&writer, &[&line]).await;
            number += 1;
        }
        number
    });
    let mut last = Position::START;
    for _ in 0..20 {
        let pages = pages(&ledger, february().limit(50)).await;
        adds_up(&pages);
        let whole =
            ledger.log().statement(&february().limit(10_000).as_of(AsOf::position(pages[0].position))).await.unwrap();
        assert_eq!(lines(&pages), whole.lines);
        assert!(pages[0].position >= last);
        last = pages[0].position;
    }
    stop.send(()).unwrap();
    assert!(writing.await.unwrap() > 0 && last > Position::new(10));
}
