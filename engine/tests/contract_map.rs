//! Hazard: the map of the contract names a test that was renamed or removed.

#![allow(clippy::expect_used, reason = "a test ends at the first thing that goes wrong")]

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs");

#[test]
fn every_test_that_the_map_of_the_contract_names_exists() {
    let map = std::fs::read_to_string(format!("{DOCS}/contract.md")).expect("docs/contract.md");
    let links = map.split("](").zip(map.split("](").skip(1));
    let mut named = 0;
    for (before, behind) in links {
        let name = before.rsplit('[').next().expect("the text of a link");
        let target = behind.split(')').next().expect("the target of a link");
        let source = std::fs::read_to_string(format!("{DOCS}/{target}")).expect(target);
        let tests = source.split("test]").skip(1).chain(source.split("test(").skip(1));
        let found =
            tests.into_iter().any(|test| test.lines().take(4).any(|line| line.contains(&format!("fn {name}("))));
        assert!(found, "{target} has no test {name}");
        named += 1;
    }
    assert!(named > 80, "{named} tests are named");
    let rows = map.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| promise"));
    for row in rows {
        assert!(row.contains("](../"), "no test stands beside: {row}");
    }
}
