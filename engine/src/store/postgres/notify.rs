//! Hints that the log has grown: sent debounced after commits, received by one listener.
//!
//! A hint may be lost or late; readers poll besides, so nothing depends on one.

use std::sync::OnceLock;
use std::time::Duration;

use sqlx::postgres::{PgListener, PgPool};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::position::Position;

/// How long the listener waits before it connects again.
const RECONNECT: Duration = Duration::from_secs(1);

pub(super) struct Notify {
    pool: PgPool,
    channel: String,
    debounce: Duration,
    /// The furthest position that this process has appended or heard of.
    known: watch::Sender<Position>,
    sender: OnceLock<JoinHandle<()>>,
    listener: OnceLock<JoinHandle<()>>,
}

impl Notify {
    pub(super) fn new(pool: PgPool, ledger_id: i64, debounce: Duration) -> Self {
        Self {
            pool,
            channel: format!("postfold_{ledger_id}"),
            debounce,
            known: watch::Sender::new(Position::START),
            sender: OnceLock::new(),
            listener: OnceLock::new(),
        }
    }

    pub(super) fn announce(&self, head: Position) {
        raise(&self.known, head);
        self.sender.get_or_init(|| {
            let heads = self.known.subscribe();
            tokio::spawn(send(self.pool.clone(), self.channel.clone(), heads, self.debounce))
        });
    }

    pub(super) async fn changed(&self, after: Position, timeout: Duration) {
        self.listener.get_or_init(|| tokio::spawn(listen(self.pool.clone(), self.channel.clone(), self.known.clone())));
        let mut heads = self.known.subscribe();
        let grown = heads.wait_for(|head| *head > after);
        // A timeout is as good as a hint: the caller reads either way.
        let _ = tokio::time::timeout(timeout, grown).await;
    }
}

impl Drop for Notify {
    fn drop(&mut self) {
        for task in [self.sender.get(), self.listener.get()].into_iter().flatten() {
            task.abort();
        }
    }
}

async fn send(pool: PgPool, channel: String, mut heads: watch::Receiver<Position>, debounce: Duration) {
    heads.mark_changed();
    while heads.changed().await.is_ok() {
        let head = heads.borrow_and_update().get().to_string();
        let sent = sqlx::query("select pg_notify($1, $2)").bind(&channel).bind(head).execute(&pool).await;
        if let Err(error) = sent {
            tracing::debug!(%error, "no notification could be sent; readers poll");
        }
        tokio::time::sleep(debounce).await;
    }
}

async fn listen(pool: PgPool, channel: String, known: watch::Sender<Position>) {
    loop {
        if let Err(error) = hear(&pool, &channel, &known).await {
            tracing::debug!(%error, "the listener lost its connection; readers poll until it is back");
        }
        tokio::time::sleep(RECONNECT).await;
    }
}

async fn hear(pool: &PgPool, channel: &str, known: &watch::Sender<Position>) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(channel).await?;
    loop {
        let heard = listener.recv().await?;
        if let Ok(head) = heard.payload().parse() {
            raise(known, Position::new(head));
        }
    }
}

fn raise(known: &watch::Sender<Position>, head: Position) {
    known.send_if_modified(|known| {
        let grown = head > *known;
        *known = head.max(*known);
        grown
    });
}
