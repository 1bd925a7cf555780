//! The public PKDD'99 (Berka) bank data, posted into a ledger and reconciled with the bank's own column.
//!
//! Every row of `trans.asc` becomes one balanced entry on its date. The file carries the bank's running
//! balance after each row, so there is something independent to agree with: account by account, row by row,
//! and where the two do not agree, the reason is computed from the file and listed.
//!
//! # Mapping
//!
//! A customer's account is a debt of the bank: `customers:<account_id>`, CZK, liability. `PRIJEM` credits it,
//! `VYDAJ` and `VYBER` debit it. The other leg is chosen by type, operation and `k_symbol`, `<bank>` being the
//! two letters of the partner's bank; this is [`mapping::MAPPINGS`], and a test keeps the two the same:
//!
//! | type | operation | `k_symbol` | counter-account | account type |
//! |---|---|---|---|---|
//! | PRIJEM | VKLAD | | `cash:counter` | asset |
//! | PRIJEM | PREVOD Z UCTU | | `clearing:<bank>:transfers` | asset |
//! | PRIJEM | PREVOD Z UCTU | DUCHOD | `clearing:<bank>:pensions` | asset |
//! | PRIJEM | | UROK | `expenses:interest` | expense |
//! | VYBER | VYBER | | `cash:counter` | asset |
//! | VYDAJ | VYBER | | `cash:counter` | asset |
//! | VYDAJ | VYBER | SIPO | `cash:household` | asset |
//! | VYDAJ | VYBER KARTOU | | `cash:cards` | asset |
//! | VYDAJ | VYBER | SLUZBY | `income:statement-fees` | income |
//! | VYDAJ | VYBER | SANKC. UROK | `income:penalty-interest` | income |
//! | VYDAJ | PREVOD NA UCET | | `clearing:<bank>:transfers` | asset |
//! | VYDAJ | PREVOD NA UCET | SIPO | `clearing:<bank>:household` | asset |
//! | VYDAJ | PREVOD NA UCET | POJISTNE | `clearing:<bank>:insurance` | asset |
//! | VYDAJ | PREVOD NA UCET | UVER | `clearing:<bank>:loan-payments` | asset |
//!
//! Another combination is not guessed at: the row is reported and not posted. A `k_symbol` of one space, which
//! the file has beside the empty one, means none. Customers have no floor, for some of them are overdrawn.
//! Clearing accounts hold what other banks owe for what came in, less what went out; either sign is fine.
//!
//! # Code map, in the order in which data flows
//!
//! [`source`] (files to lines) · [`row`] (a line to a row) · [`bank`] (all rows, and what is wrong with lines) ·
//! [`mapping`] (counter-accounts) · [`post`] (rows to commands to the ledger) · [`order`] (rows within a day) ·
//! [`replay`] (an account against the bank's column) · [`cause`] (why they differ) · [`audit`] (the ledger against
//! the replay) · [`report`] (the findings) · [`mod@print`] (for people) · [`run`] (all of it).

pub mod audit;
pub mod bank;
pub mod cause;
pub mod mapping;
pub mod order;
pub mod post;
pub mod print;
pub mod replay;
pub mod report;
pub mod row;
pub mod run;
pub mod source;
#[cfg(test)]
mod testing;

/// The currency of the data set: the Czech koruna, two decimals.
pub const CURRENCY: &str = "CZK";
