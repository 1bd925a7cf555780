//! Texts that are nearly right, for everything that parses.
//!
//! Random bytes hardly get past the first check of a parser. So a text of the corpus is taken and spoilt a little: pieces
//! are cut, doubled, moved or taken from another text, what stands between two signs of punctuation is replaced by a word of
//! [`WORDS`], bytes are changed. A few texts are random after all. What fails is shrunk to few edits.
//!
//! Short in `make test`, as long as one likes by `make fuzz SECONDS=600`. A text that failed once belongs in `corpus/`: all of
//! them are tried first, as they are.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseResult, TestRunner};

mod edit;

pub use edit::WORDS;
use edit::{Edit, edited};

/// Cases of a short run.
const CASES: u32 = 256;

/// For so many seconds the long run goes on; without it, the short run is taken.
const SECONDS: &str = "FUZZ_SECONDS";

/// The texts of a file of the corpus: one a line.
///
/// # Panics
///
/// When there is no such file.
pub fn corpus(name: &str) -> Vec<Vec<u8>> {
    let path = format!("{}/corpus/{name}", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    bytes.split(|byte| *byte == b'\n').filter(|text| !text.is_empty()).map(<[u8]>::to_vec).collect()
}

/// A text of these, spoilt a little or not at all; sometimes random bytes.
pub fn nearly(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let spoilt = (any::<prop::sample::Index>(), prop::collection::vec(any::<Edit>(), 0..6));
    let spoilt = spoilt.prop_map(move |(seed, edits): (prop::sample::Index, Vec<Edit>)| {
        edited(&seeds, seed.get::<Vec<u8>>(&seeds), &edits)
    });
    prop_oneof![15 => spoilt, 1 => prop::collection::vec(any::<u8>(), 0..200)]
}

/// Runs a check on many values: as many as a test takes, or as long as `FUZZ_SECONDS` says.
///
/// # Panics
///
/// With the smallest value that was found to fail the check.
pub fn fuzz<S: Strategy>(values: &S, check: impl Fn(S::Value) -> TestCaseResult) {
    let config = Config { cases: CASES, failure_persistence: None, max_shrink_iters: 20_000, ..Config::default() };
    let end = std::env::var(SECONDS).ok().map(|seconds| {
        let seconds = seconds.parse().unwrap_or_else(|_| panic!("{SECONDS} is a number of seconds, not {seconds:?}"));
        Instant::now() + Duration::from_secs(seconds)
    });
    let mut cases: u64 = 0;
    loop {
        if let Err(failure) = TestRunner::new(config.clone()).run(values, &check) {
            panic!("behind {cases} cases: {failure}");
        }
        cases += u64::from(CASES);
        if end.is_none_or(|end| Instant::now() > end) {
            break;
        }
    }
    println!("{cases} cases");
}
