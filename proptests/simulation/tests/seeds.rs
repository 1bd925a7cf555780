//! The short form of `make simulate`, and what makes its findings worth something: the same seed is the same run, and
//! planted bugs are found.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test ends at the first thing that goes wrong")]

use postfold_simulation::{Bug, Report, run};

/// Seeds of the short form.
const SEEDS: u64 = 150;
/// A planted bug has to be found within so many seeds.
const SEEDS_TO_FIND_A_BUG: u64 = 1_000;
const HISTORY_LINES: usize = 40;

fn told(report: &Report) -> String {
    let (seed, history, violations) = (report.seed, report.history.join("\n"), report.violations.join("\n  "));
    format!("{history}\nbroken:\n  {violations}\nagain: make simulate SEED={seed}")
}

#[test]
fn whatever_goes_wrong_no_promise_is_broken() {
    for seed in 0..SEEDS {
        let report = run(seed, None, HISTORY_LINES).unwrap();
        assert!(report.violations.is_empty(), "{}", told(&report));
    }
}

#[test]
fn the_same_seed_is_the_same_run_step_by_step() {
    for seed in 0..20 {
        let [one, other] = [(), ()].map(|()| run(seed, None, usize::MAX).unwrap());
        let differs = one.history.iter().zip(&other.history).find(|(one, other)| one != other);
        assert_eq!((differs, one.hash), (None, other.hash), "seed {seed}");
    }
}

#[test]
fn every_planted_bug_is_found() {
    for bug in Bug::ALL {
        let finds = |seed: &u64| !run(*seed, Some(bug), 0).unwrap().violations.is_empty();
        assert!((0..SEEDS_TO_FIND_A_BUG).any(|seed| finds(&seed)), "{bug:?} is not found");
    }
}
