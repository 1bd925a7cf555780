//! The rules of a course: so many seats, one for a student, against a fee.

use std::collections::BTreeSet;

use postfold::Transfer;
use postfold::aggregate::{Aggregate, Context, Decision};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// Where fees go.
pub const FEES: &str = "income:fees";

/// The account of a student's money.
pub fn wallet(student: &str) -> String {
    format!("wallet:{student}")
}

/// The state of `course/<id>`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Course {
    /// Seats and fee; `None` as long as the course is not offered.
    pub terms: Option<Terms>,
    /// Who has a seat.
    pub students: BTreeSet<String>,
}

/// What a course offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// How many may take part.
    pub seats: usize,
    /// What a seat costs, in EUR.
    pub fee: Decimal,
}

/// What may be asked of a course.
#[derive(Clone, Debug, Serialize)]
pub enum Ask {
    /// To be offered on these terms, or on others than before.
    Offer(Terms),
    /// A seat for a student.
    Enrol {
        /// Who.
        student: String,
    },
}

/// What happened to a course.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data")]
pub enum Happened {
    /// It is offered on these terms.
    #[serde(rename = "course.offered")]
    Offered(Terms),
    /// A student has a seat, and paid for it.
    #[serde(rename = "course.enrolled")]
    Enrolled {
        /// Who.
        student: String,
        /// How much.
        fee: Decimal,
    },
}

/// Why a course refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It has no terms.
    #[error("the course is not offered")]
    NotOffered,
    /// Every seat is taken.
    #[error("all {0} seats are taken")]
    Full(usize),
    /// The student has a seat.
    #[error("{0} is enrolled already")]
    AlreadyEnrolled(String),
    /// Fewer seats than are taken.
    #[error("{0} seats are taken already")]
    SeatsTaken(usize),
}

impl Aggregate for Course {
    const ENTITY: &'static str = "course";
    type Command = Ask;
    type Event = Happened;
    type Refusal = Refusal;

    fn decide(&self, command: &Ask, context: &Context) -> Result<Decision<Happened>, Refusal> {
        match command {
            Ask::Offer(terms) if terms.seats < self.students.len() => Err(Refusal::SeatsTaken(self.students.len())),
            Ask::Offer(terms) => Ok(Decision::new().event(Happened::Offered(terms.clone()))),
            Ask::Enrol { student } => self.enrol(student, context),
        }
    }

    fn evolve(mut self, event: &Happened) -> Self {
        match event {
            Happened::Offered(terms) => self.terms = Some(terms.clone()),
            Happened::Enrolled { student, .. } => {
                self.students.insert(student.clone());
            }
        }
        self
    }
}

impl Course {
    /// The seat and the fee, or neither. Whether the wallet covers the fee is the ledger's to say: it has a floor.
    fn enrol(&self, student: &str, context: &Context) -> Result<Decision<Happened>, Refusal> {
        let Terms { seats, fee } = self.terms.clone().ok_or(Refusal::NotOffered)?;
        if self.students.contains(student) {
            return Err(Refusal::AlreadyEnrolled(student.to_owned()));
        }
        if self.students.len() >= seats {
            return Err(Refusal::Full(seats));
        }
        let mut decision = Decision::new().event(Happened::Enrolled { student: student.to_owned(), fee });
        if !fee.is_zero() {
            let paid = Transfer::sides(context.id_of("fee"), wallet(student), FEES, fee);
            decision = decision.command(paid.text(context.entity()));
        }
        Ok(decision)
    }
}

#[cfg(test)]
mod tests {
    use postfold::Timestamp;
    use rust_decimal::dec;

    use super::*;

    /// The course after these events, asked for a seat for ann.
    fn ann_after(events: &[Happened]) -> Result<Decision<Happened>, Refusal> {
        let course = events.iter().fold(Course::default(), Course::evolve);
        let context = Context::new("course/1", "enrol-1", Timestamp::UNIX_EPOCH);
        course.decide(&Ask::Enrol { student: "ann".to_owned() }, &context)
    }

    fn offered(seats: usize, fee: Decimal) -> Happened {
        Happened::Offered(Terms { seats, fee })
    }

    fn enrolled(student: &str) -> Happened {
        Happened::Enrolled { student: student.to_owned(), fee: dec!(99) }
    }

    #[test]
    fn a_seat_is_given_against_the_fee() {
        let decision = ann_after(&[offered(1, dec!(99))]);
        let fee = Transfer::sides("enrol-1/fee", "wallet:ann", FEES, dec!(99)).text("course/1");
        assert_eq!(decision, Ok(Decision::new().event(enrolled("ann")).command(fee)));
    }

    #[test]
    fn a_course_without_a_fee_moves_no_money() {
        let decision = ann_after(&[offered(1, dec!(99)), offered(1, dec!(0))]);
        assert!(decision.is_ok_and(|decision| decision.commands().is_empty()));
    }

    #[test]
    fn there_are_as_many_seats_as_offered_and_one_for_a_student() {
        assert_eq!(ann_after(&[]), Err(Refusal::NotOffered));
        assert_eq!(ann_after(&[offered(1, dec!(99)), enrolled("bob")]), Err(Refusal::Full(1)));
        assert_eq!(
            ann_after(&[offered(2, dec!(99)), enrolled("ann")]),
            Err(Refusal::AlreadyEnrolled("ann".to_owned()))
        );
    }
}
