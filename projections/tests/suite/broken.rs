//! The conformance suite notices each way to break a rule.

use std::panic::AssertUnwindSafe;

use async_trait::async_trait;
use futures::FutureExt;
use postfold::Position;
use postfold_projections::{
    Bucket, Checkpoint, Collection, Drift, Guard, Index, Mark, Member, MemoryStore, Parked, Row, Store, StoreError,
    Written, conformance,
};

/// A rule that a store could break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    ReplaceTakesBack,
    ReplaceCrossesGenerations,
    ReplaceCountsWhatItDidNot,
    StraysOfAnyGenerationGiveWay,
    InsertOverwrites,
    InsertStopsAtTheFirstRefusal,
    ScanBeginsAtItsBound,
    ScanIgnoresItsEnd,
    FetchHidesTombstones,
    CountHidesTombstones,
    BuryTakesTheLiving,
    BuryTakesWhatIsBeyond,
    SweepTakesItsOwnGeneration,
    RenameMakesANewCollection,
    CreateTakesOtherOptions,
    DriftSeesNoOptions,
    ReindexDropsNothing,
    HeaderTakesBucketsAlong,
    HeaderIgnoresTheRevision,
    HeaderTakesNothingAway,
    CheckpointIgnoresTheEpoch,
    CheckpointLeavesTheBuckets,
    BucketMovesDuringASwitch,
    BucketOfAnyGeneration,
    BucketOfAnyDealing,
    BucketIgnoresTheRevision,
    BucketIgnoresTheEpoch,
    BucketTakesTheOthersAlong,
    OnlyTheFirstBeatCounts,
    LeavingTakesAll,
    OnlyTheFirstTryIsNoted,
    UnparkTakesEveryGeneration,
}

const ALL: [Broken; 32] = [
    Broken::ReplaceTakesBack,
    Broken::ReplaceCrossesGenerations,
    Broken::ReplaceCountsWhatItDidNot,
    Broken::StraysOfAnyGenerationGiveWay,
    Broken::InsertOverwrites,
    Broken::InsertStopsAtTheFirstRefusal,
    Broken::ScanBeginsAtItsBound,
    Broken::ScanIgnoresItsEnd,
    Broken::FetchHidesTombstones,
    Broken::CountHidesTombstones,
    Broken::BuryTakesTheLiving,
    Broken::BuryTakesWhatIsBeyond,
    Broken::SweepTakesItsOwnGeneration,
    Broken::RenameMakesANewCollection,
    Broken::CreateTakesOtherOptions,
    Broken::DriftSeesNoOptions,
    Broken::ReindexDropsNothing,
    Broken::HeaderTakesBucketsAlong,
    Broken::HeaderIgnoresTheRevision,
    Broken::HeaderTakesNothingAway,
    Broken::CheckpointIgnoresTheEpoch,
    Broken::CheckpointLeavesTheBuckets,
    Broken::BucketMovesDuringASwitch,
    Broken::BucketOfAnyGeneration,
    Broken::BucketOfAnyDealing,
    Broken::BucketIgnoresTheRevision,
    Broken::BucketIgnoresTheEpoch,
    Broken::BucketTakesTheOthersAlong,
    Broken::OnlyTheFirstBeatCounts,
    Broken::LeavingTakesAll,
    Broken::OnlyTheFirstTryIsNoted,
    Broken::UnparkTakesEveryGeneration,
];

#[tokio::test]
async fn the_suite_fails_on_every_store_that_breaks_a_rule() {
    conformance::all(&BrokenStore { inner: MemoryStore::new(), how: None }).await;
    let mut unnoticed = Vec::new();
    for how in ALL {
        let store = BrokenStore { inner: MemoryStore::new(), how: Some(how) };
        if AssertUnwindSafe(conformance::all(&store)).catch_unwind().await.is_ok() {
            unnoticed.push(how);
        }
    }
    assert_eq!(unnoticed, [], "the suite does not notice these");
}

/// The store in memory, but for one rule.
struct BrokenStore {
    inner: MemoryStore,
    how: Option<Broken>,
}

impl BrokenStore {
    fn is(&self, how: Broken) -> bool {
        self.how == Some(how)
    }

    /// Takes a document away, alive or not.
    async fn remove(&self, collection: &str, row: &Row) -> Result<(), StoreError> {
        let dead = Row { state: None, position: LAST, ..row.clone() };
        self.inner.replace(collection, Guard::Behind, &[&dead]).await?;
        self.inner.bury(collection, &[&row.id], row.generation, LAST).await.map(drop)
    }

    /// Puts each row in the place of what is stored, where that is as asked.
    async fn overwrite(
        &self,
        collection: &str,
        rows: &[&Row],
        open: impl Fn(&Row, &Row) -> bool + Send + Sync,
    ) -> Result<Written, StoreError> {
        let mut written = Written::default();
        for &row in rows {
            let stored = self.inner.fetch(collection, &[&row.id]).await?;
            let Some(stored) = stored.first().filter(|stored| open(stored, row)) else { continue };
            self.remove(collection, stored).await?;
            written.done += self.inner.insert(collection, &[row]).await?.done;
        }
        Ok(written)
    }

    async fn rename_by_copying(&self, from: &str, to: &str) -> Result<(), StoreError> {
        let rows = self.inner.scan(from, None, None, usize::MAX).await?;
        self.inner.drop_collection(to).await?;
        self.inner.insert(to, &rows.iter().collect::<Vec<_>>()).await?;
        self.inner.drop_collection(from).await
    }
}

const LAST: Position = Position::new(i64::MAX);

#[async_trait]
impl Store for BrokenStore {
    async fn ping(&self) -> Result<(), StoreError> {
        self.inner.ping().await
    }

    async fn probe(&self, projection: &str) -> Result<(), StoreError> {
        self.inner.probe(projection).await
    }

    async fn fetch(&self, collection: &str, ids: &[&str]) -> Result<Vec<Row>, StoreError> {
        let mut rows = self.inner.fetch(collection, ids).await?;
        rows.retain(|row| !self.is(Broken::FetchHidesTombstones) || row.state.is_some());
        Ok(rows)
    }

    async fn marks(&self, collection: &str, ids: &[&str]) -> Result<Vec<Mark>, StoreError> {
        self.inner.marks(collection, ids).await
    }

    async fn scan(
        &self,
        collection: &str,
        after: Option<&str>,
        through: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let through = through.filter(|_| !self.is(Broken::ScanIgnoresItsEnd));
        let mut rows = Vec::new();
        if let (Some(after), true) = (after, self.is(Broken::ScanBeginsAtItsBound)) {
            rows = self.inner.fetch(collection, &[after]).await?;
        }
        rows.extend(self.inner.scan(collection, after, through, limit).await?);
        rows.truncate(limit);
        Ok(rows)
    }

    async fn count(&self, collection: &str) -> Result<u64, StoreError> {
        let rows = self.inner.scan(collection, None, None, usize::MAX).await?;
        let counted = rows.iter().filter(|row| !self.is(Broken::CountHidesTombstones) || row.state.is_some());
        Ok(u64::try_from(counted.count()).unwrap())
    }

    async fn replace(&self, collection: &str, guard: Guard, rows: &[&Row]) -> Result<Written, StoreError> {
        match (self.how, guard) {
            (Some(Broken::ReplaceTakesBack), Guard::Behind) => {
                self.overwrite(collection, rows, |stored, row| stored.generation == row.generation).await
            }
            (Some(Broken::ReplaceCrossesGenerations), Guard::Behind) => {
                self.overwrite(collection, rows, |stored, row| stored.position < row.position).await
            }
            (Some(Broken::StraysOfAnyGenerationGiveWay), Guard::OlderGeneration) => {
                self.overwrite(collection, rows, |_, _| true).await
            }
            (Some(Broken::ReplaceCountsWhatItDidNot), _) => {
                let written = self.inner.replace(collection, guard, rows).await?;
                Ok(Written { done: rows.len(), ..written })
            }
            _ => self.inner.replace(collection, guard, rows).await,
        }
    }

    async fn insert(&self, collection: &str, rows: &[&Row]) -> Result<Written, StoreError> {
        if self.is(Broken::InsertOverwrites) {
            self.overwrite(collection, rows, |_, _| true).await?;
        }
        let written = self.inner.insert(collection, rows).await?;
        match written.refused.first() {
            Some(refused) if self.is(Broken::InsertStopsAtTheFirstRefusal) => {
                for row in rows.iter().skip(refused.index + 1) {
                    self.remove(collection, row).await?;
                }
                Ok(written)
            }
            _ => Ok(written),
        }
    }

    async fn bury(
        &self,
        collection: &str,
        ids: &[&str],
        generation: i64,
        through: Position,
    ) -> Result<u64, StoreError> {
        if self.is(Broken::BuryTakesTheLiving) {
            for row in self.inner.fetch(collection, ids).await? {
                if row.generation == generation && row.position <= through {
                    self.remove(collection, &row).await?;
                }
            }
        }
        let through = if self.is(Broken::BuryTakesWhatIsBeyond) { LAST } else { through };
        self.inner.bury(collection, ids, generation, through).await
    }

    async fn sweep(&self, collection: &str, generation: i64, through: Position) -> Result<u64, StoreError> {
        let more = i64::from(self.is(Broken::SweepTakesItsOwnGeneration));
        self.inner.sweep(collection, generation + more, through).await
    }

    async fn collections(&self) -> Result<Vec<Collection>, StoreError> {
        self.inner.collections().await
    }

    async fn create(&self, collection: &str, indexes: &[Index]) -> Result<(), StoreError> {
        let created = self.inner.create(collection, indexes).await;
        if self.is(Broken::CreateTakesOtherOptions) { Ok(()) } else { created }
    }

    async fn drift(&self, collection: &str, indexes: &[Index]) -> Result<Vec<Drift>, StoreError> {
        let mut drift = self.inner.drift(collection, indexes).await?;
        drift.retain(|drift| !self.is(Broken::DriftSeesNoOptions) || !matches!(drift, Drift::Different(_)));
        Ok(drift)
    }

    async fn reindex(&self, collection: &str, indexes: &[Index]) -> Result<(), StoreError> {
        if self.is(Broken::ReindexDropsNothing) {
            for index in indexes {
                drop(self.inner.create(collection, std::slice::from_ref(index)).await);
            }
            return Ok(());
        }
        self.inner.reindex(collection, indexes).await
    }

    async fn rename(&self, from: &str, to: &str) -> Result<(), StoreError> {
        let there = self.inner.collections().await?.iter().any(|collection| collection.name == from);
        if there && self.is(Broken::RenameMakesANewCollection) {
            return self.rename_by_copying(from, to).await;
        }
        self.inner.rename(from, to).await
    }

    async fn drop_collection(&self, collection: &str) -> Result<(), StoreError> {
        self.inner.drop_collection(collection).await
    }

    async fn checkpoints(&self) -> Result<Vec<Checkpoint>, StoreError> {
        self.inner.checkpoints().await
    }

    async fn checkpoint(&self, projection: &str) -> Result<Option<Checkpoint>, StoreError> {
        self.inner.checkpoint(projection).await
    }

    async fn create_checkpoint(&self, checkpoint: &Checkpoint) -> Result<bool, StoreError> {
        self.inner.create_checkpoint(checkpoint).await
    }

    async fn swap_header(&self, old: &Checkpoint, new: &Checkpoint) -> Result<bool, StoreError> {
        match (self.how, self.inner.checkpoint(&old.name).await?) {
            (Some(Broken::HeaderTakesBucketsAlong), _) => self.inner.swap_checkpoint(old, new).await,
            (Some(Broken::HeaderIgnoresTheRevision), Some(found)) => {
                let old = Checkpoint { revision: found.revision, ..old.clone() };
                self.inner.swap_header(&old, new).await
            }
            (Some(Broken::HeaderTakesNothingAway), Some(found)) => {
                let new = Checkpoint { paused: new.paused.clone().or(found.paused), ..new.clone() };
                self.inner.swap_header(old, &new).await
            }
            _ => self.inner.swap_header(old, new).await,
        }
    }

    async fn swap_checkpoint(&self, old: &Checkpoint, new: &Checkpoint) -> Result<bool, StoreError> {
        match (self.how, self.inner.checkpoint(&old.name).await?) {
            (Some(Broken::CheckpointIgnoresTheEpoch), Some(found)) => {
                let old = Checkpoint { epoch: found.epoch, ..old.clone() };
                self.inner.swap_checkpoint(&old, new).await
            }
            (Some(Broken::CheckpointLeavesTheBuckets), _) => self.inner.swap_header(old, new).await,
            _ => self.inner.swap_checkpoint(old, new).await,
        }
    }

    async fn swap_bucket(&self, of: &Checkpoint, index: usize, new: &Bucket) -> Result<bool, StoreError> {
        let Some(found) = self.inner.checkpoint(&of.name).await? else { return Ok(false) };
        let (Some(there), Some(old)) = (found.buckets.get(index), of.buckets.get(index)) else { return Ok(false) };
        let same = (found.switching.is_none() || self.is(Broken::BucketMovesDuringASwitch))
            && (found.generation == of.generation || self.is(Broken::BucketOfAnyGeneration))
            && (found.buckets.len() == of.buckets.len() || self.is(Broken::BucketOfAnyDealing))
            && (there.revision == old.revision || self.is(Broken::BucketIgnoresTheRevision))
            && (there.epoch == old.epoch || self.is(Broken::BucketIgnoresTheEpoch));
        if !same {
            return Ok(false);
        }
        let mut moved = found.clone();
        if self.is(Broken::BucketTakesTheOthersAlong) {
            moved.buckets.clone_from(&of.buckets);
        }
        moved.buckets[index] = new.clone();
        self.inner.swap_checkpoint(&found, &moved).await
    }

    async fn members(&self) -> Result<Vec<Member>, StoreError> {
        self.inner.members().await
    }

    async fn beat(&self, member: &Member) -> Result<(), StoreError> {
        let known = self.inner.members().await?.iter().any(|known| known.id == member.id);
        if known && self.is(Broken::OnlyTheFirstBeatCounts) { Ok(()) } else { self.inner.beat(member).await }
    }

    async fn leave(&self, member: &str) -> Result<(), StoreError> {
        if self.is(Broken::LeavingTakesAll) {
            for member in self.inner.members().await? {
                self.inner.leave(&member.id).await?;
            }
        }
        self.inner.leave(member).await
    }

    async fn parked(&self, projection: &str) -> Result<Vec<Parked>, StoreError> {
        self.inner.parked(projection).await
    }

    async fn park(&self, parked: &Parked) -> Result<(), StoreError> {
        let before = self.inner.parked(&parked.projection).await?;
        let known = before.iter().any(|before| (before.generation, &before.key) == (parked.generation, &parked.key));
        if known && self.is(Broken::OnlyTheFirstTryIsNoted) { Ok(()) } else { self.inner.park(parked).await }
    }

    async fn unpark(&self, projection: &str, generation: i64, key: &str) -> Result<(), StoreError> {
        if self.is(Broken::UnparkTakesEveryGeneration) {
            for parked in self.inner.parked(projection).await? {
                if parked.key == key {
                    self.inner.unpark(projection, parked.generation, key).await?;
                }
            }
        }
        self.inner.unpark(projection, generation, key).await
    }
}
