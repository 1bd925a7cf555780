//! `head` and `verify`: where the log ends, and whether it is what it was when it was written.

use postfold::{Log, Position, Problem, Report};

use crate::args::{self, Global, NotedHead};
use crate::exit::{Exit, Failure};
use crate::output::{self, counted};
use crate::program;
use crate::progress::{Progress, Step, seconds};

/// Where the log ends.
pub(crate) async fn head(global: &Global) -> Result<Exit, Failure> {
    let summary = global.open_log().await?.summary().await?;
    if global.json {
        output::json(&summary)?;
        return Ok(Exit::Done);
    }
    let (head, counts) = (summary.head, summary.counts);
    let time = head.recorded_at.map_or_else(|| "-".to_owned(), |time| time.to_string());
    output::print(&format!("position     {}\nhash         {}\nrecorded at  {time}\n", head.position, head.hash))?;
    let accounts = counted(counts.accounts, "account");
    output::print(&format!("in all       {}, {accounts}\n", counted(counts.events, "event")))?;
    if head.position > Position::START {
        let noted = format!("{}:{}", head.position, head.hash);
        output::print(&format!("to make sure later: {} verify --head {noted}\n", program::name()))?;
    }
    Ok(Exit::Done)
}

/// Recomputes every hash, folds every balance anew, compares.
pub(crate) async fn verify(global: &Global, options: &args::Verify) -> Result<Exit, Failure> {
    let log = global.open_log().await?;
    let missing = match options.head {
        Some(noted) => compare_head(&log, noted).await?,
        None => None,
    };
    let progress = Progress::new("verifying", "event");
    let (after, upto) = (Position::new(options.after), options.upto.map(Position::new));
    let mut report = postfold::verify_between(&log, after, upto, |at| {
        progress.at(Step::of(at.events, at.events_total));
    })
    .await?;
    let took = seconds(progress.elapsed());
    drop(progress);
    if let Some(problem) = missing {
        report.problems.insert(0, problem);
        report.problems_total += 1;
    }
    if global.json {
        output::json(&report)?;
    } else {
        print(&report, options.head.is_some(), &took)?;
    }
    Ok(if report.is_clean() { Exit::Done } else { Exit::Problem })
}

/// A hash that was noted outside the database is the one thing that whoever rewrites all of the log
/// cannot rewrite with it.
async fn compare_head(log: &Log, noted: NotedHead) -> Result<Option<Problem>, Failure> {
    let message = match log.hash_at(noted.position).await? {
        Some(hash) if hash == noted.hash => return Ok(None),
        Some(hash) => format!("{} was noted for this position, {hash} is stored", noted.hash),
        None => format!("{} was noted for this position, and the log ends before it", noted.hash),
    };
    Ok(Some(Problem { position: noted.position, column: "event.hash".to_owned(), message }))
}

fn print(report: &Report, noted: bool, took: &str) -> Result<(), Failure> {
    let behind = match report.after {
        Position::START => String::new(),
        after => format!(" behind position {after}"),
    };
    let looked_at = format!(
        "{}, {} and {}{behind} up to position {} in {took}",
        counted(report.events, "event"),
        counted(report.postings, "posting"),
        counted(report.accounts, "account"),
        report.head.position
    );
    if report.is_clean() {
        let noted = if noted { "; the noted head is in the log" } else { "" };
        return output::print(&format!(
            "verified {looked_at}{noted}\nhead {}:{}\n",
            report.head.position, report.head.hash
        ));
    }
    let rows = report
        .problems
        .iter()
        .map(|problem| [problem.position.to_string(), problem.column.clone(), problem.message.clone()]);
    output::text_table(&["#position", "column", "problem"], rows)?;
    let shown = match report.problems_total.saturating_sub(report.problems.len()) {
        0 => String::new(),
        more => format!(", {} not shown", output::count(more)),
    };
    output::print(&format!("found {}{shown} in {looked_at}\n", counted(report.problems_total, "problem")))
}
