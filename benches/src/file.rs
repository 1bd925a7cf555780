//! A file of commands for `postfold apply`.

use std::io::{BufWriter, Write};

use tempfile::NamedTempFile;

use crate::error::BenchError;
use crate::load::Load;

/// Writes the transfers of a load, one JSON object a line.
pub(crate) fn write(load: Load) -> Result<NamedTempFile, BenchError> {
    let failed =
        |error: std::io::Error| BenchError::Process(format!("the file of commands cannot be written: {error}"));
    let mut file = NamedTempFile::with_prefix("postfold-bench-").map_err(failed)?;
    let mut out = BufWriter::new(&mut file);
    for line in load.lines() {
        writeln!(out, "{line}").map_err(failed)?;
    }
    out.flush().map_err(failed)?;
    drop(out);
    Ok(file)
}
