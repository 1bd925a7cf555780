//! Deterministic simulation of a ledger: the real engine and the real projector over simulated stores, networks,
//! clocks and processes, all from one seed.
//!
//! What is simulated begins below the traits of the stores. The drivers of PostgreSQL and MongoDB are not part of it:
//! real servers and real kills have tests of their own. So frameworks that replace the network under tokio (turmoil,
//! madsim) have nothing to replace here, and those that replace its locks (loom, shuttle) would need another tokio
//! under the product. The base is tokio's own single-threaded runtime with its clock paused: nothing runs but what is
//! ready, in the order in which it became so, and when nothing is, time jumps to the next timer. Every message takes
//! a time that the seed chooses, and that chooses who comes first.
//!
//! [`run`] is one run; the same seed gives the same run, step by step ([`Report::hash`]).

mod bank;
mod bug;
mod models;
mod world;

use std::time::Duration;

use postfold::simulation::SharedLog;

pub use bug::Bug;
pub use world::Coverage;
use world::World;

/// By its own clock, a run lasts no longer than this.
const RUN_MAX: Duration = Duration::from_mins(30);

/// What became of a run.
#[derive(Debug)]
pub struct Report {
    /// The seed that it came from.
    pub seed: u64,
    /// Which promises were broken, in words.
    pub violations: Vec<String>,
    /// Steps and faults.
    pub coverage: Coverage,
    /// A number that stands for everything that happened, in order.
    pub hash: u64,
    /// The last things that happened.
    pub history: Vec<String>,
}

/// Runs the simulation of one seed. `history`: so many lines of what happened are kept.
///
/// # Errors
///
/// When no runtime can be had.
pub fn run(seed: u64, bug: Option<Bug>, history: usize) -> std::io::Result<Report> {
    // The projector's waits before it tries again are drawn from this thread's generator.
    fastrand::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    let world = runtime.block_on(async {
        let world = World::new(seed, bug);
        if tokio::time::timeout(RUN_MAX, scenario(&world)).await.is_err() {
            world.violated("it never ends");
        }
        world
    });
    Ok(Report {
        seed,
        violations: world.violations(),
        coverage: world.coverage(),
        hash: world.hash(),
        history: world.history(history),
    })
}

async fn scenario(world: &World) {
    let log = SharedLog::new();
    let mut bank = bank::Bank::open(world, &log).await;
    let models = if world.percent(60) { Some(models::Models::open(world, &log)) } else { None };
    bank.close().await;
    world.heal();
    if let Some(models) = models {
        models.settle().await;
    }
    world.end();
    for violation in bank::judge(&log, &bank.journal).await {
        world.violated(violation);
    }
}
