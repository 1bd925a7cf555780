//! Large batches: `COPY` in text form, which needs no encoder of numerics and is as fast as binary.

use std::fmt::Write;

use sqlx::Connection;
use sqlx::postgres::PgConnection;

use super::PostgresStore;
use super::append::sorted;
use crate::draft::Draft;
use crate::money;

pub(super) async fn append(
    store: &PostgresStore,
    connection: &mut PgConnection,
    draft: &Draft,
) -> Result<(), sqlx::Error> {
    let ledger = store.ledger_id;
    let mut transaction = connection.begin().await?;
    store.share_lease(&mut transaction).await?;
    copy(&mut transaction, &store.sql.copy_event, events(ledger, draft)).await?;
    if !draft.accounts.is_empty() {
        copy(&mut transaction, &store.sql.copy_account, accounts(ledger, draft)).await?;
    }
    if !draft.postings.is_empty() {
        copy(&mut transaction, &store.sql.copy_posting, postings(ledger, draft)).await?;
    }
    transaction.commit().await
}

async fn copy(connection: &mut PgConnection, statement: &str, rows: String) -> Result<(), sqlx::Error> {
    let mut copy = connection.copy_in_raw(statement).await?;
    copy.send(rows.into_bytes()).await?;
    copy.finish().await.map(|_| ())
}

fn events(ledger: i64, draft: &Draft) -> String {
    let size = draft.events.iter().map(|event| event.data.get().len() + event.meta.get().len() + 300).sum();
    let mut rows = Rows(String::with_capacity(size));
    for event in &draft.events {
        rows.plain(ledger);
        rows.plain(event.position);
        rows.optional(event.id.as_deref());
        rows.optional(event.stream.as_deref());
        match event.version {
            Some(version) => rows.plain(version),
            None => rows.null(),
        }
        rows.text(&event.kind);
        rows.plain(event.schema);
        rows.text(event.data.get());
        rows.text(event.meta.get());
        rows.plain(event.effective_at);
        rows.plain(event.recorded_at);
        rows.plain(format_args!("\\\\x{}", event.hash));
        rows.end();
    }
    rows.0
}

fn accounts(ledger: i64, draft: &Draft) -> String {
    let mut rows = Rows(String::with_capacity(draft.accounts.len() * 100));
    for account in draft.accounts.iter().map(|row| &row.0) {
        rows.plain(ledger);
        rows.plain(account.id);
        rows.text(&account.code);
        rows.text(&account.currency);
        rows.plain(account.scale);
        rows.text(account.account_type.as_str());
        rows.text(account.normal.as_str());
        rows.end();
    }
    rows.0
}

fn postings(ledger: i64, draft: &Draft) -> String {
    let mut rows = Rows(String::with_capacity(draft.postings.len() * 100));
    for posting in sorted(&draft.postings) {
        rows.plain(ledger);
        rows.plain(posting.account_id);
        rows.plain(posting.position);
        rows.plain(posting.leg);
        let totals = posting.totals;
        for minor in [
            posting.posted,
            posting.pending,
            totals.debits_posted,
            totals.credits_posted,
            totals.debits_pending,
            totals.credits_pending,
        ] {
            rows.plain(money::to_decimal(minor, posting.scale));
        }
        rows.end();
    }
    rows.0
}

/// Rows in the text form of `COPY`: fields parted by tabs, rows by newlines.
struct Rows(String);

impl Rows {
    /// A field that holds nothing to be escaped. Writing to a String cannot fail.
    fn plain(&mut self, value: impl std::fmt::Display) {
        let _ = write!(self.0, "{value}\t");
    }

    fn text(&mut self, value: &str) {
        for character in value.chars() {
            match character {
                '\\' => self.0.push_str("\\\\"),
                '\t' => self.0.push_str("\\t"),
                '\n' => self.0.push_str("\\n"),
                '\r' => self.0.push_str("\\r"),
                other => self.0.push(other),
            }
        }
        self.0.push('\t');
    }

    fn optional(&mut self, value: Option<&str>) {
        match value {
            Some(value) => self.text(value),
            None => self.null(),
        }
    }

    fn null(&mut self) {
        self.0.push_str("\\N\t");
    }

    fn end(&mut self) {
        self.0.pop();
        self.0.push('\n');
    }
}
