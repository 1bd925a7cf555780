//! `init`: schema, migrations, roles, ledger. And what must be so before a ledger is opened.

use std::fmt;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnection, PgExecutor};
use sqlx::{AssertSqlSafe, Executor};

use super::connect::{Connection, PostgresSettings};
use super::failed;
use crate::error::Error;

/// The embedded migrations; their files are never edited after a release.
static MIGRATIONS: Migrator = sqlx::migrate!();

/// Where the migrations that ran are noted, within the schema.
const MIGRATION_TABLE: &str = "migration";

/// The oldest server that has what is used here.
pub(super) const SERVER_VERSION_MIN: i32 = 150_000;

/// The name of a schema: `[a-z_][a-z0-9_]*`, at most 63 characters, so that it needs no quoting.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Schema(String);

impl Schema {
    /// Takes a name.
    ///
    /// # Errors
    ///
    /// [`Error::Name`] when it does not follow the rule.
    pub(crate) fn new(name: &str) -> Result<Self, Error> {
        let first = name.starts_with(|first: char| first.is_ascii_lowercase() || first == '_');
        let rest = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        if first && rest && name.len() <= 63 {
            return Ok(Self(name.to_owned()));
        }
        let why = "a schema is named with a-z, 0-9 and _, not a digit first, at most 63 characters";
        Err(Error::Name { what: "schema", name: name.to_owned(), why })
    }

    /// The name.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Creates what is not there yet: schema, tables, triggers, roles if asked for, and the ledger.
///
/// Answers whether the ledger was created; on one that is there, nothing changes. Safe to run from
/// several processes at once.
///
/// # Errors
///
/// When the database cannot be reached, is too old or refuses; when it holds a newer schema than this
/// library knows; when a name cannot be used.
pub async fn init(
    connection: impl Into<Connection>,
    ledger: &str,
    settings: &PostgresSettings,
    roles: bool,
) -> Result<bool, Error> {
    check_ledger_name(ledger)?;
    let schema = Schema::new(&settings.schema)?;
    let pool = connection.into().pool(settings)?;
    let mut connection = pool.acquire().await.map_err(failed)?;
    check_server(&mut connection).await?;
    // Names without a schema in the migrations, and the paths that functions keep, mean this one.
    let path = format!("set search_path = {}", schema.as_str());
    connection.execute(AssertSqlSafe(path)).await.map_err(failed)?;
    let migrated = migrator(&schema).run_direct(None, &mut *connection, false).await;
    let migrated = migrated.map_err(|error| migration_failed(&schema, error));
    let created = match migrated {
        Ok(()) => create(&mut connection, &schema, ledger, roles).await,
        Err(error) => Err(error),
    };
    // A pool of the host's gets its connection back as it was.
    connection.execute("reset search_path").await.map_err(failed)?;
    created
}

/// Refuses a schema that is older or newer than this library; otherwise answers the version of both.
pub(super) async fn check_version(database: impl PgExecutor<'_>, schema: &Schema) -> Result<i64, Error> {
    let needed = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default();
    let sql = format!("select max(version) from {}.{MIGRATION_TABLE} where success", schema.as_str());
    let found: Result<Option<i64>, _> = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(database).await;
    let found = match found {
        Ok(version) => version.unwrap_or_default(),
        // No such table or schema: nothing was initialised.
        Err(sqlx::Error::Database(error)) if matches!(error.code().as_deref(), Some("42P01" | "3F000")) => 0,
        Err(error) => return Err(failed(error)),
    };
    let way_out = match found.cmp(&needed) {
        std::cmp::Ordering::Equal => return Ok(found),
        std::cmp::Ordering::Less => "run `postfold init`",
        std::cmp::Ordering::Greater => "upgrade the library",
    };
    Err(Error::Schema { schema: schema.as_str().to_owned(), found, needed, way_out })
}

fn check_ledger_name(name: &str) -> Result<(), Error> {
    let good = !name.is_empty() && name.chars().count() <= 128 && !name.chars().any(char::is_control);
    if good {
        return Ok(());
    }
    let why = "a ledger's name has 1 to 128 characters, none of them a control character";
    Err(Error::Name { what: "ledger", name: name.to_owned(), why })
}

async fn check_server(connection: &mut PgConnection) -> Result<(), Error> {
    let version: String = sqlx::query_scalar("show server_version_num").fetch_one(connection).await.map_err(failed)?;
    let number: i32 = version.parse().unwrap_or_default();
    if number >= SERVER_VERSION_MIN {
        return Ok(());
    }
    let message = format!("PostgreSQL {} is too old: 15 is needed", number / 10_000);
    Err(Error::Database { code: "0A000".to_owned(), message })
}

fn migrator(schema: &Schema) -> Migrator {
    let mut migrator = Migrator { migrations: MIGRATIONS.migrations.clone(), ..Migrator::DEFAULT };
    migrator.dangerous_set_table_name(format!("{}.{MIGRATION_TABLE}", schema.as_str()));
    migrator.create_schema(schema.as_str().to_owned());
    migrator
}

fn migration_failed(schema: &Schema, error: MigrateError) -> Error {
    let wrong = |found, way_out| Error::Schema {
        schema: schema.as_str().to_owned(),
        found,
        needed: MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default(),
        way_out,
    };
    match error {
        MigrateError::VersionMissing(found) => wrong(found, "upgrade the library"),
        MigrateError::VersionMismatch(found) => {
            wrong(found, "that version was written by a build that was never released: use another schema or database")
        }
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => failed(error),
        other => Error::Database { code: String::new(), message: other.to_string() },
    }
}

async fn create(connection: &mut PgConnection, schema: &Schema, ledger: &str, roles: bool) -> Result<bool, Error> {
    if roles {
        let sql = include_str!("roles.sql").replace("{schema}", schema.as_str());
        connection.execute(AssertSqlSafe(sql)).await.map_err(failed)?;
    }
    let sql = format!("insert into {}.ledger (name) values ($1) on conflict do nothing", schema.as_str());
    let inserted = sqlx::query(AssertSqlSafe(sql)).bind(ledger).execute(connection).await.map_err(failed)?;
    Ok(inserted.rows_affected() > 0)
}
