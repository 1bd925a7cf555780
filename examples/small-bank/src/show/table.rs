//! One look for all tables.

use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};

/// A table with a header.
pub(crate) fn new(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(header.iter().copied());
    table
}

/// Puts the columns from an index on to the right.
pub(crate) fn align_numbers(table: &mut Table, first: usize) {
    for column in table.column_iter_mut().skip(first) {
        column.set_cell_alignment(CellAlignment::Right);
    }
}
