//! From lines to commands, on a thread of its own: reading and parsing take about as much time as
//! deciding, and need not wait for it.

use std::io::{self, Read};

use postfold::{Command, Invalid, Timestamp, parse_time};
use serde::Deserialize;
use tokio::sync::mpsc;

use super::lines::{LINE_BYTES_MAX, Lines, RawLine};

/// Most lines that are handed on at a time.
const PIECE_LINES: usize = 256;
/// Most bytes of lines that are handed on at a time; one longer line goes alone.
const PIECE_BYTES: usize = 1024 * 1024;
/// So much of a line that cannot be read is repeated in its outcome, in bytes.
const REPEATED_BYTES: usize = 1024;

/// A line that means something.
pub(super) struct Line {
    pub(super) place: Place,
    pub(super) input: Input,
}

/// Where a line stands in the input.
#[derive(Clone, Copy, Default)]
pub(super) struct Place {
    /// Counted from 1, blank lines included.
    pub(super) number: u64,
    /// Where it ends, in bytes.
    pub(super) end: u64,
    /// Its length.
    pub(super) bytes: usize,
}

/// What a line means.
pub(super) enum Input {
    /// A command, or why it cannot be read as one.
    Asked(Result<Box<Command>, Invalid>),
    /// The recorded time is this now.
    Clock(Timestamp),
    /// The input broke off.
    Unreadable(io::Error),
}

/// A line of `--manual-clock`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockLine {
    clock: String,
}

/// Reads to the end of the input, or until nobody takes the pieces any more.
pub(super) fn read(mut lines: Lines<impl Read>, manual_clock: bool, pieces: &mpsc::Sender<Vec<Line>>) {
    let mut interpreter = Interpreter { manual_clock, now: None };
    let (mut piece, mut bytes) = (Vec::new(), 0_usize);
    loop {
        let is_full = piece.len() >= PIECE_LINES || bytes >= PIECE_BYTES;
        if !piece.is_empty() && (is_full || !lines.is_next_here()) {
            bytes = 0;
            if pieces.blocking_send(std::mem::take(&mut piece)).is_err() {
                return;
            }
        }
        match lines.next() {
            Ok(None) => break,
            Ok(Some(line)) => {
                if let Some(input) = interpreter.read(&line) {
                    bytes = bytes.saturating_add(line.bytes.len());
                    let place = Place { number: line.number, end: line.end, bytes: line.bytes.len() };
                    piece.push(Line { place, input });
                }
            }
            Err(error) => {
                piece.push(Line { place: Place::default(), input: Input::Unreadable(error) });
                break;
            }
        }
    }
    // Nobody is told whose reader has gone.
    let _ = pieces.blocking_send(piece);
}

/// What lines mean depends on what stood before them only as far as the clock goes.
struct Interpreter {
    manual_clock: bool,
    now: Option<Timestamp>,
}

impl Interpreter {
    /// `None` for a line that means nothing: blank, or a clock that lies before the one before it.
    fn read(&mut self, line: &RawLine<'_>) -> Option<Input> {
        if line.is_too_long {
            let message = format!("a line has at most {} MiB", LINE_BYTES_MAX / 1024 / 1024);
            return Some(refused(Invalid::new("", Some(beginning(line.bytes)), message)));
        }
        if line.bytes.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r')) {
            return None;
        }
        let Ok(text) = std::str::from_utf8(line.bytes) else {
            let invalid = Invalid::new("", Some(beginning(line.bytes)), "not JSON: this is no UTF-8 text");
            return Some(refused(invalid));
        };
        if self.manual_clock
            && let Some(clock) = clock_of(text)
        {
            return self.clock(clock);
        }
        Some(match Command::from_json(text) {
            Err(invalid) => refused(self.why(invalid, text)),
            Ok(_) if self.manual_clock && self.now.is_none() => refused(Invalid::new(
                "",
                None,
                "no time yet: with --manual-clock a line {\"clock\": \"<RFC 3339>\"} stands before the first command",
            )),
            Ok(command) => Input::Asked(Ok(Box::new(command))),
        })
    }

    fn clock(&mut self, clock: String) -> Option<Input> {
        match parse_time(&clock) {
            Err(why) => Some(refused(Invalid::new("clock", Some(clock), why))),
            Ok(time) if self.now.is_some_and(|now| time <= now) => None,
            Ok(time) => {
                self.now = Some(time);
                Some(Input::Clock(time))
            }
        }
    }

    /// Why a line is no command; said of its clock where it has one, and no command otherwise.
    fn why(&self, invalid: Invalid, text: &str) -> Invalid {
        if self.manual_clock && invalid.field == "do" && text.contains("\"clock\"") {
            let message = "a clock line is {\"clock\": \"<RFC 3339>\"}, and nothing else stands in it";
            return Invalid::new("clock", Some(text.to_owned()), message);
        }
        invalid
    }
}

/// The time of a clock line. What plainly is a command is not looked at twice.
fn clock_of(text: &str) -> Option<String> {
    if text.contains("\"do\"") || !text.trim_ascii_start().starts_with('{') {
        return None;
    }
    serde_json::from_str::<ClockLine>(text).ok().map(|line| line.clock)
}

fn refused(invalid: Invalid) -> Input {
    Input::Asked(Err(invalid))
}

/// The beginning of a line that is no text, as far as it is.
fn beginning(bytes: &[u8]) -> String {
    let bytes = bytes.get(..REPEATED_BYTES).unwrap_or(bytes);
    String::from_utf8_lossy(bytes).into_owned()
}
