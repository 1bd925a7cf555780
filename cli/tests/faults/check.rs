//! What must hold when all is quiet again.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::models::{Models, ensure_equal};
use crate::process::{Ledger, PATIENCE};

/// What was found.
pub(crate) struct Checked {
    /// Where the log ends.
    pub(crate) head: u64,
    /// How long it took to rebuild all models.
    pub(crate) rebuild: Duration,
}

/// The log is sound and holds what was acknowledged, every model is what the log says, and a rebuild gives
/// the same documents again.
pub(crate) fn check(ledger: &Ledger, acknowledged: u64) -> Result<Checked> {
    let head = head(ledger)?;
    ensure!(head >= acknowledged, "{acknowledged} was acknowledged, and the log ends at {head}");
    ledger.must(&["verify"])?;
    ledger.must(&["project", "verify"])?;
    let (models, names) = (Models::connect(ledger)?, names(ledger)?);
    let live = models.documents(&names)?;
    let began = Instant::now();
    ledger.must(&["project", "rebuild", "--all"])?;
    let rebuild = began.elapsed();
    ensure_equal(&live, &models.documents(&names)?)?;
    let carries = models.carries()?;
    let mut left = models.collections()?;
    left.retain(|name| name.contains("__") && !carries.contains(name));
    ensure!(left.is_empty(), "collections of former rebuilds are left: {left:?}");
    Ok(Checked { head, rebuild })
}

/// Waits until nothing is missing in any model; meanwhile, whoever folds is looked after.
pub(crate) fn wait_until_caught_up(ledger: &Ledger, mut tend: impl FnMut() -> Result<()>) -> Result<()> {
    let began = Instant::now();
    loop {
        tend()?;
        let lags = lags(ledger)?;
        if lags.values().all(|lag| *lag == 0) {
            return Ok(());
        }
        ensure!(began.elapsed() < PATIENCE, "the models do not catch up: {lags:?}");
        sleep(Duration::from_millis(100));
    }
}

/// Where the log ends.
pub(crate) fn head(ledger: &Ledger) -> Result<u64> {
    ledger.ask(&["head"])?["position"].as_u64().context("a position")
}

/// The read models.
pub(crate) fn names(ledger: &Ledger) -> Result<Vec<String>> {
    Ok(lags(ledger)?.into_keys().collect())
}

/// How far each model is behind the log.
pub(crate) fn lags(ledger: &Ledger) -> Result<BTreeMap<String, u64>> {
    let status = ledger.ask(&["project", "status"])?;
    let mut lags = BTreeMap::new();
    for model in status.as_array().context("an array")? {
        let name = model["name"].as_str().context("a name")?.to_owned();
        lags.insert(name, model["lag"].as_u64().context("a lag")?);
    }
    Ok(lags)
}
