//! Writing a batch's documents, whatever happens on the way: in the end each is there, or one that is
//! further.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use futures::future::join_all;

use crate::halt::Stop;
use crate::patience::{Context, Patience};
use crate::store::{Guard, Mark, Row, StoreError, StoreErrorKind, Written};

/// A document on its way, and what is thought to be in its place.
pub(crate) struct Outgoing {
    pub(crate) row: Row,
    pub(crate) place: Place,
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
pub(crate) async fn deliver(context: &Context, collection: &str, rows: Vec<Outgoing>) -> Result<(), Stop> {
    let lanes = deal(rows, context.settings.lanes);
    // All lanes end before anything is reported: no command of ours is in flight afterwards.
    let done = join_all(lanes.into_iter().map(|rows| run_lane(context, collection, rows))).await;
    done.into_iter().collect()
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

async fn run_lane(context: &Context, collection: &str, rows: Vec<Outgoing>) -> Result<(), Stop> {
    let mut patience = Patience::new(context);
    let mut pending = rows;
    while !pending.is_empty() {
        let before = pending.len();
        let Round { left, trouble } = send_round(context, collection, pending).await?;
        if left.len() < before {
            patience.reset();
        }
        pending = left;
        if let Some(error) = trouble {
            patience.after("write documents", &error).await?;
        }
    }
    Ok(())
}

/// What a round left undone, and why, where nothing has changed that would let the next one succeed.
struct Round {
    left: Vec<Outgoing>,
    trouble: Option<StoreError>,
}

async fn send_round(context: &Context, collection: &str, rows: Vec<Outgoing>) -> Result<Round, Stop> {
    let mut unsettled = Vec::new();
    let mut trouble = None;
    for place in [Place::Behind, Place::Empty, Place::Stray] {
        let statements: Vec<&Outgoing> = rows.iter().filter(|outgoing| outgoing.place == place).collect();
        for command in cut(&statements, context) {
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
    let marks = read_back(context, collection, unsettled.keys().map(String::as_str)).await?;
    sort_out(rows, &unsettled, &marks, trouble)
}

/// Notes the keys of a command that may not be done: the whole command, unless all of it is. An update
/// says only how many documents matched, so which ones did not is read back.
fn settle(
    answer: Result<Written, StoreError>,
    command: &[&Outgoing],
    unsettled: &mut Vec<(String, Place)>,
) -> Option<StoreError> {
    let error = match answer {
        Ok(Written { done, .. }) if done >= command.len() => return None,
        Ok(Written { refused, .. }) => refused.into_iter().next().map(|first| first.error),
        Err(error) => Some(error),
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
    trouble: Option<StoreError>,
) -> Result<Round, Stop> {
    let mut left = Vec::new();
    let mut stuck = false;
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
        stuck |= place == outgoing.place;
        outgoing.place = place;
        left.push(outgoing);
    }
    // A document whose place was not what we thought only has to be sent another way.
    let unexplained =
        || StoreError::new(StoreErrorKind::Unavailable, "a write found nothing to do, and yet is not done");
    let trouble = stuck.then(|| trouble.unwrap_or_else(unexplained));
    Ok(Round { left, trouble })
}

/// Cuts statements into commands within the bounds of number and bytes.
fn cut<'a, 'b>(statements: &'a [&'b Outgoing], context: &Context) -> Vec<&'a [&'b Outgoing]> {
    let (statements_max, bytes_max) = (context.settings.command_statements_max, context.settings.command_bytes_max);
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
