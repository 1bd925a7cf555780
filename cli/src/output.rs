//! What goes to stdout: JSON, tables and lines.

use std::borrow::Cow;
use std::io::{self, BufWriter, Stdout, Write};

use comfy_table::{CellAlignment, ContentArrangement, ContentLineStyle, LineStyle, Table, TableStyle};
use futures::{Stream, StreamExt};
use postfold::Error;
use serde::Serialize;

use crate::exit::Failure;

/// How much is gathered before it is written.
const BUFFER_BYTES: usize = 64 * 1024;

/// How wide a table with sentences is where there is no terminal, in characters.
const TEXT_COLUMNS: u16 = 120;

/// A terminal that is narrower than this has no size that it tells.
const TEXT_COLUMNS_MIN: u16 = 40;

/// One line below the header, and no others: rows stay one line each, for `grep` and `sort`.
const STYLE: TableStyle = TableStyle::new()
    .header_lines(ContentLineStyle::none())
    .header_separator(LineStyle::none().fill('─'))
    .content_lines(ContentLineStyle::none());

/// stdout with a buffer of its own: [`io::stdout`] would write every line by itself.
pub(crate) fn stdout() -> BufWriter<Stdout> {
    BufWriter::with_capacity(BUFFER_BYTES, io::stdout())
}

/// Prints a text as it is.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = stdout();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| Failure::stdout(&error))
}

/// Prints one JSON value on a line.
pub(crate) fn json<T: Serialize + ?Sized>(value: &T) -> Result<(), Failure> {
    let mut out = stdout();
    write_json(&mut out, value).and_then(|()| out.flush()).map_err(|error| Failure::stdout(&error))
}

/// Prints one JSON array, element by element as they come. What fails before the first one leaves nothing
/// on stdout.
pub(crate) async fn json_array<T: Serialize>(values: impl Stream<Item = Result<T, Error>>) -> Result<(), Failure> {
    let mut values = std::pin::pin!(values);
    let mut next = values.next().await.transpose()?;
    let mut out = stdout();
    let stdout = |error: io::Error| Failure::stdout(&error);
    out.write_all(b"[").map_err(stdout)?;
    let mut separator: &[u8] = b"";
    while let Some(value) = next {
        out.write_all(separator).map_err(stdout)?;
        serde_json::to_writer(&mut out, &value).map_err(|error| stdout(error.into()))?;
        separator = b",";
        next = values.next().await.transpose()?;
    }
    out.write_all(b"]\n").and_then(|()| out.flush()).map_err(stdout)
}

/// Writes one JSON value on a line.
pub(crate) fn write_json<T: Serialize + ?Sized>(out: &mut impl Write, value: &T) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}

/// Prints a table; columns named with a `#` in front hold numbers.
pub(crate) fn table<Row, Cell>(columns: &[&str], rows: impl IntoIterator<Item = Row>) -> Result<(), Failure>
where
    Row: IntoIterator<Item = Cell>,
    Cell: AsRef<str>,
{
    print_table(&build(columns, rows))
}

/// Prints a table whose last column holds sentences: they are broken to the width of the terminal.
pub(crate) fn text_table<Row, Cell>(columns: &[&str], rows: impl IntoIterator<Item = Row>) -> Result<(), Failure>
where
    Row: IntoIterator<Item = Cell>,
    Cell: AsRef<str>,
{
    let mut table = build(columns, rows);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    if table.width().is_none_or(|width| width < TEXT_COLUMNS_MIN) {
        table.set_width(TEXT_COLUMNS);
    }
    print_table(&table)
}

fn build<Row, Cell>(columns: &[&str], rows: impl IntoIterator<Item = Row>) -> Table
where
    Row: IntoIterator<Item = Cell>,
    Cell: AsRef<str>,
{
    let mut table = Table::new();
    table.load_style(STYLE).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(columns.iter().map(|column| column.trim_start_matches('#')));
    for row in rows {
        table.add_row(row.into_iter().map(|cell| plain(cell.as_ref()).into_owned()));
    }
    for (index, column) in columns.iter().enumerate() {
        if let Some(numbers) = table.column_mut(index).filter(|_| column.starts_with('#')) {
            numbers.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn print_table(table: &Table) -> Result<(), Failure> {
    let text = table.to_string();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    print(&format!("{}\n", lines.join("\n")))
}

/// The text without characters that a terminal would obey: what others wrote into a ledger must not
/// move the cursor of who reads it.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    if !text.chars().any(char::is_control) {
        return Cow::Borrowed(text);
    }
    let escaped = text.chars().map(|character| {
        if character.is_control() { character.escape_default().to_string() } else { character.to_string() }
    });
    Cow::Owned(escaped.collect())
}

/// The word that JSON has for a value, such as the name of a state.
pub(crate) fn word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word.replace('_', " "),
        _ => String::new(),
    }
}

/// A count with its thousands set apart: `12,345`.
pub(crate) fn count(number: impl TryInto<u64>) -> String {
    let digits = number.try_into().unwrap_or(u64::MAX).to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `1 event`, `12,345 events`.
pub(crate) fn counted(number: impl TryInto<u64>, one: &str) -> String {
    let number = number.try_into().unwrap_or(u64::MAX);
    if number == 1 { format!("1 {one}") } else { format!("{} {one}s", count(number)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_set_apart_by_thousands() {
        let written: Vec<String> = [0_u64, 7, 999, 1_000, 1_234_567].map(count).into();
        assert_eq!(written, ["0", "7", "999", "1,000", "1,234,567"]);
        assert_eq!(counted(1_u64, "event"), "1 event");
        assert_eq!(counted(2_000_usize, "event"), "2,000 events");
    }

    #[test]
    fn what_a_terminal_would_obey_is_written_out() {
        assert_eq!(plain("till 1 é"), "till 1 é");
        assert_eq!(plain("a\u{1b}[2Jb\n"), "a\\u{1b}[2Jb\\n");
    }
}
