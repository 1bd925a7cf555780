//! Stories: a few commands that belong together.

use std::collections::BTreeMap;

use jiff::civil::{Date, date};
use postfold::command::{Action, AssertBalance, CloseAccount, Freeze, Held, Part, SetLimits};
use postfold::{Batch, Change, Command, Currency, Data, Leg, Settle, Void};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::strategy::Union;
use rust_decimal::Decimal;

use super::accounts::{account, limits};
use super::money::{amount, code, currency, entry, hold, transfer, when};
use super::{Mix, permille, sometimes};
use crate::history::Step;

/// Commands that belong together, each with the number of steps since the one before it.
#[derive(Clone, Debug)]
pub struct Story(pub(super) Vec<(u8, Step)>);

/// Most steps between two commands of a story.
const DELAY: u8 = 6;

impl Story {
    fn of(command: Command) -> Self {
        Self(vec![(0, Step::Command(command))])
    }

    fn commands(self) -> impl Iterator<Item = Command> {
        self.0.into_iter().filter_map(|(_, step)| match step {
            Step::Command(command) => Some(command),
            Step::Wait(_) => None,
        })
    }
}

/// A story; one of its commands may be sent again.
pub fn story(mix: &Mix) -> impl Strategy<Value = Story> + use<> {
    let mut choices = simple(mix);
    choices.push((mix.batches, batch(mix).prop_map(Story::of).boxed()));
    (union(choices), again(mix)).prop_map(|(story, again)| match again {
        Some(again) => again.added(story),
        None => story,
    })
}

/// One command that is no batch.
pub fn command(mix: &Mix) -> impl Strategy<Value = Command> + use<> {
    let mix = Mix { waits: 0, ..mix.clone() };
    union(simple(&mix)).prop_filter_map("a story without commands", |story| story.commands().next())
}

/// A batch of up to five stories, atomic or not; of the ids of atomic ones some are a member's.
pub fn batch(mix: &Mix) -> impl Strategy<Value = Command> + use<> {
    let stories = vec(union(simple(mix)), 1..5);
    let id = prop_oneof![4 => Just(None), 4 => Just(Some(false)), 1 => Just(Some(true))];
    (number(mix), stories, any::<bool>(), id).prop_filter_map("an empty batch", |(number, stories, atomic, id)| {
        let commands: Vec<Command> = stories.into_iter().flat_map(Story::commands).collect();
        let first = commands.first()?.id.clone();
        let batch = if atomic { Batch::atomic(commands) } else { Batch::independent(commands) };
        let id = id.filter(|_| atomic).map(|of_member| first.filter(|_| of_member).unwrap_or(number.id("batch")));
        Some(id.into_iter().fold(batch.into(), Command::id))
    })
}

/// A change of one of three entities, sometimes at a version that is expected.
pub fn change(mix: &Mix) -> impl Strategy<Value = Command> + use<> {
    (number(mix), 0..3_u8, sometimes(300, 0..6_i64), any::<(u8, bool)>()).prop_map(
        |(number, entity, expected, (value, id))| {
            let change = Change::new(
                format!("thing/{}{entity}", number.names),
                "thing.changed",
                data([("value", value), ("other", 0)]),
            );
            let command = Command::from(expected.into_iter().fold(change, Change::expected_version));
            if id { command.id(number.id("change")) } else { command }
        },
    )
}

/// The stories that are no batch, with their weights.
fn simple(mix: &Mix) -> Vec<(u32, BoxedStrategy<Story>)> {
    vec![
        (mix.transfers, entries(mix, transfer(mix), "transfer").boxed()),
        (mix.entries, entries(mix, entry(mix), "entry").boxed()),
        (mix.holds, holds(mix).boxed()),
        (mix.changes, change(mix).prop_map(Story::of).boxed()),
        (mix.limits, limit(mix).boxed()),
        (mix.statuses, statuses(mix).boxed()),
        (mix.periods, periods().boxed()),
        (mix.assertions, assertion(mix).boxed()),
        (mix.expiries, expiry(mix).boxed()),
        (mix.waits, minutes().prop_map(|minutes| Story(vec![(0, Step::Wait(minutes))])).boxed()),
        (mix.openings, opening(mix).boxed()),
        (mix.nonsense, nonsense(mix).boxed()),
    ]
}

fn union(choices: Vec<(u32, BoxedStrategy<Story>)>) -> BoxedStrategy<Story> {
    let mut choices: Vec<_> = choices.into_iter().filter(|(weight, _)| *weight > 0).collect();
    if choices.is_empty() {
        choices.push((1, Just(Story(Vec::new())).boxed()));
    }
    Union::new_weighted(choices).boxed()
}

/// An entry, and up to three reversals: of the entry, of its reversal, of either again.
fn entries<S: Strategy<Value = Command>>(
    mix: &Mix,
    entry: S,
    name: &'static str,
) -> impl Strategy<Value = Story> + use<S> {
    let reversals = prop_oneof![7 => Just(Vec::new()), 3 => vec((0..DELAY, any::<bool>()), 0..3)];
    (number(mix), entry, reversals).prop_map(move |(number, entry, reversals)| {
        let first = number.id(name);
        let mut last = first.clone();
        let mut story = Story::of(entry.id(last.clone()));
        for (index, (delay, of_last)) in reversals.into_iter().enumerate() {
            let of = if of_last { last } else { first.clone() };
            last = format!("{first}-reverse-{index}");
            story.0.push((delay, Step::Command(Command::reverse(last.clone(), of))));
        }
        story
    })
}

/// What becomes of a hold.
#[derive(Clone, Debug)]
enum Then {
    SettleAll,
    /// So many quarters of what was held.
    SettlePart(u8),
    SettleAmount(Decimal),
    Void,
    /// Of what came before: the last settle, or the hold itself, which is no entry.
    Reverse,
}

fn holds(mix: &Mix) -> impl Strategy<Value = Story> + use<> {
    let then = prop_oneof![
        2 => Just(Then::SettleAll),
        3 => (1..5_u8).prop_map(Then::SettlePart),
        1 => amount(mix).prop_map(Then::SettleAmount),
        2 => Just(Then::Void),
        1 => Just(Then::Reverse),
    ];
    (number(mix), hold(mix), vec((0..DELAY, then, any::<bool>()), 0..4)).prop_map(|(number, hold, then)| {
        let id = number.id("hold");
        let follow = |(index, (delay, then, keep)): (usize, (u8, Then, bool))| {
            let name = format!("{id}-{index}");
            let settle = Settle::all(name.clone(), id.clone());
            let settle = match then {
                Then::Void => return (delay, Step::Command(Void::new(name, id.clone()).into())),
                Then::Reverse => {
                    let of = if index == 0 { id.clone() } else { format!("{id}-{}", index - 1) };
                    return (delay, Step::Command(Command::reverse(name, of)));
                }
                Then::SettleAll => settle,
                Then::SettleAmount(amount) => settle.amount(amount),
                Then::SettlePart(quarters) => part(settle, &hold, quarters),
            };
            (delay, Step::Command(if keep { settle.keep_rest().into() } else { settle.into() }))
        };
        let then: Vec<_> = then.into_iter().enumerate().map(follow).collect();
        let mut story = Story::of(hold.id(id));
        story.0.extend(then);
        story
    })
}

/// Settles so many quarters of every leg, cut to the digits that the hold has.
fn part(settle: Settle, hold: &Command, quarters: u8) -> Settle {
    let quarter =
        |amount: Decimal| (amount * Decimal::new(i64::from(quarters) * 25, 2)).trunc_with_scale(amount.scale());
    match &hold.action {
        Action::Hold(hold) => match &hold.what {
            Held::Amount { amount, .. } => settle.amount(quarter(*amount)),
            Held::Legs(legs) => settle.legs(legs.iter().map(|leg| Leg {
                amount: postfold::event::SideAmount::new(leg.amount.side(), quarter(leg.amount.amount())),
                ..leg.clone()
            })),
        },
        _ => settle,
    }
}

fn limit(mix: &Mix) -> impl Strategy<Value = Story> + use<> {
    (code(mix), currency(mix), limits(mix), any::<bool>()).prop_map(|(account, currency, limits, force)| {
        Story::of(Command::new(Action::SetLimits(SetLimits { account, currency, limits, force })))
    })
}

fn statuses(mix: &Mix) -> impl Strategy<Value = Story> + use<> {
    (code(mix), currency(mix), 0..DELAY, permille(250)).prop_map(|(account, currency, delay, close)| {
        if close {
            return Story::of(Command::new(Action::CloseAccount(CloseAccount { account, currency })));
        }
        let freeze = Freeze { account, currency, reason: "asked".to_owned() };
        let step = |action| Step::Command(Command::new(action));
        Story(vec![(0, step(Action::Freeze(freeze.clone()))), (delay, step(Action::Unfreeze(freeze)))])
    })
}

fn periods() -> impl Strategy<Value = Story> {
    (day(), option::of(day()), 0..DELAY).prop_map(|(through, back, delay)| {
        let reopen = Command::reopen_period(back, "asked");
        Story(vec![(0, Step::Command(Command::close_period(through))), (delay, Step::Command(reopen))])
    })
}

/// The days around the beginning of a history.
fn day() -> impl Strategy<Value = Date> {
    (0..6_i8).prop_map(|days| date(2025, 2, 24) + jiff::Span::new().days(days))
}

fn assertion(mix: &Mix) -> impl Strategy<Value = Story> + use<> {
    let amount = prop_oneof![2 => Just(Decimal::ZERO), 1 => amount(mix)];
    (code(mix), currency(mix), amount, when(mix)).prop_map(|(account, currency, amount, as_of)| {
        Story::of(Command::new(Action::AssertBalance(AssertBalance { account, currency, amount, as_of })))
    })
}

fn expiry(mix: &Mix) -> impl Strategy<Value = Story> + use<> {
    (number(mix), minutes(), any::<bool>()).prop_map(|(number, minutes, id)| {
        let expire = Command::expire_due();
        let expire = if id { expire.id(number.id("expire")) } else { expire };
        Story(vec![(0, Step::Wait(minutes)), (0, Step::Command(expire))])
    })
}

fn opening(mix: &Mix) -> impl Strategy<Value = Story> + use<> {
    let register = (select(vec!["XAU", "POINTS", "EUR", "GOLD"]), 0..5_u8);
    let register = register.prop_map(|(code, scale)| Command::from(Currency::new(code, scale)));
    prop_oneof![3 => account(mix), 1 => register].prop_map(Story::of)
}

/// Commands that make no sense, whatever the state.
fn nonsense(mix: &Mix) -> impl Strategy<Value = Story> + use<> {
    let good = |code: &str| Leg::debit(code, Decimal::ONE);
    (number(mix), code(mix), 0..12_u8).prop_map(move |(number, code, which)| {
        let id = number.id("nonsense");
        let post = |legs: Vec<Leg>| legs.into_iter().fold(postfold::Entry::new(id.clone()), postfold::Entry::leg);
        let nothing = || Change::new("thing/1", "thing.changed", data([]));
        let command: Command = match which {
            0 => postfold::Transfer::sides(id, code.clone(), code, Decimal::ONE).into(),
            1 => post(vec![good(&code)]).into(),
            2 => post(vec![good(&code), Leg::credit("a::b", Decimal::ONE)]).into(),
            3 => post(vec![good(&code), Leg::credit(code, Decimal::ONE).currency("eur")]).into(),
            4 => postfold::Hold::legs(id, [good(&code), Leg::credit(code, Decimal::ONE)]).into(),
            5 => Change::new("thing", "thing.changed", data([])).into(),
            6 => nothing().expected_version(-1).into(),
            7 => Batch::atomic([]).into(),
            8 => Batch::atomic([Batch::atomic([nothing().into()]).into()]).into(),
            9 => Command::from(Batch::independent([nothing().into()])).id(id),
            10 => Command::freeze(code, "\0"),
            _ => Command::from(nothing()).id("x".repeat(129)),
        };
        Story::of(command)
    })
}

/// A command that is sent again: which one, when, and how.
#[derive(Clone, Debug)]
struct Again {
    which: Index,
    delay: u8,
    how: How,
}

#[derive(Clone, Debug)]
enum How {
    SameWords,
    OtherWords,
    OtherMeaning,
}

fn again(mix: &Mix) -> impl Strategy<Value = Option<Again>> + use<> {
    let how = prop_oneof![3 => Just(How::SameWords), 1 => Just(How::OtherWords), 1 => Just(How::OtherMeaning)];
    let again = (any::<Index>(), 0..DELAY, how).prop_map(|(which, delay, how)| Again { which, delay, how });
    sometimes(mix.retries, again)
}

impl Again {
    fn added(self, mut story: Story) -> Story {
        let commands: Vec<usize> = (0..story.0.len()).filter(|at| matches!(story.0[*at].1, Step::Command(_))).collect();
        if commands.is_empty() {
            return story;
        }
        let at = commands[self.which.index(commands.len())];
        if let Step::Command(command) = &story.0[at].1 {
            let again = match self.how {
                How::SameWords => command.clone(),
                How::OtherWords => in_other_words(command),
                How::OtherMeaning => command.clone().correlation("another"),
            };
            story.0.insert(at + 1, (self.delay, Step::Command(again)));
        }
        story
    }
}

/// The same by meaning: amounts with a zero more, a default stated, data with its keys in another order.
pub(crate) fn in_other_words(command: &Command) -> Command {
    let mut command = command.clone();
    let zero = |amount: &mut Decimal| amount.rescale(amount.scale() + 1);
    match &mut command.action {
        Action::Transfer(transfer) => zero(&mut transfer.amount),
        Action::Settle(settle) => {
            if let Part::Amount(amount) = &mut settle.part {
                zero(amount);
            }
        }
        Action::OpenAccount(open) => open.normal = Some(open.normal.unwrap_or(open.account_type.normal())),
        Action::Record(record) => {
            let read = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(record.data.as_str());
            if let Some(data) =
                read.ok().and_then(|map| Data::new(&map.into_iter().rev().collect::<serde_json::Map<_, _>>()).ok())
            {
                record.data = data;
            }
        }
        _ => {}
    }
    command
}

/// Up to a day and a half; now and then the clock goes back.
fn minutes() -> impl Strategy<Value = i32> {
    prop_oneof![9 => 0..2_000_i32, 1 => -300..0_i32]
}

/// What the ids of a story are made of: the mix's own beginning, and a number.
fn number(mix: &Mix) -> impl Strategy<Value = Number> + use<> {
    let names = mix.names.clone();
    (0..1_000_u16).prop_map(move |number| Number { names: names.clone(), number })
}

#[derive(Clone, Debug)]
struct Number {
    names: String,
    number: u16,
}

impl Number {
    fn id(&self, kind: &str) -> String {
        format!("{}{kind}-{}", self.names, self.number)
    }
}

fn data<const N: usize>(fields: [(&str, u8); N]) -> Data {
    // A map of numbers always serialises to an object.
    Data::new(&BTreeMap::from(fields)).unwrap_or_else(|_| unreachable!())
}
