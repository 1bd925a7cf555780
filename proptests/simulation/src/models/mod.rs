//! Several processes that share the projections of a ledger, rebuild them and verify them, all at once.

mod log;
mod oracle;
mod projections;
mod remote;

use std::sync::Arc;
use std::time::Duration;

use postfold::simulation::SharedLog;
use postfold_projections::{MemoryStore, Projector, RebuildError, RunError, Settings, VerifyError};
use tokio_util::sync::CancellationToken;

use crate::world::{Process, World};
use log::Source;
use oracle::Oracle;
use projections::{Cards, Sums, Trail};
use remote::{Remote, Server};

/// The models, by name.
const MODELS: [&str; 3] = ["sums", "cards", "trail"];
/// How long a process stays dead at most, in milliseconds.
const DEAD_MS_MAX: usize = 3_000;
/// How long a process works before it leaves in order, if it does, in milliseconds.
const WORK_MS_MAX: usize = 8_000;
/// How long a message that is late may still change something, and a process that stands still send one.
const LATE_WRITE_GRACE: Duration = Duration::from_secs(10);

/// Projectors at work on a ledger.
#[derive(Clone)]
pub(crate) struct Models {
    world: World,
    log: SharedLog,
    server: Server,
    settings: Settings,
}

impl Models {
    /// Starts projectors, and now and then a rebuild or a verification.
    pub(crate) fn open(world: &World, log: &SharedLog) -> Self {
        let store = MemoryStore::new();
        let server = Server { oracle: Oracle::new(world, log, &store), store, renames: Arc::default() };
        let models = Self { world: world.clone(), log: log.clone(), server, settings: settings(world) };
        for number in 0..=world.below(3) {
            tokio::spawn(models.clone().keep_running(number));
        }
        for number in 0..world.below(3) {
            tokio::spawn(models.clone().keep_rebuilding(number));
        }
        if world.percent(30) {
            tokio::spawn(models.clone().keep_verifying());
        }
        models
    }

    /// Lets everything catch up, and looks whether the models are what the log comes to.
    pub(crate) async fn settle(self) {
        let last = self.projector(&Process::charmed(&self.world, "last"));
        if let Err(error) = last.catch_up(CancellationToken::new()).await {
            self.world.violated(format!("a projector cannot catch up: {error}"));
        }
        // What was late has come by then, and was swept.
        tokio::time::sleep(3 * LATE_WRITE_GRACE).await;
        if let Err(error) = last.catch_up(CancellationToken::new()).await {
            self.world.violated(format!("a projector cannot catch up: {error}"));
        }
        for model in MODELS {
            self.server.oracle.settled(model);
            self.verified(model, last.verify(model, CancellationToken::new()).await);
        }
    }

    /// A projector that is started again when it dies, and now and then leaves in order.
    async fn keep_running(self, number: usize) {
        for life in 0.. {
            let process = Process::new(&self.world, format!("proj{number}.{life}"));
            let (projector, stop) = (self.projector(&process), CancellationToken::new());
            let leaves = self.world.percent(30).then(|| self.world.below(WORK_MS_MAX));
            let stopping = stop.clone();
            let mut running = tokio::spawn(async move { projector.run(stopping).await });
            let pause = async {
                match leaves {
                    Some(ms) => self.world.sleep_ms(ms).await,
                    None => std::future::pending().await,
                }
            };
            let mut ended = None;
            tokio::select! {
                biased;
                () = process.died() => {}
                done = &mut running => ended = Some(done),
                () = pause => {
                    process.note("is asked to stop");
                    stop.cancel();
                    tokio::select! {
                        biased;
                        () = process.died() => {}
                        done = &mut running => ended = Some(done),
                    }
                }
            }
            match ended {
                Some(Ok(Err(RunError::Halted(report)))) => {
                    self.world.violated(format!("{} halts: {}", process.name(), RunError::Halted(report)));
                    return;
                }
                Some(Ok(Err(error))) => self.world.violated(format!("{} ends: {error}", process.name())),
                Some(Err(panicked)) => self.world.violated(format!("{} panics: {panicked}", process.name())),
                Some(Ok(Ok(_))) | None => {}
            }
            self.world.sleep_ms(self.world.below(DEAD_MS_MAX)).await;
        }
    }

    async fn keep_rebuilding(self, number: usize) {
        for life in 0..3 {
            self.world.sleep_ms(self.world.below(WORK_MS_MAX)).await;
            let model = self.world.one_of(&MODELS);
            let process = Process::new(&self.world, format!("rebuild{number}.{life}"));
            process.note(format!("rebuilds {model}"));
            let projector = self.projector(&process);
            let running = tokio::spawn(async move { projector.rebuild(model, CancellationToken::new()).await });
            let done = tokio::select! {
                biased;
                () = process.died() => continue,
                done = running => done,
            };
            match done {
                Ok(Ok(report)) => process.note(format!("has rebuilt {model}, generation {}", report.generation)),
                Ok(Err(RebuildError::Superseded(_) | RebuildError::Gone(_) | RebuildError::Held(_))) => {
                    process.note("gave way");
                }
                Ok(Err(error)) => self.world.violated(format!("{} of {model} ends: {error}", process.name())),
                Err(panicked) => self.world.violated(format!("{} panics: {panicked}", process.name())),
            }
        }
    }

    async fn keep_verifying(self) {
        for life in 0..4 {
            self.world.sleep_ms(self.world.below(WORK_MS_MAX)).await;
            let model = self.world.one_of(&MODELS);
            let process = Process::new(&self.world, format!("verify.{life}"));
            let projector = self.projector(&process);
            tokio::select! {
                biased;
                () = process.died() => {}
                done = projector.verify(model, CancellationToken::new()) => self.verified(model, done),
            }
        }
    }

    fn verified(&self, model: &str, done: Result<postfold_projections::Verification, VerifyError>) {
        match done {
            Ok(found) if found.is_clean() => {}
            Ok(found) => self.world.violated(format!("verify of {model} finds {:?}", found.differences)),
            Err(VerifyError::NoModel(_)) => {}
            Err(error) => self.world.violated(format!("verify of {model} ends: {error}")),
        }
    }

    fn projector(&self, process: &Process) -> Projector {
        let log = Source::new(self.log.read(Arc::new(process.clone())), self.world.clone());
        let projector = Projector::new(log, Remote::new(self.server.clone(), process.clone()));
        let projector = projector.with(Sums).with(Cards).with_rows(Trail);
        projector.named(process.name()).settings(self.settings.clone())
    }
}

/// Bounds so small that everything happens in many steps.
fn settings(world: &World) -> Settings {
    Settings {
        batch_events_max: world.one_of(&[1, 3, 20]),
        batch_documents_max: world.one_of(&[1, 3, 100]),
        command_statements_max: world.one_of(&[1, 2, 100]),
        lanes: world.one_of(&[1, 2]),
        batches_ahead_max: world.one_of(&[1, 2, 3]),
        lease: Duration::from_secs(1),
        buckets: world.one_of(&[1, 1, 2, 3]),
        carry_events_max: world.one_of(&[1, 5, 1_000]),
        cache_documents_max: world.one_of(&[1, 3, 100]),
        poll_interval: Duration::from_millis(500),
        retry_delay_max: Duration::from_secs(1),
        // A server that refuses by chance is no reason to take a batch for the poison.
        equal_answers_max: 1_000,
        late_write_grace: LATE_WRITE_GRACE,
        switch_grace: Duration::from_secs(2),
        rebuild_bytes_max: world.one_of(&[600, 1 << 20]),
        verify_documents_max: world.one_of(&[2, 1_000]),
        ..Settings::default()
    }
}
