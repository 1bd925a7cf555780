//! Preferences of users: changes made up, and what each user's document must be after them.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};

/// Themes on offer.
const THEMES: [&str; 3] = ["light", "dark", "system"];
/// Languages on offer.
const LANGUAGES: [&str; 4] = ["de", "en", "fr", "it"];

/// What a user starts with.
pub(crate) fn first(rng: &mut ChaCha8Rng) -> Value {
    json!({
        "theme": THEMES[rng.random_range(0..THEMES.len())],
        "language": LANGUAGES[rng.random_range(0..LANGUAGES.len())],
        "notifications": {"email": true, "sms": rng.random_bool(0.3)},
    })
}

/// A later change of mind: a patch.
pub(crate) fn change(rng: &mut ChaCha8Rng) -> Value {
    match rng.random_range(0..5) {
        0 => json!({"theme": THEMES[rng.random_range(0..THEMES.len())]}),
        1 => json!({"language": LANGUAGES[rng.random_range(0..LANGUAGES.len())]}),
        2 => json!({"notifications": {"sms": rng.random_bool(0.5)}}),
        3 => json!({
            "notifications": {"push": rng.random_bool(0.8)},
            "statement": {"format": "pdf", "day": rng.random_range(1..=28)},
        }),
        _ => {
            json!({"overview": {"accounts": ["current", "savings"], "rows": rng.random_range(5..=50)}})
        }
    }
}

/// A path that can be taken back from this document, if there is one. Only one whose parent keeps other members is
/// chosen, so that nothing hangs on what becomes of a parent that was emptied.
pub(crate) fn removable(document: &Value) -> Option<&'static str> {
    let members = |name: &str| document.get(name).and_then(Value::as_object);
    if members("notifications").is_some_and(|all| all.len() > 1 && all.contains_key("sms")) {
        return Some("notifications.sms");
    }
    members("statement").is_some_and(|all| all.len() > 1 && all.contains_key("day")).then_some("statement.day")
}

/// Merges a patch: objects member by member, anything else as a whole.
pub fn merge(document: &mut Value, patch: &Value) {
    let Value::Object(members) = patch else {
        patch.clone_into(document);
        return;
    };
    if !document.is_object() {
        *document = Value::Object(Map::new());
    }
    if let Value::Object(target) = document {
        for (name, value) in members {
            merge(target.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}

/// Removes the member at a dotted path, if it is there.
pub fn unset(document: &mut Value, path: &str) {
    let (parents, name) = path.rsplit_once('.').unwrap_or(("", path));
    let mut place = document;
    for parent in parents.split('.').filter(|parent| !parent.is_empty()) {
        let Some(next) = place.get_mut(parent) else {
            return;
        };
        place = next;
    }
    if let Value::Object(members) = place {
        members.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{merge, removable, unset};

    #[test]
    fn a_patch_goes_in_member_by_member() {
        let mut document = json!({"theme": "dark", "notifications": {"email": true}});
        merge(&mut document, &json!({"notifications": {"sms": false}, "rows": [1, 2]}));
        merge(&mut document, &json!({"rows": [3]}));
        assert_eq!(document, json!({"theme": "dark", "notifications": {"email": true, "sms": false}, "rows": [3]}));
    }

    #[test]
    fn a_path_is_taken_back() {
        let mut document = json!({"theme": "dark", "notifications": {"email": true, "sms": true}});
        assert_eq!(removable(&document), Some("notifications.sms"));
        unset(&mut document, "notifications.sms");
        unset(&mut document, "absent.path");
        unset(&mut document, "absent");
        assert_eq!(document, json!({"theme": "dark", "notifications": {"email": true}}));
        assert_eq!(removable(&document), None);
        unset(&mut document, "theme");
        assert_eq!(document, json!({"notifications": {"email": true}}));
    }
}
