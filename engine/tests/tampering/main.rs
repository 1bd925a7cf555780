//! Hazard: a superuser alters the log behind the triggers' back. `verify` names the first bad place.
//!
//! What is altered comes from the database's catalog: a table or a column that is new there fails these tests until
//! `expected.rs` says who notices that it was altered.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test ends at the first thing that goes wrong")]

#[path = "../support/mod.rs"]
mod support;

mod expected;
mod tampered;

use expected::Noticed;
use postfold::Position;
use postfold::hash::Fields;
use tampered::{HEAD, LEDGER, NEIGHBOUR, Table, Tampered, open};

/// Alters each column of a table: in each row a little, in one row (JSON: in each) to every other value.
async fn alter_every_column(table: &str) {
    let mut tampered = Tampered::set_up().await;
    let table = tampered.table(table);
    let rows = tampered.rows(&table).await;
    let mut wrong = Vec::new();
    for column in &table.columns {
        let Noticed::Verify(columns) = expected::of(&table.name, &column.name) else {
            panic!("verify must notice {}.{}", table.name, column.name);
        };
        let values = expected::values(&table.name, &column.name, &column.data_type);
        let mut alterations = 0;
        for (number, (row, _)) in rows.iter().enumerate() {
            let all = number == rows.len() / 2 || column.data_type == "json";
            let values = if all { &values[..] } else { &values[..1] };
            // A row without its key is nowhere; that it is not where it was, other values show.
            let is_key = table.key.contains(&column.name);
            for value in values.iter().filter(|value| !(is_key && **value == "null")) {
                let set = format!("{} = {value}", column.name).replace("{c}", &column.name);
                let sql = format!("update {} set {set} where {row}", table.name);
                alterations += usize::from(check(&mut tampered, &sql, columns, &mut wrong).await);
            }
        }
        assert!(alterations >= rows.len(), "{}.{} was altered {alterations} times only", table.name, column.name);
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    tampered.drop().await;
}

/// Runs SQL and looks whether `verify` finds the first difference; whether there was one.
async fn check(tampered: &mut Tampered, sql: &str, columns: &[&str], wrong: &mut Vec<String>) -> bool {
    tampered.run(sql).await;
    let expected = tampered.first_difference().await;
    if let Some(expected) = expected {
        let found = tampered.found().await;
        let as_expected = found.as_ref().is_ok_and(|(position, column)| {
            *position == expected && (columns.is_empty() || columns.contains(&column.as_str()))
        });
        if !as_expected {
            wrong.push(format!("{sql}\n  found {found:?}, not {expected} in {columns:?}"));
        }
    }
    tampered.restore().await;
    expected.is_some()
}

#[tokio::test]
async fn every_altered_column_of_every_event_is_found_at_its_position() {
    alter_every_column("event").await;
}

#[tokio::test]
async fn every_altered_column_of_every_posting_is_found_with_its_name() {
    alter_every_column("posting").await;
}

#[tokio::test]
async fn every_altered_column_of_every_account_is_found_with_its_name() {
    alter_every_column("account").await;
}

/// A row that was removed, added or moved shows at its position, in whatever column.
const ANY: &[&str] = &[];

const LOG: [&str; 3] = ["account", "event", "posting"];

#[tokio::test]
async fn every_removed_row_is_found() {
    let mut tampered = Tampered::set_up().await;
    let mut wrong = Vec::new();
    for table in LOG {
        let table = tampered.table(table);
        for (row, _) in tampered.rows(&table).await {
            let sql = format!("delete from {} where {row}", table.name);
            assert!(check(&mut tampered, &sql, ANY, &mut wrong).await, "nothing was removed by {sql}");
        }
        let sql = format!("delete from {} where ledger_id = {{ledger}}", table.name);
        // Without any event the log ends before it begins, which what is left of it tells.
        assert!(check(&mut tampered, &sql, ANY, &mut wrong).await, "nothing was removed by {sql}");
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    tampered.drop().await;
}

/// Where a copy of a row is put: on the row itself, before and behind the log, and where it means another account.
const PLACES: [&str; 5] = ["{c}", "0", "-1", "-9223372036854775808", "{head} + 1"];

#[tokio::test]
async fn every_copied_row_is_found_wherever_it_is_put() {
    let mut tampered = Tampered::set_up().await;
    let mut wrong = Vec::new();
    for table in LOG {
        let table = tampered.table(table);
        let moved = position_of(&table);
        for (row, _) in tampered.rows(&table).await {
            for place in PLACES {
                let place = place.replace("{c}", moved).replace("{head}", &HEAD.to_string());
                let columns: Vec<&str> = table
                    .columns
                    .iter()
                    .map(|column| if column.name == moved { place.as_str() } else { column.name.as_str() })
                    .collect();
                let sql = format!("insert into {0} select {1} from {0} where {row}", table.name, columns.join(", "));
                assert!(check(&mut tampered, &sql, ANY, &mut wrong).await, "nothing was added by {sql}");
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    tampered.drop().await;
}

#[tokio::test]
async fn every_two_rows_that_changed_places_are_found() {
    let mut tampered = Tampered::set_up().await;
    let mut wrong = Vec::new();
    for table in LOG {
        let table = tampered.table(table);
        let rows = tampered.rows(&table).await;
        for (number, (one, _)) in rows.iter().enumerate() {
            for (other, _) in &rows[number + 1..] {
                let sql = swap(&table, one, other);
                assert!(check(&mut tampered, &sql, ANY, &mut wrong).await, "nothing was swapped by {sql}");
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    tampered.drop().await;
}

#[tokio::test]
async fn a_tail_that_was_cut_off_is_told_by_what_it_left_or_by_a_noted_head() {
    let mut tampered = Tampered::set_up().await;
    let noted = tampered.noted;
    for cut in 1..=HEAD {
        // The events alone: what else was written with them is left.
        tampered.run(&format!("delete from event where ledger_id = {{ledger}} and position >= {cut}")).await;
        let found = tampered.found().await.unwrap();
        assert_eq!(found.0, cut, "{found:?}");
        // All of it: what is left is a whole log, shorter than the one that was noted.
        tampered.run(&format!("delete from posting where ledger_id = {{ledger}} and position >= {cut}")).await;
        tampered.run(&format!("delete from account where ledger_id = {{ledger}} and account_id >= {cut}")).await;
        assert!(tampered.verify().await.unwrap().is_clean(), "cut at {cut}");
        assert_eq!(tampered.ledger.log().hash_at(noted.position).await.unwrap(), None);
        tampered.restore().await;
    }
    assert_eq!(tampered.ledger.log().hash_at(noted.position).await.unwrap(), Some(noted.hash));
    tampered.drop().await;
}

/// Whoever can rewrite rows can hash them anew; the fold still tells what does not follow.
#[tokio::test]
async fn a_version_out_of_order_is_found_though_its_hash_is_right() {
    let mut tampered = Tampered::set_up().await;
    let page = tampered.ledger.log().page(Position::new(5), 2).await.unwrap();
    let [mut altered, mut last] = [page[0].clone(), page[1].clone()];
    altered.version = Some(3);
    altered.hash =
        tampered.ledger.log().hash_at(Position::new(5)).await.unwrap().unwrap().chain(&Fields::from(&altered));
    last.hash = altered.hash.chain(&Fields::from(&last));
    for (position, hash) in [(6, altered.hash), (7, last.hash)] {
        tampered
            .run(&format!("update event set hash = '\\x{hash}' where ledger_id = {{ledger}} and position = {position}"))
            .await;
    }
    tampered.run("update event set version = 3 where ledger_id = {ledger} and position = 6").await;
    let report = tampered.verify().await.unwrap();
    assert_eq!(report.problems_total, 1, "{:?}", report.problems);
    assert_eq!((report.problems[0].position.get(), report.problems[0].column.as_str()), (6, "event.version"));
    tampered.drop().await;
}

#[tokio::test]
async fn a_part_of_the_log_is_verified_on_what_is_stored_before_it() {
    let mut tampered = Tampered::set_up().await;
    let row = "where ledger_id = {ledger} and account_id = 1 and position = 3";
    tampered.run(&format!("update posting set posted = posted + 1 {row}")).await;
    for (after, upto, found) in [(0, None, Some(3)), (2, Some(3), Some(3)), (3, None, None), (0, Some(2), None)] {
        let (after, upto) = (Position::new(after), upto.map(Position::new));
        let report = postfold::verify_between(tampered.ledger.log(), after, upto, |_| {}).await.unwrap();
        assert_eq!(report.problems.first().map(|problem| problem.position.get()), found, "{after}..{upto:?}");
        assert_eq!(report.head.position, upto.unwrap_or(Position::new(HEAD)));
        assert_eq!(report.events, (report.head.position.get() - after.get()).unsigned_abs());
    }
    // A total that was altered before the part shows in the part, since the fold begins with it.
    tampered.run(&format!("update posting set debits_posted = debits_posted + 1 {row}")).await;
    let report = postfold::verify_between(tampered.ledger.log(), Position::new(4), None, |_| {}).await.unwrap();
    assert_eq!(report.problems.first().map(|problem| problem.position.get()), Some(5));
    tampered.drop().await;
}

/// What is in no hash: the names and numbers by which a ledger is found, and the notes of its migrations.
#[tokio::test]
async fn every_altered_column_beside_the_log_is_noticed_or_known_to_say_nothing() {
    let mut tampered = Tampered::set_up().await;
    let beside: Vec<Table> = tampered.tables.iter().filter(|table| !LOG.contains(&&*table.name)).cloned().collect();
    assert_eq!(beside.len(), 3, "{beside:?}");
    let columns: usize = tampered.tables.iter().map(|table| table.columns.len()).sum();
    assert_eq!(columns, expected::EVERY_COLUMN.len(), "a column is expected that is not there");
    for table in beside {
        for column in &table.columns {
            let noticed = expected::of(&table.name, &column.name);
            for value in expected::values(&table.name, &column.name, &column.data_type) {
                let row = if table.name == "ledger" { format!("where name = '{LEDGER}'") } else { String::new() };
                let set = format!("{} = {value}", column.name).replace("{c}", &column.name);
                tampered.run(&format!("update {} set {set} {row}", table.name)).await;
                if tampered.is_altered(&table).await {
                    let who = who_notices(&tampered).await;
                    let known: &[&str] = match noticed {
                        Noticed::Other(names) => names,
                        Noticed::Nobody => &["nobody"],
                        Noticed::Verify(_) => &[],
                    };
                    assert!(known.contains(&who), "{who} noticed: {} set {set}", table.name);
                }
                tampered.restore().await;
            }
        }
    }
    tampered.drop().await;
}

/// Who notices first, of those who come along in this order: opening, verifying what was opened, looking for the
/// noted head, running `init`.
async fn who_notices(tampered: &Tampered) -> &'static str {
    let noted = tampered.noted;
    let Ok(ledger) = open(&tampered.settings, LEDGER).await else { return "open" };
    let report = postfold::verify(ledger.log(), |_| {}).await.unwrap();
    if !report.is_clean() {
        return "verify";
    }
    if ledger.log().hash_at(noted.position).await.unwrap() != Some(noted.hash) {
        return "head";
    }
    let initialised = postfold::init(support::database_url(), LEDGER, &tampered.settings, false).await;
    if initialised.is_err() { "init" } else { "nobody" }
}

#[tokio::test]
async fn a_ledger_under_the_name_of_another_is_found_at_its_first_event() {
    let mut tampered = Tampered::set_up().await;
    tampered
        .run(&format!("update ledger set name = case name when '{LEDGER}' then '{NEIGHBOUR}' else '{LEDGER}' end"))
        .await;
    for name in [LEDGER, NEIGHBOUR] {
        let report = postfold::verify(open(&tampered.settings, name).await.unwrap().log(), |_| {}).await.unwrap();
        let first = report.problems.first().map(|problem| (problem.position.get(), problem.column.as_str()));
        assert_eq!(first, Some((1, "event.hash")), "{name}");
    }
    tampered.drop().await;
}

#[tokio::test]
async fn every_guard_that_is_gone_or_asleep_is_named_by_an_examination() {
    let mut tampered = Tampered::set_up().await;
    let guards = tampered.triggers().await;
    for (table, trigger) in &guards {
        for state in ["disable trigger", "enable replica trigger"] {
            tampered.run(&format!("alter table {table} {state} {trigger}")).await;
            let named = tampered.guards_missing().await;
            assert_eq!(named, [format!("{table}.{trigger}")]);
            tampered.run(&format!("alter table {table} enable trigger {trigger}")).await;
        }
    }
    assert!(tampered.guards_missing().await.is_empty());
    for (table, trigger) in &guards {
        tampered.run(&format!("drop trigger {trigger} on {table}")).await;
    }
    assert_eq!(tampered.guards_missing().await.len(), guards.len());
    tampered.drop().await;
}

/// The column that says where in the log a row stands.
fn position_of(table: &Table) -> &'static str {
    if table.name == "account" { "account_id" } else { "position" }
}

/// SQL that gives each of two rows the key of the other.
fn swap(table: &Table, one: &str, other: &str) -> String {
    let name = &table.name;
    let set = table.key.iter().map(|column| {
        format!(
            "{column} = case when {one} then (select {column} from {name} where {other}) \
             else (select {column} from {name} where {one}) end"
        )
    });
    format!("update {name} set {} where ({one}) or ({other})", set.collect::<Vec<_>>().join(", "))
}
