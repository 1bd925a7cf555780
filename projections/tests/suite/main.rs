//! The tests of the read models, one file per hazard. They need `DATABASE_URL` and
//! `MONGODB_URI`: `make -s stack-env` prints them.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that cannot go on should say so and fail")]

mod broken;
mod conformance;
mod crash;
mod database;
mod faults;
mod following;
mod halts;
mod measuring;
mod models;
mod mongodb;
mod notes;
mod parked;
mod reading;
mod rebuild;
mod rows;
mod take_over;
mod verification;
mod whole_way;
mod write_forms;
