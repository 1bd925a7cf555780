//! The benches themselves are in `benches/`; run them with `cargo bench -p postfold-benches`.
