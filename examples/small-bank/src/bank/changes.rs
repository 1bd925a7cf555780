//! Changes that move no money: customers move house, users change their preferences.

use rand::RngExt;
use serde_json::json;

use super::Bank;
use crate::{
    command::{Command, Record},
    people, preferences,
    script::Expected,
};

impl Bank {
    /// An evening's changes.
    pub(super) fn people_change(&mut self) {
        for _ in 0..self.active.len().div_ceil(900) {
            self.somebody_moves();
        }
        for _ in 0..self.active.len().div_ceil(220) {
            self.somebody_changes_preferences();
        }
    }

    fn somebody_moves(&mut self) {
        let Some((index, _)) = self.anybody() else {
            return;
        };
        let address = people::address(&mut self.rng);
        // Half of the clerks saw the record before they changed it, and say so.
        let has_seen = self.rng.random_bool(0.5);
        let customer = &mut self.customers[index];
        let moved = Record {
            entity: format!("customer/{}", customer.number),
            kind: "customer.moved",
            data: json!({"address": address}),
            expected_version: has_seen.then_some(customer.changes),
        };
        customer.changes += 1;
        self.script.say(&Command::Record(moved), Expected::Ok);
    }

    fn somebody_changes_preferences(&mut self) {
        let Some((index, _)) = self.anybody() else {
            return;
        };
        let customer = &mut self.customers[index];
        let taken_back = if self.rng.random_bool(0.2) { preferences::removable(&customer.preferences) } else { None };
        let (kind, data) = if let Some(path) = taken_back {
            preferences::unset(&mut customer.preferences, path);
            ("preference.unset", json!({"paths": [path]}))
        } else {
            let patch = preferences::change(&mut self.rng);
            preferences::merge(&mut customer.preferences, &patch);
            ("preference.changed", patch)
        };
        let record = Record { entity: format!("user/{}", customer.number), kind, data, expected_version: None };
        self.script.say(&Command::Record(record), Expected::Ok);
    }
}
