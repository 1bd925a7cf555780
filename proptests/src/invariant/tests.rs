//! Each invariant of the fold can fail: a log that is whole, and what is told of it when it is altered.

use postfold::{Account, Change, Command, Data, Event, Hold, Ledger, Position, Settle, Timestamp, Transfer, Void};
use rust_decimal::dec;
use serde_json::value::RawValue;

use super::Invariant;
use super::books::Books;

/// A log with one event of each kind that matters here.
async fn log() -> Vec<Event> {
    let ledger = Ledger::in_memory();
    let commands: [Command; 12] = [
        Account::asset("till", "EUR").floor(dec!(0)).daily_out(dec!(100)).into(),
        Account::income("sales", "EUR").ceiling(dec!(500)).into(),
        Transfer::sides("e-1", "till", "sales", dec!(100)).into(),
        Transfer::sides("e-2", "till", "sales", dec!(10)).into(),
        Command::reverse("r-2", "e-2"),
        Hold::sides("h-1", "sales", "till", dec!(40)).into(),
        Settle::all("s-1", "h-1").amount(dec!(25)).keep_rest().into(),
        Void::new("v-1", "h-1").into(),
        Change::new("user/1", "user.joined", Data::new(&serde_json::json!({})).unwrap()).into(),
        Command::close_period(jiff::civil::date(2020, 1, 1)),
        Transfer::sides("e-3", "till", "sales", dec!(1)).into(),
        Command::freeze("till", "asked"),
    ];
    for command in commands {
        ledger.execute(command).await.unwrap();
    }
    ledger.log().page(Position::START, 100).await.unwrap()
}

/// What is told of a log.
fn told(events: &[Event]) -> Vec<Invariant> {
    let mut books = Books::default();
    for event in events {
        books.fold(event).unwrap();
    }
    books.broken().iter().map(|broken| broken.invariant).collect()
}

/// Replaces a text in the data of an event.
fn write(event: &mut Event, from: &str, to: &str) {
    let data = event.data.get();
    assert!(data.contains(from), "{data}");
    event.data = RawValue::from_string(data.replace(from, to)).unwrap();
}

/// Says an event again at the end, under another id and as the next version of its stream.
fn again(events: &mut Vec<Event>, id: &str) {
    let mut event = events.iter().find(|event| event.id.as_deref() == Some(id)).unwrap().clone();
    event.id = Some(format!("{id}-again"));
    event.position = Position::new(13);
    event.version = event.version.map(|version| version + 1);
    events.push(event);
}

type Alteration = (&'static str, Invariant, fn(&mut Vec<Event>));

const ALTERATIONS: [Alteration; 16] = [
    ("an event is missing", Invariant::PositionsAreDense, |log| drop(log.remove(8))),
    ("an event stands twice", Invariant::PositionsAreDense, |log| log.insert(9, log[8].clone())),
    ("time goes back", Invariant::PositionsAreDense, |log| log[3].recorded_at = Timestamp::UNIX_EPOCH),
    ("an id stands twice", Invariant::IdsAreUnique, |log| log[3].id = Some("e-1".to_owned())),
    ("a version is passed over", Invariant::VersionsAreDense, |log| log[8].version = Some(2)),
    ("one leg is less", Invariant::EntriesBalance, |log| {
        write(&mut log[2], r#""debit":"100.00""#, r#""debit":"99.00""#);
    }),
    ("the ceiling is passed", Invariant::LimitsHold, |log| write(&mut log[2], "100.00", "501.00")),
    ("the floor is passed", Invariant::LimitsHold, |log| write(&mut log[5], "40.00", "101.00")),
    ("too much leaves in a day", Invariant::LimitsHold, |log| {
        write(&mut log[2], "100.00", "200.00");
        write(&mut log[5], "40.00", "91.00");
    }),
    ("a closed period is entered", Invariant::StatesHold, |log| log[10].effective_at = Timestamp::UNIX_EPOCH),
    ("a frozen account is entered", Invariant::StatesHold, |log| again(log, "e-3")),
    ("more is settled than is left", Invariant::HoldsAreConserved, |log| write(&mut log[6], "25.00", "41.00")),
    ("the rest is another", Invariant::HoldsAreConserved, |log| {
        write(&mut log[6], r#""rest":["15.00""#, r#""rest":["16.00""#);
    }),
    ("less is released than is left", Invariant::HoldsAreConserved, |log| write(&mut log[7], "15.00", "14.00")),
    ("a hold is voided twice", Invariant::HoldsAreConserved, |log| again(log, "v-1")),
    ("an entry is reversed twice", Invariant::ReversedOnce, |log| again(log, "r-2")),
];

#[tokio::test]
async fn what_is_altered_in_a_log_is_told_by_its_invariant() {
    let whole = log().await;
    assert_eq!(told(&whole), []);
    for (what, invariant, alter) in ALTERATIONS {
        let mut altered = whole.clone();
        alter(&mut altered);
        let told = told(&altered);
        assert!(told.contains(&invariant), "{what}: {told:?}");
    }
}
