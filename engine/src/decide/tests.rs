//! Rule tests: one row, one expected outcome.
