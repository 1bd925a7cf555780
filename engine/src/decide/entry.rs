//! `post` and `transfer`: balanced entries. Each stage goes leg by leg before the next begins.

use std::collections::HashMap;

use jiff::Timestamp;
use rust_decimal::Decimal;

use super::accounts::{amount_error, scale_of};
use super::{Decision, NewEvent, Stop, limits};
use crate::account::Side;
use crate::command::{Post, Route, TransferMoney};
use crate::event::{EntryPosted, Payload, PostedLeg, SideAmount, kind};
use crate::money::{self, AmountError, LIMIT, Minor};
use crate::outcome::{Invalid, Rejection, Rule};
use crate::state::{Account, AccountId, State, Totals};

pub(super) fn post(state: &State, post: &Post, recorded_at: Timestamp) -> Result<Decision, Stop> {
    let mut accounts = Vec::with_capacity(post.legs.len());
    for leg in &post.legs {
        accounts.push(find(state, &leg.account, leg.currency.as_deref())?);
    }
    let mut legs = Vec::with_capacity(post.legs.len());
    for (index, (leg, account)) in post.legs.iter().zip(accounts).enumerate() {
        legs.push(Leg::new(Place::Entry(index), &leg.account, account, leg.amount)?);
    }
    check_balance(&legs)?;
    check_overflow(&legs)?;
    write(&legs, recorded_at, post.text.clone(), None)
}

pub(super) fn transfer(state: &State, transfer: &TransferMoney, recorded_at: Timestamp) -> Result<Decision, Stop> {
    let codes = transfer.route.codes();
    let currency = transfer.currency.as_deref();
    let accounts = [find(state, codes[0], currency)?, find(state, codes[1], currency)?];
    let sides = sides(&transfer.route, accounts)?;
    let leg =
        |at: usize| Leg::new(Place::Transfer, codes[at], accounts[at], SideAmount::new(sides[at], transfer.amount));
    let mut legs = [leg(0)?, leg(1)?];
    check_balance(&legs)?;
    check_overflow(&legs)?;
    let mut moved = None;
    if transfer.up_to {
        let amount = limits::up_to(&effects(&legs), legs[0].amount())?;
        for leg in &mut legs {
            leg.minor = Some(amount);
        }
        moved = Some(legs[0].account.decimal(amount));
    }
    write(&legs, recorded_at, transfer.text.clone(), moved)
}

/// A leg whose account is known.
#[derive(Clone, Copy)]
struct Leg<'a> {
    place: Place,
    account: &'a Account,
    side: Side,
    asked: Decimal,
    /// In minor units; `None` when it reaches 10^28 of them.
    minor: Option<Minor>,
}

/// Where a leg stands in its command, for errors.
#[derive(Clone, Copy)]
enum Place {
    /// `legs[index]` of an entry.
    Entry(usize),
    /// The one `amount` and `currency` of a transfer.
    Transfer,
}

/// What an entry does to one account, all its legs taken together.
pub(super) struct Effect<'a> {
    pub(super) account: &'a Account,
    /// On the account's normal side: below zero, the entry lowers it.
    pub(super) net: Minor,
}

impl<'a> Leg<'a> {
    /// The stage "scale and left-out currency", for one leg.
    fn new(place: Place, code: &str, account: Option<&'a Account>, amount: SideAmount) -> Result<Self, Stop> {
        let Some(account) = account else {
            let message = format!("{code} is open in several currencies: say which");
            return Err(Invalid::new(place.currency(), None, message).into());
        };
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
    fn amount(&self) -> Minor {
        self.minor.unwrap_or(LIMIT)
    }

    fn overflow(&self) -> Stop {
        let facts = &self.account.facts;
        amount_error(&self.place.amount(self.side), self.asked, &facts.currency, facts.scale, AmountError::Overflow)
            .into()
    }
}

impl Place {
    fn amount(self, side: Side) -> String {
        match self {
            Self::Entry(index) => format!("legs[{index}].{}", side.as_str()),
            Self::Transfer => "amount".to_owned(),
        }
    }

    fn currency(self) -> String {
        match self {
            Self::Entry(index) => format!("legs[{index}].currency"),
            Self::Transfer => "currency".to_owned(),
        }
    }
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

/// Which account of a transfer is debited and which credited, in the order in which they are named.
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

fn check_balance(legs: &[Leg<'_>]) -> Result<(), Stop> {
    let mut sums: Vec<(&str, Exact)> = Vec::new();
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

fn check_overflow(legs: &[Leg<'_>]) -> Result<(), Stop> {
    if let Some(leg) = legs.iter().find(|leg| leg.minor.is_none()) {
        return Err(leg.overflow());
    }
    let mut sums: Vec<(&str, Minor)> = Vec::new();
    for leg in legs.iter().filter(|leg| leg.side == Side::Debit) {
        let currency = &*leg.account.facts.currency;
        match sums.iter_mut().find(|(known, _)| *known == currency) {
            Some((_, sum)) => *sum = money::add(*sum, leg.amount()).ok_or_else(|| leg.overflow())?,
            None => sums.push((currency, leg.amount())),
        }
    }
    let touched = Touched::by(legs);
    let mut totals: Vec<Totals> = touched.accounts.iter().map(|account| account.totals).collect();
    for (leg, slot) in legs.iter().zip(touched.slots) {
        totals[slot] = totals[slot].post(leg.side, leg.amount()).ok_or_else(|| leg.overflow())?;
    }
    Ok(())
}

/// The accounts of an entry in order of first appearance, and for each leg which of them it touches.
struct Touched<'a> {
    accounts: Vec<&'a Account>,
    slots: Vec<usize>,
}

impl<'a> Touched<'a> {
    fn by(legs: &[Leg<'a>]) -> Self {
        let mut known: HashMap<AccountId, usize> = HashMap::with_capacity(legs.len());
        let mut accounts = Vec::with_capacity(legs.len());
        let slot = |leg: &Leg<'a>| {
            *known.entry(leg.account.facts.id).or_insert_with(|| {
                accounts.push(leg.account);
                accounts.len() - 1
            })
        };
        let slots = legs.iter().map(slot).collect();
        Self { accounts, slots }
    }
}

/// What the legs do to each account, in order of first appearance.
fn effects<'a>(legs: &[Leg<'a>]) -> Vec<Effect<'a>> {
    let touched = Touched::by(legs);
    let mut effects: Vec<Effect<'a>> = touched.accounts.into_iter().map(|account| Effect { account, net: 0 }).collect();
    for (leg, slot) in legs.iter().zip(touched.slots) {
        let grows = leg.side == leg.account.facts.normal;
        effects[slot].net += if grows { leg.amount() } else { -leg.amount() };
    }
    effects
}

/// The last stage, limits, and the event.
fn write(
    legs: &[Leg<'_>],
    recorded_at: Timestamp,
    text: Option<String>,
    amount: Option<Decimal>,
) -> Result<Decision, Stop> {
    let out = limits::check(&effects(legs), recorded_at)?;
    let posted = |leg: &Leg<'_>| PostedLeg {
        account: leg.account.facts.code.as_ref().to_owned(),
        currency: leg.account.facts.currency.as_ref().to_owned(),
        amount: SideAmount::new(leg.side, leg.account.decimal(leg.amount())),
    };
    let entry = EntryPosted { legs: legs.iter().map(posted).collect(), text, amount, out };
    NewEvent::new(kind::ENTRY_POSTED, &entry, Payload::EntryPosted(entry.clone())).map(Decision::Write)
}
