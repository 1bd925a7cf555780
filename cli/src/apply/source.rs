//! Where commands come from: a file or standard input.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::Path;

use super::lines::Lines;
use crate::exit::Failure;
use crate::progress::Progress;

/// An input that was opened.
pub(super) struct Source {
    /// How messages call it.
    pub(super) name: String,
    /// Its size, if that is known; otherwise 0.
    pub(super) bytes: u64,
    pub(super) lines: Lines<Box<dyn Read + Send>>,
}

impl Source {
    /// Opens a file; `-` or nothing is standard input.
    pub(super) fn open(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path.filter(|path| *path != Path::new("-")) else {
            return Ok(Self { name: "standard input".to_owned(), bytes: 0, lines: Lines::new(Box::new(io::stdin())) });
        };
        let name = path.display().to_string();
        let unusable = |why: String| Failure::usage(format!("the file {name} cannot be read: {why}"));
        let file = File::open(path).map_err(|error| unusable(error.to_string()))?;
        let facts = file.metadata().map_err(|error| unusable(error.to_string()))?;
        if facts.is_dir() {
            return Err(unusable("it is a directory".to_owned()));
        }
        // A pipe that has a name has no size.
        Ok(Self { name, bytes: facts.len(), lines: Lines::new(Box::new(file)) })
    }

    /// A bar, unless the outcomes themselves run over the same screen.
    pub(super) fn progress(&self) -> Progress {
        let what = format!("applying {}", self.name);
        if io::stdout().is_terminal() { Progress::lines(what, "command") } else { Progress::new(what, "command") }
    }
}
