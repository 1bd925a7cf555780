//! Hazard: an embedder's own rules under concurrency. A decision sees the state and the balances right before
//! its own events; events and money are written together or not at all; a repeat is recognised.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test ends at the first thing that goes wrong")]

mod support;

use postfold::aggregate::{Aggregate, Context, Decision, Folded};
use postfold::{Account, Change, Data, Error, ExecuteError, Ledger, Position, Refusal, Rule, Settings, Transfer};
use rust_decimal::{Decimal, dec};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgPoolOptions;
use support::{assert_verifies, both, contains, database_url, open, postgres, send};

/// A course with seats; enrolment costs a fee.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Course {
    seats: u32,
    students: Vec<String>,
}

#[derive(Clone, Serialize)]
enum Ask {
    Offer {
        seats: u32,
    },
    Enrol {
        student: String,
        fee: Decimal,
    },
    /// Only students with so much in their wallet, which is looked at and not taken.
    EnrolRich {
        student: String,
        least: Decimal,
    },
    Refund {
        student: String,
    },
    /// Too much to tell.
    EnrolAndTell {
        student: String,
        bytes: usize,
    },
    Panic,
    Record {
        bytes: usize,
    },
    Nested,
    Many(usize),
    Nothing,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data")]
enum Happened {
    #[serde(rename = "course.offered")]
    Offered { seats: u32 },
    #[serde(rename = "course.enrolled")]
    Enrolled { student: String },
    #[serde(rename = "course.noted")]
    Noted { text: String },
    #[serde(rename = "course.ended")]
    Ended,
}

#[derive(Debug, PartialEq, thiserror::Error)]
enum No {
    #[error("the course is full")]
    Full,
    #[error("{0} is enrolled already")]
    Twice(String),
    #[error("{0:?} is too little")]
    Poor(Option<Decimal>),
}

impl Aggregate for Course {
    const ENTITY: &'static str = "course";
    type Command = Ask;
    type Event = Happened;
    type Refusal = No;

    fn accounts(&self, command: &Ask) -> Vec<String> {
        match command {
            Ask::EnrolRich { student, .. } => vec![format!("wallet:{student}")],
            _ => Vec::new(),
        }
    }

    fn decide(&self, command: &Ask, context: &Context) -> Result<Decision<Happened>, No> {
        let decision = Decision::new();
        Ok(match command {
            Ask::Offer { seats } => decision.event(Happened::Offered { seats: *seats }),
            Ask::Enrol { student, .. } | Ask::EnrolRich { student, .. } if self.students.contains(student) => {
                return Err(No::Twice(student.clone()));
            }
            Ask::Enrol { .. } | Ask::EnrolRich { .. } if self.students.len() >= self.seats as usize => {
                return Err(No::Full);
            }
            Ask::Enrol { student, fee } => decision
                .command(Transfer::between(context.id_of("fee"), format!("wallet:{student}"), "wallet:school", *fee))
                .event(Happened::Enrolled { student: student.clone() }),
            Ask::EnrolRich { student, least } => {
                let available = context.balance(&format!("wallet:{student}")).map(|balance| balance.available);
                if available.is_none_or(|available| available < *least) {
                    return Err(No::Poor(available));
                }
                decision.event(Happened::Enrolled { student: student.clone() })
            }
            Ask::Refund { student } => {
                let wallet = format!("wallet:{student}");
                decision.command(Transfer::between(context.id_of("refund"), "wallet:school", wallet, dec!(1)))
            }
            Ask::EnrolAndTell { student, bytes } => decision
                .event(Happened::Enrolled { student: student.clone() })
                .event(Happened::Noted { text: "x".repeat(*bytes) }),
            Ask::Panic => panic!("a mistake of the embedder's"),
            Ask::Record { bytes } => {
                decision.event(Happened::Noted { text: "x".repeat(*bytes) }).event(Happened::Ended)
            }
            Ask::Nested => decision.command(postfold::Batch::atomic([])),
            Ask::Many(count) => (0..*count).fold(decision, |decision, _| decision.event(Happened::Ended)),
            Ask::Nothing => decision,
        })
    }

    fn evolve(mut self, event: &Happened) -> Self {
        match event {
            Happened::Offered { seats } => self.seats = *seats,
            Happened::Enrolled { student } => self.students.push(student.clone()),
            Happened::Noted { .. } | Happened::Ended => {}
        }
        self
    }
}

fn enrol(student: impl Into<String>, fee: Decimal) -> Ask {
    Ask::Enrol { student: student.into(), fee }
}

/// A school, and students with 10.00 each.
async fn school(ledger: &Ledger, students: usize) {
    ledger.open(Account::asset("till", "EUR")).await.unwrap();
    ledger.open(Account::liability("wallet:school", "EUR")).await.unwrap();
    for number in 0..students {
        let wallet = format!("wallet:s{number}");
        ledger.open(Account::liability(&wallet, "EUR").floor(dec!(0))).await.unwrap();
        ledger.transfer(Transfer::sides(format!("fund-{number}"), "till", &wallet, dec!(10))).await.unwrap();
    }
}

async fn posted(ledger: &Ledger, account: &str) -> Decimal {
    ledger.balance(account).await.unwrap().posted
}

async fn fold(ledger: &Ledger, course: &str) -> Course {
    ledger.log().fold::<Course>(course).await.unwrap().state
}

#[tokio::test]
async fn events_and_money_are_written_together_or_not_at_all() {
    for (store, ledger, _) in both().await {
        school(&ledger, 2).await;
        ledger.execute_on::<Course>("course/1", Ask::Offer { seats: 5 }).await.unwrap();
        let receipt = ledger.execute_on::<Course>("course/1", enrol("s0", dec!(4))).id("e-0").await.unwrap();
        let head = ledger.log().head().await.unwrap();
        assert_eq!((receipt.position, receipt.hash), (Some(head.position), Some(head.hash)), "{store}");
        assert_eq!(
            (posted(&ledger, "wallet:school").await, fold(&ledger, "course/1").await.students.len()),
            (dec!(4), 1)
        );

        // The fee is not covered: the ledger's own reason, and no enrolment.
        let refused = ledger.execute_on::<Course>("course/1", enrol("s1", dec!(10.01))).id("e-1").await.unwrap_err();
        let ExecuteError::Ledger(Refusal::Rejected(rejection)) = refused else { panic!("{store}: {refused:?}") };
        assert_eq!(rejection.rule, Rule::InsufficientFunds, "{store}");
        let refused = ledger.execute_on::<Course>("course/1", enrol("s0", dec!(1))).await.unwrap_err();
        assert!(matches!(refused, ExecuteError::Refused(No::Twice(student)) if student == "s0"), "{store}");
        assert_eq!(ledger.log().head().await.unwrap(), head, "{store}");
        assert_verifies(&ledger).await;
    }
}

#[tokio::test]
async fn a_repeat_answers_the_first_receipt_before_anything_is_decided() {
    for (store, ledger, _) in both().await {
        school(&ledger, 2).await;
        ledger.execute_on::<Course>("course/1", Ask::Offer { seats: 1 }).await.unwrap();
        let first = ledger.execute_on::<Course>("course/1", enrol("s0", dec!(4))).id("e-0").await.unwrap();
        // Decided anew it would be refused: the student is enrolled, the course is full.
        let again = ledger.execute_on::<Course>("course/1", enrol("s0", dec!(4))).id("e-0").await.unwrap();
        assert_eq!((again.duplicate, again.position, again.hash), (true, first.position, first.hash), "{store}");
        let others = [
            ledger.execute_on::<Course>("course/1", enrol("s1", dec!(4))).id("e-0").await,
            ledger.execute_on::<Course>("course/2", enrol("s0", dec!(4))).id("e-0").await,
            ledger.execute_on::<Course>("course/1", enrol("s0", dec!(4))).id("e-0").correlation("c").await,
        ];
        for other in others {
            let Err(ExecuteError::Ledger(Refusal::Rejected(rejection))) = other else { panic!("{store}: {other:?}") };
            assert_eq!(rejection.rule, Rule::IdReused, "{store}");
        }
        // Money without an event carries the id as well.
        let refund = || ledger.execute_on::<Course>("course/1", Ask::Refund { student: "s0".into() }).id("r-0");
        let first = refund().await.unwrap();
        let again = refund().await.unwrap();
        assert_eq!((again.duplicate, again.position), (true, first.position), "{store}");
        assert_eq!(posted(&ledger, "wallet:school").await, dec!(3), "{store}");
    }
}

#[tokio::test]
async fn a_decision_sees_the_balances_that_it_asked_for() {
    for (store, ledger, _) in both().await {
        school(&ledger, 1).await;
        ledger.execute_on::<Course>("course/1", Ask::Offer { seats: 5 }).await.unwrap();
        let rich = |student: &str| Ask::EnrolRich { student: student.into(), least: dec!(10) };
        let unknown = ledger.execute_on::<Course>("course/1", rich("nobody")).await.unwrap_err();
        assert!(matches!(unknown, ExecuteError::Refused(No::Poor(None))), "{store}");
        // In the queue right before it, a payment.
        let pay: postfold::Command = Transfer::between("pay", "wallet:s0", "wallet:school", dec!(0.01)).into();
        let paid = ledger.enqueue(pay).await.unwrap();
        let poor = ledger.execute_on::<Course>("course/1", rich("s0")).await.unwrap_err();
        assert!(matches!(poor, ExecuteError::Refused(No::Poor(Some(found))) if found == dec!(9.99)), "{store}");
        assert!(paid.await.unwrap().unwrap().is_ok());
        let back = Transfer::between("back", "wallet:school", "wallet:s0", dec!(0.01));
        ledger.transfer(back).await.unwrap();
        ledger.execute_on::<Course>("course/1", rich("s0")).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hundred_at_once_from_two_processes_get_thirty_seats() {
    const SEATS: usize = 30;
    let (ledger, name) = postgres().await;
    school(&ledger, 200).await;
    ledger.execute_on::<Course>("course/1", Ask::Offer { seats: 30 }).await.unwrap();
    let ledgers = [ledger.clone(), open(&name).await];
    let mut tasks = Vec::new();
    for number in 0..200 {
        let ledger = ledgers[number % 2].clone();
        tasks.push(tokio::spawn(async move {
            let asked = ledger.execute_on::<Course>("course/1", enrol(format!("s{number}"), dec!(3)));
            asked.id(format!("e-{number}")).await
        }));
    }
    let mut enrolled = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => enrolled += 1,
            Err(ExecuteError::Refused(No::Full)) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(enrolled, SEATS);
    for ledger in &ledgers {
        assert_eq!(fold(ledger, "course/1").await.students.len(), SEATS);
        assert_eq!(posted(ledger, "wallet:school").await, dec!(90));
    }
    assert_verifies(&ledger).await;
}

#[tokio::test]
async fn what_others_wrote_is_seen_whoever_wrote_it() {
    let (ledger, name) = postgres().await;
    school(&ledger, 3).await;
    let other = open(&name).await;
    ledger.execute_on::<Course>("course/1", Ask::Offer { seats: 3 }).await.unwrap();
    other.execute_on::<Course>("course/1", enrol("s0", dec!(1))).await.unwrap();
    // A plain record of the same entity, written behind both their backs.
    let change = Change::new("course/1", "course.enrolled", Data::new(&serde_json::json!({"student": "s1"})).unwrap());
    open(&name).await.record(change).await.unwrap();
    ledger.execute_on::<Course>("course/1", enrol("s2", dec!(1))).await.unwrap();
    for ledger in [&ledger, &other] {
        let refused = ledger.execute_on::<Course>("course/1", enrol("s1", dec!(1))).await.unwrap_err();
        assert!(matches!(refused, ExecuteError::Refused(No::Twice(_))), "{refused}");
    }
    assert_eq!(fold(&other, "course/1").await.students, ["s0", "s1", "s2"]);
    assert_verifies(&ledger).await;
}

#[tokio::test]
async fn a_small_cache_changes_nothing_but_the_speed() {
    let name = support::fresh_name();
    postfold::init(database_url(), &name, &support::settings(), false).await.unwrap();
    let settings = Settings { cached_aggregates: 1, cached_streams: 1, ..Settings::default() };
    let builder = Ledger::builder().postgres(support::settings()).settings(settings);
    let ledger = builder.connect(database_url(), &name).await.unwrap();
    school(&ledger, 4).await;
    for round in 0..4 {
        for course in 0..5 {
            let course = format!("course/{course}");
            if round == 0 {
                ledger.execute_on::<Course>(&course, Ask::Offer { seats: 3 }).await.unwrap();
            }
            let enrolled = ledger.execute_on::<Course>(&course, enrol(format!("s{round}"), dec!(0.10))).await;
            assert_eq!(enrolled.is_ok(), round < 3, "{course} {round}: {enrolled:?}");
        }
    }
    assert_verifies(&ledger).await;
}

#[tokio::test]
async fn a_decision_within_the_host_s_transaction_commits_with_it() {
    let (ledger, _) = postgres().await;
    school(&ledger, 3).await;
    let pool = PgPoolOptions::new().max_connections(2).connect(&database_url()).await.unwrap();
    ledger.execute_on::<Course>("course/1", Ask::Offer { seats: 2 }).await.unwrap();

    let mut transaction = pool.begin().await.unwrap();
    ledger.execute_on::<Course>("course/1", enrol("s0", dec!(1))).id("e-0").within(&mut transaction).await.unwrap();
    let twice = ledger.execute_on::<Course>("course/1", enrol("s0", dec!(1))).within(&mut transaction).await;
    assert!(matches!(twice, Err(ExecuteError::Refused(No::Twice(_)))), "{twice:?}");
    transaction.rollback().await.unwrap();
    assert_eq!(fold(&ledger, "course/1").await.students.len(), 0);

    let mut transaction = pool.begin().await.unwrap();
    let kept =
        ledger.execute_on::<Course>("course/1", enrol("s0", dec!(1))).id("e-0").within(&mut transaction).await.unwrap();
    transaction.commit().await.unwrap();
    assert!(!kept.duplicate);
    let again = ledger.execute_on::<Course>("course/1", enrol("s0", dec!(1))).id("e-0").await.unwrap();
    assert_eq!((again.duplicate, again.position), (true, kept.position));
    ledger.execute_on::<Course>("course/1", enrol("s1", dec!(1))).await.unwrap();
    let mut transaction = pool.begin().await.unwrap();
    let full = ledger.execute_on::<Course>("course/1", enrol("s2", dec!(1))).within(&mut transaction).await;
    assert!(matches!(full, Err(ExecuteError::Refused(No::Full))), "{full:?}");
    transaction.commit().await.unwrap();
    assert_verifies(&ledger).await;
}

#[tokio::test]
async fn a_panic_is_the_callers_and_no_one_elses() {
    for (store, ledger, _) in both().await {
        let asked = ledger.clone();
        let panicked = tokio::spawn(async move { asked.execute_on::<Course>("course/1", Ask::Panic).await });
        let panic = panicked.await.unwrap_err().into_panic();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"a mistake of the embedder's"), "{store}");
        ledger.execute_on::<Course>("course/1", Ask::Offer { seats: 1 }).await.unwrap();
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_writes_nothing() {
    for (store, ledger, _) in both().await {
        let asked = [
            ("entity", ledger.execute_on::<Course>("user/1", Ask::Nothing).await),
            ("entity", ledger.execute_on::<Course>("course/", Ask::Nothing).await),
            ("id", ledger.execute_on::<Course>("course/1", Ask::Nothing).id("").await),
            ("data", ledger.execute_on::<Course>("course/1", Ask::Record { bytes: 1 << 20 }).await),
            ("commands", ledger.execute_on::<Course>("course/1", Ask::Many(10_001)).await),
            ("commands[0]", ledger.execute_on::<Course>("course/1", Ask::Nested).await),
        ];
        for (field, refused) in asked {
            let Err(ExecuteError::Ledger(Refusal::Invalid(invalid))) = refused else { panic!("{store}: {refused:?}") };
            assert_eq!(invalid.field, field, "{store}: {invalid}");
        }
        let most = ledger.execute_on::<Course>("course/2", Ask::Many(10_000)).await.unwrap();
        assert_eq!(most.position, Some(Position::new(10_000)), "{store}");
        let nothing = ledger.execute_on::<Course>("course/1", Ask::Nothing).id("n").await.unwrap();
        assert_eq!((nothing.position, nothing.duplicate), (None, false), "{store}");
        assert_eq!(ledger.log().head().await.unwrap().position, Position::new(10_000), "{store}");
        // It used up no id, and a variant without fields is written without data and read again.
        ledger.execute_on::<Course>("course/1", Ask::Record { bytes: 1 }).id("n").await.unwrap();
        let refused = ledger.execute_on::<Course>("course/1", enrol("s0", dec!(1))).await.unwrap_err();
        assert!(matches!(refused, ExecuteError::Refused(No::Full)), "{store}");
        let events = ledger.log().page(Position::new(10_000), 10).await.unwrap();
        let ids: Vec<_> = events.iter().map(|event| event.id.as_deref()).collect();
        assert_eq!(ids, [None, Some("n")], "{store}: the last event carries the id");
    }
}

#[tokio::test]
async fn a_decision_that_fails_half_way_leaves_nothing_in_the_state() {
    for (store, ledger, _) in both().await {
        school(&ledger, 1).await;
        ledger.execute_on::<Course>("course/1", Ask::Offer { seats: 1 }).await.unwrap();
        let told = Ask::EnrolAndTell { student: "s0".into(), bytes: 1 << 20 };
        let refused = ledger.execute_on::<Course>("course/1", told).await.unwrap_err();
        assert!(matches!(refused, ExecuteError::Ledger(Refusal::Invalid(_))), "{store}: {refused:?}");
        // Decided on what failed, it would be refused: the student is enrolled, the course is full.
        ledger.execute_on::<Course>("course/1", enrol("s0", dec!(4))).await.unwrap();
        assert_eq!(fold(&ledger, "course/1").await.students, ["s0"], "{store}");
        assert_verifies(&ledger).await;
    }
}

#[tokio::test]
async fn remarks_and_time_of_an_execution_are_those_of_its_events() {
    for (store, ledger, _) in both().await {
        let at = "2025-02-01T00:00:00Z".parse().unwrap();
        let offer = ledger.execute_on::<Course>("course/1", Ask::Offer { seats: 1 }).id("o");
        offer.at(at).correlation("launch").meta("by", "ann").await.unwrap();
        let event = ledger.log().page(Position::START, 1).await.unwrap().remove(0);
        let envelope = event.envelope().unwrap();
        assert_eq!((event.effective_at, envelope.correlation.as_deref()), (at, Some("launch")), "{store}");
        assert_eq!((event.kind.as_str(), event.schema, event.data.get()), ("course.offered", 1, r#"{"seats":1}"#));
        assert_eq!(envelope.meta["by"], "ann");
        let plain = send(&ledger, r#"{"do":"record","entity":"x/1","kind":"k","data":{},"id":"o"}"#).await;
        assert!(contains(&plain, &support::rejected("id_reused")), "{store}: {plain}");
    }
}

#[tokio::test]
async fn a_snapshot_is_as_good_as_a_replay() {
    for (store, ledger, _) in both().await {
        school(&ledger, 0).await;
        let mut snapshots = vec![Folded::<Course>::default()];
        for round in 0..20_u32 {
            ledger.execute_on::<Course>("course/1", Ask::Offer { seats: round + 1 }).await.unwrap();
            ledger.execute_on::<Course>("course/1", Ask::Record { bytes: 3 }).await.unwrap();
            let snapshot = ledger.log().fold::<Course>("course/1").await.unwrap();
            let json = serde_json::to_string(&snapshot).unwrap();
            snapshots.push(serde_json::from_str(&json).unwrap());
        }
        let replayed = ledger.log().fold::<Course>("course/1").await.unwrap();
        for snapshot in &snapshots {
            let continued = ledger.log().fold_from("course/1", snapshot.clone()).await.unwrap();
            assert_eq!(continued, replayed, "{store}: from version {}", snapshot.version);
        }
        // One of another log is passed over.
        let mut foreign = snapshots[3].clone();
        (foreign.state.seats, foreign.hash) = (1_000, snapshots[4].hash);
        assert_eq!(ledger.log().fold_from("course/1", foreign).await.unwrap(), replayed, "{store}");
        let mut ahead = snapshots[20].clone();
        ahead.version += 1;
        assert_eq!(ledger.log().fold_from("course/1", ahead).await.unwrap(), replayed, "{store}");
    }
}

#[tokio::test]
async fn a_cold_writer_goes_on_from_a_snapshot() {
    let (ledger, name) = postgres().await;
    school(&ledger, 1).await;
    ledger.execute_on::<Course>("course/1", Ask::Offer { seats: 1 }).await.unwrap();
    let mut snapshot = ledger.log().fold::<Course>("course/1").await.unwrap();
    // What only the snapshot says shows that it was used.
    snapshot.state.seats = 0;
    let cold = open(&name).await;
    let full = cold.execute_on::<Course>("course/1", enrol("s0", dec!(1))).snapshot(snapshot).await.unwrap_err();
    assert!(matches!(full, ExecuteError::Refused(No::Full)), "{full}");
}

#[tokio::test]
async fn an_event_of_an_unknown_kind_is_an_error_that_names_it() {
    for (store, ledger, _) in both().await {
        let change = Change::new("course/1", "course.renamed", Data::new(&serde_json::json!({"to": "x"})).unwrap());
        ledger.record(change).await.unwrap();
        let error = ledger.execute_on::<Course>("course/1", Ask::Nothing).await.unwrap_err();
        assert!(matches!(&error, ExecuteError::Error(Error::Payload(_))), "{store}: {error}");
        assert!(error.to_string().contains("course.renamed"), "{store}: {error}");
    }
}
