//! Hazard: a page that names the tests behind its promises names one that was renamed or removed, or forgets a promise.

#![allow(clippy::expect_used, reason = "a test ends at the first thing that goes wrong")]

use std::path::{Path, PathBuf};

/// A file of the repository.
fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Looks up every link `[test](file.rs)` of a page; how many there are.
fn look_up_tests(page: &Path) -> usize {
    let text = read(page);
    let mut named = 0;
    for (before, behind) in text.split("](").zip(text.split("](").skip(1)) {
        let name = before.rsplit('[').next().expect("the text of a link");
        let target = behind.split(')').next().expect("the target of a link");
        if Path::new(target).extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let source = read(&page.parent().expect("a directory").join(target));
        let mut tests = source.split("test]").skip(1).chain(source.split("test(").skip(1));
        let found = tests.any(|test| test.lines().take(4).any(|line| line.contains(&format!("fn {name}("))));
        assert!(found || is_made_by_a_macro(&source, name), "{target} has no test {name}");
        named += 1;
    }
    named
}

/// Whether a function is handed to a macro that makes tests of such.
fn is_made_by_a_macro(source: &str, name: &str) -> bool {
    let is_law = source.split("law!(").skip(1).any(|law| law.trim_start().starts_with(&format!("{name},")));
    let is_case = source.contains("test] async fn $")
        && source.contains(&format!("fn {name}<"))
        && source.contains(&format!("{name},"));
    is_law || is_case
}

#[test]
fn every_test_that_the_map_of_the_contract_names_exists() {
    let page = file("docs/contract.md");
    let named = look_up_tests(&page);
    assert!(named > 80, "{named} tests are named");
    for row in read(&page).lines().filter(|line| line.starts_with("| ") && !line.starts_with("| promise")) {
        assert!(row.contains("](../"), "no test stands beside: {row}");
    }
}

#[test]
fn every_promise_of_the_readme_stands_with_tests_that_exist_and_the_command_that_runs_them() {
    let page = file("GUARANTEES.md");
    let named = look_up_tests(&page);
    assert!(named > 60, "{named} tests are named");
    let text = read(&page);
    let readme = read(&file("README.md"));
    let (_, table) = readme.split_once("| promise | what tests it |").expect("the table of promises");
    let promises: Vec<&str> =
        table.lines().skip(2).map_while(|row| row.strip_prefix("| ")?.split(" | ").next()).collect();
    assert!(promises.len() > 10, "{promises:?}");
    let told: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("> ")).collect();
    assert_eq!(told, promises);
    for section in text.split("\n> ").skip(1) {
        let promise = section.lines().next().unwrap_or_default();
        assert!(section.contains("](engine/") || section.contains("](projections/"), "no test: {promise}");
        assert!(section.contains("- Run: `"), "no command: {promise}");
    }
}

#[test]
fn every_test_binary_that_a_command_of_the_guarantees_runs_exists() {
    let text = read(&file("GUARANTEES.md"));
    let packages = ["engine", "projections", "cli", "proptests", "proptests/simulation", "fuzz"];
    let mut named = 0;
    for name in text.split("--test ").skip(1) {
        let name = name.split([' ', '`', '\n']).next().unwrap_or_default();
        let exists = packages.iter().any(|package| {
            file(&format!("{package}/tests/{name}.rs")).exists()
                || file(&format!("{package}/tests/{name}/main.rs")).exists()
        });
        assert!(exists, "there is no test binary {name}");
        named += 1;
    }
    assert!(named > 20, "{named} are named");
}
