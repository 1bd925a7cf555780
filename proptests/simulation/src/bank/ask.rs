//! What clients ask of the ledger: few kinds, over few accounts, so that they meet.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use postfold::{Account, Batch, Change, Command, Data, Hold, Settle, Transfer, Void};
use rust_decimal::Decimal;

use crate::world::World;

/// Accounts with a floor; [`WORLD`] is where their money comes from.
pub(crate) const WALLETS: usize = 3;
/// The account without a floor.
pub(crate) const WORLD: usize = WALLETS;
/// What the last wallet may owe, in cents.
const CREDIT_CENTS: i64 = 500;
const ENTITIES: usize = 2;

/// A command, without its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    Transfer {
        from: usize,
        to: usize,
        cents: i64,
        up_to: bool,
    },
    /// Two transfers, both or none.
    Pair([(usize, usize, i64); 2]),
    Hold {
        from: usize,
        to: usize,
        cents: i64,
        expires_at: Option<Timestamp>,
    },
    Settle {
        hold: String,
        cents: Option<i64>,
        keep_rest: bool,
    },
    Void {
        hold: String,
    },
    Reverse {
        entry: String,
    },
    Record {
        entity: usize,
        expected: Option<i64>,
        value: usize,
    },
    ExpireDue,
}

pub(crate) fn code(account: usize) -> String {
    if account == WORLD { "world".to_owned() } else { format!("wallet:{account}") }
}

pub(crate) fn entity(number: usize) -> String {
    format!("card/{number}")
}

/// The lowest that an account may have available, in cents.
pub(crate) const fn floor(account: usize) -> Option<i64> {
    match account {
        WORLD => None,
        2 => Some(-CREDIT_CENTS),
        _ => Some(0),
    }
}

pub(crate) fn euro(cents: i64) -> Decimal {
    Decimal::new(cents, 2)
}

/// What opens the accounts.
pub(crate) fn chart() -> Vec<Command> {
    let open = |account: usize| {
        let opened = Account::liability(code(account), "EUR");
        floor(account).map_or(opened.clone(), |floor| opened.floor(euro(floor))).into()
    };
    (0..=WALLETS).map(open).collect()
}

impl Ask {
    /// Something to ask; `ids` were used before.
    pub(crate) fn draw(world: &World, ids: &[String]) -> Self {
        let wallet = || world.below(WALLETS);
        let cents = || i64::try_from(1 + world.below(400)).unwrap_or(1);
        let pair = |from: usize| (from, (from + 1 + world.below(WALLETS - 1)) % WALLETS);
        let known = |or: &str| match ids.len() {
            0 => or.to_owned(),
            many => ids[world.below(many)].clone(),
        };
        match world.below(20) {
            0..4 => Self::Transfer { from: WORLD, to: wallet(), cents: cents(), up_to: false },
            4..8 => {
                let (from, to) = pair(wallet());
                Self::Transfer { from, to, cents: cents(), up_to: world.percent(20) }
            }
            8 => {
                let ((a, b), (c, d)) = (pair(wallet()), pair(wallet()));
                Self::Pair([(a, b, cents()), (c, d, cents())])
            }
            9..12 => {
                let (from, to) = pair(wallet());
                let soon = SignedDuration::from_millis(i64::try_from(world.below(20_000)).unwrap_or_default() - 2_000);
                let expires_at = world.percent(40).then(|| world.now() + soon);
                Self::Hold { from, to, cents: cents(), expires_at }
            }
            12..14 => {
                let cents = world.percent(60).then(cents);
                Self::Settle { hold: known("none"), cents, keep_rest: cents.is_some() && world.percent(50) }
            }
            14 => Self::Void { hold: known("none") },
            15 => Self::Reverse { entry: known("none") },
            16..19 => {
                let expected = world.percent(60).then(|| i64::try_from(world.below(6)).unwrap_or_default());
                Self::Record { entity: world.below(ENTITIES), expected, value: world.below(4) }
            }
            _ => Self::ExpireDue,
        }
    }

    pub(crate) fn command(&self, id: &str) -> Command {
        let between = |id: &str, from, to, cents| Transfer::between(id, code(from), code(to), euro(cents));
        match self {
            Self::Transfer { from, to, cents, up_to } => {
                let transfer = between(id, *from, *to, *cents);
                if *up_to { transfer.up_to() } else { transfer }.into()
            }
            Self::Pair(transfers) => {
                let members = transfers.iter().zip(["a", "b"]);
                let members = members
                    .map(|((from, to, cents), which)| between(&format!("{id}+{which}"), *from, *to, *cents).into());
                Command { id: Some(id.to_owned()), ..Batch::atomic(members).into() }
            }
            Self::Hold { from, to, cents, expires_at } => {
                let hold = Hold::between(id, code(*from), code(*to), euro(*cents));
                expires_at.map_or(hold.clone(), |at| hold.expires_at(at)).into()
            }
            Self::Settle { hold, cents, keep_rest } => {
                let settle = Settle::all(id, hold);
                let settle = cents.map_or(settle.clone(), |cents| settle.amount(euro(cents)));
                if *keep_rest { settle.keep_rest() } else { settle }.into()
            }
            Self::Void { hold } => Void::new(id, hold).into(),
            Self::Reverse { entry } => Command::reverse(id, entry),
            Self::Record { entity: number, expected, value } => {
                // A map of a number always serialises to an object.
                let data = Data::new(&BTreeMap::from([("value", value)])).unwrap_or_else(|_| unreachable!());
                let change = Change::new(entity(*number), if *value == 0 { "card.gone" } else { "card.set" }, data);
                let change = expected.map_or(change.clone(), |version| change.expected_version(version));
                Command { id: Some(id.to_owned()), ..change.into() }
            }
            Self::ExpireDue => Command { id: Some(id.to_owned()), ..Command::expire_due() },
        }
    }
}
