//! `dashboards`: what moved by day and month, by currency and type, by owner, by account.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use postfold::event::AccountOpened;
use postfold::{AccountType, Side};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::add;
use crate::checkpoint::bucket_of;
use crate::event::{Move, ReadEvent};
use crate::projection::{Change, FoldError, Index, Keys, OnPoison, Projection};

/// Documents among which a total is dealt by account, so that no single one is written with every event.
pub const PARTIALS: u8 = 8;

/// Sums by period: the collection `dashboards`.
///
/// ```json
/// { "_id": "total|day|2026-11-21|EUR|liability|3", "kind": "total", "period": "day",
///   "from": ISODate("2026-11-21T00:00:00Z"), "currency": "EUR", "type": "liability", "partial": 3,
///   "entries": 12, "legs": 14, "inflow": Decimal128("80.00"), "outflow": Decimal128("12.50"),
///   "volume": Decimal128("92.50"), "pending_in": Decimal128("0.00"), "pending_out": Decimal128("5.00"),
///   "g": 1, "p": 812 }
/// ```
///
/// There are three kinds:
///
/// | kind | one document per | period |
/// |---|---|---|
/// | `total` | period, currency, type of account, partial | day, month |
/// | `owner` | period, currency, type of account, partial, owner | month |
/// | `account` | period, currency, account | month |
///
/// Periods are UTC days and months of the effective time. Totals and owners are dealt among
/// [`PARTIALS`] documents by account, and added up on read; a reader need not know how many there are. An
/// entry of two legs touches at most eight documents, most of which it shares with other events of its batch.
///
/// Since `inflow` less `outflow` is what balances on their normal side changed by, the documents of one kind
/// and period, added up over all times, are the posted balances; likewise for what is pending. Refusals are
/// not in the log, and so not here; a reversal is an entry like any other.
#[derive(Clone, Copy, Debug)]
pub struct Dashboards;

/// A document of [`Dashboards`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dashboard {
    /// What it is of.
    pub kind: DashboardKind,
    /// How long the period is.
    pub period: Period,
    /// When the period begins.
    #[serde(with = "crate::money::date")]
    pub from: Timestamp,
    /// The currency of its amounts.
    pub currency: Arc<str>,
    /// The type of the accounts.
    #[serde(rename = "type")]
    pub account_type: AccountType,
    /// Which part of the whole it is; absent where there is only one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub partial: Option<i32>,
    /// Whom the accounts belong to; absent in totals.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub owner: Option<Arc<str>>,
    /// The account's code, in a document of one account.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub account: Option<Arc<str>>,
    /// Entries that posted to such accounts, each counted once.
    pub entries: i64,
    /// Legs posted.
    pub legs: i64,
    /// What was posted on the normal side of the accounts.
    #[serde(with = "crate::money::decimal")]
    pub inflow: Decimal,
    /// What was posted on the other side.
    #[serde(with = "crate::money::decimal")]
    pub outflow: Decimal,
    /// Both together.
    #[serde(with = "crate::money::decimal")]
    pub volume: Decimal,
    /// By how much what holds will bring has changed: placed less settled, voided and expired.
    #[serde(with = "crate::money::decimal")]
    pub pending_in: Decimal,
    /// By how much what holds will take has changed.
    #[serde(with = "crate::money::decimal")]
    pub pending_out: Decimal,
}

/// What a [`Dashboard`] is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DashboardKind {
    /// All accounts of a type.
    Total,
    /// An owner's accounts of a type.
    Owner,
    /// One account.
    Account,
}

/// How long a period is; it begins at midnight, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Period {
    /// One day.
    Day,
    /// From the first of a month on.
    Month,
}

impl Projection for Dashboards {
    type Document = Dashboard;
    const NAME: &'static str = "dashboards";
    const VERSION: u32 = 1;
    const ON_POISON: OnPoison = OnPoison::Park;
    const READS_ACCOUNTS: bool = true;

    fn indexes() -> Vec<Index> {
        let of = |kind: &str| bson::doc! { "kind": kind };
        vec![
            Index::ascending(["currency", "from"]).then_descending("volume").only(of("account")),
            Index::ascending(["owner", "from"]).only(of("owner")),
        ]
    }

    fn keys(event: &ReadEvent) -> Result<Keys, FoldError> {
        let mut keys = Vec::new();
        let date = date_of(event);
        for leg in 0..event.payload()?.movements().count() {
            let opened = event.account_of(leg)?;
            for (kind, period) in documents(opened) {
                keys.push(Self::key(kind, period, date, opened));
            }
        }
        Ok(keys.into_iter().collect())
    }

    fn fold(document: Option<&Dashboard>, key: &str, event: &ReadEvent) -> Result<Change<Dashboard>, FoldError> {
        let scope = Scope::of(key)?;
        let mut after = document.cloned();
        let mut counted = false;
        for moved in scope.moves(event)? {
            let opened = event.account_of(moved.leg)?;
            if !scope.covers(opened) {
                continue;
            }
            // The first leg counts its entry, in whichever partial it is.
            let counts = !counted && !moved.posted.is_zero();
            counted = counted || counts;
            if scope.has(opened) {
                let document = after.get_or_insert_with(|| scope.empty(opened, event));
                document.entries = document.entries.saturating_add(i64::from(counts));
                document.moved(&moved, opened.normal)?;
            }
        }
        Ok(after.map_or(Change::Keep, Change::Put))
    }
}

impl Dashboards {
    /// The key of the document of this kind and period in which an account's movements of a date are counted.
    ///
    /// `kind|period|from|currency|type|`, then the partial of a total, the partial and the owner, or the
    /// account's code: so a span of time is a range of keys.
    pub fn key(kind: DashboardKind, period: Period, date: Date, opened: &AccountOpened) -> String {
        let (kind_word, last) = match kind {
            DashboardKind::Total => ("total", partial(&opened.account).to_string()),
            DashboardKind::Owner => {
                ("owner", format!("{}|{}", partial(&opened.account), opened.owner.as_deref().unwrap_or_default()))
            }
            DashboardKind::Account => ("account", opened.account.clone()),
        };
        let (year, month) = (date.year(), date.month());
        let period = match period {
            Period::Day => format!("day|{year:04}-{month:02}-{:02}", date.day()),
            Period::Month => format!("month|{year:04}-{month:02}"),
        };
        [kind_word, "|", &period, "|", &opened.currency, "|", opened.account_type.as_str(), "|", &last].concat()
    }
}

impl Dashboard {
    fn moved(&mut self, moved: &Move, normal: Side) -> Result<(), FoldError> {
        if !moved.posted.is_zero() {
            self.legs = self.legs.saturating_add(1);
            self.volume = add(self.volume, moved.posted)?;
        }
        if moved.side == normal {
            self.inflow = add(self.inflow, moved.posted)?;
            self.pending_in = add(self.pending_in, moved.pending)?;
        } else {
            self.outflow = add(self.outflow, moved.posted)?;
            self.pending_out = add(self.pending_out, moved.pending)?;
        }
        Ok(())
    }
}

/// The documents in which an account's movements are counted.
fn documents(opened: &AccountOpened) -> impl Iterator<Item = (DashboardKind, Period)> {
    let owner = opened.owner.as_ref().map(|_| (DashboardKind::Owner, Period::Month));
    let all = [
        (DashboardKind::Total, Period::Day),
        (DashboardKind::Total, Period::Month),
        (DashboardKind::Account, Period::Month),
    ];
    all.into_iter().chain(owner)
}

fn date_of(event: &ReadEvent) -> Date {
    TimeZone::UTC.to_datetime(event.effective_at).date()
}

fn partial(account: &str) -> u8 {
    u8::try_from(bucket_of(account, usize::from(PARTIALS))).unwrap_or_default()
}

/// What a key says.
struct Scope<'a> {
    kind: DashboardKind,
    period: Period,
    currency: &'a str,
    account_type: &'a str,
    partial: Option<u8>,
    /// The owner or the account's code.
    name: &'a str,
}

impl<'a> Scope<'a> {
    fn of(key: &'a str) -> Result<Self, FoldError> {
        let wrong = || FoldError::new(format!("{key:?} is not a key of dashboards"));
        let mut parts = key.splitn(6, '|');
        let mut part = || parts.next().ok_or_else(wrong);
        let (kind, period, _from, currency, account_type, last) =
            (part()?, part()?, part()?, part()?, part()?, part()?);
        let (kind, partial, name) = match kind {
            "total" => (DashboardKind::Total, Some(last), ""),
            "owner" => {
                let (partial, owner) = last.split_once('|').ok_or_else(wrong)?;
                (DashboardKind::Owner, Some(partial), owner)
            }
            _ => (DashboardKind::Account, None, last),
        };
        let partial = partial.map(|partial| partial.parse().map_err(|_| wrong())).transpose()?;
        let period = if period == "day" { Period::Day } else { Period::Month };
        Ok(Self { kind, period, currency, account_type, partial, name })
    }

    /// The legs that may count: those of one account, or all.
    fn moves<'b>(&'b self, event: &'b ReadEvent) -> Result<impl Iterator<Item = Move> + use<'a, 'b>, FoldError> {
        let one = self.kind == DashboardKind::Account;
        let of_one = one.then(|| event.moves_of(self.name, self.currency)).transpose()?;
        let of_all = (!one).then(|| event.moves()).transpose()?;
        Ok(of_one.into_iter().flatten().chain(of_all.into_iter().flatten()))
    }

    /// Whether the account is of this kind, in whichever partial.
    fn covers(&self, opened: &AccountOpened) -> bool {
        let named = match self.kind {
            DashboardKind::Total => true,
            DashboardKind::Owner => opened.owner.as_deref() == Some(self.name),
            DashboardKind::Account => opened.account == self.name,
        };
        named && opened.currency == self.currency && opened.account_type.as_str() == self.account_type
    }

    /// Whether the account is in this partial.
    fn has(&self, opened: &AccountOpened) -> bool {
        self.partial.is_none_or(|number| number == partial(&opened.account))
    }

    fn empty(&self, opened: &AccountOpened, event: &ReadEvent) -> Dashboard {
        let date = date_of(event);
        let first = if self.period == Period::Day { date } else { date.first_of_month() };
        let zero = Decimal::new(0, u32::from(opened.scale));
        Dashboard {
            kind: self.kind,
            period: self.period,
            from: TimeZone::UTC.to_timestamp(first.into()).unwrap_or(event.effective_at),
            currency: self.currency.into(),
            account_type: opened.account_type,
            partial: self.partial.map(i32::from),
            owner: opened.owner.as_deref().filter(|_| self.kind != DashboardKind::Total).map(Into::into),
            account: (self.kind == DashboardKind::Account).then(|| self.name.into()),
            entries: 0,
            legs: 0,
            inflow: zero,
            outflow: zero,
            volume: zero,
            pending_in: zero,
            pending_out: zero,
        }
    }
}
