//! Answers from the log itself.

use std::sync::Arc;

use rust_decimal::Decimal;
use serde::Serialize;

use crate::account::{AccountType, Side};
use crate::position::Position;

/// What an account holds, on its normal side, at its currency's scale.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Balance {
    /// The account's code.
    pub account: Arc<str>,
    /// Its currency.
    pub currency: Arc<str>,
    /// Its type.
    #[serde(rename = "type")]
    pub account_type: AccountType,
    /// The side on which it grows.
    pub normal: Side,
    /// What is posted.
    pub posted: Decimal,
    /// What holds will bring.
    pub pending_in: Decimal,
    /// What holds reserve.
    pub pending_out: Decimal,
    /// What may still leave: posted less `pending_out`.
    pub available: Decimal,
    /// The position of the log that this is as of.
    pub position: Position,
}
