//! `apply`: JSON Lines in, one outcome a line out, in the same order.
//!
//! ```text
//! reader thread          feed (async)                printer thread
//! lines -> commands  ->  Ledger::enqueue, stamped -> answers in order -> stdout
//! ```
//!
//! The reader hands on what it has whenever the next line is not there yet, and the printer flushes
//! whenever the next answer is not: so a pipe is answered command by command, and a file goes through
//! in large pieces. What is on its way is bounded in commands and in bytes, so memory stays flat.

mod input;
mod lines;
#[cfg(test)]
mod nearly_right;
mod printer;
mod report;
mod source;

use std::sync::Arc;
use std::thread;

use postfold::{Command, Invalid, Ledger, ManualClock, Outcome, Timestamp};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::args::{self, Global};
use crate::exit::{Exit, Failure};
use crate::shutdown::Shutdown;
use crate::terminal;
use input::{Input, Line, Place};
use printer::{Answer, Pending, Printer};
use report::Report;
use source::Source;

/// Most commands on their way: read and not yet answered on stdout.
const WINDOW_COMMANDS: usize = 8_192;
/// Most bytes of commands on their way, as they stand in the input. One longer line goes alone.
const WINDOW_BYTES: u32 = 64 * 1024 * 1024;
/// Pieces of input that wait between the reader and the ledger.
const PIECES_MAX: usize = 2;

/// Applies a file or a pipe.
pub(crate) async fn apply(global: &Global, options: &args::Apply, shutdown: &Shutdown) -> Result<Exit, Failure> {
    let source = Source::open(options.file.as_deref())?;
    let clock = options.manual_clock.then(|| Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH)));
    let ledger = tokio::select! {
        ledger = global.open_ledger(clock.clone()) => ledger?,
        () = shutdown.requested() => return Err(nothing_done(shutdown)),
    };
    let progress = Arc::new(source.progress());
    let (pieces_out, pieces) = mpsc::channel(PIECES_MAX);
    let (pending, answers) = mpsc::channel(WINDOW_COMMANDS);
    let name = source.name.clone();
    let output = Printer { answers, balances: options.balances, progress: Arc::clone(&progress), total: source.bytes };
    let manual_clock = options.manual_clock;
    start("reader", move || input::read(source.lines, manual_clock, &pieces_out))?;
    let mut printed = start("printer", move || output.run())?;
    let feed = Feed { ledger, clock, pieces, pending, room: Arc::new(Semaphore::new(WINDOW_BYTES as usize)) };
    let (end, printed) = tokio::select! {
        end = feed.run(shutdown) => (end, printed.await),
        // It ends first only when it cannot go on.
        printed = &mut printed => (End::OfInput, printed),
    };
    let printed = printed.map_err(|_| Failure::infrastructure("the thread that prints the outcomes is gone"))?;
    Report { name, printed, end, progress }.tell(shutdown)
}

fn nothing_done(shutdown: &Shutdown) -> Failure {
    Failure { exit: shutdown.exit(), message: Some("interrupted before the first command".to_owned()) }
}

/// Runs work that blocks on a thread of its own, and answers with where its result will come.
fn start<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<oneshot::Receiver<T>, Failure> {
    let (done, result) = oneshot::channel();
    let started = thread::Builder::new().name(name.to_owned()).spawn(move || {
        // Nobody waits for it any more when the command has ended.
        let _ = done.send(work());
    });
    match started {
        Ok(_) => Ok(result),
        Err(error) => Err(Failure::infrastructure(format!("the {name} thread does not start: {error}"))),
    }
}

/// Why nothing more goes to the ledger.
enum End {
    /// At the end of the input, or because the printer takes no more.
    OfInput,
    /// An end was asked for.
    Interrupted,
    /// The input could not be read any further.
    Unreadable(std::io::Error),
}

/// From the reader to the ledger.
struct Feed {
    ledger: Ledger,
    clock: Option<Arc<ManualClock>>,
    pieces: mpsc::Receiver<Vec<Line>>,
    pending: mpsc::Sender<Pending>,
    /// A permit is a byte on its way.
    room: Arc<Semaphore>,
}

impl Feed {
    async fn run(mut self, shutdown: &Shutdown) -> End {
        tokio::select! {
            biased;
            () = shutdown.requested() => {
                terminal::say("interrupted; waiting for the answers that are on their way (again: end at once)");
                End::Interrupted
            }
            end = self.all() => end,
        }
    }

    async fn all(&mut self) -> End {
        while let Some(piece) = self.pieces.recv().await {
            for line in piece {
                match line.input {
                    Input::Unreadable(error) => return End::Unreadable(error),
                    Input::Clock(time) => {
                        if let Some(clock) = &self.clock {
                            clock.set(time);
                        }
                    }
                    Input::Asked(asked) => {
                        if self.send(line.place, asked).await.is_err() {
                            return End::OfInput;
                        }
                    }
                }
            }
        }
        End::OfInput
    }

    /// Sends a command to the ledger, and to the printer where its answer will come.
    ///
    /// May be dropped at any time: a command that the ledger was sent will be printed, since its place in
    /// the window was there before.
    async fn send(&self, at: Place, asked: Result<Box<Command>, Invalid>) -> Result<(), PrinterGone> {
        let weight = u32::try_from(at.bytes).unwrap_or(u32::MAX).clamp(1, WINDOW_BYTES);
        let room = Arc::clone(&self.room).acquire_many_owned(weight).await.map_err(|_| PrinterGone)?;
        let place = self.pending.reserve().await.map_err(|_| PrinterGone)?;
        let answer = match asked {
            Ok(command) => Answer::of(self.ledger.enqueue(*command).await),
            Err(invalid) => Answer::Known(Outcome::Invalid(invalid)),
        };
        place.send(Pending { line: at.number, end: at.end, answer, _room: room });
        Ok(())
    }
}

/// The printer takes no more, and says why.
struct PrinterGone;
