//! Strategies: histories of commands over a small chart of accounts.
//!
//! Few accounts, few ids and small amounts, so that commands meet: floors are reached, ids are used
//! again, entities are changed at stale versions.

use postfold::{Account, Batch, Change, Command, Data, Entry, Transfer};
use proptest::collection::vec;
use proptest::prelude::*;
use rust_decimal::Decimal;

/// Accounts of a generated ledger.
pub const ACCOUNTS: usize = 6;

/// The code of the account with this number; the last one is never opened.
pub fn code(number: usize) -> String {
    format!("account:{number}")
}

/// What opens the accounts: half are debit-normal; every third has a floor of zero, every fourth a
/// ceiling of 500.
pub fn chart() -> Vec<Command> {
    let open = |number: usize| {
        let code = code(number);
        let mut account =
            if number.is_multiple_of(2) { Account::asset(code, "EUR") } else { Account::liability(code, "EUR") };
        if number.is_multiple_of(3) {
            account = account.floor(Decimal::ZERO);
        }
        if number % 4 == 1 {
            account = account.ceiling(Decimal::from(500));
        }
        Command::from(account)
    };
    (0..ACCOUNTS).map(open).collect()
}

/// A history: the commands that follow the chart, good and bad.
pub fn history(most: usize) -> impl Strategy<Value = Vec<Command>> {
    vec(prop_oneof![8 => single(), 1 => batch()], 0..most)
}

/// One command that is no batch.
pub fn single() -> impl Strategy<Value = Command> {
    prop_oneof![4 => transfer(), 3 => entry(), 2 => change()]
}

/// A transfer, sometimes `up_to`, sometimes between accounts of different sides or to itself.
pub fn transfer() -> impl Strategy<Value = Command> {
    (id(), account(), account(), amount(), any::<(bool, bool)>()).prop_map(
        |(id, one, other, amount, (sides, up_to))| {
            let transfer =
                if sides { Transfer::sides(id, one, other, amount) } else { Transfer::between(id, one, other, amount) };
            Command::from(if up_to { transfer.up_to() } else { transfer })
        },
    )
}

/// An entry of two to four legs, which balances three times out of four.
pub fn entry() -> impl Strategy<Value = Command> {
    (id(), vec((account(), amount()), 1..4), account(), 0..4_u8).prop_map(|(id, legs, against, balanced)| {
        let mut sum: Decimal = legs.iter().map(|(_, amount)| *amount).sum();
        if balanced == 0 {
            sum += Decimal::ONE;
        }
        let entry = legs.into_iter().fold(Entry::new(id), |entry, (account, amount)| entry.debit(account, amount));
        entry.credit(against, sum).into()
    })
}

/// A change of one of three entities, often at a version that is expected.
pub fn change() -> impl Strategy<Value = Command> {
    (0..3_u8, prop::option::of(0..6_i64), any::<u8>()).prop_map(|(entity, expected, value)| {
        // A map of a number always serialises to an object.
        let data = Data::new(&std::collections::BTreeMap::from([("value", value)])).unwrap_or_else(|_| unreachable!());
        let change = Change::new(format!("thing/{entity}"), "thing.changed", data);
        match expected {
            Some(version) => change.expected_version(version).into(),
            None => change.into(),
        }
    })
}

/// A batch of up to five commands, atomic or not.
pub fn batch() -> impl Strategy<Value = Command> {
    (vec(single(), 1..5), any::<bool>()).prop_map(|(commands, atomic)| {
        let batch = if atomic { Batch::atomic(commands) } else { Batch::independent(commands) };
        batch.into()
    })
}

fn id() -> impl Strategy<Value = String> {
    (0..200_u16).prop_map(|number| format!("id-{number}"))
}

fn account() -> impl Strategy<Value = String> {
    // The number one past the chart is of an account that was never opened.
    prop_oneof![12 => 0..ACCOUNTS, 1 => Just(ACCOUNTS)].prop_map(code)
}

fn amount() -> impl Strategy<Value = Decimal> {
    // Cents, and now and then a digit too many.
    prop_oneof![12 => (1..30_000_i64).prop_map(|cents| Decimal::new(cents, 2)), 1 => Just(Decimal::new(1_005, 3))]
}
