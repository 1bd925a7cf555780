//! One cell of the table: a peer, a load, a way to post.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::driver::Driver;
use crate::peer::{ACCOUNTS, Held, Load, Peer, Place, Transfer, Way};
use crate::peers::Kind;
use crate::server::Probe;

/// Most connections of a pool. More of them than this only wait for two cores.
const CONNECTIONS_MAX: u32 = 32;
/// Connections beyond those of the workers: some peers keep one or two for themselves.
const CONNECTIONS_SPARE: u32 = 4;
/// The shortest time to warm up: connections, caches, prepared statements.
const WARM_UP_MIN: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Cell {
    pub(crate) kind: Kind,
    pub(crate) load: Load,
    #[serde(flatten)]
    pub(crate) way: Way,
}

/// What was seen of a cell.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// In which round, from 1 on.
    #[serde(default)]
    pub(crate) round: u32,
    #[serde(flatten)]
    pub(crate) cell: Cell,
    /// Transfers a second.
    pub(crate) rate: f64,
    /// Half of all calls took at most so long, those made again included.
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    /// Bytes that the database grew by, for each transfer.
    pub(crate) disk_bytes: f64,
    /// Bytes of write-ahead log of the whole server, for each transfer.
    pub(crate) wal_bytes: f64,
    /// Transfers that were acknowledged, those of the warm-up included.
    pub(crate) acknowledged: i64,
    /// Transfers of calls that were given up: they may be there or not.
    pub(crate) unknown: i64,
    /// What the tables gained meanwhile.
    pub(crate) gained: Held,
    /// Calls that failed, by what was said.
    pub(crate) errors: BTreeMap<String, u64>,
}

impl Seen {
    /// What is wrong with what is held, if anything.
    pub(crate) fn fault(&self) -> Option<String> {
        let Held { transfers, entries, sum_cents, wrong } = self.gained;
        let mut faults = Vec::new();
        if transfers < self.acknowledged {
            faults.push(format!("{} acknowledged transfers are not there", self.acknowledged - transfers));
        }
        if transfers > self.acknowledged + self.unknown {
            let more = transfers - self.acknowledged - self.unknown;
            faults.push(format!("{more} transfers are there that were not acknowledged"));
        }
        if entries != transfers && entries != transfers * 2 {
            faults.push(format!("{entries} entries of {transfers} transfers"));
        }
        if sum_cents != 0 {
            faults.push(format!("the balances add up to {sum_cents} cents, not to zero"));
        }
        if wrong != 0 {
            faults.push(format!("{wrong} decided without what came before"));
        }
        (!faults.is_empty()).then(|| faults.join("; "))
    }
}

/// Makes tables and accounts, and a transfer from each account to the one before it, so that every account has
/// a balance and statistics can be gathered. The first account pays nothing: its history begins with a load.
pub(crate) async fn prepare(kind: Kind, url: &str) -> anyhow::Result<()> {
    let way = kind.batches().first().copied().unwrap_or(Way::single(1));
    let place = Place { url: url.to_owned(), connections: connections(way), load: Load::Uniform, fresh: true };
    let peer = kind.open(&place).await?;
    let transfer = |from| Transfer { key: format!("prepared-{from:010}"), id: Uuid::now_v7(), from, to: from - 1 };
    let transfers: Vec<Transfer> = (1..ACCOUNTS).map(transfer).collect();
    for call in transfers.chunks(usize::try_from(way.batch)?) {
        peer.post(call).await?;
    }
    Ok(())
}

impl Cell {
    /// Warms up, posts for a time, and looks at what is held.
    pub(crate) async fn measure(self, url: &str, time: Duration) -> anyhow::Result<Seen> {
        let Self { kind, load, way } = self;
        let place = Place { url: url.to_owned(), connections: connections(way), load, fresh: false };
        let peer: Arc<dyn Peer> = Arc::from(kind.open(&place).await?);
        let driver = |name| Driver { peer: Arc::clone(&peer), load, way, name };
        let before = peer.held().await?;
        // One call alone first: what a peer reads once, it reads then.
        let alone = Driver { way: Way { workers: 1, ..way }, ..driver("first") };
        let mut warm_up = alone.run(WARM_UP_MIN, 1).await?;
        warm_up.add(&driver("warm").run((time / 3).max(WARM_UP_MIN), u64::MAX).await?)?;
        let mut probe = Probe::connect(url).await?;
        probe.analyze().await?;
        let start = probe.bytes().await?;
        let posted = driver("timed").run(time, u64::MAX).await?;
        let end = probe.bytes().await?;
        let after = peer.held().await?;

        let count = as_f64(posted.transfers);
        let mut errors = warm_up.errors;
        for (error, times) in posted.errors {
            *errors.entry(error).or_default() += times;
        }
        Ok(Seen {
            round: 0,
            cell: self,
            rate: count / posted.took.as_secs_f64(),
            p50_us: posted.latencies.value_at_quantile(0.5),
            p99_us: posted.latencies.value_at_quantile(0.99),
            disk_bytes: as_f64(end.disk.saturating_sub(start.disk)) / count.max(1.0),
            wal_bytes: as_f64(end.wal.saturating_sub(start.wal)) / count.max(1.0),
            acknowledged: i64::try_from(warm_up.transfers + posted.transfers)?,
            unknown: i64::try_from(warm_up.unknown + posted.unknown)?,
            gained: gained(before, after),
            errors,
        })
    }
}

fn connections(way: Way) -> u32 {
    (way.workers + CONNECTIONS_SPARE).min(CONNECTIONS_MAX)
}

/// Sums and faults are of all that is held, not only of what came.
const fn gained(before: Held, after: Held) -> Held {
    Held {
        transfers: after.transfers - before.transfers,
        entries: after.entries - before.entries,
        sum_cents: after.sum_cents,
        wrong: after.wrong,
    }
}

/// Counts and bytes of a run are far below what a double holds exactly.
fn as_f64(count: u64) -> f64 {
    const PART: u64 = 1 << 32;
    let part = |value: u64| f64::from(u32::try_from(value).unwrap_or(u32::MAX));
    part(count / PART) * 4_294_967_296.0 + part(count % PART)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(acknowledged: i64, unknown: i64, gained: Held) -> Seen {
        let cell = Cell { kind: Kind::Sql, load: Load::Hot, way: Way::single(8) };
        let errors = BTreeMap::new();
        let (p50_us, p99_us) = (1, 2);
        Seen {
            round: 1,
            cell,
            rate: 1.0,
            p50_us,
            p99_us,
            disk_bytes: 0.0,
            wal_bytes: 0.0,
            acknowledged,
            unknown,
            gained,
            errors,
        }
    }

    #[test]
    fn what_is_lost_or_more_than_acknowledged_is_a_fault() {
        let held = |transfers| Held { transfers, entries: transfers * 2, sum_cents: 0, wrong: 0 };
        assert_eq!(seen(10, 0, held(10)).fault(), None);
        assert_eq!(seen(10, 2, held(11)).fault(), None, "one that was given up may be there");
        assert!(seen(10, 0, held(9)).fault().is_some_and(|fault| fault.starts_with("1 acknowledged")));
        assert!(seen(10, 0, held(11)).fault().is_some_and(|fault| fault.starts_with("1 transfers are there")));
        assert!(seen(10, 0, Held { sum_cents: 5, ..held(10) }).fault().is_some());
        assert!(seen(10, 0, Held { entries: 19, ..held(10) }).fault().is_some());
        assert!(seen(10, 0, Held { wrong: 1, ..held(10) }).fault().is_some());
    }

    #[test]
    fn counts_beyond_four_bytes_stay_what_they_are() {
        assert!((as_f64(5_000_000_000) - 5_000_000_000.0).abs() < f64::EPSILON);
    }
}
