//! As of when a query is answered.

use jiff::Timestamp;

use crate::error::Error;
use crate::log::Log;
use crate::outcome::Invalid;
use crate::position::Position;
use crate::store::View;

/// As of when a query is answered; by default, now: as of the head of the log as it is found.
///
/// A ledger has two times. *Known at* asks for what had been recorded by then, *effective at* for what
/// took effect by then; together: what took effect by T, as it was known at T'. Both include their moment.
/// Times count in microseconds.
///
/// The log only grows, so an answer as of a position never changes; all parts of an answer are as of one
/// position.
///
/// ```
/// use postfold::{AsOf, Position};
///
/// let books_of_march = AsOf::effective("2025-03-31T23:59:59.999999Z".parse()?);
/// let as_they_were_closed = books_of_march.and_known("2025-04-03T17:00:00Z".parse()?);
/// let at_a_receipt = AsOf::position(Position::new(812));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AsOf {
    position: Option<Position>,
    effective: Option<Timestamp>,
    known: Option<Timestamp>,
}

impl AsOf {
    /// The head of the log.
    pub const fn now() -> Self {
        Self { position: None, effective: None, known: None }
    }

    /// What stands up to and at this position.
    pub const fn position(position: Position) -> Self {
        Self { position: Some(position), ..Self::now() }
    }

    /// What took effect up to and at this time.
    pub const fn effective(time: Timestamp) -> Self {
        Self { effective: Some(time), ..Self::now() }
    }

    /// What was recorded up to and at this time.
    pub const fn known(time: Timestamp) -> Self {
        Self { known: Some(time), ..Self::now() }
    }

    /// The same, of what stands up to and at this position.
    pub const fn and_position(self, position: Position) -> Self {
        Self { position: Some(position), ..self }
    }

    /// The same, of what took effect up to and at this time.
    pub const fn and_effective(self, time: Timestamp) -> Self {
        Self { effective: Some(time), ..self }
    }

    /// The same, of what was recorded up to and at this time.
    pub const fn and_known(self, time: Timestamp) -> Self {
        Self { known: Some(time), ..self }
    }

    /// The time up to which legs count, if they are not all to count.
    pub(crate) const fn effective_at(self) -> Option<Timestamp> {
        self.effective
    }
}

impl Log {
    /// The one position that a query is as of.
    pub(crate) async fn resolve(&self, as_of: AsOf) -> Result<Position, Error> {
        let head = self.head().await?;
        let position = as_of.position.unwrap_or(head.position);
        if position > head.position {
            let message = format!("the log ends at position {}, before {position}", head.position);
            return Err(Error::Query(Invalid::new("at", Some(position.to_string()), message)));
        }
        match as_of.known {
            Some(known) if head.recorded_at.is_some_and(|newest| known < newest) => {
                self.store().queries().recorded_by(known, position).await
            }
            _ => Ok(position),
        }
    }

    /// What counts of the log.
    pub(crate) async fn view(&self, as_of: AsOf) -> Result<View, Error> {
        Ok(View { at: self.resolve(as_of).await?, from: None, until: as_of.effective })
    }
}
