//! Hazard: a seat that is sold twice, or a fee without a seat. Any offers and enrolments, interrupted where they may be and
//! sent again, leave as many students as there are seats, each of whom paid once.

use course_desk::course::{Ask, Course, FEES, Terms, wallet};
use postfold::{Account, ExecuteError, Ledger, Transfer};
use postfold_proptests::flow::{Fault, Flow, check_flow};
use proptest::prelude::*;
use rust_decimal::{Decimal, dec};

const STUDENTS: [&str; 4] = ["ann", "bob", "cid", "dee"];
/// What each student has in the beginning.
const PAID_IN: Decimal = dec!(50);

struct Seats {
    ledger: Ledger,
}

impl Flow for Seats {
    /// What is asked, and under which id.
    type Step = (Ask, u8);

    fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    async fn step(&mut self, (ask, id): &(Ask, u8)) -> Result<(), Fault> {
        let asked = self.ledger.execute_on::<Course>("course/1", ask.clone()).id(format!("ask-{id}")).await;
        match asked {
            Ok(_) | Err(ExecuteError::Refused(_) | ExecuteError::Ledger(_)) => Ok(()),
            Err(error) => Err(format!("{error:?}").into()),
        }
    }

    async fn check(&self) -> Result<(), Fault> {
        let course = self.ledger.log().fold::<Course>("course/1").await?.state;
        let seats = course.terms.as_ref().map_or(0, |terms| terms.seats);
        if course.students.len() > seats {
            return Err(format!("{} students on {seats} seats", course.students.len()).into());
        }
        let mut paid = Decimal::ZERO;
        for student in STUDENTS {
            let fee = PAID_IN - self.ledger.balance(&wallet(student)).await?.posted;
            if !fee.is_zero() && !course.students.contains(student) {
                return Err(format!("{student} paid {fee} and has no seat").into());
            }
            paid += fee;
        }
        let fees = self.ledger.balance(FEES).await?.posted;
        if fees == paid { Ok(()) } else { Err(format!("{fees} in fees, {paid} paid").into()) }
    }
}

fn ask() -> impl Strategy<Value = (Ask, u8)> {
    let offer = (0..4_usize, 0..40_i64).prop_map(|(seats, fee)| Ask::Offer(Terms { seats, fee: Decimal::from(fee) }));
    let enrol = prop::sample::select(STUDENTS.to_vec()).prop_map(|student| Ask::Enrol { student: student.to_owned() });
    (prop_oneof![1 => offer, 3 => enrol], 0..20_u8)
}

#[test]
fn every_student_with_a_seat_paid_once_and_there_are_no_more_than_seats() {
    let checked = check_flow(ask(), 0..15, async || {
        let ledger = Ledger::in_memory();
        ledger.open(Account::asset("assets:bank", "EUR")).await?;
        ledger.open(Account::income(FEES, "EUR")).await?;
        for student in STUDENTS {
            ledger.open(Account::liability(wallet(student), "EUR").floor(dec!(0))).await?;
            ledger
                .transfer(Transfer::sides(format!("paid-{student}"), "assets:bank", wallet(student), PAID_IN))
                .await?;
        }
        Ok(Seats { ledger })
    });
    checked.unwrap_or_else(|broken| panic!("{broken}"));
}
