//! A ledger in a schema of its own, whose tables a superuser has rid of everything that could stop him.
#![allow(
    unreachable_pub,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test ends at the first thing that goes wrong"
)]

use postfold::{Error, Head, Ledger, PostgresSettings, Report};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::support::{assert_verifies, database_url, given, settings};

pub const LEDGER: &str = "shop";

/// One more ledger of the schema, whose rows nobody touches but by mistake.
pub const NEIGHBOUR: &str = "neighbour";

const SETUP: &[&str] = &[
    r#"{"do":"open_account","account":"till","currency":"EUR","type":"asset"}"#,
    r#"{"do":"open_account","account":"sales","currency":"EUR","type":"income","limits":{"ceiling":"100"}}"#,
    r#"{"do":"post","id":"one","legs":[{"account":"till","debit":"5"},{"account":"sales","credit":"5"}]}"#,
    r#"{"do":"record","entity":"user/1","kind":"user.named","data":{"name":"Ann"},"meta":{"by":"eve"},"correlation":"c"}"#,
    r#"{"do":"hold","id":"two","amount":"1","debit":"till","credit":"sales","at":"2025-01-01T00:00:00Z"}"#,
    r#"{"do":"record","entity":"user/1","kind":"user.named","data":{"name":"Bea"}}"#,
    r#"{"do":"post","id":"three","legs":[{"account":"till","debit":"2"},{"account":"sales","credit":"2"}]}"#,
];

/// The position of the last event that the set-up writes.
pub const HEAD: i64 = 7;

/// A table as the catalog describes it.
#[derive(Clone, Debug)]
pub struct Table {
    pub name: String,
    /// Columns of the primary key.
    pub key: Vec<String>,
    pub columns: Vec<Column>,
}

#[derive(Clone, Debug)]
pub struct Column {
    pub name: String,
    pub data_type: String,
}

pub struct Tampered {
    pub ledger: Ledger,
    pub settings: PostgresSettings,
    pub tables: Vec<Table>,
    pub connection: PgConnection,
    /// The head as an auditor notes it.
    pub noted: Head,
}

impl Tampered {
    pub async fn set_up() -> Self {
        let schema = format!("tampered_{}", uuid::Uuid::now_v7().simple());
        let settings = PostgresSettings { schema, ..settings() };
        for name in [NEIGHBOUR, LEDGER] {
            postfold::init(database_url(), name, &settings, true).await.unwrap();
            let ledger = open(&settings, name).await.unwrap();
            given(&ledger, SETUP).await;
            assert_verifies(&ledger).await;
        }
        let ledger = open(&settings, LEDGER).await.unwrap();
        let mut connection = PgConnection::connect(&database_url()).await.unwrap();
        let session = format!(
            "set search_path = {}; set synchronous_commit = off; set session_replication_role = replica",
            settings.schema
        );
        connection.execute(AssertSqlSafe(session)).await.unwrap();
        let tables = tables(&mut connection).await;
        let noted = ledger.log().head().await.unwrap();
        let mut tampered = Self { ledger, settings, tables, connection, noted };
        for table in tampered.tables.clone() {
            tampered.run(&format!("create temp table kept_{0} as table {0}", table.name)).await;
        }
        tampered.unbind().await;
        tampered
    }

    /// Takes away every constraint and every unique index: whoever owns the tables can.
    async fn unbind(&mut self) {
        let unbind = "do $$ declare it record; begin \
            for it in select conrelid::regclass as name, conname from pg_constraint \
                where connamespace = current_schema()::regnamespace and conrelid <> 0 and contype <> 't' order by contype loop \
                execute format('alter table %s drop constraint if exists %I cascade', it.name, it.conname); \
            end loop; \
            for it in select indexrelid::regclass as name from pg_index \
                where indisunique and indrelid in (select oid from pg_class where relnamespace = current_schema()::regnamespace) loop \
                execute format('drop index %s', it.name); \
            end loop; \
            for it in select attrelid::regclass as name, attname, attidentity from pg_attribute join pg_class on oid = attrelid \
                where relnamespace = current_schema()::regnamespace and relkind = 'r' and attnum > 0 loop \
                execute format('alter table %s alter %I drop identity if exists, alter %I drop not null', it.name, it.attname, it.attname); \
            end loop; end $$";
        self.connection.execute(unbind).await.unwrap();
    }

    /// Runs SQL with `{ledger}` for the number of the ledger.
    pub async fn run(&mut self, sql: &str) {
        let ledger = format!("(select ledger_id from ledger where name = '{LEDGER}')");
        let sql = sql.replace("{ledger}", &ledger);
        if let Err(error) = self.connection.execute(AssertSqlSafe(sql.as_str())).await {
            panic!("{sql}\n  {error}");
        }
    }

    /// What `verify` finds first: position and column.
    pub async fn found(&self) -> Result<(i64, String), String> {
        let report = self.verify().await.map_err(|error| format!("verify itself failed: {error}"))?;
        let first = report.problems.into_iter().next().ok_or("nothing")?;
        Ok((first.position.get(), first.column))
    }

    pub async fn verify(&self) -> Result<Report, Error> {
        postfold::verify(self.ledger.log(), |_| {}).await
    }

    /// The first position at which the log's tables hold other rows of the ledger than they were set up with;
    /// 0 for all before the first.
    pub async fn first_difference(&mut self) -> Option<i64> {
        let rows = |table: &str, position: &str, prefix: &str| {
            format!(
                "select {position} as position, md5(row::text) from {prefix}{table} as row \
                 where ledger_id = (select ledger_id from kept_ledger where name = '{LEDGER}')"
            )
        };
        let tables = [("account", "account_id"), ("event", "position"), ("posting", "position")];
        let differences = tables.map(|(table, position)| {
            let (now, kept) = (rows(table, position, ""), rows(table, position, "kept_"));
            format!("(({now}) except all ({kept})) union all (({kept}) except all ({now}))")
        });
        let sql = format!(
            "select min(greatest(position, 0)) from ({}) as difference where position is not null",
            differences.join(" union all ")
        );
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut self.connection).await.unwrap()
    }

    /// Every trigger of the schema, with its table.
    pub async fn triggers(&mut self) -> Vec<(String, String)> {
        let sql = "select relname::text, tgname::text from pg_trigger join pg_class on pg_class.oid = tgrelid \
            where relnamespace = current_schema()::regnamespace and not tgisinternal";
        sqlx::query_as(sql).fetch_all(&mut self.connection).await.unwrap()
    }

    /// The guards that an examination finds to be missing.
    pub async fn guards_missing(&self) -> Vec<String> {
        postfold::examine(database_url(), &self.settings).await.unwrap().schema.unwrap().guards_missing
    }

    /// Whether a table holds other rows than it was set up with.
    pub async fn is_altered(&mut self, table: &Table) -> bool {
        let rows = |of: &str| format!("select md5(row::text) from {of} as row");
        let (now, kept) = (rows(&table.name), rows(&format!("kept_{}", table.name)));
        let sql = format!("select exists ({now} except all {kept}) or exists ({kept} except all {now})");
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut self.connection).await.unwrap()
    }

    /// Puts back what was there at first.
    pub async fn restore(&mut self) {
        for table in self.tables.clone() {
            self.run(&format!("delete from {0}; insert into {0} select * from kept_{0}", table.name)).await;
        }
    }

    pub async fn drop(mut self) {
        let sql = format!("drop schema {} cascade", self.settings.schema);
        self.connection.execute(AssertSqlSafe(sql)).await.unwrap();
    }

    pub fn table(&self, name: &str) -> Table {
        self.tables.iter().find(|table| table.name == name).unwrap().clone()
    }

    /// The rows of the ledger in a table: of each, a condition that finds it, and the position at which it stands.
    pub async fn rows(&mut self, table: &Table) -> Vec<(String, i64)> {
        let position = if table.name == "account" { "account_id" } else { "position" };
        let literals: Vec<String> =
            table.key.iter().map(|column| format!("format('{column} = %L', {column})")).collect();
        let sql = format!(
            "select concat_ws(' and ', {}), {position} from kept_{} where ledger_id = \
             (select ledger_id from kept_ledger where name = '{LEDGER}') order by {position}, {}",
            literals.join(", "),
            table.name,
            table.key.join(", ")
        );
        sqlx::query_as(AssertSqlSafe(sql)).fetch_all(&mut self.connection).await.unwrap()
    }
}

pub async fn open(settings: &PostgresSettings, name: &str) -> Result<Ledger, Error> {
    Ledger::builder().postgres(settings.clone()).connect(database_url(), name).await
}

/// Name, kind, primary key, columns and their types.
type Row = (String, String, Vec<String>, Vec<String>, Vec<String>);

/// Every table of the schema with all its columns, as the catalog has them now.
async fn tables(connection: &mut PgConnection) -> Vec<Table> {
    let sql = "select relname::text, relkind::text, \
            array(select attname::text from pg_index join pg_attribute on attrelid = indrelid and attnum = any(indkey) \
                where indrelid = pg_class.oid and indisprimary order by array_position(indkey::int2[], attnum)), \
            array(select attname::text from pg_attribute where attrelid = oid and attnum > 0 and not attisdropped order by attnum), \
            array(select format_type(atttypid, null) from pg_attribute where attrelid = oid and attnum > 0 and not attisdropped order by attnum) \
        from pg_class where relnamespace = current_schema()::regnamespace and relkind not in ('i', 'S') order by relname";
    let rows: Vec<Row> = sqlx::query_as(sql).fetch_all(connection).await.unwrap();
    let table = |(name, kind, key, columns, types): Row| {
        assert_eq!(kind, "r", "{name} is no plain table: say how it is tampered with");
        let columns = columns.into_iter().zip(types);
        Table { name, key, columns: columns.map(|(name, data_type)| Column { name, data_type }).collect() }
    };
    rows.into_iter().map(table).collect()
}
