//! What happened in a run, in order.

use std::fmt;

/// What happened, and a number by which two runs are compared.
#[derive(Debug)]
pub(crate) struct Trace {
    lines: Vec<Line>,
    hash: u64,
}

#[derive(Debug)]
struct Line {
    at_ms: u64,
    who: String,
    what: String,
}

impl Trace {
    pub(crate) const fn new() -> Self {
        Self { lines: Vec::new(), hash: 0xcbf2_9ce4_8422_2325 }
    }

    pub(crate) fn add(&mut self, at_ms: u64, who: &str, what: String) {
        for byte in at_ms.to_le_bytes().iter().chain(who.as_bytes()).chain(what.as_bytes()) {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        self.lines.push(Line { at_ms, who: who.to_owned(), what });
    }

    pub(crate) const fn hash(&self) -> u64 {
        self.hash
    }

    /// The last lines, as text.
    pub(crate) fn last(&self, most: usize) -> Vec<String> {
        self.lines.iter().skip(self.lines.len().saturating_sub(most)).map(Line::to_string).collect()
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>7} ms  {:10} {}", self.at_ms, self.who, self.what)
    }
}
