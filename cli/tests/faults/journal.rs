//! What is kept of a run in case it fails: who was started, who was killed, and what each had to say.

use std::fmt::Display;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use anyhow::{Context, Result};

/// A directory of its own, which goes when all went well.
#[derive(Clone)]
pub(crate) struct Journal(Arc<Inner>);

struct Inner {
    directory: PathBuf,
    began: Instant,
    written: Mutex<Written>,
}

struct Written {
    journal: File,
    /// Files given to processes, which numbers them.
    outputs: usize,
}

impl Journal {
    pub(crate) fn new(name: &str) -> Result<Self> {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("faults").join(name);
        if directory.exists() {
            fs::remove_dir_all(&directory)?;
        }
        fs::create_dir_all(&directory)?;
        let journal = File::create(directory.join("journal.txt"))?;
        let written = Mutex::new(Written { journal, outputs: 0 });
        Ok(Self(Arc::new(Inner { directory, began: Instant::now(), written })))
    }

    pub(crate) fn note(&self, text: impl Display) {
        let at = self.0.began.elapsed().as_secs_f64();
        if let Ok(mut written) = self.0.written.lock() {
            // A note that is lost fails no test.
            let _ = writeln!(written.journal, "{at:9.3} {text}");
        }
    }

    /// A file for what a process says on stderr.
    pub(crate) fn output(&self, name: &str) -> Result<PathBuf> {
        let mut written = self.0.written.lock().ok().context("the journal is in use")?;
        written.outputs += 1;
        Ok(self.0.directory.join(format!("{:04}-{name}.txt", written.outputs)))
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.0.directory
    }

    /// All went well: nothing of it is needed.
    pub(crate) fn forget(self) -> Result<()> {
        fs::remove_dir_all(&self.0.directory).context("the evidence cannot be removed")
    }
}
