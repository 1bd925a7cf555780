//! The switch of generations: the new collection takes the stable name, in one step for readers.
//!
//! | step | who dies after it leaves |
//! |---|---|
//! | (a) mark: `switching: {to, uuid}` by compare-and-set, with a new epoch | the mark: whoever finds it drops what is not renamed, and the old model stays |
//! | wait until every owner of a bucket has put its pen down, has left, or is dead; then fold up to the head of the log | the same |
//! | (b) rename the collection of that UUID, by way of a name of its own, over the stable one | the mark: whoever finds it ends the switch |
//! | (c) sweep documents of earlier generations | the same |
//! | (d) clear the mark, by compare-and-set | nothing to do |
//!
//! MongoDB answers every query from before or from after the rename. DocumentDB may answer nothing at all to
//! a query that meets the rename itself (once in some hundred renames under constant reading), for some tens of
//! milliseconds. The readers of this crate ask again while a switch is under way.
//!
//! Between (a) and (d) no projector moves the checkpoint. One that works hears of the mark when it wants to move
//! it, one that has nothing to do when it looks next, three times a lease. What it had written until then is not
//! ahead of the log, so the new documents are nowhere behind those that readers have seen.
//!
//! Collections are told apart by UUID, which a rename does not change: a name alone could be that of a ghost, a new
//! collection that a late insert made under the name of the one that was renamed. A rename knows names only, and may
//! come late itself, when its answer was lost: so the stable name is given from a name that nothing is inserted under,
//! and to which one rename was ever sent. Once it is done, nothing brings that name back.
//!
//! One at a time has the switch in hand, by the mark's `turn`, and writes the mark anew right before each rename. Others
//! take it over only when the mark has stood still for a while, and drop what was built. DocumentDB carries out a rename
//! over another collection while its source is dropped by dropping both, so the two must not meet.

use std::time::Duration;

use postfold::{Hash, Position};

use crate::checkpoint::{Attempt, Bucket, Checkpoint, Switching};
use crate::halt::Stop;
use crate::metrics;
use crate::patience::{Context, Patience};
use crate::projector::share::{Holder, Roll};
use crate::store::{Collection, StoreErrorKind};

/// How often a projector looks whether a switch that somebody else began is over.
const SETTLE_POLL: Duration = Duration::from_millis(50);

/// (a): marks the switch. `None` when another rebuild began later: this one must not switch any more.
pub(super) async fn begin(context: &Context, mark: &Switching) -> Result<Option<Checkpoint>, Stop> {
    loop {
        let Some(found) = context.checkpoint().await? else { return Ok(None) };
        if found.rebuild.as_ref() != Some(&mark.to) {
            return Ok(None);
        }
        if found.switching.is_some() {
            // Our own mark: the answer to the write was lost.
            return Ok(Some(found));
        }
        let mut marked = found.next();
        marked.epoch = found.epoch.saturating_add(1);
        marked.switching = Some(mark.clone());
        if swap_header(context, &found, &marked).await? {
            // How far the buckets are, now that they stand still.
            return context.checkpoint().await;
        }
    }
}

/// Returns when nobody writes to the live model any more, with the checkpoint then. `None` when somebody lives, and
/// does not put its pen down: the switch is given up.
pub(super) async fn quiet(context: &Context, marked: Checkpoint) -> Result<Option<Checkpoint>, Stop> {
    let mut roll = Roll::default();
    for _ in 0..looks(context) {
        let Some(found) = context.checkpoint().await? else { return Ok(Some(marked)) };
        let Some(mark) = found.switching.as_ref().filter(|mark| mark.is_of(&marked)) else {
            // Somebody else ended it.
            return Ok(Some(marked));
        };
        // After the checkpoint: whoever owns a bucket has beaten before.
        let members = context.store("read who works", || context.store.members()).await?;
        let now = tokio::time::Instant::now();
        roll.observe(members, now);
        let writes = |(at, bucket): (usize, &Bucket)| {
            !mark.yielded.contains(&at) && roll.holder(bucket.owner.as_ref(), "", now) != Holder::Nobody
        };
        if !found.buckets.iter().enumerate().any(writes) {
            return Ok(Some(found));
        }
        context.sleep(SETTLE_POLL).await?;
    }
    abandon(context, marked).await?;
    Ok(None)
}

/// The owner of a bucket has no write on its way, and sends none any more.
pub(crate) async fn yield_bucket(context: &Context, marked: &Checkpoint, bucket: usize) -> Result<(), Stop> {
    let mut found = marked.clone();
    while let Some(said) = found.yielding(bucket) {
        if swap_header(context, &found, &said).await? {
            return Ok(());
        }
        let Some(now) = context.checkpoint().await? else { return Ok(()) };
        found = now;
    }
    Ok(())
}

/// (b) to (d). `reached` is how far the new documents are, where the caller knows it better than the
/// mark. Returns whether the new generation is the live one now; it is not when its collection is gone.
pub(super) async fn finish(
    context: &Context,
    marked: Checkpoint,
    reached: Option<(Position, Hash)>,
) -> Result<bool, Stop> {
    let mut found = marked;
    loop {
        let Some(mark) = found.switching.clone() else { return Ok(true) };
        let renamed = match rename(context, &mark).await? {
            Renamed::Done => true,
            Renamed::Nothing => false,
            Renamed::TakenOver => return Ok(false),
        };
        if renamed {
            let name = context.projection;
            drop_leftovers(context, &found, &mark).await?;
            context.store("sweep", || context.store.sweep(name, mark.to.generation, Position::START)).await?;
        }
        let done = after_switch(&found, &mark, renamed, reached);
        if swap(context, &found, &done).await? {
            report(context, &mark.to, renamed);
            return Ok(renamed);
        }
        let Some(now) = context.checkpoint().await? else { return Ok(false) };
        if !mark.is_of(&now) {
            // Somebody else ended it; another one that has begun since is not ours to end.
            return Ok(now.generation == mark.to.generation);
        }
        found = now;
    }
}

/// Waits for whoever has the switch in hand to end it, and ends it in their place when the mark stands still.
pub(crate) async fn settle(context: &Context, marked: Checkpoint) -> Result<(), Stop> {
    let (mut seen, mut left) = (marked, looks(context));
    loop {
        let Some(found) = context.checkpoint().await? else { return Ok(()) };
        let Some(mark) = found.switching.clone().filter(|mark| mark.is_of(&seen)) else { return Ok(()) };
        if found.revision != seen.revision {
            (seen, left) = (found, looks(context));
        } else if left > 0 {
            left -= 1;
        } else {
            let mut ours = found.next();
            ours.epoch = found.epoch.saturating_add(1);
            ours.switching = Some(Switching { turn: mark.turn.saturating_add(1), ..mark });
            if swap_header(context, &found, &ours).await? {
                tracing::warn!(projection = context.projection, "a switch of generations was left half-way; ending it");
                return abandon(context, ours).await;
            }
        }
        context.sleep(SETTLE_POLL).await?;
    }
}

/// How often to look at a switch that stands still. While the store is away nobody can go on with it, so that is not
/// counted; but whoever began it may have to wait for a lease to run out.
fn looks(context: &Context) -> u128 {
    let grace = context.settings.switch_grace.max(2 * context.settings.lease);
    grace.as_millis() / SETTLE_POLL.as_millis()
}

/// Ends a switch without renaming. Only who folded the new collection knows whether it has come as far as the live
/// model. One that has the stable name has; any other goes, and the live model stays.
async fn abandon(context: &Context, marked: Checkpoint) -> Result<(), Stop> {
    if let Some(mark) = &marked.switching {
        drop_built(context, mark).await?;
    }
    finish(context, marked, None).await.map(drop)
}

/// Drops what was built, unless it has the stable name already; and what a late write made in its place.
async fn drop_built(context: &Context, mark: &Switching) -> Result<(), Stop> {
    let side = mark.to.collection(context.projection);
    context.drop_collection(&side).await?;
    match built(&context.collections().await?, mark) {
        Some(built) if built != context.projection => context.drop_collection(built).await,
        _ => Ok(()),
    }
}

/// What became of the new collection.
enum Renamed {
    /// It has the stable name.
    Done,
    /// It is nowhere: somebody dropped it.
    Nothing,
    /// Somebody else has the switch in hand now.
    TakenOver,
}

/// (b), told by UUIDs.
async fn rename(context: &Context, mark: &Switching) -> Result<Renamed, Stop> {
    let name = context.projection;
    let side = mark.to.collection(name);
    let mut patience = Patience::new(context);
    loop {
        let there = context.collections().await?;
        let Some(built) = built(&there, mark) else { return Ok(Renamed::Nothing) };
        if built == name {
            if there.iter().any(|collection| collection.name == side) {
                tracing::warn!(projection = name, collection = side, "drops a collection that a late write made");
                context.drop_collection(&side).await?;
            }
            return Ok(Renamed::Done);
        }
        if !renew(context, mark).await? {
            return Ok(Renamed::TakenOver);
        }
        let to = if built == side { mark.to.way_collection(name) } else { name.to_owned() };
        match context.store.rename(built, &to).await {
            Ok(()) => patience.reset(),
            // Somebody else was faster: look again.
            Err(error) if error.kind == StoreErrorKind::NotFound => {}
            Err(error) => patience.after("rename the collection", &error).await?,
        }
    }
}

/// Says that whoever has the switch in hand goes on with it. `false` where that is somebody else.
async fn renew(context: &Context, mark: &Switching) -> Result<bool, Stop> {
    loop {
        let Some(found) = context.checkpoint().await? else { return Ok(false) };
        if !found.switching.as_ref().is_some_and(|now| now.to == mark.to && now.turn == mark.turn) {
            return Ok(false);
        }
        if swap_header(context, &found, &found.next()).await? {
            return Ok(true);
        }
    }
}

/// The name of the new collection, whichever it has.
fn built<'a>(there: &'a [Collection], mark: &Switching) -> Option<&'a str> {
    there.iter().find(|collection| collection.uuid == mark.uuid).map(|collection| collection.name.as_str())
}

fn after_switch(found: &Checkpoint, mark: &Switching, renamed: bool, reached: Option<(Position, Hash)>) -> Checkpoint {
    let mut done = found.next();
    done.switching = None;
    if !renamed {
        return done;
    }
    let (position, hash) = reached.unwrap_or((mark.position, mark.hash));
    (done.generation, done.version) = (mark.to.generation, mark.version);
    (done.rebuild, done.carry) = (None, mark.carry.clone());
    let epoch = found.buckets.iter().map(|bucket| bucket.epoch).max().unwrap_or_default().saturating_add(1);
    let fresh = Bucket { epoch, ..Bucket::new(&found.ledger, done.updated_at) };
    let kept = found.buckets.len() == mark.buckets;
    let before = |at: usize| found.buckets.get(at).filter(|_| kept).map_or_else(|| fresh.clone(), Bucket::next);
    done.buckets = (0..mark.buckets).map(before).collect();
    for bucket in &mut done.buckets {
        (bucket.position, bucket.hash, bucket.carried) = (position, hash, position);
        (bucket.recorded_at, bucket.halted, bucket.sweep_due) = (None, None, true);
    }
    done
}

/// What the rows of the generation before carried, and its parked keys.
async fn drop_leftovers(context: &Context, found: &Checkpoint, mark: &Switching) -> Result<(), Stop> {
    let name = context.projection;
    if let Some(carry) = found.carry.as_ref().filter(|carry| Some(*carry) != mark.carry.as_ref()) {
        context.drop_collection(carry).await?;
    }
    let parked = context.store("read the parked keys", || context.store.parked(name)).await?;
    for old in parked.iter().filter(|parked| parked.generation < mark.to.generation) {
        context.store("unpark a key", || context.store.unpark(name, old.generation, &old.key)).await?;
    }
    Ok(())
}

fn report(context: &Context, to: &Attempt, renamed: bool) {
    let (projection, generation) = (context.projection, to.generation);
    if renamed {
        metrics::rebuilt(projection);
        tracing::info!(projection, generation, "the new generation is live");
    } else {
        tracing::warn!(projection, generation, "the collection of the new generation is gone; the old one stays");
    }
}

async fn swap(context: &Context, old: &Checkpoint, new: &Checkpoint) -> Result<bool, Stop> {
    context.store("write the checkpoint", || context.store.swap_checkpoint(old, new)).await
}

async fn swap_header(context: &Context, old: &Checkpoint, new: &Checkpoint) -> Result<bool, Stop> {
    context.store("write the checkpoint", || context.store.swap_header(old, new)).await
}
