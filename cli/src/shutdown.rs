//! Ctrl-C and SIGTERM: the first asks for an end, the second does not ask.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio_util::sync::CancellationToken;

use crate::exit::{Exit, Failure};
use crate::terminal;

/// The number of SIGINT, everywhere.
const SIGINT: u8 = 2;
/// The number of SIGTERM, everywhere.
#[cfg(unix)]
const SIGTERM: u8 = 15;

/// Whether an end was asked for.
#[derive(Clone)]
pub(crate) struct Shutdown {
    token: CancellationToken,
    signal: Arc<AtomicU8>,
}

impl Shutdown {
    /// Begins to listen. Must be called within the runtime.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let shutdown = Self { token: CancellationToken::new(), signal: Arc::new(AtomicU8::new(SIGINT)) };
        let mut signals =
            Signals::new().map_err(|error| Failure::infrastructure(format!("signals cannot be received: {error}")))?;
        let told = shutdown.clone();
        tokio::spawn(async move {
            told.signal.store(signals.next().await, Ordering::Relaxed);
            told.token.cancel();
            let second = signals.next().await;
            terminal::say("ended at once; what was acknowledged is in the log");
            std::process::exit(Exit::Interrupted(second).code().into());
        });
        Ok(shutdown)
    }

    /// For libraries that take one.
    pub(crate) fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Whether an end was asked for.
    pub(crate) fn is_requested(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Returns when an end is asked for.
    pub(crate) async fn requested(&self) {
        self.token.cancelled().await;
    }

    /// How a command ends that was not done yet.
    pub(crate) fn exit(&self) -> Exit {
        Exit::Interrupted(self.signal.load(Ordering::Relaxed))
    }

    /// Runs something that changes nothing, or all in one step, and so can be dropped at any time.
    pub(crate) async fn or(&self, work: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
        tokio::select! {
            biased;
            done = work => done,
            () = self.requested() => {
                let message = "interrupted before it was done; run the same command again";
                Err(Failure { exit: self.exit(), message: Some(message.to_owned()) })
            }
        }
    }
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => SIGINT,
            _ = self.terminate.recv() => SIGTERM,
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> u8 {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        SIGINT
    }
}
