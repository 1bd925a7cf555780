//! The whole program on a bank of three accounts, with everything in it that the report has to tell.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test ends at the first thing that goes wrong")]

mod support;

use std::fs;

use serde_json::json;
use support::{fresh_ledger, report, run};
use tempfile::TempDir;

const ACCOUNTS: &str = r#""account_id";"district_id";"frequency";"date"
11;1;"POPLATEK MESICNE";930105
12;2;"POPLATEK TYDNE";930110
13;1;"POPLATEK MESICNE";930301
"#;

/// A fee before the interest that came first; an account nobody knows; nothing moved; interest rounded by a tenth; a
/// payment whose balance knows of 2.00 that are behind the cut; the cut.
const TRANSACTIONS: &str = r#""trans_id";"account_id";"date";"type";"operation";"amount";"balance";"k_symbol";"bank";"account"
1;11;930105;"PRIJEM";"VKLAD";1000.00;1000.00;"";;
2;11;930131;"VYDAJ";"VYBER";14.60;988.60;"SLUZBY";;
900;11;930131;"PRIJEM";"";3.20;1003.20;"UROK";;
3;12;930201;"PRIJEM";"PREVOD Z UCTU";500.00;500.00;"";"AB";"123"
4;99;930201;"PRIJEM";"VKLAD";5.00;5.00;"";;
5;12;930202;"PRIJEM";"VKLAD";0.00;500.00;"";;
901;11;930228;"PRIJEM";"";3.10;991.80;"UROK";;
6;12;930228;"VYDAJ";"PREVOD NA UCET";100.00;402.00;"SIPO";"CD";"7"
7;12;9302"#;

fn bank(transactions: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("account.asc"), ACCOUNTS).unwrap();
    fs::write(directory.path().join("trans.asc"), transactions).unwrap();
    directory
}

#[test]
fn every_row_is_posted_or_reported_and_every_difference_is_explained() {
    let bank = bank(TRANSACTIONS);
    let report = report(bank.path(), &fresh_ledger(), 0);
    assert_eq!(report["import"]["entries"]["done"], 6);
    let faults: Vec<_> = report["faults"].as_array().unwrap().iter().map(|f| (&f["line"], &f["kind"])).collect();
    let expected =
        [(json!(6), json!("unknown_account")), (json!(7), json!("zero_amount")), (json!(10), json!("cut_off"))];
    assert_eq!(faults, expected.iter().map(|(line, kind)| (line, kind)).collect::<Vec<_>>());

    let differing = report["differing"].as_array().unwrap();
    let found: Vec<_> = differing.iter().map(|account| (&account["account"], &account["difference"])).collect();
    assert_eq!(found, [(&json!(11), &json!("-0.10")), (&json!(12), &json!("-2.00"))]);
    assert_eq!(differing[0]["breaks"][0]["cause"], "amount_rounded");
    assert_eq!(differing[1]["breaks"][0]["cause"], "cut_day");
    assert_eq!(differing[1]["first_difference"]["line"], 9);
    assert_eq!(report["bridge"]["bank"], "1393.80");
    assert_eq!(report["bridge"]["ours"], "1391.70");
    assert_eq!(report["unexplained"], json!([]));
}

#[test]
fn the_ledger_holds_what_the_rows_say() {
    let bank = bank(TRANSACTIONS);
    let audit = report(bank.path(), &fresh_ledger(), 0)["audit"].clone();
    assert_eq!((&audit["entries_equal"], &audit["running_balances_equal"]), (&json!(6), &json!(6)));
    assert_eq!((&audit["customers_equal"], &audit["balances_equal"]), (&json!(3), &json!(8)));
    // Cash 1000, interest 6.30, clearing 500 - 100; customers and a fee of 14.60.
    assert_eq!((&audit["debits"], &audit["credits"]), (&json!("1406.30"), &json!("1406.30")));
    assert_eq!(audit["findings"], json!([]));
}

#[test]
fn a_second_run_posts_nothing() {
    let bank = bank(TRANSACTIONS);
    let ledger = fresh_ledger();
    let first = report(bank.path(), &ledger, 0);
    support::assert_a_second_run_changes_nothing(bank.path(), &ledger, &first, 0);
}

#[test]
fn the_whole_file_goes_on_where_the_cut_one_ended() {
    let ledger = fresh_ledger();
    report(bank(TRANSACTIONS).path(), &ledger, 0);
    let (cut, _) = TRANSACTIONS.rsplit_once('\n').unwrap();
    let whole = format!("{cut}\n7;12;930228;\"PRIJEM\";\"\";2.00;502.00;\"UROK\";;\n");
    let report = report(bank(&whole).path(), &ledger, 0);
    assert_eq!(report["import"]["entries"]["done"], 1);
    assert_eq!(report["import"]["entries"]["duplicates"], 6);
    assert_eq!(report["accounts"]["equal_in_every_row"], 1);
}

#[test]
fn a_difference_without_an_explanation_exits_with_1() {
    let wrong = TRANSACTIONS.replace(";14.60;988.60;", ";14.60;978.60;");
    let report = report(bank(&wrong).path(), &fresh_ledger(), 1);
    let unexplained = report["unexplained"].as_array().unwrap();
    assert!(unexplained[0].as_str().unwrap().starts_with("account 11, line 3"), "{unexplained:?}");
}

#[test]
fn a_ledger_that_holds_another_entry_under_an_id_exits_with_1() {
    let ledger = fresh_ledger();
    report(bank(TRANSACTIONS).path(), &ledger, 0);
    let other = TRANSACTIONS.replace("1;11;930105;\"PRIJEM\";\"VKLAD\";1000", "1;11;930105;\"PRIJEM\";\"VKLAD\";1001");
    let report = report(bank(&other).path(), &ledger, 1);
    let refusal = report["import"]["entries"]["refusals"][0].as_str().unwrap();
    assert!(refusal.starts_with("pkdd99-trans-1: id_reused"), "{refusal}");
    let finding = report["audit"]["findings"][0].as_str().unwrap();
    assert!(finding.contains("pkdd99-trans-1 is not what line 2 says"), "{finding}");
}

#[test]
fn wrong_files_exit_with_2_and_a_database_that_is_away_with_3() {
    let bank = bank(TRANSACTIONS);
    let away = format!("{}-that-is-not-there", support::database_url());
    assert_eq!(run(bank.path(), "any", &away).status.code(), Some(3));
    fs::write(bank.path().join("account.asc"), "another;header\n").unwrap();
    assert_eq!(run(bank.path(), "any", &away).status.code(), Some(2));
    fs::remove_file(bank.path().join("account.asc")).unwrap();
    let output = run(bank.path(), "any", &away);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("holds neither account.asc.gz nor account.asc"));
}
