//! The read models of this program.

use postfold_projections::models::{Balances, Changelogs, Dashboards, Entities, Preferences, Statements};
use postfold_projections::{Projection, Projector, RowProjection};

/// Projections, each by its name; without a log and a store yet.
#[derive(Default)]
pub(crate) struct Models(Vec<Model>);

struct Model {
    name: &'static str,
    add: Box<dyn FnOnce(Projector) -> Projector>,
}

impl Models {
    /// What comes with the ledger.
    pub(crate) fn stock() -> Self {
        let money = Self::default().with(Balances).with_rows(Statements).with(Dashboards);
        money.with_rows(Changelogs).with(Preferences).with(Entities)
    }

    /// And this projection.
    pub(crate) fn with<P: Projection>(self, projection: P) -> Self {
        self.and(P::NAME, |projector| projector.with(projection))
    }

    /// And this projection of rows.
    pub(crate) fn with_rows<P: RowProjection>(self, projection: P) -> Self {
        self.and(P::NAME, |projector| projector.with_rows(projection))
    }

    /// The names, in the order in which they were given.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.0.iter().map(|model| model.name).collect()
    }

    /// Gives these to a projector; all of them where nobody chose.
    pub(crate) fn give(self, projector: Projector, only: &[String]) -> Projector {
        let wanted = |name: &str| only.is_empty() || only.iter().any(|only| only == name);
        let wanted = self.0.into_iter().filter(|model| wanted(model.name));
        wanted.fold(projector, |projector, model| (model.add)(projector))
    }

    /// And this one, in the place of one of the same name if there is one.
    fn and(mut self, name: &'static str, add: impl FnOnce(Projector) -> Projector + 'static) -> Self {
        let model = Model { name, add: Box::new(add) };
        match self.0.iter_mut().find(|other| other.name == name) {
            Some(place) => *place = model,
            None => self.0.push(model),
        }
        self
    }
}
