//! The desk of a school: students pay into a wallet and enrol in courses with limited seats.
//!
//! What an embedder can copy from here:
//!
//! - [`course`]: the rules, as an aggregate. Pure, and tested without a database.
//! - [`desk`]: the application. An enrolment writes a row of the application's own, takes the fee and takes the
//!   seat in one transaction.
//! - [`http`]: the routes. Every refusal has a status and a word of its own, and every request can be repeated.

pub mod course;
pub mod desk;
pub mod http;
