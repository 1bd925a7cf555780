//! The files: plain or compressed, line by line, with line numbers.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use flate2::bufread::MultiGzDecoder;

/// One line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number, from 1 (the header).
    pub number: u64,
    /// Its text without the line end; bytes that are not UTF-8 became U+FFFD.
    pub text: String,
    /// Whether it has a line end. Only the last line of a file that was cut has none.
    pub ended: bool,
}

/// Finds `<name>` or `<name>.gz` in a directory.
///
/// # Errors
///
/// When neither is there.
pub fn find(directory: &Path, name: &str) -> Result<PathBuf> {
    let candidates = [directory.join(format!("{name}.gz")), directory.join(name)];
    let found = candidates.into_iter().find(|path| path.is_file());
    found.with_context(|| format!("{} holds neither {name}.gz nor {name}", directory.display()))
}

/// Opens a file for reading, unpacking it if its name ends in `.gz`.
///
/// # Errors
///
/// When it cannot be opened.
pub fn open(path: &Path) -> io::Result<Box<dyn BufRead>> {
    let file = BufReader::new(File::open(path)?);
    let packed = path.extension().is_some_and(|extension| extension == "gz");
    Ok(if packed { Box::new(BufReader::new(MultiGzDecoder::new(file))) } else { Box::new(file) })
}

/// Hands on each line behind the header; answers the number of lines, the header included.
///
/// # Errors
///
/// When the header is another one, or the file cannot be read to its end.
pub fn read_lines(mut reader: impl BufRead, header: &str, mut each: impl FnMut(&Line)) -> Result<u64> {
    let mut buffer = Vec::new();
    let mut number = 0;
    while reader.read_until(b'\n', &mut buffer).with_context(|| format!("behind line {number}"))? > 0 {
        number += 1;
        let line = line(number, &buffer);
        buffer.clear();
        match number {
            1 if line.text != header => bail!("the header is {:?}, not {header:?}", line.text),
            1 => {}
            _ => each(&line),
        }
    }
    if number == 0 {
        bail!("the file is empty");
    }
    Ok(number)
}

fn line(number: u64, bytes: &[u8]) -> Line {
    let ended = bytes.ends_with(b"\n");
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    Line { number, text: String::from_utf8_lossy(bytes).into_owned(), ended }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn lines(bytes: &[u8]) -> Vec<Line> {
        let mut lines = Vec::new();
        read_lines(bytes, "head", |line| lines.push(line.clone())).unwrap();
        lines
    }

    #[test]
    fn line_numbers_count_the_header_and_both_line_ends_are_taken_off() {
        let read = lines(b"head\r\none\r\ntwo\nthree");
        let seen: Vec<_> = read.iter().map(|line| (line.number, line.text.as_str(), line.ended)).collect();
        assert_eq!(seen, [(2, "one", true), (3, "two", true), (4, "three", false)]);
    }

    #[test]
    fn a_file_with_another_header_is_refused() {
        assert!(read_lines(&b"foot\none\n"[..], "head", |_| {}).is_err());
        assert!(read_lines(&b""[..], "head", |_| {}).is_err());
    }

    #[test]
    fn a_packed_and_a_plain_file_read_alike() {
        let directory = tempfile::tempdir().unwrap();
        let plain = directory.path().join("a.asc");
        std::fs::write(&plain, "head\none\n").unwrap();
        let packed = directory.path().join("b.asc.gz");
        let mut encoder = flate2::write::GzEncoder::new(File::create(&packed).unwrap(), flate2::Compression::default());
        encoder.write_all(b"head\none\n").unwrap();
        encoder.finish().unwrap();
        for (name, path) in [("a.asc", plain), ("b.asc", packed)] {
            assert_eq!(find(directory.path(), name).unwrap(), path);
            let mut texts = Vec::new();
            read_lines(open(&path).unwrap(), "head", |line| texts.push(line.text.clone())).unwrap();
            assert_eq!(texts, ["one"]);
        }
        assert!(find(directory.path(), "c.asc").is_err());
    }
}
