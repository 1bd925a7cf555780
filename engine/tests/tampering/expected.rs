//! Where an alteration of each column has to show. A column that is not listed here fails the tests.
#![allow(unreachable_pub, reason = "a module of one test")]

/// Who notices that a column was altered.
#[derive(Clone, Copy, Debug)]
pub enum Noticed {
    /// `verify`, at the position of the row, in one of these columns.
    Verify(&'static [&'static str]),
    /// Somebody else, as the test names them.
    Other(&'static [&'static str]),
    /// Nobody, since nothing is read from it.
    Nobody,
}

use Noticed::{Nobody, Other, Verify};

const HASH: Noticed = Verify(&["event.hash", "event"]);
const EVENT_MOVED: Noticed = Verify(&["event.position", "event.hash"]);
const POSTING_MOVED: Noticed = Verify(&["posting.position"]);

pub const EVERY_COLUMN: &[(&str, Noticed)] = &[
    ("account.ledger_id", Verify(&["account.account_id"])),
    ("account.account_id", Verify(&["account.account_id"])),
    ("account.code", Verify(&["account.code", "account"])),
    ("account.currency", Verify(&["account.currency", "account"])),
    ("account.scale", Verify(&["account.scale", "account"])),
    ("account.type", Verify(&["account.type", "account"])),
    ("account.normal", Verify(&["account.normal", "account"])),
    ("event.ledger_id", EVENT_MOVED),
    ("event.position", EVENT_MOVED),
    ("event.id", HASH),
    ("event.stream", HASH),
    ("event.version", HASH),
    ("event.kind", HASH),
    ("event.schema", HASH),
    ("event.data", HASH),
    ("event.meta", HASH),
    ("event.effective_at", HASH),
    ("event.recorded_at", Verify(&["event.hash", "event.recorded_at", "event"])),
    ("event.hash", HASH),
    // Empty but within a transaction that writes a batch behind one that it does not see.
    ("joint.ledger_id", Nobody),
    ("joint.position", Nobody),
    // To another ledger, or to none: the log is somewhere else, and whole.
    ("ledger.ledger_id", Other(&["verify", "head", "open"])),
    ("ledger.name", Other(&["open"])),
    // When the row was made; the log begins with its first event.
    ("ledger.created_at", Nobody),
    ("migration.version", Other(&["open"])),
    ("migration.success", Other(&["open"])),
    ("migration.checksum", Other(&["init"])),
    // Notes of the migrations about their run.
    ("migration.description", Nobody),
    ("migration.installed_on", Nobody),
    ("migration.execution_time", Nobody),
    ("posting.ledger_id", POSTING_MOVED),
    ("posting.account_id", POSTING_MOVED),
    ("posting.position", POSTING_MOVED),
    ("posting.leg", POSTING_MOVED),
    ("posting.posted", Verify(&["posting.posted"])),
    ("posting.pending", Verify(&["posting.pending"])),
    ("posting.debits_posted", Verify(&["posting.debits_posted"])),
    ("posting.credits_posted", Verify(&["posting.credits_posted"])),
    ("posting.debits_pending", Verify(&["posting.debits_pending"])),
    ("posting.credits_pending", Verify(&["posting.credits_pending"])),
];

/// Who notices, for a column of the catalog.
pub fn of(table: &str, column: &str) -> Noticed {
    let name = format!("{table}.{column}");
    let known = EVERY_COLUMN.iter().find(|(known, _)| *known == name);
    known.unwrap_or_else(|| panic!("{name} is new: say here who notices that it was altered")).1
}

/// Values that a column may be given instead of its own; `{c}` stands for its name. The first is a small change.
pub fn values(table: &str, column: &str, data_type: &str) -> Vec<&'static str> {
    match (table, column, data_type) {
        ("account", "type", _) => vec!["case {c} when 'asset' then 'expense' else 'asset' end", "'x'", "null"],
        ("account", "normal", _) => vec!["case {c} when 'debit' then 'credit' else 'debit' end", "'x'", "null"],
        (_, _, "bigint") => {
            vec!["coalesce({c}, 0) + 1", "{c} - 1", "0", "-1", "9223372036854775807", "(-9223372036854775808)", "null"]
        }
        (_, _, "integer") => vec!["{c} + 1", "{c} - 1", "2147483647", "(-2147483648)", "null"],
        (_, _, "smallint") => vec!["{c} + 1", "{c} - 1", "32767", "-1", "null"],
        (_, _, "numeric") => {
            vec!["{c} + 1", "{c} - 1", "{c} + 1e-9", "'NaN'", "'Infinity'", "1e40", "{c} * 1e20 + 1e-20", "null"]
        }
        (_, _, "text") => vec!["coalesce({c}, '') || 'x'", "''", "repeat('x', 100000)", "null"],
        (_, _, "json") => vec![
            "'{\"x\":1}'",
            "({c}::text || ' ')::json",
            "'[]'",
            "'1e999'",
            // Amounts of which no two can be added up.
            r#"regexp_replace({c}::text, '"(debit|credit)":"[^"]*"', '"debit":"79228162514264337593543950335"', 'g')::json"#,
            "null",
        ],
        (_, _, "timestamp with time zone") => vec![
            "{c} + interval '1 microsecond'",
            "{c} - interval '1 microsecond'",
            "'infinity'",
            "'-infinity'",
            "'294276-12-31'",
            "'4713-01-01 BC'",
            "null",
        ],
        (_, _, "bytea") => vec!["sha256({c})", "''", "{c} || '\\x00'", "null"],
        (_, _, "boolean") => vec!["not {c}", "null"],
        _ => panic!("say how to alter {table}.{column} of type {data_type}"),
    }
}
