//! Who banks here: customers, their employers, landlords and shops, all made up from the seed.

use jiff::{ToSpan, civil::Date};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use crate::book::AccountId;

/// Most members of one payroll file.
pub(crate) const PAYROLL_MEMBERS_MAX: usize = 100;

const GIVEN_NAMES: [&str; 24] = [
    "Ada", "Bruno", "Clara", "Dario", "Edda", "Felix", "Greta", "Hugo", "Ilse", "Jonas", "Karla", "Levin", "Marta",
    "Nils", "Olga", "Paul", "Resi", "Sven", "Tilda", "Udo", "Vera", "Willi", "Xenia", "Yann",
];
const FAMILY_NAMES: [&str; 20] = [
    "Ahorn", "Birke", "Custer", "Dorn", "Eiche", "Fuchs", "Ginster", "Hasel", "Iltis", "Jaspis", "Kiefer", "Linde",
    "Marder", "Nessel", "Otter", "Pappel", "Reiher", "Schlehe", "Tanne", "Ulme",
];
const TOWNS: [&str; 8] = ["Oberau", "Niederau", "Steinfurt", "Birkenau", "Moosach", "Seeon", "Talheim", "Bergfeld"];
const STREETS: [&str; 8] = [
    "Mill Lane",
    "High Street",
    "Station Road",
    "Church Hill",
    "Garden Row",
    "River Walk",
    "Market Square",
    "School Lane",
];
const EMPLOYERS: [&str; 10] = [
    "sawmill",
    "brewery",
    "hospital",
    "railway",
    "foundry",
    "university",
    "printworks",
    "harbour",
    "bakehouse",
    "observatory",
];
const SHOPS: [&str; 10] =
    ["grocer", "bakery", "chemist", "bookshop", "cinema", "garage", "florist", "cafe", "hardware", "clothier"];

/// Somebody who pays salaries.
#[derive(Debug)]
pub(crate) struct Employer {
    pub(crate) name: String,
    pub(crate) account: Option<AccountId>,
    /// Whether salaries come as one all-or-nothing file, or one by one.
    pub(crate) files_payroll: bool,
}

/// A customer, with the plan for the year and what came of it so far.
#[derive(Debug)]
pub(crate) struct Customer {
    /// `0001` and up.
    pub(crate) number: String,
    pub(crate) name: String,
    pub(crate) joins: Date,
    /// How far below zero the current account may go, in cents.
    pub(crate) credit_line: i64,
    pub(crate) saves: bool,
    pub(crate) collects_points: bool,
    /// Pays the monthly account fee.
    pub(crate) pays_fee: bool,
    pub(crate) employer: Option<usize>,
    /// Monthly salary, or monthly support where there is no employer, in cents.
    pub(crate) income: i64,
    /// Monthly rent in cents; zero for those who live in their own.
    pub(crate) rent: i64,
    pub(crate) landlord: usize,
    /// Monthly direct debits of insurers, utilities and the like, in cents.
    pub(crate) bills: i64,
    /// Monthly standing order to the savings account, in cents.
    pub(crate) standing_order: i64,

    pub(crate) current: Option<AccountId>,
    pub(crate) savings: Option<AccountId>,
    pub(crate) points: Option<AccountId>,
    /// Card payments since points were last given, in cents.
    pub(crate) spent: i64,
    /// Changes recorded of `customer/<number>`.
    pub(crate) changes: u64,
    pub(crate) preferences: Value,
}

/// Employers: the first half files payrolls and is large, the others pay one by one.
pub(crate) fn employers(customers: usize) -> Vec<Employer> {
    let large = customers.div_ceil(170).max(1);
    (0..large * 3)
        .map(|index| Employer { name: numbered(&EMPLOYERS, index), account: None, files_payroll: index < large })
        .collect()
}

/// The account codes of shops.
pub(crate) fn shops(count: usize) -> Vec<String> {
    (0..count).map(|index| format!("liabilities:merchants:{}", numbered(&SHOPS, index))).collect()
}

fn numbered(names: &[&str], index: usize) -> String {
    format!("{}-{}", names[index % names.len()], index / names.len() + 1)
}

/// Makes up the customer of an index. Four fifths are there from the first day, the others join during the year.
pub(crate) fn customer(
    rng: &mut ChaCha8Rng,
    index: usize,
    first_day: Date,
    employers: &[Employer],
    landlords: usize,
) -> Customer {
    let joins_later = rng.random_bool(0.2);
    let days_waited = if joins_later { rng.random_range(1..=330_i64) } else { 0 };
    let employer = rng.random_bool(0.85).then(|| employer_of(index, employers));
    let income =
        if employer.is_some() { rng.random_range(180_000..=450_000) } else { rng.random_range(60_000..=110_000) };
    let saves = rng.random_bool(0.4);
    Customer {
        number: format!("{:04}", index + 1),
        name: full_name(rng),
        joins: first_day.saturating_add(days_waited.days()),
        credit_line: if rng.random_bool(0.25) { 50_000 } else { 0 },
        saves,
        collects_points: rng.random_bool(0.1),
        pays_fee: rng.random_bool(0.7),
        employer,
        income,
        rent: if rng.random_bool(0.8) { income * rng.random_range(25..=35) / 100 } else { 0 },
        landlord: rng.random_range(0..landlords),
        bills: income * rng.random_range(45..=70) / 100,
        standing_order: if saves { income / 20 } else { 0 },
        current: None,
        savings: None,
        points: None,
        spent: 0,
        changes: 0,
        preferences: Value::Null,
    }
}

/// Two in three work for a large employer; dealt in turn, so that none outgrows a payroll file.
fn employer_of(index: usize, employers: &[Employer]) -> usize {
    let large = employers.iter().filter(|employer| employer.files_payroll).count();
    let small = employers.len() - large;
    if index % 3 == 2 { large + index / 3 % small } else { (index - index / 3) % large }
}

fn full_name(rng: &mut ChaCha8Rng) -> String {
    let given = GIVEN_NAMES[rng.random_range(0..GIVEN_NAMES.len())];
    let family = FAMILY_NAMES[rng.random_range(0..FAMILY_NAMES.len())];
    format!("{given} {family}")
}

/// A made-up address.
pub(crate) fn address(rng: &mut ChaCha8Rng) -> Value {
    serde_json::json!({
        "street": format!("{} {}", STREETS[rng.random_range(0..STREETS.len())], rng.random_range(1..=120)),
        "town": TOWNS[rng.random_range(0..TOWNS.len())],
    })
}
