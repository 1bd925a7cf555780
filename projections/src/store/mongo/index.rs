//! Indexes as `createIndexes` takes them, and as `listIndexes` gives them back.

use std::collections::BTreeSet;

use bson::{Bson, Document, doc};

use super::wire::number;
use crate::projection::{Direction, Index};
use crate::store::Drift;

/// The field in which a document may name the language of its text, for a text index. By default that is
/// `language`, and a document of a projection that has such a field for reasons of its own is refused where the
/// index does not know what stands in it. No document has this one.
const LANGUAGE_FIELD: &str = "text_index_language";

/// How a server lists the key of a text index, beside the fields before and after its text.
const TEXT_KEYS: [&str; 2] = ["_fts", "_ftsx"];

/// An index as `createIndexes` takes it.
pub(super) fn specification(index: &Index) -> Document {
    let keys: Document = index.keys.iter().map(|(field, direction)| (field.clone(), key(*direction))).collect();
    let mut specification = doc! { "name": index.name(), "key": keys };
    if index.unique {
        specification.insert("unique", true);
    }
    if index.sparse {
        specification.insert("sparse", true);
    }
    if index.expiring {
        // The field itself says when.
        specification.insert("expireAfterSeconds", 0);
    }
    if let Some(filter) = &index.partial {
        specification.insert("partialFilterExpression", filter.clone());
    }
    if text_fields(index).next().is_some() {
        specification.insert("language_override", LANGUAGE_FIELD);
    }
    specification
}

/// Whether an index that the server lists is the one that was asked for. Servers add options of their own:
/// only those are compared that an [`Index`] can ask for.
pub(super) fn is_index(listed: &Document, wanted: &Index) -> bool {
    let flag = |name: &str| listed.get_bool(name).unwrap_or(false);
    let expires = listed.contains_key("expireAfterSeconds").then(|| number(listed, "expireAfterSeconds"));
    listed.get_str("name").is_ok_and(|name| name == wanted.name())
        && has_keys(listed, wanted)
        && flag("unique") == wanted.unique
        && flag("sparse") == wanted.sparse
        && expires == wanted.expiring.then_some(Some(0))
        && listed.get_document("partialFilterExpression").ok() == wanted.partial.as_ref()
}

/// How the listed indexes differ from those that are wanted.
pub(super) fn drift(listed: &[Document], wanted: &[Index]) -> Vec<Drift> {
    let name = |listed: &Document| listed.get_str("name").unwrap_or_default().to_owned();
    let missing_or_different =
        wanted.iter().filter_map(|wanted| match listed.iter().find(|listed| name(listed) == wanted.name()) {
            None => Some(Drift::Missing(wanted.name())),
            Some(found) => (!is_index(found, wanted)).then(|| Drift::Different(wanted.name())),
        });
    let extra =
        listed.iter().map(name).filter(|name| name != "_id_" && wanted.iter().all(|wanted| wanted.name() != *name));
    missing_or_different.chain(extra.map(Drift::Extra)).collect()
}

/// The fields of a text are listed by their weights, in any order; without a word about weights, each has 1.
fn has_keys(listed: &Document, wanted: &Index) -> bool {
    let Ok(keys) = listed.get_document("key") else { return false };
    let listed_keys = keys.iter().filter(|(field, _)| !TEXT_KEYS.contains(&field.as_str()));
    let listed_keys = listed_keys.map(|(field, _)| (field.as_str(), number(keys, field)));
    let wanted_keys = wanted.keys.iter().filter_map(|(field, direction)| match direction {
        Direction::Ascending => Some((field.as_str(), Some(1))),
        Direction::Descending => Some((field.as_str(), Some(-1))),
        Direction::Text => None,
    });
    let weights = listed.get_document("weights").ok();
    let weights =
        weights.into_iter().flat_map(|weights| weights.keys().map(|field| (field.as_str(), number(weights, field))));
    let fields = text_fields(wanted).map(|field| (field, Some(1)));
    listed_keys.eq(wanted_keys) && weights.collect::<BTreeSet<_>>() == fields.collect()
}

fn key(direction: Direction) -> Bson {
    match direction {
        Direction::Ascending => Bson::Int32(1),
        Direction::Descending => Bson::Int32(-1),
        Direction::Text => Bson::String("text".into()),
    }
}

fn text_fields(index: &Index) -> impl Iterator<Item = &str> {
    index.keys.iter().filter(|(_, direction)| *direction == Direction::Text).map(|(field, _)| field.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As MongoDB lists it: with a version, numbers of its own choice, and the text's key and weights.
    fn listed(index: &Index) -> Document {
        let mut listed = specification(index);
        let mut keys = doc! {};
        let mut weights = doc! {};
        for (field, direction) in &index.keys {
            match direction {
                Direction::Ascending => drop(keys.insert(field, 1.0)),
                Direction::Descending => drop(keys.insert(field, -1_i64)),
                Direction::Text => {
                    keys.extend(doc! { "_fts": "text", "_ftsx": 1 });
                    weights.insert(field, 1);
                }
            }
        }
        listed.extend(doc! { "v": 2, "key": keys });
        if !weights.is_empty() {
            listed.extend(doc! { "weights": weights, "default_language": "english", "textIndexVersion": 3 });
        }
        listed
    }

    fn all() -> Vec<Index> {
        vec![
            Index::ascending(["a"]),
            Index::ascending(["a"]).unique(),
            Index::ascending(["a"]).sparse(),
            Index::expiring("a"),
            Index::ascending(["a"]).only(doc! { "a": { "$exists": true } }),
            Index::ascending(["a"]).only(doc! { "a": { "$gt": 5 } }),
            Index::ascending(["a", "b"]),
            Index::ascending(["a"]).then_descending("b"),
            Index::descending(["a"]),
            Index::text(["a"]),
            Index::text(["a", "b"]),
            Index::text(["a"]).then_ascending("b"),
        ]
    }

    #[test]
    fn an_index_is_known_by_its_listing_and_no_other_is_taken_for_it() {
        for (at, wanted) in all().iter().enumerate() {
            for (other, found) in all().iter().enumerate() {
                let mut listed = listed(found);
                listed.insert("name", wanted.name());
                assert_eq!(is_index(&listed, wanted), at == other, "{wanted:?}: {listed}");
            }
        }
    }

    #[test]
    fn another_expiry_or_another_weight_is_another_index() {
        let mut late = listed(&Index::expiring("a"));
        late.insert("expireAfterSeconds", 5_i64);
        assert!(!is_index(&late, &Index::expiring("a")));
        let mut heavy = listed(&Index::text(["a", "b"]));
        heavy.insert("weights", doc! { "a": 10, "b": 1 });
        assert!(!is_index(&heavy, &Index::text(["a", "b"])));
        heavy.insert("weights", doc! { "b": 1_i64, "a": 1.0 });
        assert!(is_index(&heavy, &Index::text(["a", "b"])));
    }
}
