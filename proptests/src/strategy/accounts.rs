//! Accounts: opened, limited, frozen, closed.

use postfold::command::{Action, OpenAccount};
use postfold::{AccountType, Command, Currency, Limits};
use proptest::collection::vec;
use proptest::prelude::*;
use rust_decimal::Decimal;

use super::{Mix, permille, sometimes};

/// What opens every account of the mix once, and now and then the first one in a second currency; currencies that
/// need it are registered before.
pub fn chart(mix: &Mix) -> impl Strategy<Value = Vec<Command>> + use<> {
    let Mix { codes, currencies, .. } = mix.clone();
    let count = codes.len();
    let opened = vec(opening(mix, currencies.len()), count..=count);
    (opened, permille(250)).prop_map(move |(opened, twice)| {
        let register = currencies.iter().filter(|code| !is_iso(code));
        let mut commands: Vec<Command> = register.map(|code| Currency::new(code, 3).into()).collect();
        let facts =
            codes.iter().zip(&opened).map(|(code, (open, currency))| open_as(open, code, &currencies[*currency]));
        commands.extend(facts);
        let first = opened.first().filter(|_| twice);
        if let (Some(code), Some((first, currency)), Some(second)) = (codes.first(), first, currencies.get(1)) {
            let other = if *currency == 1 { &currencies[0] } else { second };
            commands.push(open_as(&OpenAccount { limits: Limits::default(), ..first.clone() }, code, other));
        }
        commands
    })
}

/// What opens one account of the mix, in one of its currencies.
pub fn account(mix: &Mix) -> impl Strategy<Value = Command> + use<> {
    let Mix { codes, currencies, .. } = mix.clone();
    let code = 0..codes.len().max(1);
    (opening(mix, currencies.len()), code).prop_map(move |((open, currency), code)| {
        open_as(&open, codes.get(code).map_or("account", String::as_str), &currencies[currency])
    })
}

/// What an account is opened as, and in which of so many currencies.
fn opening(mix: &Mix, currencies: usize) -> impl Strategy<Value = (OpenAccount, usize)> + use<> {
    let account_type = prop_oneof![
        4 => Just(AccountType::Asset),
        4 => Just(AccountType::Liability),
        1 => Just(AccountType::Income),
        1 => Just(AccountType::Expense),
        1 => Just(AccountType::Equity),
    ];
    let currency = prop_oneof![8 => Just(0), 2 => 0..currencies.max(1)];
    (account_type, permille(80), limits(mix), currency).prop_map(|(account_type, contra, limits, currency)| {
        let normal = contra.then(|| account_type.normal().opposite());
        let open = OpenAccount {
            account: String::new(),
            currency: String::new(),
            account_type,
            normal,
            limits,
            owner: None,
            name: None,
        };
        (open, currency)
    })
}

/// Floors of zero, credit lines, and now and then more than the account has; ceilings; daily limits. All in whole
/// units, which every currency has.
pub(super) fn limits(mix: &Mix) -> impl Strategy<Value = Limits> + use<> {
    let given = |strategy: BoxedStrategy<i64>| sometimes(mix.limited, strategy.prop_map(Decimal::from));
    let floor = prop_oneof![4 => Just(0), 2 => -400..0_i64, 1 => 1..100_i64].boxed();
    (given(floor), given((100..900_i64).boxed()), given((0..600_i64).boxed()))
        .prop_map(|(floor, ceiling, daily_out)| Limits { floor, ceiling, daily_out })
}

fn open_as(open: &OpenAccount, code: &str, currency: &str) -> Command {
    let (account, currency) = (code.to_owned(), currency.to_owned());
    Command::new(Action::OpenAccount(OpenAccount { account, currency, ..open.clone() }))
}

fn is_iso(code: &str) -> bool {
    iso_currency::Currency::from_code(code).is_some_and(|currency| currency.exponent().is_some())
}
