//! Where a page of a statement ended, as a text that is handed out and taken back.
//!
//! It says all that the next page needs and nothing that the caller should rely on: a version, the
//! position that the statement is as of, the account, the span of time, the last line, and a check that
//! tells a cursor that was cut or made up from one that was handed out.

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::outcome::Invalid;
use crate::position::Position;
use crate::store::{MoveKey, Moves};

/// What a cursor of this shape begins with.
const VERSION: &str = "s1";

/// Bytes of the check.
const CHECK_BYTES: usize = 6;

/// Fields between the version and the check.
const FIELDS: usize = 7;

/// The end of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) at: Position,
    account: Position,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    last: MoveKey,
}

impl Cursor {
    /// Behind a line of a statement.
    pub(super) fn behind(last: MoveKey, moves: &Moves) -> Self {
        Self { at: moves.at, account: moves.account, from: moves.from, to: moves.to, last }
    }

    /// What stands behind it, in the statement that begins with `first`; a span of time that is not said
    /// again is that of the first page.
    pub(super) fn continues(self, first: Moves) -> Result<Moves, Error> {
        let micros = |time: Option<Timestamp>| time.map(Timestamp::as_microsecond);
        let said = first.from.is_some() || first.to.is_some();
        let same = (micros(first.from), micros(first.to)) == (micros(self.from), micros(self.to));
        if self.account != first.account || (said && !same) {
            let why = "the cursor belongs to a statement of another account or span of time";
            return Err(Error::Query(Invalid::new("cursor", None, why)));
        }
        Ok(Moves { from: self.from, to: self.to, after: Some(self.last), ..first })
    }

    pub(super) fn write(self, ledger: &str) -> String {
        let time = |time: Option<Timestamp>| time.map_or_else(String::new, |time| time.as_microsecond().to_string());
        let body = format!(
            "{}_{}_{}_{}_{}_{}_{}",
            self.at,
            self.account,
            time(self.from),
            time(self.to),
            self.last.effective_at.as_microsecond(),
            self.last.position,
            self.last.leg
        );
        format!("{VERSION}_{body}_{}", check(&body, ledger))
    }

    pub(super) fn read(text: &str, ledger: &str) -> Result<Self, Error> {
        let none = || refused(text, "it is not one that a statement of this ledger gave");
        let body = text.strip_prefix(VERSION).and_then(|rest| rest.strip_prefix('_')).ok_or_else(none)?;
        let (body, given) = body.rsplit_once('_').ok_or_else(none)?;
        if given != check(body, ledger) {
            return Err(none());
        }
        let fields: Vec<&str> = body.split('_').collect();
        let [at, account, from, to, effective_at, position, leg] =
            <[&str; FIELDS]>::try_from(fields).map_err(|_| none())?;
        let number = |text: &str| text.parse::<i64>().map_err(|_| none());
        let time = |text: &str| Timestamp::from_microsecond(number(text)?).map_err(|_| none());
        let optional = |text: &str| if text.is_empty() { Ok(None) } else { time(text).map(Some) };
        Ok(Self {
            at: Position::new(number(at)?),
            account: Position::new(number(account)?),
            from: optional(from)?,
            to: optional(to)?,
            last: MoveKey {
                effective_at: time(effective_at)?,
                position: Position::new(number(position)?),
                leg: leg.parse().map_err(|_| none())?,
            },
        })
    }
}

fn check(body: &str, ledger: &str) -> String {
    let digest = Sha256::new().chain_update(ledger).chain_update([0]).chain_update(body).finalize();
    hex::encode(digest.get(..CHECK_BYTES).unwrap_or_default())
}

fn refused(text: &str, why: &str) -> Error {
    Error::Query(Invalid::new("cursor", Some(text.to_owned()), format!("the cursor {text:?} cannot be used: {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor() -> Cursor {
        let time = |text: &str| text.parse().unwrap();
        Cursor {
            at: Position::new(812),
            account: Position::new(3),
            from: Some(time("1969-01-01T00:00:00.000001Z")),
            to: None,
            last: MoveKey { effective_at: time("2025-03-01T12:00:00Z"), position: Position::new(700), leg: 2 },
        }
    }

    #[test]
    fn a_cursor_comes_back_as_it_went_out() {
        let read = Cursor::read(&cursor().write("shop"), "shop").unwrap();
        assert_eq!(read, cursor());
    }

    #[test]
    fn a_cursor_that_was_cut_changed_or_made_up_is_refused() {
        let text = cursor().write("shop");
        for end in 0..text.len() {
            assert!(Cursor::read(&text[..end], "shop").is_err(), "{}", &text[..end]);
        }
        assert!(Cursor::read(&text, "another").is_err());
        assert!(Cursor::read(&text.replace("812", "813"), "shop").is_err());
        for made_up in ["", "s1", "s1_", "s1__", "s1_1_1_1_1_1_1_1_1", "\u{0}", "ſ1_é_"] {
            assert!(Cursor::read(made_up, "shop").is_err(), "{made_up:?}");
        }
    }
}
