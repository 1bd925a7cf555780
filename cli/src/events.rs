//! `events`: the log, event by event.

use std::io::{self, Write};

use futures::{FutureExt, Stream, StreamExt};
use postfold::{Error, Event, EventFilter, Position};

use crate::args::{self, Global};
use crate::exit::{Exit, Failure};
use crate::output;
use crate::shutdown::Shutdown;
use crate::terminal;

/// Longest piece of an event's data that a line for people holds, in characters.
const DATA_CHARS_MAX: usize = 160;

/// Prints what is there, and with `--follow` what comes.
pub(crate) async fn events(global: &Global, options: &args::Events, shutdown: &Shutdown) -> Result<Exit, Failure> {
    let log = tokio::select! {
        log = global.open_log() => log?,
        () = shutdown.requested() => return Ok(shutdown.exit()),
    };
    let after = Position::new(options.from.map_or(options.after, |from| from - 1));
    let limit = usize::try_from(options.limit.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
    let filter = filter(options);
    let events = match (filter.is_all(), options.follow) {
        (true, false) => log.events(after).boxed(),
        (true, true) => log.follow(after).boxed(),
        (false, false) => log.events_matching(filter, after).boxed(),
        (false, true) => log.follow_matching(filter, after).boxed(),
    };
    let ended = print(events.take(limit), global.json, after, shutdown).await?;
    match ended {
        Ended::Complete => Ok(Exit::Done),
        Ended::Interrupted(last) => {
            terminal::say(format_args!("stopped behind position {last}; to go on: --after {last}"));
            // Following has no other end.
            Ok(if options.follow { Exit::Done } else { shutdown.exit() })
        }
    }
}

fn filter(options: &args::Events) -> EventFilter {
    let mut filter = options.kind.iter().fold(EventFilter::all(), EventFilter::kind);
    if let Some(entity) = &options.entity {
        filter = filter.entity(entity);
    }
    if let Some(account) = &options.account {
        filter = filter.account(account);
    }
    if let Some(correlation) = &options.correlation {
        filter = filter.correlation(correlation);
    }
    filter
}

enum Ended {
    Complete,
    Interrupted(Position),
}

async fn print(
    events: impl Stream<Item = Result<Event, Error>>,
    json: bool,
    after: Position,
    shutdown: &Shutdown,
) -> Result<Ended, Failure> {
    let mut out = output::stdout();
    let mut events = std::pin::pin!(events);
    let mut last = after;
    let stdout = |error: io::Error| Failure::stdout(&error);
    loop {
        let next = if let Some(next) = events.next().now_or_never() {
            next
        } else {
            // Whoever reads along gets what there is before we wait.
            out.flush().map_err(stdout)?;
            tokio::select! {
                biased;
                () = shutdown.requested() => return Ok(Ended::Interrupted(last)),
                next = events.next() => next,
            }
        };
        let Some(event) = next.transpose()? else { break };
        last = event.position;
        let written = if json { output::write_json(&mut out, &event) } else { writeln!(out, "{}", line(&event)) };
        written.map_err(stdout)?;
    }
    out.flush().map_err(stdout)?;
    Ok(Ended::Complete)
}

/// An event on one line: place, time, kind, whose, and the beginning of its data.
fn line(event: &Event) -> String {
    let whose = match (&event.stream, event.version, &event.id) {
        (Some(stream), Some(version), _) => format!("{stream}@{version}"),
        (_, _, Some(id)) => id.clone(),
        _ => "-".to_owned(),
    };
    let data = event.data.get();
    let data = match data.char_indices().nth(DATA_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &data[..end]),
        None => data.to_owned(),
    };
    let line = format!("{:>9}  {:.6}  {:<20}  {whose:<24}  {data}", event.position, event.recorded_at, event.kind);
    output::plain(&line).into_owned()
}
