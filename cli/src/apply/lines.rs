//! Lines of bounded length.

use std::io::{self, BufRead, BufReader, Read};

/// Longest line that is read, in bytes; the rest of a longer one is skipped.
///
/// A batch of 10,000 transfers with texts and remarks takes a few MiB, an entry of 10,000 legs under the
/// longest account codes about 8 MiB, and 60 changes with the largest `data` 60 MiB.
pub(super) const LINE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How much is read at a time.
const BUFFER_BYTES: usize = 1024 * 1024;
/// What the buffer for one line shrinks back to after a long one.
const LINE_BYTES_KEPT: usize = 1024 * 1024;

/// A reader of lines.
pub(super) struct Lines<R> {
    input: BufReader<R>,
    line: Vec<u8>,
    line_bytes_max: usize,
    number: u64,
    offset: u64,
}

/// One line.
pub(super) struct RawLine<'a> {
    /// Counted from 1.
    pub(super) number: u64,
    /// Where it ends in the input, in bytes.
    pub(super) end: u64,
    /// The line without its end; only the beginning of one that is too long.
    pub(super) bytes: &'a [u8],
    pub(super) is_too_long: bool,
}

impl<R: Read> Lines<R> {
    pub(super) fn new(input: R) -> Self {
        Self::with(input, LINE_BYTES_MAX)
    }

    fn with(input: R, line_bytes_max: usize) -> Self {
        let input = BufReader::with_capacity(BUFFER_BYTES, input);
        Self { input, line: Vec::new(), line_bytes_max, number: 0, offset: 0 }
    }

    /// Whether the next line can be read without waiting for the input.
    pub(super) fn is_next_here(&self) -> bool {
        self.input.buffer().contains(&b'\n')
    }

    /// The next line; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<RawLine<'_>>> {
        self.line.clear();
        self.line.shrink_to(LINE_BYTES_KEPT);
        let limit = u64::try_from(self.line_bytes_max).unwrap_or(u64::MAX).saturating_add(1);
        let mut read = self.input.by_ref().take(limit).read_until(b'\n', &mut self.line)?;
        if read == 0 {
            return Ok(None);
        }
        let is_too_long = self.line.len() > self.line_bytes_max && self.line.last() != Some(&b'\n');
        if is_too_long {
            read = read.saturating_add(self.input.skip_until(b'\n')?);
        } else if self.line.last() == Some(&b'\n') {
            self.line.pop();
        }
        self.number += 1;
        self.offset = self.offset.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        Ok(Some(RawLine { number: self.number, end: self.offset, bytes: &self.line, is_too_long }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, line_bytes_max: usize) -> Vec<(u64, u64, String, bool)> {
        let mut lines = Lines::with(text.as_bytes(), line_bytes_max);
        let mut read = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            let text = String::from_utf8_lossy(line.bytes).into_owned();
            read.push((line.number, line.end, text, line.is_too_long));
        }
        read
    }

    #[test]
    fn lines_come_with_number_and_end_and_the_last_needs_no_newline() {
        let lines = [(1, 3, "ab".to_owned(), false), (2, 4, String::new(), false), (3, 6, "cd".to_owned(), false)];
        assert_eq!(read("ab\n\ncd", 10), lines);
        assert!(read("", 10).is_empty());
    }

    #[test]
    fn the_rest_of_a_line_that_is_too_long_is_skipped() {
        let lines =
            [(1, 5, "abcd".to_owned(), false), (2, 12, "efghi".to_owned(), true), (3, 14, "j".to_owned(), false)];
        assert_eq!(read("abcd\nefghij\nj\n", 4), lines);
        assert_eq!(read("abcde", 4), [(1, 5, "abcde".to_owned(), true)]);
    }
}
