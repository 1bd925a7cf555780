//! The results as text: what the documentation shows.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use anyhow::Context;

use crate::cell::{Cell, Seen};
use crate::peer::{Load, Way};
use crate::peers::Kind;
use crate::run::Results;

/// Between these lines of the documentation, a run writes.
const BEGIN: &str = "<!-- figures: begin -->";
const END: &str = "<!-- figures: end -->";
const PICTURE: &str = "![Transfers a second of each peer, by the number of workers](peers.svg)";
/// How many post one by one where the goals are stated.
const GOAL_WORKERS: u32 = 32;
const LOCK: &str = include_str!("../Cargo.lock");

/// The runs of one cell, slowest first.
pub(crate) struct Runs<'a>(Vec<&'a Seen>);

impl Runs<'_> {
    pub(crate) fn median(&self) -> Option<&Seen> {
        self.0.get(self.0.len() / 2).copied()
    }

    pub(crate) fn rate(&self) -> f64 {
        self.median().map_or(0.0, |seen| seen.rate)
    }

    /// The rates of the slowest and of the fastest run.
    fn spread(&self) -> Option<(f64, f64)> {
        Some((self.0.first()?.rate, self.0.last()?.rate))
    }
}

impl Results {
    pub(crate) fn runs(&self, cell: Cell) -> Runs<'_> {
        let mut runs: Vec<&Seen> = self.seen.iter().filter(|seen| seen.cell == cell).collect();
        runs.sort_by(|one, other| one.rate.total_cmp(&other.rate));
        Runs(runs)
    }

    /// The cells of a kind under a load, those in batches or those one by one.
    fn cells(&self, kind: Kind, load: Load, batches: bool) -> Vec<Cell> {
        let mut cells: Vec<Cell> = self.seen.iter().map(|seen| seen.cell).collect();
        cells.retain(|cell| cell.kind == kind && cell.load == load && cell.way.is_batch() == batches);
        cells.sort_unstable();
        cells.dedup();
        cells
    }

    pub(crate) fn singles(&self, kind: Kind, load: Load) -> Vec<Cell> {
        self.cells(kind, load, false)
    }

    /// The fastest way in batches.
    pub(crate) fn batches(&self, kind: Kind, load: Load) -> Option<Cell> {
        self.fastest(self.cells(kind, load, true))
    }

    /// The fastest way of all.
    fn best(&self, kind: Kind, load: Load) -> Option<Cell> {
        self.fastest([self.cells(kind, load, true), self.cells(kind, load, false)].concat())
    }

    fn fastest(&self, cells: Vec<Cell>) -> Option<Cell> {
        cells.into_iter().max_by(|one, other| self.runs(*one).rate().total_cmp(&self.runs(*other).rate()))
    }

    pub(crate) fn kinds(&self) -> Vec<Kind> {
        Kind::ALL.into_iter().filter(|&kind| self.seen.iter().any(|seen| seen.cell.kind == kind)).collect()
    }

    /// How many times as fast one cell was as another, round by round, sorted.
    fn ratios(&self, of: Cell, to: Cell) -> Vec<f64> {
        let rates = |cell: Cell| self.seen.iter().filter(move |seen| seen.cell == cell);
        let same_round = |of: &Seen| rates(to).find(|to| to.round == of.round).map(|to| of.rate / to.rate);
        let mut ratios: Vec<f64> = rates(of).filter_map(same_round).collect();
        ratios.sort_by(f64::total_cmp);
        ratios
    }
}

/// A comparison that goals are stated for.
#[derive(Clone, Copy)]
enum Work {
    Batches(Load),
    Singles(Load),
}

impl Work {
    const ALL: [Self; 4] = [
        Self::Batches(Load::Uniform),
        Self::Singles(Load::Uniform),
        Self::Singles(Load::Hot),
        Self::Batches(Load::Hot),
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Batches(Load::Uniform) => "uniform, in batches: the fastest way of each",
            Self::Singles(Load::Uniform) => "uniform, one a call, 32 workers",
            Self::Singles(Load::Hot) => "one hot account, one a call, 32 workers",
            Self::Batches(Load::Hot) => "one hot account, in batches: the fastest way of each",
        }
    }

    /// How many times as fast Postfold wants to be.
    const fn goal(self, kind: Kind) -> Option<u32> {
        let goals = match self {
            Self::Batches(Load::Uniform) => [20, 20, 40, 15],
            Self::Singles(Load::Uniform) => [25, 40, 15, 5],
            Self::Singles(Load::Hot) => [100, 50, 50, 30],
            Self::Batches(Load::Hot) => return None,
        };
        match kind {
            Kind::Cala => Some(goals[0]),
            Kind::Doubleentry => Some(goals[1]),
            Kind::SqlxLedger => Some(goals[2]),
            Kind::Sql | Kind::SqlSets => Some(goals[3]),
            _ => None,
        }
    }

    fn cell(self, results: &Results, kind: Kind) -> Option<Cell> {
        match self {
            Self::Batches(load) => results.best(kind, load),
            Self::Singles(load) => {
                let cell = Cell { kind, load, way: Way::single(GOAL_WORKERS) };
                results.runs(cell).median().map(|_| cell)
            }
        }
    }
}

/// Everything, as Markdown.
pub(crate) fn text(results: &Results) -> String {
    let parts = [head(results), goals(results), rates(results), costs(results), failures(results)];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
}

/// Puts the results between the marks of a file.
pub(crate) fn write(path: &Path, results: &Results) -> anyhow::Result<()> {
    let old = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let (before, rest) = old.split_once(BEGIN).context("the mark of the begin is missing")?;
    let (_, after) = rest.split_once(END).context("the mark of the end is missing")?;
    Ok(std::fs::write(path, format!("{before}{BEGIN}\n\n{PICTURE}\n\n{}\n{END}{after}", text(results)))?)
}

fn head(results: &Results) -> String {
    let Results { facts, machine, date, rounds, seconds, .. } = results;
    let settings: Vec<String> = facts.settings.iter().map(|(name, value)| format!("`{name}` {value}")).collect();
    let packages = results.kinds().into_iter().filter_map(|kind| Some((kind.package()?, version(kind.package()?)?)));
    let packages: Vec<String> = packages.map(|(package, version)| format!("{package} {version}")).collect();
    format!(
        "{date}; {machine}; PostgreSQL {}; {}. Rounds: {rounds}, seconds a cell: {seconds}. {}.\n",
        facts.version,
        settings.join(", "),
        packages.join(", ")
    )
}

fn goals(results: &Results) -> String {
    let mut text = String::from("### How many times as fast\n\n| work | beside | Postfold | it | ratio | goal |\n");
    text.push_str("|---|---|---|---|---|---|\n");
    for work in Work::ALL {
        let Some(own) = work.cell(results, Kind::Postfold) else { continue };
        for kind in results.kinds().into_iter().filter(|&kind| kind != Kind::Postfold) {
            let Some(cell) = work.cell(results, kind) else { continue };
            let ratios = results.ratios(own, cell);
            let goal = work.goal(kind);
            let (Some(least), Some(median), Some(most)) = (ratios.first(), ratios.get(ratios.len() / 2), ratios.last())
            else {
                continue;
            };
            let goal = goal.map_or_else(String::new, |goal| {
                let met = if *median >= f64::from(goal) { "met" } else { "missed" };
                format!("{goal}: {met}")
            });
            let _ = writeln!(
                text,
                "| {} | {} | {} | {}{} | {median:.1} ({least:.1} to {most:.1}) | {goal} |",
                work.name(),
                kind.name(),
                whole(results.runs(own).rate()),
                whole(results.runs(cell).rate()),
                if matches!(work, Work::Batches(_)) { format!(", {}", way(cell.way)) } else { String::new() },
            );
        }
    }
    text
}

fn rates(results: &Results) -> String {
    let mut text = String::new();
    for load in Load::ALL {
        let columns: Vec<Way> = results.singles(Kind::Postfold, load).iter().map(|cell| cell.way).collect();
        let title = match load {
            Load::Uniform => "uniform over 10,000 accounts",
            Load::Hot => "one hot account",
        };
        let heads: Vec<String> = columns.iter().map(|way| way.workers.to_string()).collect();
        let _ = writeln!(text, "### Transfers a second, {title}\n\n| workers | {} | in batches |", heads.join(" | "));
        let _ = writeln!(text, "|---|{}---|", "---|".repeat(columns.len()));
        for kind in results.kinds() {
            let shown = |cell: Cell| rate(&results.runs(cell));
            let mut row: Vec<String> = columns.iter().map(|&way| shown(Cell { kind, load, way })).collect();
            row.push(
                results
                    .batches(kind, load)
                    .map_or_else(String::new, |cell| format!("{}, {}", shown(cell), way(cell.way))),
            );
            let _ = writeln!(text, "| {} | {} |", kind.name(), row.join(" | "));
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

fn costs(results: &Results) -> String {
    let mut text = String::from(
        "### Latency and bytes, uniform\n\n| | p50 ms, 32 workers | p99 ms, 32 workers | p99 ms, 1 worker | \
         disk bytes a transfer | WAL bytes a transfer | in batches: disk | WAL |\n|---|---|---|---|---|---|---|---|\n",
    );
    for kind in results.kinds() {
        let runs = |workers| results.runs(Cell { kind, load: Load::Uniform, way: Way::single(workers) });
        let (many, one) = (runs(GOAL_WORKERS), runs(1));
        let batches = results.batches(kind, Load::Uniform).map(|cell| results.runs(cell));
        let of = |runs: Option<&Runs<'_>>, shown: fn(&Seen) -> String| {
            runs.and_then(|runs| runs.median().map(shown)).unwrap_or_default()
        };
        let cells = [
            of(Some(&many), |seen| millis(seen.p50_us)),
            of(Some(&many), |seen| millis(seen.p99_us)),
            of(Some(&one), |seen| millis(seen.p99_us)),
            of(Some(&many), |seen| whole(seen.disk_bytes)),
            of(Some(&many), |seen| whole(seen.wal_bytes)),
            of(batches.as_ref(), |seen| whole(seen.disk_bytes)),
            of(batches.as_ref(), |seen| whole(seen.wal_bytes)),
        ];
        let _ = writeln!(text, "| {} | {} |", kind.name(), cells.join(" | "));
    }
    text
}

/// What failed, as it was said, and what is wrong with what is held.
fn failures(results: &Results) -> String {
    let mut said: BTreeMap<(Cell, &str), u64> = BTreeMap::new();
    for seen in &results.seen {
        for (error, count) in &seen.errors {
            *said.entry((seen.cell, error)).or_default() += count;
        }
    }
    let mut rows: Vec<(Kind, Option<Cell>, String, String)> = Vec::new();
    for ((cell, error), count) in said {
        let calls: i64 = results.seen.iter().filter(|seen| seen.cell == cell).map(|seen| seen.acknowledged).sum();
        let calls = calls / i64::from(cell.way.batch.max(1));
        rows.push((cell.kind, Some(cell), error.to_owned(), format!("{count} beside {calls} good calls")));
    }
    for seen in &results.seen {
        let fault = seen.fault().map(|fault| (seen.cell.kind, Some(seen.cell), fault, "in what is held".to_owned()));
        rows.extend(fault);
    }
    for (kind, cell, error) in &results.failed {
        rows.push((*kind, *cell, error.replace('\n', " "), "no result".to_owned()));
    }
    rows.sort();
    let mut text = String::from("### What failed, as seen\n\n");
    if rows.is_empty() {
        text.push_str("Nothing.\n");
        return text;
    }
    text.push_str("| peer | load | way | what was said | how often |\n|---|---|---|---|---|\n");
    for (kind, cell, said, times) in rows {
        let said = said.replace('|', "/");
        let load = cell.map_or("", |cell| cell.load.name());
        let way = cell.map_or_else(|| "set-up".to_owned(), |cell| way(cell.way));
        let _ = writeln!(text, "| {} | {load} | {way} | {said} | {times} |", kind.name());
    }
    text
}

fn way(way: Way) -> String {
    match way {
        Way { workers, batch: 1 } => format!("{workers} at a time"),
        Way { workers, batch } => format!("{workers} x {batch}"),
    }
}

fn rate(runs: &Runs<'_>) -> String {
    runs.spread().map_or_else(String::new, |(least, most)| {
        format!("{} ({} to {})", whole(runs.rate()), whole(least), whole(most))
    })
}

fn millis(micros: u64) -> String {
    format!("{}.{:02}", micros / 1_000, micros % 1_000 / 10)
}

/// A number without a fraction, thousands set apart.
pub(crate) fn whole(value: f64) -> String {
    let digits = format!("{value:.0}");
    let groups: Vec<&[u8]> = digits.as_bytes().rchunks(3).rev().collect();
    groups.iter().map(|group| String::from_utf8_lossy(group)).collect::<Vec<_>>().join(",")
}

/// The version of a package that was built.
fn version(package: &str) -> Option<&'static str> {
    let (_, rest) = LOCK.split_once(&format!("name = \"{package}\"\nversion = \""))?;
    rest.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!([0.4, 999.6, 12_345.0].map(whole), ["0", "1,000", "12,345"]);
    }

    #[test]
    fn every_peer_that_is_a_crate_has_a_version() {
        for package in Kind::ALL.into_iter().filter_map(Kind::package) {
            assert!(version(package).is_some(), "{package}");
        }
    }
}
