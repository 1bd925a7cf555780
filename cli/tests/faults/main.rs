//! Writers and projections under faults: the binary and real servers, killed at random moments.
//!
//! `FAULT_ROUNDS` sets how many rounds there are, `FAULT_SEED` the seed of the first. What a failed run was
//! and what each process said stays in the directory that the failure names.

mod check;
mod commands;
mod database;
mod journal;
mod load;
mod models;
mod process;
mod projectors;
mod proxy;
mod readers;
mod rounds;
mod scenarios;
mod stack;
mod writers;

use std::fmt::Display;

use anyhow::{Context, Result};

use journal::Journal;
use stack::Stack;

/// Rounds where nobody asks for more.
const ROUNDS: u64 = 3;

#[test]
fn whatever_is_killed_the_models_are_the_fold_of_the_log() -> Result<()> {
    in_rounds("rounds", rounds::run)
}

#[test]
fn whatever_befalls_writers_nothing_acknowledged_is_lost_and_nothing_is_there_twice() -> Result<()> {
    in_rounds("writers", writers::run)
}

#[test]
fn a_projector_that_was_suspended_changes_nothing_beside_the_one_that_took_over() -> Result<()> {
    witnessed("stale-owner", scenarios::stale_owner)
}

#[test]
fn a_log_from_an_older_backup_is_not_folded_into_models_that_know_more() -> Result<()> {
    witnessed("older-backup", scenarios::older_backup)
}

#[test]
fn the_ghost_of_a_collection_does_not_take_the_place_of_the_good_one() -> Result<()> {
    witnessed("ghost", scenarios::ghost)
}

#[test]
fn mongodb_may_be_away_while_commands_are_answered() -> Result<()> {
    witnessed("away", scenarios::away)
}

fn in_rounds<S: Display>(name: &str, run: impl FnOnce(&Stack, &Journal, u64, u64) -> Result<S>) -> Result<()> {
    let seed = number("FAULT_SEED")?.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    let rounds = number("FAULT_ROUNDS")?.unwrap_or(ROUNDS);
    witnessed(&format!("{name}-{seed}"), |stack, journal| {
        eprintln!("{rounds} rounds from FAULT_SEED={seed} on");
        eprintln!("{}", run(stack, journal, seed, rounds)?);
        Ok(())
    })
}

/// Runs a scenario on servers of its own, and keeps what was seen if it fails.
fn witnessed(name: &str, scenario: impl FnOnce(&Stack, &Journal) -> Result<()>) -> Result<()> {
    let journal = Journal::new(name)?;
    let done = Stack::up(&journal).and_then(|stack| scenario(&stack, &journal));
    match done {
        Ok(()) => journal.forget(),
        Err(error) => {
            journal.note(format_args!("failed: {error:?}"));
            Err(error.context(format!("{name}: what was seen is in {}", journal.directory().display())))
        }
    }
}

fn number(variable: &str) -> Result<Option<u64>> {
    let Ok(text) = std::env::var(variable) else { return Ok(None) };
    text.parse().map(Some).with_context(|| format!("{variable} is no number: {text:?}"))
}
