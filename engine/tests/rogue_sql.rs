//! Hazard: someone writes SQL past the engine. The database itself refuses bad books, and refuses the
//! application's own role any change of what is written.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test ends at the first thing that goes wrong")]

mod support;

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use support::{assert_verifies, database_url, given, postgres};

const SETUP: &[&str] = &[
    r#"{"do":"open_account","account":"till","currency":"EUR","type":"asset"}"#,
    r#"{"do":"open_account","account":"sales","currency":"EUR","type":"income"}"#,
    r#"{"do":"post","id":"one","legs":[{"account":"till","debit":"5"},{"account":"sales","credit":"5"}]}"#,
];

/// A copy of the newest event, at a position that many behind the head.
const EVENT: &str = "insert into postfold.event (ledger_id, position, kind, schema, data, meta, effective_at, recorded_at, hash) \
     select ledger_id, position + {ahead}, kind, schema, data, meta, effective_at, recorded_at, hash \
     from postfold.event where ledger_id = {ledger} order by position desc limit 1;";

/// Postings of so much to the first two accounts, at a position that many behind the newest posting.
const POSTINGS: &str = "insert into postfold.posting \
     select ledger_id, account_id, position + {ahead}, leg + {legs}, case account_id when 1 then {debit} else {credit} end, 0, 9, 9, 0, 0 \
     from postfold.posting where ledger_id = {ledger} and position = 3;";

struct Rogue {
    connection: PgConnection,
    ledger: i64,
}

impl Rogue {
    async fn new(name: &str, role: Option<&str>) -> Self {
        let mut connection = PgConnection::connect(&database_url()).await.unwrap();
        let ledger = sqlx::query_scalar("select ledger_id from postfold.ledger where name = $1");
        let ledger = ledger.bind(name).fetch_one(&mut connection).await.unwrap();
        if let Some(role) = role {
            connection.execute(AssertSqlSafe(format!("set role {role}"))).await.unwrap();
        }
        Self { connection, ledger }
    }

    /// The SQLSTATE with which the statements, run as one transaction, are refused.
    async fn refused(&mut self, sql: &str) -> String {
        let sql = sql.replace("{ledger}", &self.ledger.to_string());
        let ran = self.connection.execute(AssertSqlSafe(format!("begin; {sql} commit;"))).await;
        let error = ran.expect_err(&sql);
        self.connection.execute("rollback").await.unwrap();
        error.as_database_error().unwrap().code().unwrap().into_owned()
    }
}

fn event(ahead: i64) -> String {
    EVENT.replace("{ahead}", &ahead.to_string())
}

fn postings(ahead: i64, legs: i32, debit: &str, credit: &str) -> String {
    let sql = POSTINGS.replace("{ahead}", &ahead.to_string()).replace("{legs}", &legs.to_string());
    sql.replace("{debit}", debit).replace("{credit}", credit)
}

/// The tables of the log. Beside them stand only `migration`, with the notes of `init`, and `joint`, which is empty.
const LOG: [&str; 4] = ["account", "event", "ledger", "posting"];

/// Those of them that a role of an application adds rows to.
const APPENDED: [&str; 3] = ["account", "event", "posting"];

/// A thing in the schema as the catalog lists it: `table`, `sequence`, `function`, or `trigger` (with its table's name).
#[derive(sqlx::FromRow)]
struct Thing {
    kind: String,
    name: String,
    columns: Vec<String>,
}

async fn catalog(connection: &mut PgConnection) -> Vec<Thing> {
    let sql = "select case relkind when 'r' then 'table' when 'S' then 'sequence' else relkind::text end as kind, \
            relname::text as name, array(select attname::text from pg_attribute \
                where attrelid = oid and attnum > 0 and not attisdropped order by attnum) as columns \
        from pg_class where relnamespace = 'postfold'::regnamespace and relkind <> 'i' \
        union all select 'function', format('%s(%s)', proname, pg_get_function_identity_arguments(oid)), '{}' \
        from pg_proc where pronamespace = 'postfold'::regnamespace \
        union all select 'trigger', relname, array[tgname] from pg_trigger join pg_class on pg_class.oid = tgrelid \
        where relnamespace = 'postfold'::regnamespace and not tgisinternal order by 1, 2";
    let things: Vec<Thing> = sqlx::query_as(sql).fetch_all(connection).await.unwrap();
    let tables = things.iter().filter(|thing| thing.kind == "table").map(|thing| thing.name.as_str());
    assert_eq!(tables.collect::<Vec<_>>(), ["account", "event", "joint", "ledger", "migration", "posting"]);
    things
}

/// Whatever would change or remove rows, or what guards them.
fn changes(Thing { kind, name, columns }: &Thing) -> Vec<String> {
    let forms: &[&str] = match kind.as_str() {
        "table" => &[
            "delete from {name} where false",
            "truncate {name}",
            "truncate {name} cascade",
            "merge into {name} using (select 1) as one on true when matched then delete",
            "lock table {name} in exclusive mode",
            "select from {name} for update",
            "select from {name} for key share",
            "alter table {name} disable trigger all",
            "alter table {name} enable row level security",
            "alter table {name} add column more int",
            "alter table {name} rename to other",
            "alter table {name} owner to current_user",
            "alter table {name} set unlogged",
            "create trigger another after insert on {name} for each row execute function postfold.refuse_change()",
            "create rule another as on insert to {name} do instead nothing",
            "create policy another on {name}",
            "create index on {name} ((1))",
            "create table other () inherits ({name})",
            "comment on table {name} is 'other'",
            "drop table {name} cascade",
        ],
        "sequence" => &["select setval('{name}', 1)", "select nextval('{name}')", "drop sequence {name} cascade"],
        "function" => &["alter function {name} reset all", "drop function {name} cascade"],
        "trigger" => &["drop trigger {column} on {name}", "alter table {name} disable trigger {column}"],
        other => panic!("say how a {other} is changed: {name}"),
    };
    let of_column: &[&str] = match kind.as_str() {
        "table" => &[
            "update {name} set {column} = default",
            "alter table {name} alter column {column} drop not null",
            "alter table {name} alter column {column} type text",
            "alter table {name} drop column {column} cascade",
        ],
        _ => &[],
    };
    let fill =
        |form: &&str, column: &str| form.replace("{name}", &format!("postfold.{name}")).replace("{column}", column);
    let first = columns.first().map_or("", String::as_str);
    let of_columns = columns.iter().flat_map(|column| of_column.iter().map(move |form| fill(form, column)));
    forms.iter().map(|form| fill(form, first)).chain(of_columns).collect()
}

#[tokio::test]
async fn no_role_of_an_application_may_change_or_remove_anything() {
    let (ledger, name) = postgres().await;
    given(&ledger, SETUP).await;
    for role in ["postfold_app", "postfold_read"] {
        let mut rogue = Rogue::new(&name, Some(role)).await;
        let things = catalog(&mut rogue.connection).await;
        let mut attempts: Vec<String> = things.iter().flat_map(changes).collect();
        let may_append = |thing: &&Thing| role == "postfold_app" && APPENDED.contains(&thing.name.as_str());
        let tables = things.iter().filter(|thing| thing.kind == "table" && !may_append(thing));
        attempts.extend(tables.map(|table| format!("insert into postfold.{} default values", table.name)));
        attempts.extend(
            [
                "set session_replication_role = replica",
                "create table postfold.other ()",
                "create function postfold.other() returns int return 1",
                "alter schema postfold rename to other",
                "drop schema postfold cascade",
                "alter role current_user superuser",
            ]
            .map(str::to_owned),
        );
        assert!(attempts.len() > 250, "{} attempts", attempts.len());
        for sql in attempts {
            assert_eq!(rogue.refused(&format!("{sql};")).await, "42501", "{role}: {sql}");
        }
    }
    assert_verifies(&ledger).await;
}

#[tokio::test]
async fn even_the_owner_is_refused_by_the_triggers() {
    let (ledger, name) = postgres().await;
    given(&ledger, SETUP).await;
    let mut rogue = Rogue::new(&name, None).await;
    for Thing { kind, name, columns } in catalog(&mut rogue.connection).await {
        if kind != "table" || !LOG.contains(&name.as_str()) {
            continue;
        }
        for column in columns.iter().filter(|column| *column != "ledger_id") {
            let update = format!("update postfold.{name} set {column} = {column};");
            assert_eq!(rogue.refused(&update).await, "PF001", "{update}");
        }
        for sql in [
            "update postfold.{name} set ledger_id = default;",
            "delete from postfold.{name} where false;",
            "truncate postfold.{name};",
        ] {
            let sql = sql.replace("{name}", &name);
            assert_eq!(rogue.refused(&sql).await, "PF001", "{sql}");
        }
    }
}

/// Names without a schema mean a session's temporary tables before all others.
#[tokio::test]
async fn no_table_of_the_writers_own_stands_in_for_the_log() {
    let (ledger, name) = postgres().await;
    given(&ledger, SETUP).await;
    let mut rogue = Rogue::new(&name, Some("postfold_app")).await;
    // An event that the transaction seems to have written, under which a balanced pair is slipped.
    let stand_in = "create temp table event as select * from postfold.event where ledger_id = {ledger};";
    assert_eq!(rogue.refused(&format!("{stand_in} {}", postings(0, 2, "7", "-7"))).await, "PF006");
    // Events that seem to be there, behind which a gap is left; and one that seems to have opened an account.
    let stand_in = "create temp table event as select ledger_id, position + 1 as position, 'account.opened' as kind \
        from postfold.event where ledger_id = {ledger};";
    assert_eq!(rogue.refused(&format!("{stand_in} {}", event(2))).await, "PF002");
    let account = "insert into postfold.account values ({ledger}, 3, 'x', 'EUR', 2, 'asset', 'debit');";
    assert_eq!(rogue.refused(&format!("{stand_in} {account}")).await, "PF003");
    // Accounts that seem to be there, or of another currency.
    let stand_in = "create temp table account as select ledger_id, account_id + 100 as account_id, 'EUR' as currency \
        from postfold.account where ledger_id = {ledger};";
    let unknown =
        postings(1, 0, "7", "-7").replace("select ledger_id, account_id", "select ledger_id, account_id + 100");
    assert_eq!(rogue.refused(&(stand_in.to_owned() + &event(1) + &unknown)).await, "PF004");
    // No rows where there are some.
    let stand_in = "create temp table inserted (like postfold.posting);";
    assert_eq!(rogue.refused(&(stand_in.to_owned() + &event(1) + &postings(1, 0, "7", "-6"))).await, "PF005");
    assert_verifies(&ledger).await;
}

#[tokio::test]
async fn bad_books_are_refused_at_the_insert() {
    let (ledger, name) = postgres().await;
    given(&ledger, SETUP).await;
    let mut rogue = Rogue::new(&name, Some("postfold_app")).await;
    // A gap in positions, also one that others could still close, an overlap.
    assert_eq!(rogue.refused(&event(2)).await, "PF002");
    assert_eq!(rogue.refused(&(event(2) + "set constraints all immediate;")).await, "PF002");
    assert_eq!(rogue.refused(&(event(1) + &event(2))).await, "PF002");
    assert_eq!(rogue.refused(&event(0)).await, "23505");
    // Postings that do not balance, in sum or in a pair of entries.
    assert_eq!(rogue.refused(&(event(1) + &postings(1, 0, "7", "-6"))).await, "PF005");
    assert_eq!(rogue.refused(&(event(1) + &postings(1, 0, "7", "0"))).await, "PF005");
    // An account that does not exist.
    let unknown =
        postings(1, 0, "7", "-7").replace("select ledger_id, account_id", "select ledger_id, account_id + 100");
    assert_eq!(rogue.refused(&(event(1) + &unknown)).await, "PF004");
    // A balanced pair under an old event, and one without any event.
    assert_eq!(rogue.refused(&postings(0, 2, "7", "-7")).await, "PF006");
    assert_eq!(rogue.refused(&postings(1, 0, "7", "-7")).await, "PF006");
    assert_eq!(rogue.refused(&(event(1) + &postings(0, 2, "7", "-7"))).await, "PF006");
    // An account that no event opened.
    let account = "insert into postfold.account values ({ledger}, 3, 'x', 'EUR', 2, 'asset', 'debit');";
    assert_eq!(rogue.refused(account).await, "PF003");
    assert_verifies(&ledger).await;
}

#[tokio::test]
async fn rows_written_within_a_savepoint_count_as_the_transactions_own() {
    let (ledger, name) = postgres().await;
    given(&ledger, SETUP).await;
    let mut rogue = Rogue::new(&name, Some("postfold_app")).await;
    let sql = format!(
        "begin; savepoint a; {} release savepoint a; savepoint b; {} rollback;",
        event(1),
        postings(1, 0, "7", "-7")
    );
    let sql = sql.replace("{ledger}", &rogue.ledger.to_string());
    rogue.connection.execute(AssertSqlSafe(sql)).await.unwrap();
}
