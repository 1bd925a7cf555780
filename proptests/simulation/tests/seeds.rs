//! The short form of `make simulate`, and what makes its findings worth something: the same seed is the same run, and
//! planted bugs are found.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test ends at the first thing that goes wrong")]

use std::path::{Path, PathBuf};
use std::process::Command;

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

/// `make planted` plants them; the sources move on.
#[test]
fn every_bug_that_is_a_patch_can_still_be_planted() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let planted = std::fs::read_dir(root.join("proptests/planted")).unwrap();
    let patches: Vec<PathBuf> = planted.map(|entry| entry.unwrap().path()).collect();
    assert!(patches.len() >= 5, "{patches:?}");
    for patch in patches {
        let text = std::fs::read_to_string(&patch).unwrap();
        for told in ["Bug: ", "Run: cargo "] {
            assert!(text.lines().any(|line| line.starts_with(told)), "{}: no line {told:?}", patch.display());
        }
        let applied = Command::new("git").args(["apply", "--check"]).arg(&patch).current_dir(&root).output().unwrap();
        assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
    }
}
