//! Writing a batch's documents, whatever happens on the way: in the end each is there, or one that is
//! further.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use futures::future::join_all;
use postfold::Position;

use crate::halt::{Poison, Stop};
use crate::metrics;
use crate::patience::{Context, Patience, Verdict};
use crate::store::{Guard, Mark, Row, StoreError, StoreErrorKind, Written};

/// A document on its way, and what is thought to be in its place.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) row: Row,
    pub(crate) place: Place,
    /// The key whose fold made it, where that is not its own.
    pub(crate) key: Option<Arc<str>>,
    /// The first event that is new in it.
    pub(crate) since: Position,
}

/// What is thought to be stored under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Nothing.
    Empty,
    /// An earlier state of the same generation.
    Behind,
    /// A document of an earlier generation, which a late writer left.
    Stray,
}

/// Writes all documents, lane by lane, and returns when all are there.
///
/// # Errors
///
/// [`Stop::Displaced`] when a document of a later generation is in the way: the model was switched.
/// [`Stop::Suspended`] when the lease has run out. [`Stop::Poison`] when the server refuses some of the
/// documents, and takes the others.
pub(crate) async fn deliver(context: &Context, collection: &str, rows: Vec<Outgoing>) -> Result<(), Stop> {
    let lanes = deal(rows, context.settings.lanes);
    // All lanes end before anything is reported: no command of ours is in flight afterwards.
    let done = join_all(lanes.into_iter().map(|rows| run_lane(context, collection, rows))).await;
    let mut poison = Vec::new();
    for refused in done {
        poison.extend(refused?);
    }
    if poison.is_empty() { Ok(()) } else { Err(Stop::Poison(poison)) }
}

/// A key always goes by the same lane, so no two commands in flight touch the same document; within a
/// lane documents go by key, so that two writers over the same documents never block each other in turn.
fn deal(rows: Vec<Outgoing>, lanes: usize) -> Vec<Vec<Outgoing>> {
    let mut dealt: Vec<Vec<Outgoing>> = (0..lanes.max(1)).map(|_| Vec::new()).collect();
    for outgoing in rows {
        let mut hasher = DefaultHasher::new();
        outgoing.row.id.hash(&mut hasher);
        let lanes = u64::try_from(dealt.len()).unwrap_or(1);
        let lane = usize::try_from(hasher.finish() % lanes).unwrap_or(0);
        if let Some(lane) = dealt.get_mut(lane) {
            lane.push(outgoing);
        }
    }
    dealt.retain(|lane| !lane.is_empty());
    for lane in &mut dealt {
        lane.sort_unstable_by(|one, other| one.row.id.cmp(&other.row.id));
    }
    dealt
}

/// Returns the documents that the server refuses.
async fn run_lane(context: &Context, collection: &str, rows: Vec<Outgoing>) -> Result<Vec<Poison>, Stop> {
    let mut patience = Patience::new(context);
    let mut pending = rows;
    let mut poison = Vec::new();
    let mut statements_max = context.settings.command_statements_max;
    while !pending.is_empty() {
        let before = pending.len();
        let Round { left, trouble } = send_round(context, collection, pending, statements_max).await?;
        if left.len() < before {
            patience.reset();
        }
        pending = left;
        let Some((error, at)) = trouble else { continue };
        match patience.verdict("write documents", &error).await? {
            Verdict::Again => {}
            // A command that is refused as a whole: the halves tell which of its documents it is.
            Verdict::Refused if at.is_none() && statements_max > 1 && pending.len() > 1 => {
                statements_max = statements_max.min(pending.len()).div_ceil(2);
                patience.reset();
            }
            Verdict::Refused => {
                let id = at.or_else(|| pending.first().map(|outgoing| outgoing.row.id.clone()));
                let place = pending.iter().position(|outgoing| Some(&outgoing.row.id) == id.as_ref()).unwrap_or(0);
                poison.push(Poison::of(pending.swap_remove(place), &error));
                pending.sort_unstable_by(|one, other| one.row.id.cmp(&other.row.id));
                patience.reset();
            }
        }
    }
    Ok(poison)
}

impl Poison {
    fn of(outgoing: Outgoing, error: &StoreError) -> Self {
        let Outgoing { row, key, since, .. } = outgoing;
        Self { key: key.map_or(row.id, |key| key.as_ref().to_owned()), position: since, message: error.to_string() }
    }
}

/// What a round left undone, and why, where nothing has changed that would let the next one succeed; with
/// the key of the document that it is about, where the server told.
struct Round {
    left: Vec<Outgoing>,
    trouble: Option<(StoreError, Option<String>)>,
}

async fn send_round(
    context: &Context,
    collection: &str,
    rows: Vec<Outgoing>,
    statements_max: usize,
) -> Result<Round, Stop> {
    let mut unsettled = Vec::new();
    let mut trouble = None;
    for place in [Place::Behind, Place::Empty, Place::Stray] {
        let statements: Vec<&Outgoing> = rows.iter().filter(|outgoing| outgoing.place == place).collect();
        for command in cut(&statements, statements_max, context.settings.command_bytes_max) {
            if !context.lease.holds() {
                return Err(Stop::Suspended);
            }
            let sent: Vec<&Row> = command.iter().map(|outgoing| &outgoing.row).collect();
            let answer = match place {
                Place::Behind => context.store.replace(collection, Guard::Behind, &sent).await,
                Place::Stray => context.store.replace(collection, Guard::OlderGeneration, &sent).await,
                Place::Empty => context.store.insert(collection, &sent).await,
            };
            if let Some(error) = settle(answer, command, &mut unsettled) {
                trouble.get_or_insert(error);
            }
        }
    }
    let unsettled: HashMap<String, Place> = unsettled.into_iter().collect();
    if unsettled.is_empty() {
        return Ok(Round { left: Vec::new(), trouble: None });
    }
    metrics::conflicted(context.projection, unsettled.len());
    let marks = read_back(context, collection, unsettled.keys().map(String::as_str)).await?;
    sort_out(rows, &unsettled, &marks, trouble)
}

/// Notes the keys of a command that may not be done: the whole command, unless all of it is. An update
/// says only how many documents matched, so which ones did not is read back.
fn settle(
    answer: Result<Written, StoreError>,
    command: &[&Outgoing],
    unsettled: &mut Vec<(String, Place)>,
) -> Option<(StoreError, Option<String>)> {
    let error = match answer {
        Ok(Written { done, .. }) if done >= command.len() => return None,
        Ok(Written { refused, .. }) => {
            // A key that is taken only has to be looked at; anything else is about the document.
            let first =
                refused.iter().find(|refused| refused.error.kind != StoreErrorKind::Duplicate).or(refused.first());
            first.map(|first| (first.error.clone(), command.get(first.index).map(|outgoing| outgoing.row.id.clone())))
        }
        Err(error) => Some((error, None)),
    };
    unsettled.extend(command.iter().map(|outgoing| (outgoing.row.id.clone(), outgoing.place)));
    error
}

async fn read_back(
    context: &Context,
    collection: &str,
    ids: impl Iterator<Item = &str>,
) -> Result<HashMap<String, Mark>, Stop> {
    let mut ids: Vec<&str> = ids.collect();
    ids.sort_unstable();
    let mut marks = HashMap::with_capacity(ids.len());
    for ids in ids.chunks(context.settings.command_statements_max) {
        let found = context.store("read documents back", || context.store.marks(collection, ids)).await?;
        marks.extend(found.into_iter().map(|mark| (mark.id.clone(), mark)));
    }
    Ok(marks)
}

/// Which documents still have to be written, and in place of what.
fn sort_out(
    rows: Vec<Outgoing>,
    unsettled: &HashMap<String, Place>,
    marks: &HashMap<String, Mark>,
    trouble: Option<(StoreError, Option<String>)>,
) -> Result<Round, Stop> {
    let mut left = Vec::new();
    let mut stuck = Vec::new();
    for mut outgoing in rows {
        if !unsettled.contains_key(&outgoing.row.id) {
            continue;
        }
        let row = &outgoing.row;
        let place = match marks.get(&row.id) {
            None => Place::Empty,
            Some(mark) if mark.generation > row.generation => return Err(Stop::Displaced),
            Some(mark) if mark.generation < row.generation => Place::Stray,
            Some(mark) if mark.position >= row.position => continue,
            Some(_) => Place::Behind,
        };
        if place == outgoing.place {
            stuck.push(outgoing.row.id.clone());
        }
        outgoing.place = place;
        left.push(outgoing);
    }
    // A document whose place was not what we thought only has to be sent another way.
    let unexplained =
        || StoreError::new(StoreErrorKind::Unavailable, "a write found nothing to do, and yet is not done");
    let trouble = trouble.unwrap_or_else(|| (unexplained(), None));
    // The document that the error is about may be done by now; then another one is that is not.
    let (error, at) = trouble;
    let at = at.and_then(|id| stuck.iter().find(|stuck| **stuck == id).or(stuck.first()).cloned());
    let trouble = (!stuck.is_empty()).then_some((error, at));
    Ok(Round { left, trouble })
}

/// Cuts statements into commands within the bounds of number and bytes.
fn cut<'a, 'b>(statements: &'a [&'b Outgoing], statements_max: usize, bytes_max: usize) -> Vec<&'a [&'b Outgoing]> {
    let mut commands = Vec::new();
    let (mut start, mut bytes) = (0, 0_usize);
    for (at, outgoing) in statements.iter().enumerate() {
        let weight = outgoing.row.weight();
        if at > start && (at - start >= statements_max || bytes.saturating_add(weight) > bytes_max) {
            commands.extend(statements.get(start..at));
            (start, bytes) = (at, 0);
        }
        bytes = bytes.saturating_add(weight);
    }
    commands.extend(statements.get(start..).filter(|rest| !rest.is_empty()));
    commands
}
