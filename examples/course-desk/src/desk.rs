//! The application: its own table, the ledger, and the transactions that join them.

use postfold::aggregate::Folded;
use postfold::{Account, Balance, ExecuteError, Ledger, PostgresSettings, Receipt, Transfer};
use rust_decimal::{Decimal, dec};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Executor};

use crate::course::{Ask, Course, FEES, Refusal, Terms, wallet};

/// Where the school's money is.
const BANK: &str = "assets:bank";

/// Most connections to the database for requests; the ledger has some of its own.
const CONNECTIONS_MAX: u32 = 16;

/// The table of the application's own. Personal data stands here, where it can be erased; the log keeps it for
/// ever, and knows a student by a code only.
const TABLES: &str = "create table if not exists enrolment_form (
    key         text primary key,
    course      text not null,
    student     text not null,
    email       text not null,
    received_at timestamptz not null default now()
)";

/// The open application.
#[derive(Clone)]
pub struct Desk {
    pool: PgPool,
    ledger: Ledger,
}

/// An enrolment as it came in.
#[derive(Clone, Debug)]
pub struct Form {
    /// Chosen by the sender, new for each enrolment; a repeat under it changes nothing.
    pub key: String,
    /// Which course.
    pub course: String,
    /// Whose seat.
    pub student: String,
    /// How to reach them.
    pub email: String,
}

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The course or the ledger refused, or the ledger has no answer.
    #[error(transparent)]
    Course(#[from] ExecuteError<Refusal>),
    /// The ledger refused, or has no answer.
    #[error(transparent)]
    Ledger(#[from] postfold::Error),
    /// The application's own tables; after a failed commit, it may have been done: send the same again.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
}

impl Desk {
    /// Opens the application; creates what is not there yet.
    ///
    /// # Errors
    ///
    /// When the database cannot be reached or refuses.
    pub async fn open(database_url: &str, schema: &str, ledger: &str) -> anyhow::Result<Self> {
        let options: PgConnectOptions = database_url.parse()?;
        // Nobody waits for ever for the end of the ledger.
        let options = options.options([("search_path", schema), ("lock_timeout", "5s")]);
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS_MAX).connect_with(options).await?;
        // One at a time, where several processes start at once.
        let mut transaction = pool.begin().await?;
        transaction.execute("select pg_advisory_xact_lock(hashtextextended('course desk', 0))").await?;
        transaction.execute(AssertSqlSafe(format!("create schema if not exists {schema}"))).await?;
        transaction.execute(TABLES).await?;
        transaction.commit().await?;
        postfold::init(pool.clone(), ledger, &PostgresSettings::default(), false).await?;
        // The ledger makes a pool of its own like this one: see `Connection::Pool`.
        let ledger = Ledger::connect(pool.clone(), ledger).await?;
        // To open again what is open answers the first receipt.
        ledger.open(Account::asset(BANK, "EUR")).await?;
        ledger.open(Account::income(FEES, "EUR")).await?;
        Ok(Self { pool, ledger })
    }

    /// Gives a student a wallet, which never goes below zero.
    ///
    /// # Errors
    ///
    /// [`Error`]
    pub async fn welcome(&self, student: &str) -> Result<Receipt, Error> {
        let account = Account::liability(wallet(student), "EUR").floor(dec!(0)).owner(format!("student/{student}"));
        Ok(self.ledger.open(account).await?)
    }

    /// Books what a student paid in, once for each payment.
    ///
    /// # Errors
    ///
    /// [`Error`]
    pub async fn pay_in(&self, payment: &str, student: &str, amount: Decimal) -> Result<Receipt, Error> {
        let paid = Transfer::sides(format!("payment/{payment}"), BANK, wallet(student), amount);
        Ok(self.ledger.transfer(paid).await?)
    }

    /// What a student has.
    ///
    /// # Errors
    ///
    /// [`Error`]
    pub async fn balance(&self, student: &str) -> Result<Balance, Error> {
        Ok(self.ledger.balance(&wallet(student)).await?)
    }

    /// Offers a course, or changes its terms.
    ///
    /// # Errors
    ///
    /// [`Error`]
    pub async fn offer(&self, course: &str, terms: Terms) -> Result<Receipt, Error> {
        Ok(self.ledger.execute_on::<Course>(format!("course/{course}"), Ask::Offer(terms)).await?)
    }

    /// The course as it is now.
    ///
    /// # Errors
    ///
    /// [`Error`]
    pub async fn course(&self, course: &str) -> Result<Folded<Course>, Error> {
        Ok(self.ledger.log().fold(&format!("course/{course}")).await?)
    }

    /// Keeps the form, takes the fee and takes the seat: all of it, or nothing.
    ///
    /// # Errors
    ///
    /// [`Error`]; then there is neither form nor fee nor seat, unless the answer to the commit was lost: the same
    /// form again tells.
    pub async fn enrol(&self, form: &Form) -> Result<Receipt, Error> {
        let mut transaction = self.pool.begin().await?;
        let insert = "insert into enrolment_form (key, course, student, email) values ($1, $2, $3, $4) \
                      on conflict (key) do nothing";
        let insert = sqlx::query(insert).bind(&form.key).bind(&form.course).bind(&form.student).bind(&form.email);
        insert.execute(&mut *transaction).await?;
        // Last before the commit: from here to there, all others who write the ledger wait.
        let ask = Ask::Enrol { student: form.student.clone() };
        let enrol = self.ledger.execute_on::<Course>(format!("course/{}", form.course), ask);
        let receipt = enrol.id(format!("enrol/{}", form.key)).within(&mut transaction).await?;
        transaction.commit().await?;
        // A hint for those who follow the log; they look by themselves, too.
        if let Err(error) = self.ledger.announce().await {
            tracing::debug!(%error, "nobody was told of an enrolment");
        }
        Ok(receipt)
    }

    /// The ledger, for those who audit it.
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }
}
