//! What can be asked, on the command line.

use clap::Args;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use postfold::{AsOf, Position};

/// As of when; all flags together: what took effect by then, as it was known by then.
#[derive(Args)]
pub(crate) struct When {
    /// As of this position of the log
    #[arg(long, value_name = "POSITION", value_parser = position)]
    pub(crate) at: Option<Position>,
    /// Only what was recorded up to this time; a date: by the end of that day (UTC)
    #[arg(long, value_name = "TIME", value_parser = by)]
    pub(crate) known_at: Option<Timestamp>,
}

/// The same, and by effective time.
#[derive(Args)]
pub(crate) struct AsOfWhen {
    #[command(flatten)]
    pub(crate) when: When,
    /// Only what took effect up to this time; a date: by the end of that day (UTC)
    #[arg(long, value_name = "TIME", value_parser = by)]
    pub(crate) effective_at: Option<Timestamp>,
}

/// A span of effective time.
#[derive(Args)]
pub(crate) struct Span {
    /// What took effect from this time on, itself included; a date: from its beginning (UTC)
    #[arg(long, value_name = "TIME", value_parser = beginning)]
    pub(crate) from: Option<Timestamp>,
    /// What took effect before this time; a date: up to its end (UTC), the day itself included
    #[arg(long, value_name = "TIME", value_parser = end)]
    pub(crate) to: Option<Timestamp>,
}

#[derive(Args)]
pub(crate) struct Balance {
    /// The account's code
    pub(crate) account: String,
    /// The currency, where the code is open in several
    #[arg(long, value_name = "CODE")]
    pub(crate) currency: Option<String>,
    #[command(flatten)]
    pub(crate) as_of: AsOfWhen,
}

#[derive(Args)]
pub(crate) struct Balances {
    /// Only accounts whose code begins with this
    #[arg(default_value = "", hide_default_value = true)]
    pub(crate) prefix: String,
    /// The same, as an option
    #[arg(long = "prefix", value_name = "PREFIX", conflicts_with = "prefix")]
    pub(crate) begins_with: Option<String>,
    /// Sum up each level of the codes: `assets`, `assets:cash`, `assets:cash:till-1`
    #[arg(long)]
    pub(crate) tree: bool,
    /// With --tree: only levels with up to so many colons
    #[arg(long, value_name = "N", requires = "tree")]
    pub(crate) depth: Option<usize>,
    #[command(flatten)]
    pub(crate) as_of: AsOfWhen,
}

#[derive(Args)]
pub(crate) struct Statement {
    /// The account's code
    pub(crate) account: String,
    /// The currency, where the code is open in several
    #[arg(long, value_name = "CODE")]
    pub(crate) currency: Option<String>,
    #[command(flatten)]
    pub(crate) span: Span,
    /// Go on behind an earlier page: what that page gave as `next`
    #[arg(long, alias = "cursor", value_name = "CURSOR")]
    pub(crate) page: Option<String>,
    /// Most lines of the page, up to 10,000
    #[arg(long, value_name = "N", default_value_t = postfold::StatementQuery::LIMIT)]
    pub(crate) limit: usize,
    #[command(flatten)]
    pub(crate) when: When,
}

#[derive(Args)]
pub(crate) struct Entry {
    /// The id of an entry, transfer, reversal, hold or settle
    pub(crate) id: String,
}

#[derive(Args)]
pub(crate) struct Holds {
    /// Only holds with a leg on this account
    pub(crate) account: Option<String>,
    /// The currency of that account
    #[arg(long, value_name = "CODE", requires = "account")]
    pub(crate) currency: Option<String>,
    /// Only holds that still reserve something; an expired one does until `expire_due` voids it
    #[arg(long)]
    pub(crate) open: bool,
    /// Only holds placed behind this position
    #[arg(long, value_name = "POSITION", default_value = "0", hide_default_value = true, value_parser = position)]
    pub(crate) after: Position,
    /// End after so many holds
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
}

#[derive(Args)]
pub(crate) struct Report {
    #[command(flatten)]
    pub(crate) as_of: AsOfWhen,
}

#[derive(Args)]
pub(crate) struct IncomeStatement {
    #[command(flatten)]
    pub(crate) span: Span,
    #[command(flatten)]
    pub(crate) when: When,
}

#[derive(Args)]
pub(crate) struct History {
    /// The entity, such as `user/42`
    pub(crate) entity: String,
    /// Only changes behind this version
    #[arg(long, value_name = "VERSION", default_value_t = 0, hide_default_value = true, value_parser = clap::value_parser!(i64).range(0..))]
    pub(crate) after: i64,
    /// End after so many changes
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
}

impl When {
    pub(crate) fn as_of(&self) -> AsOf {
        let now = AsOf::now();
        let at = self.at.map_or(now, |position| now.and_position(position));
        self.known_at.map_or(at, |time| at.and_known(time))
    }
}

impl AsOfWhen {
    pub(crate) fn as_of(&self) -> AsOf {
        let known = self.when.as_of();
        self.effective_at.map_or(known, |time| known.and_effective(time))
    }
}

impl Balances {
    pub(crate) fn prefix(&self) -> &str {
        self.begins_with.as_deref().unwrap_or(&self.prefix)
    }
}

pub(crate) fn position(text: &str) -> Result<Position, String> {
    match text.parse::<i64>() {
        Ok(number) if number >= 0 => Ok(Position::new(number)),
        _ => Err("a position is a whole number from 0".to_owned()),
    }
}

/// A time that begins a span: a date is its beginning.
fn beginning(text: &str) -> Result<Timestamp, String> {
    day(text).map_or_else(|| time(text), Ok)
}

/// A time that ends a span and does not belong to it: a date is the beginning of the next.
fn end(text: &str) -> Result<Timestamp, String> {
    day(text).map_or_else(|| time(text), |day| later(day, 24.hours()))
}

/// A time that belongs to what is asked for: a date is its last microsecond.
fn by(text: &str) -> Result<Timestamp, String> {
    let last = |day| later(day, SignedDuration::from_hours(24) - SignedDuration::from_micros(1));
    day(text).map_or_else(|| time(text), last)
}

fn day(text: &str) -> Option<Timestamp> {
    let date: Date = Some(text).filter(|text| text.len() == 10)?.parse().ok()?;
    date.to_zoned(TimeZone::UTC).ok().map(|day| day.timestamp())
}

fn later(day: Timestamp, by: impl Into<jiff::TimestampArithmetic>) -> Result<Timestamp, String> {
    day.checked_add(by).map_err(|_| "it is too late a date".to_owned())
}

fn time(text: &str) -> Result<Timestamp, String> {
    let shape = "write a time such as 2025-03-31T17:00:00Z, or a date such as 2025-03-31";
    postfold::parse_time(text).map_err(|lacks| format!("{lacks}; {shape}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_stands_for_the_whole_day_whichever_end_it_is() {
        let said = |time: Result<Timestamp, String>| time.map(|time| time.to_string()).unwrap_or_default();
        assert_eq!(said(beginning("2025-03-31")), "2025-03-31T00:00:00Z");
        assert_eq!(said(end("2025-03-31")), "2025-04-01T00:00:00Z");
        assert_eq!(said(by("2025-12-31")), "2025-12-31T23:59:59.999999Z");
        for read in [beginning, end, by] {
            assert_eq!(said(read("2025-03-31T01:00:00.5+02:00")), "2025-03-30T23:00:00.5Z");
            for wrong in ["2025-02-30", "20250331", "yesterday", "2025-03-31T01:00:00", ""] {
                assert!(read(wrong).is_err(), "{wrong}");
            }
        }
    }
}
