//! The legs of an entry or a hold, and the stages that all of them go through, leg by leg.

use std::collections::HashMap;

use jiff::Timestamp;
use rust_decimal::Decimal;
use smallvec::SmallVec;

use super::Stop;
use super::accounts::{amount_error, scale_of};
use crate::account::Side;
use crate::command::Route;
use crate::event::{PostedLeg, SideAmount};
use crate::money::{self, AmountError, LIMIT, Minor};
use crate::outcome::{Invalid, Rejection, Rule};
use crate::state::{Account, AccountId, Need, State, Totals};

/// A leg whose account is known.
#[derive(Clone, Copy)]
pub(super) struct Leg<'a> {
    place: Place,
    pub(super) account: &'a Account,
    pub(super) side: Side,
    asked: Decimal,
    /// In minor units; `None` when it reaches 10^28 of them.
    minor: Option<Minor>,
}

/// Where a leg stands in its command, for errors.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// `legs[index]`
    Leg(usize),
    /// The one `amount` and `currency` of a two-leg form.
    Amount,
}

/// What an entry does to one account, all its legs taken together.
pub(super) struct Effect<'a> {
    pub(super) account: &'a Account,
    /// On the account's normal side: below zero, the entry lowers it.
    pub(super) net: Minor,
}

/// The legs that a command names: the stages "existence" and "scale and left-out currency".
pub(super) fn named<'a>(state: &'a State, legs: &[crate::command::Leg]) -> Result<Vec<Leg<'a>>, Stop> {
    let accounts = legs.iter().map(|leg| find(state, &leg.account, leg.currency.as_deref()));
    let accounts = accounts.collect::<Result<Vec<_>, _>>()?;
    let resolved = legs.iter().zip(accounts).enumerate();
    resolved.map(|(index, (leg, account))| Leg::new(Place::Leg(index), &leg.account, account, leg.amount)).collect()
}

/// The two legs of an amount between two accounts: the same stages.
pub(super) fn between<'a>(
    state: &'a State,
    amount: Decimal,
    route: &Route,
    currency: Option<&str>,
) -> Result<Vec<Leg<'a>>, Stop> {
    let codes = route.codes();
    let accounts = [find(state, codes[0], currency)?, find(state, codes[1], currency)?];
    let sides = sides(route, accounts)?;
    let leg = |at: usize| Leg::new(Place::Amount, codes[at], accounts[at], SideAmount::new(sides[at], amount));
    Ok(vec![leg(0)?, leg(1)?])
}

/// Legs that are in the log already.
pub(super) fn recorded<'a>(state: &'a State, legs: &[PostedLeg]) -> Result<Vec<Leg<'a>>, Stop> {
    known(state, legs, Place::Leg)
}

/// Legs of which the command gives but the one amount.
pub(super) fn recorded_as_amount<'a>(state: &'a State, legs: &[PostedLeg]) -> Result<Vec<Leg<'a>>, Stop> {
    known(state, legs, |_| Place::Amount)
}

fn known<'a>(state: &'a State, legs: &[PostedLeg], place: fn(usize) -> Place) -> Result<Vec<Leg<'a>>, Stop> {
    require(state, legs.iter().map(|leg| leg.account.as_str()))?;
    let resolve = |(index, leg): (usize, &PostedLeg)| {
        let account = find(state, &leg.account, Some(&leg.currency))?;
        Leg::new(place(index), &leg.account, account, leg.amount)
    };
    legs.iter().enumerate().map(resolve).collect()
}

/// The stage "state", for accounts: closed, then frozen.
pub(super) fn check_accounts(legs: &[Leg<'_>]) -> Result<(), Stop> {
    legs.iter().try_for_each(|leg| {
        check_open(leg.account)?;
        if leg.account.status.frozen {
            let message = format!("{} is frozen", leg.account.facts.code);
            return Err(of_account(Rule::AccountFrozen, leg.account, message).into());
        }
        Ok(())
    })
}

/// A closed account takes nothing any more.
pub(super) fn check_open(account: &Account) -> Result<(), Stop> {
    if account.status.closed {
        let message = format!("{} is closed", account.facts.code);
        return Err(of_account(Rule::AccountClosed, account, message).into());
    }
    Ok(())
}

/// The stage "period", by the time when an entry is to take effect.
pub(super) fn check_period(state: &State, effective_at: Timestamp) -> Result<(), Stop> {
    let Some(through) = state.period()?.through else { return Ok(()) };
    if money::day(effective_at) > through {
        return Ok(());
    }
    let message = format!("the books are closed through {through}; {effective_at} is not after that");
    Err(Rejection::new(Rule::PeriodClosed, message).into())
}

/// The stage "balance of the legs".
pub(super) fn check_balance(legs: &[Leg<'_>]) -> Result<(), Stop> {
    let mut sums: SmallVec<[(&str, Exact); 2]> = SmallVec::new();
    for leg in legs {
        let currency = &*leg.account.facts.currency;
        let signed = if leg.side == Side::Debit { leg.asked } else { -leg.asked };
        match sums.iter_mut().find(|(known, _)| *known == currency) {
            Some((_, sum)) => sum.add(signed),
            None => sums.push((currency, Exact::of(signed))),
        }
    }
    match sums.into_iter().find(|(_, sum)| !sum.is_zero()) {
        None => Ok(()),
        Some((currency, _)) => {
            let message = format!("debits and credits differ in {currency}");
            Err(Rejection::new(Rule::Unbalanced, message).currency(currency).into())
        }
    }
}

/// The stage "overflow": of the amounts, of a side, and of the totals that `add` leads to.
pub(super) fn check_overflow(legs: &[Leg<'_>], add: fn(Totals, Side, Minor) -> Option<Totals>) -> Result<(), Stop> {
    if let Some(leg) = legs.iter().find(|leg| leg.minor.is_none()) {
        return Err(leg.overflow());
    }
    let mut sums: SmallVec<[(&str, Minor); 2]> = SmallVec::new();
    for leg in legs.iter().filter(|leg| leg.side == Side::Debit) {
        let currency = &*leg.account.facts.currency;
        match sums.iter_mut().find(|(known, _)| *known == currency) {
            Some((_, sum)) => *sum = money::add(*sum, leg.amount()).ok_or_else(|| leg.overflow())?,
            None => sums.push((currency, leg.amount())),
        }
    }
    let touched = Touched::by(legs);
    let mut totals: SmallVec<[Totals; 4]> = touched.accounts.iter().map(|account| account.totals).collect();
    for (leg, slot) in legs.iter().zip(touched.slots) {
        totals[slot] = add(totals[slot], leg.side, leg.amount()).ok_or_else(|| leg.overflow())?;
    }
    Ok(())
}

/// What the legs do to each account, in order of first appearance.
pub(super) fn effects<'a>(legs: &[Leg<'a>]) -> Vec<Effect<'a>> {
    let touched = Touched::by(legs);
    let mut effects: Vec<Effect<'a>> = touched.accounts.into_iter().map(|account| Effect { account, net: 0 }).collect();
    for (leg, slot) in legs.iter().zip(touched.slots) {
        let grows = leg.side == leg.account.facts.normal;
        effects[slot].net += if grows { leg.amount() } else { -leg.amount() };
    }
    effects
}

/// The one account that a command names, not for a leg: existence and left-out currency.
pub(super) fn one_account<'a>(state: &'a State, code: &str, currency: Option<&str>) -> Result<&'a Account, Stop> {
    find(state, code, currency)?.ok_or_else(|| several_currencies("currency".to_owned(), code).into())
}

/// A rejection that concerns an account.
pub(super) fn of_account(rule: Rule, account: &Account, message: String) -> Rejection {
    Rejection::new(rule, message).account(&*account.facts.code).currency(&*account.facts.currency)
}

impl<'a> Leg<'a> {
    /// The stage "scale and left-out currency", for one leg.
    fn new(place: Place, code: &str, account: Option<&'a Account>, amount: SideAmount) -> Result<Self, Stop> {
        let account = account.ok_or_else(|| several_currencies(place.currency(), code))?;
        let (side, asked) = (amount.side(), amount.amount());
        let minor = match money::to_minor(asked, account.facts.scale) {
            Ok(minor) => Some(minor),
            Err(AmountError::Overflow) => None,
            Err(AmountError::Scale) => {
                let (currency, scale) = (&account.facts.currency, account.facts.scale);
                return Err(amount_error(&place.amount(side), asked, currency, scale, AmountError::Scale).into());
            }
        };
        Ok(Self { place, account, side, asked, minor })
    }

    /// The amount, once overflow was checked.
    pub(super) fn amount(&self) -> Minor {
        self.minor.unwrap_or(LIMIT)
    }

    /// The same leg with another amount, which is known to fit.
    pub(super) fn with_amount(self, amount: Minor) -> Self {
        Self { minor: Some(amount), asked: self.account.decimal(amount), ..self }
    }

    /// The leg of the mirror image.
    pub(super) fn mirrored(self) -> Self {
        Self { side: self.side.opposite(), ..self }
    }

    /// The leg as it is written.
    pub(super) fn posted(&self) -> PostedLeg {
        PostedLeg {
            account: self.account.facts.code.as_ref().to_owned(),
            currency: self.account.facts.currency.as_ref().to_owned(),
            amount: SideAmount::new(self.side, self.account.decimal(self.amount())),
        }
    }

    fn overflow(&self) -> Stop {
        let facts = &self.account.facts;
        let field = self.place.amount(self.side);
        amount_error(&field, self.asked, &facts.currency, facts.scale, AmountError::Overflow).into()
    }
}

impl Place {
    fn amount(self, side: Side) -> String {
        match self {
            Self::Leg(index) => format!("legs[{index}].{}", side.as_str()),
            Self::Amount => "amount".to_owned(),
        }
    }

    fn currency(self) -> String {
        match self {
            Self::Leg(index) => format!("legs[{index}].currency"),
            Self::Amount => "currency".to_owned(),
        }
    }
}

fn several_currencies(field: String, code: &str) -> Invalid {
    Invalid::new(field, None, format!("{code} is open in several currencies: say which"))
}

/// All codes that are not here, at once: one load instead of one a leg.
fn require<'a>(state: &State, codes: impl Iterator<Item = &'a str>) -> Result<(), Stop> {
    let missing: Vec<Need> =
        codes.filter(|code| !state.knows_code(code)).map(|code| Need::Code(code.to_owned())).collect();
    if missing.is_empty() { Ok(()) } else { Err(Stop::Missing(missing)) }
}

/// The stage "existence", for one account; `None` when the currency is left out and there are several.
fn find<'a>(state: &'a State, code: &str, currency: Option<&str>) -> Result<Option<&'a Account>, Stop> {
    let unknown = |message: String| Rejection::new(Rule::UnknownAccount, message).account(code);
    let accounts = state.accounts_of(code)?;
    let Some(currency) = currency else {
        return match accounts.as_slice() {
            [] => Err(unknown(format!("there is no account {code}")).into()),
            [account] => Ok(Some(*account)),
            _ => Ok(None),
        };
    };
    if let Some(account) = accounts.into_iter().find(|account| *account.facts.currency == *currency) {
        return Ok(Some(account));
    }
    scale_of(state, currency)?;
    Err(unknown(format!("there is no account {code} in {currency}")).currency(currency).into())
}

/// Which account of a route is debited and which credited, in the order in which they are named.
fn sides(route: &Route, accounts: [Option<&Account>; 2]) -> Result<[Side; 2], Stop> {
    let Route::Direction { from, to } = route else { return Ok([Side::Debit, Side::Credit]) };
    // An account that is not known for want of a currency is the next stage's to refuse.
    let [Some(giver), Some(receiver)] = accounts else { return Ok([Side::Debit, Side::Credit]) };
    let (giving, receiving) = (giver.facts.normal, receiver.facts.normal);
    if giving != receiving {
        let message = format!(
            "{from} grows on the {} side and {to} on the {} side: say debit and credit",
            giving.as_str(),
            receiving.as_str(),
        );
        return Err(Rejection::new(Rule::SidesDiffer, message).account(from).into());
    }
    Ok([giving.opposite(), giving])
}

/// The accounts of an entry in order of first appearance, and for each leg which of them it touches.
struct Touched<'a> {
    accounts: SmallVec<[&'a Account; 4]>,
    slots: SmallVec<[usize; 4]>,
}

impl<'a> Touched<'a> {
    /// With so few accounts, looking through them is cheaper than a map.
    const FEW: usize = 8;

    fn by(legs: &[Leg<'a>]) -> Self {
        let mut accounts: SmallVec<[&'a Account; 4]> = SmallVec::new();
        let mut known: HashMap<AccountId, usize> = HashMap::new();
        let slot = |leg: &Leg<'a>| {
            let id = leg.account.facts.id;
            let few = accounts.iter().take(Self::FEW).position(|account| account.facts.id == id);
            few.or_else(|| known.get(&id).copied()).unwrap_or_else(|| {
                accounts.push(leg.account);
                if accounts.len() > Self::FEW {
                    known.insert(id, accounts.len() - 1);
                }
                accounts.len() - 1
            })
        };
        let slots = legs.iter().map(slot).collect();
        Self { accounts, slots }
    }
}

/// A sum of up to 10,000 decimals of 28 digits, exact: whole part and parts of 10^-18 apart.
#[derive(Default)]
struct Exact {
    whole: i128,
    fraction: i128,
}

impl Exact {
    const UNIT: i128 = 10_i128.pow(money::MAX_SCALE as u32);

    fn of(decimal: Decimal) -> Self {
        let mut sum = Self::default();
        sum.add(decimal);
        sum
    }

    fn add(&mut self, decimal: Decimal) {
        let divisor = 10_i128.pow(decimal.scale());
        // The scale was checked against the currency's, which is 18 at most.
        let missing = u32::from(money::MAX_SCALE).saturating_sub(decimal.scale());
        self.whole += decimal.mantissa() / divisor;
        self.fraction += decimal.mantissa() % divisor * 10_i128.pow(missing);
    }

    const fn is_zero(&self) -> bool {
        self.fraction % Self::UNIT == 0 && self.whole == -(self.fraction / Self::UNIT)
    }
}
