//! The server of the log, and the schema in it.

use std::time::Duration;

use jiff::SignedDuration;
use postfold::{Error, Examination, Log, SchemaFacts};

use super::Check;
use crate::args::Global;
use crate::connect::{WAY_OUT, given};

/// Clocks that are further apart than this are worth a warning.
const CLOCKS_APART_MAX: SignedDuration = SignedDuration::from_secs(1);
/// How long one look may take.
const LOOK_TIMEOUT: Duration = Duration::from_secs(10);

/// Looks at the server, the schema and the ledger.
pub(super) async fn look(global: &Global, url: &str) -> Vec<Check> {
    let mut settings = global.postgres();
    settings.statement_timeout = LOOK_TIMEOUT;
    let facts = match postfold::examine(url, &settings).await {
        Ok(facts) => facts,
        Err(error @ Error::Name { .. }) => {
            return vec![Check::problem("schema", error.to_string(), "give another name with --schema")];
        }
        Err(error @ Error::Url(_)) => {
            return vec![Check::problem("PostgreSQL", error.to_string(), "correct --database-url or DATABASE_URL")];
        }
        Err(error) => {
            return vec![Check::unreachable("PostgreSQL", error.to_string(), WAY_OUT)];
        }
    };
    let mut checks = server(&facts);
    match &facts.schema {
        Ok(found) => {
            checks.extend(schema(global, found));
            checks.push(ledger(global, url).await);
        }
        Err(trouble) => {
            checks.push(Check::problem("schema", trouble.0.clone(), "`postfold init` sets up what is missing"));
        }
    }
    checks
}

fn server(facts: &Examination) -> Vec<Check> {
    let oldest = facts.version_number_min / 10_000;
    vec![
        Check::ok("PostgreSQL", format!("answers: {}", facts.target)),
        Check::that(
            "PostgreSQL version",
            facts.version_number >= facts.version_number_min,
            &facts.version,
            format!("use PostgreSQL {oldest} or newer"),
        ),
        Check::that(
            "writable",
            !facts.standby,
            if facts.standby { "no: this server is a standby" } else { "yes" },
            "connect to the primary",
        ),
        Check::that("encoding", facts.encoding == "UTF8", &facts.encoding, "create the database with encoding UTF8"),
        Check::that(
            "fsync",
            facts.fsync,
            on_off(facts.fsync),
            "set fsync = on: a crash of the machine may lose or damage what was acknowledged",
        ),
        Check::that(
            "full_page_writes",
            facts.full_page_writes,
            on_off(facts.full_page_writes),
            "set full_page_writes = on, unless the file system writes pages whole",
        ),
        synchronous_commit(facts),
        clock(facts),
    ]
}

const fn on_off(is_on: bool) -> &'static str {
    if is_on { "on" } else { "off" }
}

fn synchronous_commit(facts: &Examination) -> Check {
    let (check, found) = ("synchronous_commit", &facts.synchronous_commit);
    match found.as_str() {
        "on" | "remote_apply" => Check::ok(check, found),
        "off" => Check::problem(check, found, "set synchronous_commit = on: a crash may lose what was acknowledged"),
        _ => Check::warning(check, found, "with `on`, what was acknowledged also survives the loss of this server"),
    }
}

/// The recorded time comes from this machine, and never goes back: a clock that is ahead is kept to.
fn clock(facts: &Examination) -> Check {
    let apart = facts.clock_ahead;
    let certain = apart.abs() - facts.clock_uncertainty;
    let side = if apart.is_negative() { "ahead of" } else { "behind" };
    let found = format!("this machine is {:.3} s {side} the server", apart.abs().as_secs_f64());
    if certain > CLOCKS_APART_MAX {
        return Check::warning("clock", found, "set both clocks by NTP: recorded times come from this machine's");
    }
    Check::ok("clock", found)
}

fn schema(global: &Global, facts: &SchemaFacts) -> Vec<Check> {
    vec![
        Check::ok("schema", format!("{}, version {}", global.schema, facts.version)),
        guards(facts),
        roles(facts),
        rights(facts),
    ]
}

fn guards(facts: &SchemaFacts) -> Check {
    if facts.guards_missing.is_empty() {
        return Check::ok("guards", "the database refuses bad books and changed rows");
    }
    let found = format!("missing or disabled: {}", facts.guards_missing.join(", "));
    let mend = "enable them again (alter table .. enable trigger ..), then `postfold verify`";
    Check::problem("guards", found, mend)
}

fn roles(facts: &SchemaFacts) -> Check {
    if facts.roles_missing.is_empty() {
        return Check::ok("roles", "postfold_app, postfold_read");
    }
    let found = format!("missing, or without rights here: {}", facts.roles_missing.join(", "));
    Check::warning("roles", found, "`postfold init --roles` creates them; grant them to the users of the application")
}

fn rights(facts: &SchemaFacts) -> Check {
    if facts.may_append {
        return Check::ok("rights", "may append");
    }
    Check::warning("rights", "may only read", "to apply commands, grant postfold_app to this user")
}

async fn ledger(global: &Global, url: &str) -> Check {
    let Some(name) = given(global.ledger.as_ref()) else {
        return Check::warning("ledger", "not looked at: none is named", "name it with --ledger or in POSTFOLD_LEDGER");
    };
    let head = match Log::connect_with(url, name, global.postgres()).await {
        Ok(log) => log.head().await,
        Err(error) => Err(error),
    };
    match head {
        Ok(head) => Check::ok("ledger", format!("{name}, at position {}", head.position)),
        Err(error @ Error::NoLedger { .. }) => {
            Check::problem("ledger", format!("there is no {name}"), format!("`postfold init`: {error}"))
        }
        Err(error) => Check::unreachable("ledger", error.to_string(), "see the checks above"),
    }
}
