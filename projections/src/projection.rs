//! What an author writes: a [`Projection`], a pure fold of the log into documents.

use jiff::Timestamp;
use postfold::Position;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::event::ReadEvent;

/// A pure fold of the log into keyed documents, each with an `_id` of its own.
///
/// A projection says which documents an event touches ([`keys`](Self::keys)) and how the event
/// changes each of them ([`fold`](Self::fold)). It has no state, no clock, no randomness and no
/// database: the same log always gives the same documents, so a model can be rebuilt, verified and
/// tested ([`crate::testing::Scenario`]) by folding alone.
///
/// ```
/// use postfold_projections::{Change, FoldError, Keys, Projection, ReadEvent};
/// use serde::{Deserialize, Serialize};
///
/// /// How often each entity changed.
/// struct Changes;
///
/// #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
/// struct Counter {
///     changes: i64,
/// }
///
/// impl Projection for Changes {
///     type Document = Counter;
///     const NAME: &'static str = "changes";
///     const VERSION: u32 = 1;
///
///     fn keys(event: &ReadEvent) -> Result<Keys, FoldError> {
///         Ok(event.entity().map_or_else(Keys::none, Keys::one))
///     }
///
///     fn fold(document: Option<&Counter>, _key: &str, _event: &ReadEvent) -> Result<Change<Counter>, FoldError> {
///         let before = document.map_or(0, |counter| counter.changes);
///         Ok(Change::Put(Counter { changes: before + 1 }))
///     }
/// }
/// ```
pub trait Projection: Send + Sync + 'static {
    /// The document, as serde writes it. It has to be a struct or a map, and must not have the fields
    /// `_id`, `g`, `p` or `dead` at its top: the projector keeps its own there.
    type Document: Serialize + DeserializeOwned + Send + Sync + 'static;

    /// The name of the model and of its collection: 1 to 40 of `a-z`, `0-9` and `_`, a letter first,
    /// without `__`.
    const NAME: &'static str;

    /// The version of the fold. Raise it whenever the same log would give other documents; a model
    /// that an earlier version built asks for a rebuild then.
    const VERSION: u32;

    /// What happens to an event that cannot be folded. Default: the projection halts.
    const ON_POISON: OnPoison = OnPoison::Halt;

    /// Whether the fold asks what accounts were opened as ([`ReadEvent::account_of`]); they are looked up with
    /// each page of the log then. Default: it does not.
    const READS_ACCOUNTS: bool = false;

    /// The indexes of the collection, beside the one on `_id`. They are made when a generation is
    /// built and never on a live collection: a change asks for a higher [`VERSION`](Self::VERSION).
    fn indexes() -> Vec<Index> {
        Vec::new()
    }

    /// The keys (`_id`) of the documents that the event touches. Naming a key twice is naming it once.
    ///
    /// # Errors
    ///
    /// [`FoldError`] when the event cannot be read. Nobody can tell then which documents it touches, so it
    /// stops this projection at that event, whatever [`ON_POISON`](Self::ON_POISON) says.
    fn keys(event: &ReadEvent) -> Result<Keys, FoldError>;

    /// What the event makes of the document of this key; `document` is `None` where there is none yet,
    /// or none any more.
    ///
    /// # Errors
    ///
    /// [`FoldError`] when the event cannot be folded: see [`ON_POISON`](Self::ON_POISON). A panic counts as one.
    fn fold(
        document: Option<&Self::Document>,
        key: &str,
        event: &ReadEvent,
    ) -> Result<Change<Self::Document>, FoldError>;

    /// From when on the document counts as gone; `None` (the default) where it stays.
    ///
    /// It has to follow from the last event that changed the document, and the document has to hold it as
    /// a date field with a TTL index ([`Index::expiring`]), by which the server removes it some time
    /// later. An event recorded at that time or after it finds no document, whether the server has
    /// removed it or not; so live, rebuilt and half-expired models agree.
    fn expires_at(_document: &Self::Document) -> Option<Timestamp> {
        None
    }
}

/// A pure fold of the log into rows that are only ever added: one or several an event.
///
/// A row's `_id` is `position:ordinal` in digits of equal width ([`row_id`]), so rows sort and page in the
/// order of the log. What has to be known from one event of a key to the next (a running balance, the
/// state before a change) is the key's **carry**: it is kept beside the rows, in a collection that no
/// reader needs.
///
/// ```
/// use postfold_projections::{Added, Change, FoldError, Keys, ReadEvent, RowProjection};
/// use serde::{Deserialize, Serialize};
///
/// /// One row for every change of an entity, numbered.
/// struct Trail;
///
/// #[derive(Serialize, Deserialize)]
/// struct Seen {
///     changes: i64,
/// }
///
/// #[derive(Serialize, Deserialize)]
/// struct Step {
///     entity: String,
///     number: i64,
/// }
///
/// impl RowProjection for Trail {
///     type Row = Step;
///     type Carry = Seen;
///     const NAME: &'static str = "trail";
///     const VERSION: u32 = 1;
///
///     fn keys(event: &ReadEvent) -> Result<Keys, FoldError> {
///         Ok(event.entity().map_or_else(Keys::none, Keys::one))
///     }
///
///     fn fold(carry: Option<&Seen>, key: &str, _event: &ReadEvent) -> Result<Added<Seen, Step>, FoldError> {
///         let number = carry.map_or(0, |seen| seen.changes) + 1;
///         let row = Step { entity: key.to_owned(), number };
///         Ok(Added { carry: Change::Put(Seen { changes: number }), rows: vec![(0, row)] })
///     }
/// }
/// ```
pub trait RowProjection: Send + Sync + 'static {
    /// The row, as serde writes it; a struct or a map without the fields `_id`, `g`, `p` and `dead`.
    type Row: Serialize + DeserializeOwned + Send + Sync + 'static;

    /// What is carried from one event of a key to the next; a struct or a map as well. `()` where every
    /// event speaks for itself; it is then never put.
    type Carry: Serialize + DeserializeOwned + Send + Sync + 'static;

    /// The name of the model and of its collection, as for [`Projection::NAME`].
    const NAME: &'static str;

    /// The version of the fold, as for [`Projection::VERSION`].
    const VERSION: u32;

    /// What happens to an event that cannot be folded. Default: the projection halts.
    const ON_POISON: OnPoison = OnPoison::Halt;

    /// Whether the fold asks what accounts were opened as, as for [`Projection::READS_ACCOUNTS`].
    const READS_ACCOUNTS: bool = false;

    /// The indexes of the collection, as for [`Projection::indexes`].
    fn indexes() -> Vec<Index> {
        Vec::new()
    }

    /// The keys whose carry the event needs, and for which it adds rows. An event's rows of all its keys
    /// have different ordinals.
    ///
    /// # Errors
    ///
    /// As for [`Projection::keys`].
    fn keys(event: &ReadEvent) -> Result<Keys, FoldError>;

    /// The rows that the event adds for this key, and what is carried on; `carry` is `None` where nothing
    /// was put yet.
    ///
    /// # Errors
    ///
    /// [`FoldError`] when the event cannot be folded: see [`ON_POISON`](Self::ON_POISON). A panic counts as one.
    fn fold(
        carry: Option<&Self::Carry>,
        key: &str,
        event: &ReadEvent,
    ) -> Result<Added<Self::Carry, Self::Row>, FoldError>;

    /// From when on the server may remove the row; `None` (the default) where it stays. The row has to
    /// hold it as a date field with a TTL index ([`Index::expiring`]).
    fn expires_at(_row: &Self::Row) -> Option<Timestamp> {
        None
    }
}

/// What an event adds to a [`RowProjection`] for one of its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Added<C, R> {
    /// What becomes of the key's carry.
    pub carry: Change<C>,
    /// The new rows, each with its ordinal: a number up to 99,999 that no other row of this event has.
    pub rows: Vec<(u32, R)>,
}

/// The `_id` of a row: 16 digits of position, a colon, 5 digits of ordinal.
///
/// ```
/// use postfold::Position;
/// assert_eq!(postfold_projections::row_id(Position::new(812), 1), "0000000000000812:00001");
/// ```
pub fn row_id(position: Position, ordinal: u32) -> String {
    format!("{:016}:{ordinal:05}", position.get())
}

/// The largest ordinal of a row.
pub(crate) const ORDINAL_MAX: u32 = 99_999;

/// What a projection does with an event that cannot be folded into a document, or with a document that
/// the server refuses. What passes (a server that is away) is waited out, and never comes to this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnPoison {
    /// The projection stops before the event. For models in which one wrong document makes all of them
    /// doubtful.
    Halt,
    /// The document's key is parked: it stays as it was before the event, and takes no later one, until an
    /// operator retries it or skips the event. All other documents go on.
    Park,
}

/// What a fold makes of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<D> {
    /// This is the document now.
    Put(D),
    /// There is no such document any more.
    Delete,
    /// The event changes nothing here.
    Keep,
}

/// The keys of the documents that an event touches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys(Vec<String>);

impl Keys {
    /// The event touches nothing here.
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// The event touches one document.
    pub fn one(key: impl Into<String>) -> Self {
        Self(vec![key.into()])
    }
}

impl FromIterator<String> for Keys {
    fn from_iter<T: IntoIterator<Item = String>>(keys: T) -> Self {
        Self(keys.into_iter().collect())
    }
}

impl IntoIterator for Keys {
    type Item = String;
    type IntoIter = std::vec::IntoIter<String>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// An event that a projection cannot fold. It will not get better by trying again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FoldError {
    message: String,
}

impl FoldError {
    /// An error that says what is wrong with the event, for the operator who has to mend it.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

impl From<postfold::event::PayloadError> for FoldError {
    fn from(error: postfold::event::PayloadError) -> Self {
        Self::new(error.to_string())
    }
}

/// An index of a model's collection.
///
/// ```
/// use postfold_projections::Index;
/// Index::ascending(["owner"]).then_descending("opened_at");
/// Index::ascending(["email"]).unique();
/// Index::text(["title", "abstract"]);
/// Index::expiring("expires_at");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Index {
    pub(crate) keys: Vec<(String, Direction)>,
    pub(crate) unique: bool,
    pub(crate) sparse: bool,
    pub(crate) expiring: bool,
    pub(crate) partial: Option<bson::Document>,
}

/// How an index keeps one of its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Ascending,
    Descending,
    Text,
}

impl Index {
    /// Over these fields, smallest first.
    pub fn ascending<'a>(fields: impl IntoIterator<Item = &'a str>) -> Self {
        Self::over(fields, Direction::Ascending)
    }

    /// Over these fields, largest first.
    pub fn descending<'a>(fields: impl IntoIterator<Item = &'a str>) -> Self {
        Self::over(fields, Direction::Descending)
    }

    /// Over the words of these fields, for `$text`. A collection can have one of them.
    pub fn text<'a>(fields: impl IntoIterator<Item = &'a str>) -> Self {
        Self::over(fields, Direction::Text)
    }

    /// Over a date field: the server removes a document some time after that date (TTL, once a minute).
    pub fn expiring(field: &str) -> Self {
        Self { expiring: true, ..Self::ascending([field]) }
    }

    /// And then this field, smallest first.
    pub fn then_ascending(mut self, field: &str) -> Self {
        self.keys.push((field.to_owned(), Direction::Ascending));
        self
    }

    /// And then this field, largest first.
    pub fn then_descending(mut self, field: &str) -> Self {
        self.keys.push((field.to_owned(), Direction::Descending));
        self
    }

    /// No two documents may agree in these fields. A fold that breaks this stops its projection.
    pub fn unique(mut self) -> Self {
        self.unique = true;
        self
    }

    /// Only over documents that have one of these fields.
    pub fn sparse(mut self) -> Self {
        self.sparse = true;
        self
    }

    /// Only over documents that match this filter (MongoDB's `partialFilterExpression`).
    pub fn only(mut self, filter: bson::Document) -> Self {
        self.partial = Some(filter);
        self
    }

    /// The name that the index gets: its fields and their directions.
    pub(crate) fn name(&self) -> String {
        let parts: Vec<String> = self
            .keys
            .iter()
            .map(|(field, direction)| match direction {
                Direction::Ascending => format!("{field}_1"),
                Direction::Descending => format!("{field}_-1"),
                Direction::Text => format!("{field}_text"),
            })
            .collect();
        parts.join("_")
    }

    fn over<'a>(fields: impl IntoIterator<Item = &'a str>, direction: Direction) -> Self {
        let keys = fields.into_iter().map(|field| (field.to_owned(), direction)).collect();
        Self { keys, unique: false, sparse: false, expiring: false, partial: None }
    }
}
