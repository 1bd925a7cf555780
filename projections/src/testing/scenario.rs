//! Given some events, when further ones come, then these are the documents.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::marker::PhantomData;

use bson::raw::RawDocumentBuf;
use jiff::Timestamp;

use super::EventLog;
use crate::accounts::{self, Known};
use crate::event::ReadEvent;
use crate::folder::{Folder, State, Typed, TypedRows, fold_one};
use crate::projection::{FoldError, Projection, RowProjection, row_id};

/// Given some events, when further ones come, then these are the documents.
///
/// Between any two events every document goes through BSON and back, as it would through a database:
/// a document that does not survive that fails the test. A document that has expired when the newest event
/// is recorded is not there.
///
/// ```
/// use postfold_projections::models::Preferences;
/// use postfold_projections::testing::Scenario;
///
/// Scenario::<Preferences>::new()
///     .given(|log| {
///         log.change("user/42", "preference.changed", r#"{"theme": "dark"}"#);
///     })
///     .when(|log| {
///         log.change("user/42", "preference.changed", r#"{"mail": {"weekly": true}}"#);
///     })
///     .then_touches(&["user/42"])
///     .then("user/42", |preference| {
///         assert_eq!(preference.version, 2);
///         assert_eq!(preference.preferences.get_str("theme").unwrap(), "dark");
///     })
///     .then_none("user/43");
/// ```
pub struct Scenario<P: Projection> {
    course: Course,
    projection: PhantomData<fn() -> P>,
}

impl<P: Projection> Default for Scenario<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: Projection> Scenario<P> {
    /// An empty log, no documents.
    pub fn new() -> Self {
        Self { course: Course::new(Box::new(Typed::<P>::new())), projection: PhantomData }
    }

    /// Events that came before.
    ///
    /// # Panics
    ///
    /// When one of them cannot be folded.
    pub fn given(mut self, write: impl FnOnce(&EventLog)) -> Self {
        self.course.given(write);
        self
    }

    /// The events that the test is about.
    pub fn when(mut self, write: impl FnOnce(&EventLog)) -> Self {
        self.course.when(write);
        self
    }

    /// There is a document with this key, and `check` is content with it.
    ///
    /// # Panics
    ///
    /// When there is none, or the events could not be folded.
    pub fn then(self, key: &str, check: impl FnOnce(&P::Document)) -> Self {
        let Some(document) = self.course.state(key).and_then(|state| state.downcast_ref()) else {
            panic!("there is no document {key:?}, only {:?}", self.course.states.keys());
        };
        check(document);
        self
    }

    /// The document with this key is this one.
    ///
    /// # Panics
    ///
    /// When it is not, or the events could not be folded.
    pub fn then_is(self, key: &str, expected: &P::Document) -> Self
    where
        P::Document: PartialEq + Debug,
    {
        self.then(key, |found| assert_eq!(found, expected, "the document {key:?}"))
    }

    /// `check` is content with all documents, by key.
    ///
    /// # Panics
    ///
    /// When the events could not be folded.
    pub fn then_all(self, check: impl FnOnce(&BTreeMap<&str, &P::Document>)) -> Self {
        let keys = self.course.states.keys().map(String::as_str);
        let all = keys.filter_map(|key| Some((key, self.course.state(key)?.downcast_ref()?))).collect();
        self.course.assert_folded();
        check(&all);
        self
    }

    /// There is no document with this key.
    ///
    /// # Panics
    ///
    /// When there is one, or the events could not be folded.
    pub fn then_none(self, key: &str) -> Self {
        assert!(self.course.state(key).is_none(), "there is a document {key:?}");
        self
    }

    /// These are the keys that the events of `when` touched, in any order.
    ///
    /// # Panics
    ///
    /// When they are not, or the events could not be folded.
    pub fn then_touches(self, keys: &[&str]) -> Self {
        self.course.assert_touched(keys);
        self
    }

    /// An event of `when` could not be folded, and `check` is content with the reason.
    ///
    /// # Panics
    ///
    /// When all could be folded.
    pub fn then_refuses(self, check: impl FnOnce(&FoldError)) -> Self {
        self.course.assert_refused(check);
        self
    }
}

/// Given some events, when further ones come, then these are the rows that they add.
///
/// As with [`Scenario`], every row and everything carried goes through BSON and back.
///
/// ```
/// use postfold::AccountType;
/// use postfold_projections::models::Statements;
/// use postfold_projections::testing::RowScenario;
/// use rust_decimal::dec;
///
/// RowScenario::<Statements>::new()
///     .given(|log| {
///         log.open_account("till", "EUR", AccountType::Asset);
///         log.open_account("sales", "EUR", AccountType::Income);
///     })
///     .when(|log| {
///         log.post("till", "sales", "EUR", dec!(12.50));
///     })
///     .then_touches(&["till|EUR", "sales|EUR"])
///     .then_rows(|rows| {
///         let (id, first) = &rows[0];
///         assert_eq!(id, "0000000000000003:00000");
///         assert_eq!((&*first.account, first.balance), ("till", dec!(12.50)));
///     });
/// ```
pub struct RowScenario<P: RowProjection> {
    course: Course,
    projection: PhantomData<fn() -> P>,
}

impl<P: RowProjection> Default for RowScenario<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: RowProjection> RowScenario<P> {
    /// An empty log, no rows.
    pub fn new() -> Self {
        Self { course: Course::new(Box::new(TypedRows::<P>::new())), projection: PhantomData }
    }

    /// Events that came before.
    ///
    /// # Panics
    ///
    /// When one of them cannot be folded.
    pub fn given(mut self, write: impl FnOnce(&EventLog)) -> Self {
        self.course.given(write);
        self
    }

    /// The events that the test is about.
    pub fn when(mut self, write: impl FnOnce(&EventLog)) -> Self {
        self.course.when(write);
        self
    }

    /// `check` is content with the rows that the events of `when` added, with their `_id`s and in their order.
    ///
    /// # Panics
    ///
    /// When a row does not come back from BSON, or the events could not be folded.
    pub fn then_rows(self, check: impl FnOnce(&[(String, P::Row)])) -> Self {
        self.course.assert_folded();
        let row = |(id, fields): (&String, &RawDocumentBuf)| match bson::deserialize_from_slice(fields.as_bytes()) {
            Ok(row) => (id.clone(), row),
            Err(error) => panic!("the row {id} does not come back from BSON: {error}"),
        };
        let rows: Vec<_> = self.course.rows.iter().map(row).collect();
        check(&rows);
        self
    }

    /// Something is carried under this key, and `check` is content with it.
    ///
    /// # Panics
    ///
    /// When nothing is, or the events could not be folded.
    pub fn then_carries(self, key: &str, check: impl FnOnce(&P::Carry)) -> Self {
        let Some(carry) = self.course.state(key).and_then(|state| state.downcast_ref()) else {
            panic!("nothing is carried under {key:?}, only under {:?}", self.course.states.keys());
        };
        check(carry);
        self
    }

    /// These are the keys that the events of `when` touched, in any order.
    ///
    /// # Panics
    ///
    /// When they are not, or the events could not be folded.
    pub fn then_touches(self, keys: &[&str]) -> Self {
        self.course.assert_touched(keys);
        self
    }

    /// An event of `when` could not be folded, and `check` is content with the reason.
    ///
    /// # Panics
    ///
    /// When all could be folded.
    pub fn then_refuses(self, check: impl FnOnce(&FoldError)) -> Self {
        self.course.assert_refused(check);
        self
    }
}

/// What both kinds of scenario do.
struct Course {
    folder: Box<dyn Folder>,
    log: EventLog,
    folded: usize,
    now: Option<Timestamp>,
    accounts: Known,
    states: BTreeMap<String, State>,
    /// What the events of `when` added.
    rows: BTreeMap<String, RawDocumentBuf>,
    /// What the events of `when` touched.
    touched: BTreeSet<String>,
    refused: Option<FoldError>,
}

impl Course {
    fn new(folder: Box<dyn Folder>) -> Self {
        Self {
            folder,
            log: EventLog::new("scenario"),
            folded: 0,
            now: None,
            accounts: Known::new(),
            states: BTreeMap::new(),
            rows: BTreeMap::new(),
            touched: BTreeSet::new(),
            refused: None,
        }
    }

    fn given(&mut self, write: impl FnOnce(&EventLog)) {
        write(&self.log);
        if let Err(error) = self.catch_up() {
            panic!("what was given cannot be folded: {error}");
        }
    }

    fn when(&mut self, write: impl FnOnce(&EventLog)) {
        write(&self.log);
        self.touched.clear();
        self.rows.clear();
        self.refused = self.catch_up().err();
    }

    fn state(&self, key: &str) -> Option<&State> {
        self.assert_folded();
        let alive = |state: &&State| self.folder.expires_at(state).is_none_or(|at| Some(at) > self.now);
        self.states.get(key).filter(alive)
    }

    fn assert_folded(&self) {
        if let Some(error) = &self.refused {
            panic!("an event could not be folded: {error}");
        }
    }

    fn assert_touched(&self, keys: &[&str]) {
        self.assert_folded();
        let expected: BTreeSet<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        assert_eq!(self.touched, expected, "the keys touched");
    }

    fn assert_refused(&self, check: impl FnOnce(&FoldError)) {
        let Some(error) = &self.refused else { panic!("the events could all be folded") };
        check(error);
    }

    fn catch_up(&mut self) -> Result<(), FoldError> {
        for event in self.log.events(self.folded) {
            self.folded += 1;
            self.now = Some(event.recorded_at);
            let mut event = ReadEvent::new(event);
            if self.folder.reads_accounts() {
                accounts::note_opened(&event, &mut self.accounts);
                event.attach(&self.accounts);
            }
            for key in self.folder.keys(&event)? {
                self.fold(key, &event)?;
            }
        }
        Ok(())
    }

    fn fold(&mut self, key: String, event: &ReadEvent) -> Result<(), FoldError> {
        let (change, rows) = fold_one(&*self.folder, self.states.get(&key), &key, event)?;
        match change {
            Some(Some(state)) => {
                let stored = self.folder.encode(&state)?;
                self.states.insert(key.clone(), self.folder.decode(&stored)?);
            }
            Some(None) => drop(self.states.remove(&key)),
            None => {}
        }
        for row in rows {
            let id = row_id(event.position, row.ordinal);
            assert!(self.rows.insert(id.clone(), row.fields).is_none(), "two rows have the _id {id}");
        }
        self.touched.insert(key);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::projection::{Added, Change, Index, Keys};

    /// Somebody is here until five seconds after what they did last.
    struct Presence;

    #[derive(Serialize, Deserialize)]
    struct Present {
        deeds: i64,
        #[serde(with = "crate::money::date")]
        until: Timestamp,
    }

    impl Projection for Presence {
        type Document = Present;
        const NAME: &'static str = "presence";
        const VERSION: u32 = 1;

        fn indexes() -> Vec<Index> {
            vec![Index::expiring("until")]
        }

        fn keys(event: &ReadEvent) -> Result<Keys, FoldError> {
            Ok(event.entity().map_or_else(Keys::none, Keys::one))
        }

        fn fold(document: Option<&Present>, _key: &str, event: &ReadEvent) -> Result<Change<Present>, FoldError> {
            let deeds = document.map_or(0, |present| present.deeds) + 1;
            Ok(Change::Put(Present { deeds, until: event.recorded_at + 5.seconds() }))
        }

        fn expires_at(document: &Present) -> Option<Timestamp> {
            Some(document.until)
        }
    }

    #[test]
    fn a_document_that_has_expired_is_gone_for_readers_and_for_the_next_event() {
        let others = |log: &EventLog, times: usize| {
            for _ in 0..times {
                log.change("user/2", "did", "{}");
            }
        };
        Scenario::<Presence>::new()
            .given(|log| drop(log.change("user/1", "did", "{}")))
            .when(|log| others(log, 3))
            .when(|log| drop(log.change("user/1", "did", "{}")))
            .then("user/1", |present| assert_eq!(present.deeds, 2))
            .when(|log| others(log, 4))
            .then("user/1", |present| assert_eq!(present.deeds, 2))
            .when(|log| others(log, 1))
            .then_none("user/1")
            .when(|log| drop(log.change("user/1", "did", "{}")))
            .then("user/1", |present| assert_eq!(present.deeds, 1));
    }

    /// Two rows of one number.
    struct Twice;

    impl RowProjection for Twice {
        type Row = BTreeMap<String, i64>;
        type Carry = ();
        const NAME: &'static str = "twice";
        const VERSION: u32 = 1;

        fn keys(_event: &ReadEvent) -> Result<Keys, FoldError> {
            Ok(Keys::one("all"))
        }

        fn fold(_carry: Option<&()>, _key: &str, _event: &ReadEvent) -> Result<Added<(), Self::Row>, FoldError> {
            Ok(Added { carry: Change::Keep, rows: vec![(0, BTreeMap::new()), (0, BTreeMap::new())] })
        }
    }

    #[test]
    #[should_panic(expected = "two rows have the _id 0000000000000001:00000")]
    fn two_rows_of_one_number_fail_the_test() {
        drop(RowScenario::<Twice>::new().when(|log| drop(log.change("user/1", "did", "{}"))));
    }
}
