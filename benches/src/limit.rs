//! The limit: the rows that the engine wrote, by `COPY` into tables of the same shape.
//!
//! | same | not there |
//! |---|---|
//! | columns, primary keys, unique indexes, check constraints | triggers |
//! | rows, rows a commit, durability | deciding, hashing, encoding: the text is there beforehand |
//!
//! Postings go in by account, which is the order of their key: the server is fastest so. `BEGIN` travels
//! with the first `COPY`, each `COPY` with the end of the one before, `COMMIT` with the end of the last:
//! three waits a commit.

use std::time::Instant;

use bytes::{Bytes, BytesMut};
use futures::{SinkExt, StreamExt, pin_mut};
use tokio_postgres::{Client, CopyInSink, Statement};

use crate::error::BenchError;
use crate::figure::{Latencies, Measured};
use crate::load::BATCH;
use crate::scratch::Scratch;

const EVENT: &str =
    "ledger_id, position, id, stream, version, kind, schema, data, meta, effective_at, recorded_at, hash";
const POSTING: &str = "ledger_id, account_id, position, leg, posted, pending, \
                       debits_posted, credits_posted, debits_pending, credits_pending";

/// The rows of many commits, as `COPY` reads them.
pub(crate) struct Rows {
    commits: Vec<Commit>,
}

struct Commit {
    events: Bytes,
    postings: Bytes,
}

impl Rows {
    /// Takes the entries of the ledger in the scratch, [`BATCH`] to a commit; each has two legs.
    pub(crate) async fn export(scratch: &Scratch) -> Result<Self, BenchError> {
        let schema = scratch.quoted();
        let entries = format!("from {schema}.event where kind = 'entry.posted'");
        let events = format!("select {EVENT} {entries} order by position");
        let postings = format!(
            "select {POSTING} from {schema}.posting \
             order by (position - (select min(position) {entries})) / {BATCH}, account_id, position, leg"
        );
        let events = copy_out(&scratch.client, &events, BATCH).await?;
        let postings = copy_out(&scratch.client, &postings, 2 * BATCH).await?;
        let commits = events.into_iter().zip(postings).map(|(events, postings)| Commit { events, postings });
        Ok(Self { commits: commits.collect() })
    }

    /// Writes them into new tables. The first tenth is not timed.
    pub(crate) async fn measure(&self, scratch: &Scratch) -> Result<Measured, BenchError> {
        let (client, schema) = (&scratch.client, scratch.quoted());
        create_tables(scratch).await?;
        let copy = Copy {
            client,
            events: client.prepare(&format!("copy {schema}.limit_event ({EVENT}) from stdin")).await?,
            postings: client.prepare(&format!("copy {schema}.limit_posting ({POSTING}) from stdin")).await?,
        };
        let (warm_up, timed) = self.commits.split_at(self.commits.len() / 10);
        for commit in warm_up {
            copy.commit(commit).await?;
        }
        let (mut latencies, started, mut transfers) = (Latencies::new(), Instant::now(), 0);
        for commit in timed {
            let began = Instant::now();
            transfers += copy.commit(commit).await?;
            latencies.record(began.elapsed());
        }
        Ok(Measured::new(transfers, started.elapsed(), latencies))
    }
}

/// Tables of the same shape as the engine's, empty.
pub(crate) async fn create_tables(scratch: &Scratch) -> Result<(), BenchError> {
    let schema = scratch.quoted();
    let create = format!(
        "create table {schema}.limit_event (like {schema}.event including all); \
         create table {schema}.limit_posting (like {schema}.posting including all)"
    );
    Ok(scratch.client.batch_execute(&create).await?)
}

struct Copy<'a> {
    client: &'a Client,
    events: Statement,
    postings: Statement,
}

impl Copy<'_> {
    /// One commit; answers how many events it had.
    async fn commit(&self, commit: &Commit) -> Result<u64, BenchError> {
        let (begun, events) = tokio::join!(self.client.batch_execute("begin"), self.client.copy_in(&self.events));
        begun?;
        let (count, postings) = tokio::join!(send(events?, &commit.events), self.client.copy_in(&self.postings));
        let (sent, committed) = tokio::join!(send(postings?, &commit.postings), self.client.batch_execute("commit"));
        sent?;
        committed?;
        count
    }
}

async fn send(sink: CopyInSink<Bytes>, rows: &Bytes) -> Result<u64, BenchError> {
    pin_mut!(sink);
    sink.send(rows.clone()).await?;
    Ok(sink.finish().await?)
}

/// Reads a query as `COPY` writes it, so many rows to a piece; a last piece that is smaller is left out.
async fn copy_out(client: &Client, query: &str, rows: u64) -> Result<Vec<Bytes>, BenchError> {
    let stream = client.copy_out(&format!("copy ({query}) to stdout")).await?;
    pin_mut!(stream);
    let (mut pieces, mut piece, mut count) = (Vec::new(), BytesMut::new(), 0);
    // The server sends each row as a message of its own.
    while let Some(row) = stream.next().await {
        piece.extend_from_slice(&row?);
        count += 1;
        if count == rows {
            pieces.push(piece.split().freeze());
            count = 0;
        }
    }
    Ok(pieces)
}
