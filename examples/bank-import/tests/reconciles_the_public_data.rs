//! The public data, if it is at hand: `POSTFOLD_BANK_DATA` names its directory.
//!
//! The counts are those of a copy of `trans.asc` that was cut at 3 MiB (3,145,728 bytes): the header, 49,102 rows, and
//! a line that is not whole.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test ends at the first thing that goes wrong")]

mod support;

use std::path::Path;

use serde_json::{Value, json};
use support::{fresh_ledger, report};

/// The file that the counts are of: lines, the header and the cut one included.
const LINES: u64 = 49_104;

#[test]
fn the_public_data_reconciles_to_the_heller() {
    let Some(directory) = std::env::var_os("POSTFOLD_BANK_DATA").filter(|directory| !directory.is_empty()) else {
        println!("POSTFOLD_BANK_DATA is not set: the optional public data was not imported");
        return;
    };
    let directory = Path::new(&directory);
    let ledger = fresh_ledger();
    let report = report(directory, &ledger, 0);
    assert_eq!(report["files"]["trans_lines"], LINES, "the counts below are of another file");
    the_import_is_whole(&report);
    the_order_within_a_day_is_by_type_and_balance(&report);
    the_accounts_agree_but_for_rounding_and_the_cut(&report);
    the_ledger_is_the_replay(&report);
    support::assert_a_second_run_changes_nothing(directory, &ledger, &report, 0);
}

fn the_import_is_whole(report: &Value) {
    let files = &report["files"];
    assert_eq!((&files["accounts"], &files["rows"]), (&json!(4_500), &json!(49_102)));
    assert_eq!((&files["faults"], &files["cut_day"]), (&json!(1), &json!("1994-03-31")));
    assert_eq!((&report["faults"][0]["line"], &report["faults"][0]["kind"]), (&json!(LINES), &json!("cut_off")));
    assert_eq!(report["import"]["accounts"]["done"], 4_571);
    assert_eq!(report["import"]["entries"]["done"], 49_102);
}

fn the_order_within_a_day_is_by_type_and_balance(report: &Value) {
    let figures = |name: &str| -> Vec<u64> {
        report["orders"].as_array().unwrap().iter().map(|order| order[name].as_u64().unwrap()).collect()
    };
    assert_eq!(report["days_with_several_rows"], 8_285);
    assert_eq!(figures("steps_broken"), [12_214, 18_200, 3_259, 28]);
    assert_eq!(figures("steps_off_by_a_tenth"), [1_467, 781, 2_172, 2_325]);
    assert_eq!(figures("accounts_equal_in_every_row"), [227, 187, 286, 342]);
}

fn the_accounts_agree_but_for_rounding_and_the_cut(report: &Value) {
    let accounts = json!({
        "with_rows": 1_229, "equal_in_every_row": 342, "equal_at_the_end": 256, "differing": 631,
        "differing_by_rounding": 603, "rounding_largest": "0.80",
        "overdrawn": 26, "rows_overdrawn": 93, "lowest": "-5446.60",
    });
    assert_eq!(report["accounts"], accounts);
    let cause = |cause: &str, rows: u64, accounts: u64, sum: &str, absolute: &str| json!({ "cause": cause, "rows": rows, "accounts": accounts, "sum": sum, "absolute": absolute });
    let bridge = json!({
        "bank": "39250523.80",
        "causes": [
            cause("amount_rounded", 2_222, 871, "-44.40", "222.20"),
            cause("balance_rounded", 103, 95, "-3.70", "10.30"),
            cause("line_not_read", 1, 1, "192.00", "192.00"),
            cause("cut_day", 27, 27, "4237.10", "4237.10"),
        ],
        "ours": "39246142.80",
    });
    assert_eq!(report["bridge"], bridge);
    let ties = json!({ "off": 54, "off_at_a_power_of_two": 54, "exact": 33_142, "exact_at_a_power_of_two": 6_905 });
    assert_eq!(report["ties"], ties);
    assert_eq!(report["unexplained"], json!([]));
}

fn the_ledger_is_the_replay(report: &Value) {
    let audit = &report["audit"];
    assert_eq!((&audit["entries_equal"], &audit["running_balances_equal"]), (&json!(49_102), &json!(49_102)));
    assert_eq!((&audit["customers_equal"], &audit["balances_equal"]), (&json!(4_500), &json!(4_571)));
    assert_eq!((&audit["debits"], &audit["credits"]), (&json!("39340064.50"), &json!("39340064.50")));
    assert_eq!((&audit["head"], &audit["findings"]), (&json!(53_673), &json!([])));
}
