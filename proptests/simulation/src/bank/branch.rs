//! Processes that serve one ledger, each opened again when it dies.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use postfold::simulation::SharedLog;
use postfold::{Ledger, Settings};

use crate::world::{Process, World};

/// How long a process stays dead at most, in milliseconds.
const DEAD_MS_MAX: usize = 3_000;

/// A process that serves the ledger.
#[derive(Clone)]
pub(crate) struct Office {
    pub(crate) ledger: Ledger,
    pub(crate) process: Process,
}

/// All processes that serve the ledger. Clones are the same.
#[derive(Clone)]
pub(crate) struct Branches(Arc<Vec<Mutex<Option<Office>>>>);

impl Branches {
    /// Opens so many.
    pub(crate) fn open(world: &World, log: &SharedLog, count: usize) -> Self {
        let branches = Self(Arc::new((0..count).map(|_| Mutex::new(None)).collect()));
        for place in 0..count {
            tokio::spawn(branches.clone().keep_open(place, world.clone(), log.clone()));
        }
        branches
    }

    /// One that is open.
    pub(crate) async fn any(&self, world: &World) -> Office {
        loop {
            let office = self.0[world.below(self.0.len())].lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some(office) = office {
                return office;
            }
            world.sleep_ms(5).await;
        }
    }

    async fn keep_open(self, place: usize, world: World, log: SharedLog) {
        for life in 0.. {
            let process = Process::new(&world, format!("bank{place}.{life}"));
            let builder = Ledger::builder().settings(settings(&world)).clock(Arc::new(process.clone()));
            let ledger = log.open(builder, Arc::new(process.clone()));
            self.put(place, Some(Office { ledger, process: process.clone() }));
            process.died().await;
            self.put(place, None);
            world.sleep_ms(world.below(DEAD_MS_MAX)).await;
        }
    }

    fn put(&self, place: usize, office: Option<Office>) {
        *self.0[place].lock().unwrap_or_else(PoisonError::into_inner) = office;
    }
}

/// Bounds so small that everything happens in many steps, and caches forget.
fn settings(world: &World) -> Settings {
    Settings {
        queue_commands: world.one_of(&[1, 64]),
        batch_commands_max: world.one_of(&[1, 2, 50]),
        cached_accounts: world.one_of(&[1, 100]),
        cached_ids: world.one_of(&[1, 100]),
        cached_streams: world.one_of(&[1, 100]),
        cached_aggregates: 1,
        page_events: world.one_of(&[1, 3, 1_000]),
        catch_up_events_max: world.one_of(&[0, 3, 200]),
        attempts_max: world.one_of(&[2, 1_000]),
        overlap_from_events: world.one_of(&[1, 3, usize::MAX]),
        resolve_timeout: Duration::from_millis(world.one_of(&[100, 2_000, 30_000])),
        ..Settings::default()
    }
}
