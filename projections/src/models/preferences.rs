//! `preferences`: what users, or other entities, have chosen.

use bson::raw::{RawDocument, RawDocumentBuf};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::merge;
use crate::event::ReadEvent;
use crate::json;
use crate::projection::{Change, FoldError, Keys, OnPoison, Projection};

/// A change that sets preferences: its data is merged into them.
const CHANGED: &str = "preference.changed";
/// A change that takes preferences away: its data names their paths.
const UNSET: &str = "preference.unset";

/// One document per entity that has preferences: the collection `preferences`.
///
/// ```json
/// { "_id": "user/42", "preferences": { "theme": "dark", "mail": { "weekly": true } },
///   "version": 3, "updated_at": ISODate(".."), "g": 1, "p": 812 }
/// ```
///
/// It folds two kinds of change of an entity (`record`), by the rules of [`crate::json`]:
///
/// - `preference.changed`: its data is merged into the preferences, objects field by field and to any
///   depth, everything else replaced as a whole. A `null` is a value like any other.
/// - `preference.unset`, `{"paths": ["mail.weekly", ["a.b", "c"]]}`: takes away what the paths name,
///   names parted by dots, or in a list where a name itself holds a dot. A path that leads nowhere is
///   fine.
///
/// `version` counts these changes; `updated_at` is when the last one was recorded.
///
/// ```text
/// db.preferences.find({ "preferences.theme": "dark" }, { "preferences.theme": 1 })
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Preferences;

/// A document of [`Preferences`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preference {
    /// What is chosen now.
    pub preferences: RawDocumentBuf,
    /// How many changes led to it.
    pub version: i64,
    /// When the last one was recorded.
    #[serde(with = "crate::money::date")]
    pub updated_at: Timestamp,
}

impl Preference {
    /// These preferences over what an application takes for granted: merged into the defaults as a change
    /// would be, so what was never chosen, or was unset, is as the defaults have it.
    ///
    /// Defaults belong to the version of an application, not to the log; so they are not in the model.
    ///
    /// ```
    /// use bson::rawdoc;
    /// # use postfold_projections::models::Preferences;
    /// # use postfold_projections::testing::Scenario;
    /// # Scenario::<Preferences>::new()
    /// #     .when(|log| drop(log.change("user/42", "preference.changed", r#"{"mail": {"weekly": true}}"#)))
    /// #     .then("user/42", |preference| {
    /// let defaults = rawdoc! { "theme": "light", "mail": { "weekly": false, "daily": false } };
    /// let shown = preference.over(&defaults).unwrap();
    /// assert_eq!(shown, rawdoc! { "theme": "light", "mail": { "weekly": true, "daily": false } });
    /// #     });
    /// ```
    ///
    /// # Errors
    ///
    /// [`FoldError`] when one of the two is no document that can be read.
    pub fn over(&self, defaults: &RawDocument) -> Result<RawDocumentBuf, FoldError> {
        merge::merged(defaults, &self.preferences)
    }
}

impl Projection for Preferences {
    type Document = Preference;
    const NAME: &'static str = "preferences";
    const VERSION: u32 = 1;
    const ON_POISON: OnPoison = OnPoison::Park;

    fn keys(event: &ReadEvent) -> Result<Keys, FoldError> {
        let ours = matches!(event.kind.as_str(), CHANGED | UNSET);
        Ok(event.entity().filter(|_| ours).map_or_else(Keys::none, Keys::one))
    }

    fn fold(document: Option<&Preference>, _key: &str, event: &ReadEvent) -> Result<Change<Preference>, FoldError> {
        let none = RawDocumentBuf::new();
        let before = document.map_or(&none, |before| &before.preferences);
        let preferences = match event.kind.as_str() {
            CHANGED => merge::merged(before, &merge::data(event)?)?,
            UNSET => unset(before, event.data.get())?,
            _ => return Ok(Change::Keep),
        };
        let version = document.map_or(0, |before| before.version).saturating_add(1);
        Ok(Change::Put(Preference { preferences, version, updated_at: event.recorded_at }))
    }
}

/// The data of a `preference.unset`.
#[derive(Deserialize)]
struct Unset {
    paths: Vec<Path>,
}

/// `"a.b"`, or `["a", "b"]`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Path {
    Dotted(String),
    Names(Vec<String>),
}

impl Path {
    /// The names as they are stored.
    fn names(&self) -> Vec<String> {
        let stored = |name: &str| json::to_name(name).into_owned();
        match self {
            Self::Dotted(path) => path.split('.').map(stored).collect(),
            Self::Names(names) => names.iter().map(|name| stored(name)).collect(),
        }
    }
}

fn unset(preferences: &RawDocumentBuf, data: &str) -> Result<RawDocumentBuf, FoldError> {
    let Unset { paths } = serde_json::from_str(data)
        .map_err(|error| FoldError::new(format!("{UNSET} needs {{\"paths\": [..]}}: {error}")))?;
    paths.iter().try_fold(preferences.clone(), |left, path| merge::without(&left, &path.names()))
}
