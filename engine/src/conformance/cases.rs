//! The cases, in order of the promises in the documentation.

use std::collections::HashMap;
use std::pin::pin;

use futures::StreamExt;
use futures::future::join_all;
use rust_decimal::Decimal;
use tokio::sync::oneshot;

use super::{Broken, Fixture};
use crate::account::Side;
use crate::command::{Account, Batch, Change, Command, Data, Entry, Transfer};
use crate::event::Event;
use crate::hash::Fields;
use crate::ledger::Ledger;
use crate::outcome::{Outcome, Receipt, Rule};
use crate::position::Position;
use crate::query::AsOf;

/// Writers on one ledger.
const WRITERS: usize = 3;
/// Commands that each of them sends.
const COMMANDS: usize = 20;

type Checked = Result<(), Broken>;

/// The promises, by number.
pub(super) const NAMES: &[&str] = &[
    "positions are dense, from 1 to the head",
    "what was acknowledged to any writer is in the log, once and where its receipt says",
    "what one writer was told, a reader elsewhere sees",
    "an id is used once, and a repeat is answered the first receipt by every writer",
    "a version of an entity is taken once",
    "a limit holds while several writers draw on it",
    "an atomic batch is there as a whole or not at all",
    "pages of every size give the same log in the same order",
    "who follows gets every event once, in order, while others write",
    "each hash follows from its row and the hash before it",
    "recorded time never goes back",
    "a balance as of a position is the fold of the events up to it",
    "a hold reserves until it ends, and is ended once",
    "verification of all that was written finds nothing",
];

/// Runs one case on a ledger of this name.
pub(super) async fn run<F: Fixture>(fixture: &F, number: usize, name: &str) -> Checked {
    fixture.create(name).await?;
    let book = Book {
        writers: join_all((0..WRITERS).map(|_| fixture.open(name))).await.into_iter().collect::<Result<_, _>>()?,
    };
    match number {
        0 => dense(&book).await,
        1 => acknowledged(&book).await,
        2 => seen_elsewhere(&book).await,
        3 => ids(&book).await,
        4 => versions(&book).await,
        5 => limits(&book).await,
        6 => batches(&book).await,
        7 => pages(&book).await,
        8 => following(&book).await,
        9 => hashes(&book).await,
        10 => recorded_time(&book).await,
        11 => balances(&book).await,
        12 => holds(&book).await,
        _ => verification(&book).await,
    }
}

async fn dense(book: &Book) -> Checked {
    book.busy().await?;
    let log = book.log().await?;
    for (expected, event) in (1..).zip(&log) {
        ensure(event.position.get() == expected, || format!("where {expected} should stand, {} does", event.position))?;
    }
    let head = book.writers[0].log().head().await?;
    let last = log.last().map(|event| (event.position, event.hash));
    ensure(last == Some((head.position, head.hash)), || format!("the head is {head:?}, the last event {last:?}"))
}

async fn acknowledged(book: &Book) -> Checked {
    let receipts = book.busy().await?;
    let log = book.log().await?;
    for receipt in &receipts {
        let place = receipt.position.map_or(0, Position::get);
        let event = log.iter().find(|event| event.position.get() == place);
        let same = event.is_some_and(|event| Some(event.hash) == receipt.hash && event.id == receipt.id);
        ensure(same, || format!("{receipt:?} was acknowledged; there stands {event:?}"))?;
        let times = log.iter().filter(|event| event.id == receipt.id).count();
        ensure(receipt.id.is_none() || times == 1, || format!("{:?} stands {times} times in the log", receipt.id))?;
    }
    ensure(log.len() == receipts.len(), || {
        format!("{} were acknowledged, {} events are there", receipts.len(), log.len())
    })
}

async fn seen_elsewhere(book: &Book) -> Checked {
    for turn in 0..COMMANDS {
        let (writer, reader) = (&book.writers[turn % WRITERS], book.writers[(turn + 1) % WRITERS].log());
        let receipt = writer.execute(change(&format!("user/{turn}"), None)?).await?;
        let head = reader.head().await?;
        ensure(Some(head.position) >= receipt.position, || {
            format!("{receipt:?} was told, elsewhere the head is {head:?}")
        })?;
        let position = receipt.position.unwrap_or_default();
        let hash = reader.hash_at(position).await?;
        ensure(hash == receipt.hash, || format!("{receipt:?} was told, elsewhere the hash is {hash:?}"))?;
    }
    Ok(())
}

async fn ids(book: &Book) -> Checked {
    book.set_up().await?;
    for turn in 0..COMMANDS {
        let same = || transfer(&format!("same-{turn}"), "0.10");
        let answers = join_all(book.writers.iter().map(|writer| writer.submit(same()))).await;
        let receipts = answers.into_iter().map(|answer| receipt(answer?)).collect::<Result<Vec<_>, Broken>>()?;
        let first: Vec<&Receipt> = receipts.iter().filter(|receipt| !receipt.duplicate).collect();
        let one_place = receipts.iter().all(|receipt| receipt.position == receipts[0].position);
        ensure(first.len() == 1 && one_place, || format!("one id, sent {WRITERS} times: {receipts:?}"))?;
        let other = book.writers[turn % WRITERS].submit(transfer(&format!("same-{turn}"), "0.20")).await?;
        ensure(is_rejected(&other, Rule::IdReused), || format!("another command under a used id: {other:?}"))?;
    }
    Ok(())
}

async fn versions(book: &Book) -> Checked {
    for version in 0..10 {
        let answers = join_all(book.writers.iter().map(async |writer| {
            let command = change("user/42", Some(version))?;
            Ok::<_, Broken>(writer.submit(command).await?)
        }));
        let answers = answers.await.into_iter().collect::<Result<Vec<_>, _>>()?;
        let taken = answers.iter().filter(|answer| answer.is_ok()).count();
        let others = answers.iter().filter(|answer| matches!(answer, Outcome::Conflict(_))).count();
        ensure(taken == 1 && others == WRITERS - 1, || {
            format!("version {version} was taken {taken} times: {answers:?}")
        })?;
    }
    Ok(())
}

async fn limits(book: &Book) -> Checked {
    book.set_up().await?;
    // The wallet has 10.
    let draws =
        (0..WRITERS * 10).map(|draw| book.writers[draw % WRITERS].submit(transfer(&format!("draw-{draw}"), "1")));
    let answers = join_all(draws).await.into_iter().collect::<Result<Vec<_>, _>>()?;
    let taken = answers.iter().filter(|answer| answer.is_ok()).count();
    let refused = answers.iter().filter(|answer| is_rejected(answer, Rule::InsufficientFunds)).count();
    ensure(taken == 10 && taken + refused == answers.len(), || {
        format!("of 10, {taken} were drawn, {refused} refused")
    })?;
    let left = book.writers[0].balance("wallet").await?.available;
    ensure(left.is_zero(), || format!("{left} is left of 10 after 10"))
}

async fn batches(book: &Book) -> Checked {
    book.set_up().await?;
    let before = book.log().await?.len();
    let member = |id: &str, amount| transfer(id, amount);
    let failing = Batch::atomic([member("m-1", "1"), member("m-2", "2"), member("m-3", "100")]);
    let answer = book.writers[0].submit(Command::from(failing).id("b-1")).await?;
    ensure(is_rejected(&answer, Rule::BatchFailed), || format!("a batch with a member that fails: {answer:?}"))?;
    let after = book.log().await?.len();
    ensure(after == before, || format!("a failed batch left {} events", after.saturating_sub(before)))?;
    let whole = Batch::atomic([member("m-1", "1"), member("m-2", "2"), member("m-3", "3")]);
    let receipt = receipt(book.writers[1].submit(Command::from(whole).id("b-1")).await?)?;
    let written: Vec<Option<String>> = book.log().await?.into_iter().skip(before).map(|event| event.id).collect();
    let expected = ["m-1", "m-2", "m-3", "b-1"].map(|id| Some(id.to_owned()));
    ensure(written == expected, || format!("{receipt:?} stands as {written:?} in the log"))
}

async fn pages(book: &Book) -> Checked {
    book.busy().await?;
    let log = book.writers[0].log();
    let whole = book.log().await?;
    for size in [1, 2, 3, 7, 10, 1_000] {
        let mut read = Vec::new();
        let mut after = Position::START;
        loop {
            let page = log.page(after, size).await?;
            ensure(page.len() <= size, || format!("a page of {size} has {} events", page.len()))?;
            let Some(last) = page.last() else { break };
            ensure(last.position > after, || format!("a page behind {after} ends at {}", last.position))?;
            after = last.position;
            read.extend(page.iter().map(|event| (event.position, event.hash)));
        }
        let expected: Vec<_> = whole.iter().map(|event| (event.position, event.hash)).collect();
        ensure(read == expected, || format!("pages of {size} give {} events, not {}", read.len(), expected.len()))?;
        let ordered = read.windows(2).all(|pair| pair[0].0 < pair[1].0);
        ensure(ordered, || format!("pages of {size} are out of order"))?;
    }
    Ok(())
}

async fn following(book: &Book) -> Checked {
    let count = 2 + 1 + WRITERS * COMMANDS;
    let mut follower = pin!(book.writers[WRITERS - 1].log().follow(Position::START).take(count));
    // Nobody writes before the follower looks at the empty log: so it has to wait, and to be woken.
    let (looks, begin) = oneshot::channel();
    let reading = async {
        // Whoever writes listens until then.
        let _ = looks.send(());
        let mut next = Position::START.next();
        while let Some(event) = follower.next().await {
            let position = event?.position;
            ensure(position == next, || format!("{next} should have come, {position} came"))?;
            next = next.next();
        }
        Ok(())
    };
    let writing = async {
        // A sender that is gone looked before.
        let _ = begin.await;
        book.busy().await
    };
    let (written, read) = futures::join!(writing, reading);
    written.and(read)
}

async fn hashes(book: &Book) -> Checked {
    book.busy().await?;
    let genesis = book.writers[0].log().hash_at(Position::START).await?;
    let mut before = genesis.ok_or_else(|| Broken("there is no hash before the first event".to_owned()))?;
    for event in book.log().await? {
        let follows = before.chain(&Fields::from(&event));
        ensure(event.hash == follows, || format!("at {} stands {}, {follows} follows", event.position, event.hash))?;
        before = event.hash;
    }
    Ok(())
}

async fn recorded_time(book: &Book) -> Checked {
    let receipts = book.busy().await?;
    let log = book.log().await?;
    for pair in log.windows(2) {
        let back = pair[1].recorded_at < pair[0].recorded_at;
        ensure(!back, || format!("time goes back from {} to {}", pair[0].position, pair[1].position))?;
    }
    for receipt in &receipts {
        let event = log.iter().find(|event| Some(event.position) == receipt.position);
        let same = event.map(|event| event.recorded_at) == receipt.recorded_at;
        ensure(same, || format!("{receipt:?} was told, the log has {event:?}"))?;
    }
    Ok(())
}

async fn balances(book: &Book) -> Checked {
    book.busy().await?;
    let log = book.log().await?;
    let reader = book.writers[0].log();
    let mut folded: HashMap<String, Decimal> = HashMap::new();
    for event in &log {
        let payload = event.payload().map_err(crate::Error::from)?;
        for moved in payload.movements() {
            let signed = if moved.leg.amount.side() == Side::Debit { moved.posted } else { -moved.posted };
            *folded.entry(moved.leg.account.clone()).or_default() += signed;
        }
        // Till and wallet were opened by the first two.
        for account in ["till", "wallet"].iter().take(usize::try_from(event.position.get()).unwrap_or_default()) {
            let balance = reader.balance_as_of(account, None, AsOf::position(event.position)).await?;
            let fold = folded.get(*account).copied().unwrap_or_default();
            let fold = if balance.normal == Side::Debit { fold } else { -fold };
            ensure(balance.posted == fold, || format!("at {}: {balance:?}, the fold is {fold}", event.position))?;
        }
    }
    let at_head = reader.balances("").await?;
    ensure(at_head.len() == 2, || format!("two accounts were opened, {} have a balance", at_head.len()))
}

async fn holds(book: &Book) -> Checked {
    book.set_up().await?;
    let hold = command(r#"{"do":"hold","id":"hold-1","amount":"7","debit":"wallet","credit":"till"}"#)?;
    receipt(book.writers[0].submit(hold).await?)?;
    let balance = book.writers[1].balance("wallet").await?;
    let reserved = (balance.posted, balance.pending_out, balance.available) == (10.into(), 7.into(), 3.into());
    ensure(reserved, || format!("7 of 10 are held: {balance:?}"))?;
    let refused = book.writers[2].submit(transfer("over", "4")).await?;
    ensure(is_rejected(&refused, Rule::InsufficientFunds), || format!("4 of 3 were drawn: {refused:?}"))?;
    let ends = (0..WRITERS).map(|writer| {
        let settle = format!(r#"{{"do":"settle","id":"settle-{writer}","hold":"hold-1","amount":"5"}}"#);
        async move { Ok::<_, Broken>(book.writers[writer].submit(command(&settle)?).await?) }
    });
    let answers = join_all(ends).await.into_iter().collect::<Result<Vec<_>, _>>()?;
    let ended = answers.iter().filter(|answer| answer.is_ok()).count();
    let refused = answers.iter().filter(|answer| is_rejected(answer, Rule::HoldSettled)).count();
    ensure(ended == 1 && refused == WRITERS - 1, || format!("one hold was settled {ended} times: {answers:?}"))?;
    let balance = book.writers[0].balance("wallet").await?;
    let released = (balance.posted, balance.pending_out) == (5.into(), Decimal::ZERO);
    ensure(released, || format!("5 of 7 were settled, the rest released: {balance:?}"))
}

async fn verification(book: &Book) -> Checked {
    let receipts = book.busy().await?;
    let report = crate::verify(book.writers[0].log(), |_| {}).await?;
    ensure(report.is_clean(), || format!("{:?}", report.problems))?;
    let events = usize::try_from(report.events).unwrap_or_default();
    ensure(events == receipts.len(), || format!("{events} events were verified, {} written", receipts.len()))
}

/// A ledger with several writers.
struct Book {
    writers: Vec<Ledger>,
}

impl Book {
    /// A till, and a wallet with 10 that may not go below zero.
    async fn set_up(&self) -> Result<Vec<Receipt>, Broken> {
        let ledger = &self.writers[0];
        let till = ledger.open(Account::asset("till", "EUR")).await?;
        let wallet = ledger.open(Account::liability("wallet", "EUR").floor(Decimal::ZERO)).await?;
        let fund = ledger.post(Entry::new("fund").debit("till", 10.into()).credit("wallet", 10.into())).await?;
        Ok(vec![till, wallet, fund])
    }

    /// All writers at once: transfers, changes of one entity, changes of others. Answers every receipt.
    async fn busy(&self) -> Result<Vec<Receipt>, Broken> {
        let mut receipts = self.set_up().await?;
        let sent = (0..WRITERS * COMMANDS).map(|number| async move {
            let writer = &self.writers[number % WRITERS];
            let command = match number % 4 {
                0 => transfer(&format!("t-{number}"), "0.01"),
                1 => change("user/1", None)?,
                2 => change(&format!("user/{number}"), None)?,
                _ => Transfer::sides(format!("t-{number}"), "till", "wallet", Decimal::ONE).into(),
            };
            Ok(writer.execute(command).await?)
        });
        let sent = join_all(sent).await.into_iter().collect::<Result<Vec<_>, Broken>>()?;
        receipts.extend(sent);
        Ok(receipts)
    }

    /// The log, as the first writer's read half has it.
    async fn log(&self) -> Result<Vec<Event>, Broken> {
        let mut events = pin!(self.writers[0].log().events(Position::START));
        let mut log = Vec::new();
        while let Some(event) = events.next().await {
            log.push(event?);
        }
        Ok(log)
    }
}

fn transfer(id: &str, amount: &str) -> Command {
    Transfer::sides(id, "wallet", "till", Decimal::from_str_exact(amount).unwrap_or_default()).into()
}

fn change(entity: &str, expected_version: Option<i64>) -> Result<Command, Broken> {
    let data = Data::new(&serde_json::json!({"name": "Ann"})).map_err(|invalid| Broken(invalid.to_string()))?;
    let change = Change::new(entity, "user.named", data);
    Ok(match expected_version {
        None => change.into(),
        Some(version) => change.expected_version(version).into(),
    })
}

fn command(json: &str) -> Result<Command, Broken> {
    Command::from_json(json).map_err(|invalid| Broken(invalid.to_string()))
}

fn receipt(outcome: Outcome) -> Result<Receipt, Broken> {
    outcome.into_result().map_err(|refusal| Broken(format!("refused: {refusal}")))
}

fn is_rejected(outcome: &Outcome, rule: Rule) -> bool {
    matches!(outcome, Outcome::Rejected(rejection) if rejection.rule == rule)
}

fn ensure(kept: bool, seen: impl FnOnce() -> String) -> Checked {
    if kept { Ok(()) } else { Err(Broken(seen())) }
}
