//! The pages in `docs/models/`: their fields, types and indexes are those of the documents that the models make, and
//! their queries run on the server and find something.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use bson::{Bson, Document, doc};
use futures::TryStreamExt;
use mongodb::Client;
use mongodb::action::{Action, Find};
use postfold::{Command, Event, Ledger, ManualClock, Position};
use postfold_projections::models::{
    Balances, Changelogs, Dashboards, Entities, ExpiringChangelogs, Preferences, Statements,
};
use postfold_projections::testing::{EventLog, RowScenario, Scenario};
use postfold_projections::{Index, MemoryStore, Projection, Row, RowProjection, Store};

use crate::database::Database;

/// A history in which every field of every model occurs, and every query of the pages finds something.
const HISTORY: &[&str] = &[
    r#"{"do":"open_account","account":"assets:cash:till-1","currency":"EUR","type":"asset","owner":"shop/7","name":"Till 1"}"#,
    r#"{"do":"open_account","account":"liabilities:wallets:42","currency":"EUR","type":"liability","owner":"user/42"}"#,
    r#"{"do":"open_account","account":"income:sales","currency":"EUR","type":"income"}"#,
    r#"{"do":"transfer","id":"in-1","amount":"100.00","debit":"assets:cash:till-1","credit":"liabilities:wallets:42","at":"2026-10-05T12:00:00Z"}"#,
    r#"{"do":"hold","id":"hold-1","amount":"10.00","debit":"liabilities:wallets:42","credit":"income:sales"}"#,
    r#"{"do":"settle","id":"settle-1","hold":"hold-1","amount":"4.00","keep_rest":true}"#,
    r#"{"do":"transfer","id":"pay-1","amount":"2.50","debit":"liabilities:wallets:42","credit":"income:sales","text":"Coffee"}"#,
    r#"{"do":"reverse","id":"back-1","entry":"pay-1","reason":"cold"}"#,
    r#"{"do":"transfer","id":"out-1","amount":"0.50","debit":"income:sales","credit":"assets:cash:till-1"}"#,
    r#"{"do":"transfer","id":"out-2","amount":"200.00","debit":"liabilities:wallets:42","credit":"assets:cash:till-1"}"#,
    r#"{"do":"record","entity":"user/42","kind":"user.added","data":{"name":"Ade"},"meta":{"by":"admin/7"},"correlation":"import-3"}"#,
    r#"{"do":"record","entity":"user/42","kind":"user.renamed","data":{"name":"Ada"},"meta":{"by":"admin/7"}}"#,
    r#"{"do":"record","entity":"user/42","kind":"preference.changed","data":{"theme":"dark","mail":{"weekly":true}},"meta":{"by":"admin/7"}}"#,
];

async fn history() -> Vec<Event> {
    let clock = ManualClock::new("2026-11-21T12:00:00Z".parse().unwrap());
    let ledger = Ledger::builder().clock(Arc::new(clock)).in_memory();
    for command in HISTORY {
        ledger.submit(Command::from_json(command).unwrap()).await.unwrap().into_result().unwrap();
    }
    let too_large = format!(r#"{{"text":"{}"}}"#, "x".repeat(900_000));
    for number in 0..4 {
        let data = too_large.replace("text", &format!("text-{number}"));
        let command = format!(r#"{{"do":"record","entity":"thing/1","kind":"thing.changed","data":{data}}}"#);
        ledger.submit(Command::from_json(&command).unwrap()).await.unwrap().into_result().unwrap();
    }
    ledger.log().page(Position::START, usize::MAX).await.unwrap()
}

fn copy(events: &[Event]) -> impl FnOnce(&EventLog) + use<'_> {
    |log| events.iter().for_each(|event| log.copy(event.clone()))
}

/// A model's documents, and its indexes.
struct Model {
    name: &'static str,
    rows: Vec<Row>,
    indexes: Vec<Index>,
}

fn row(id: &str, document: &impl serde::Serialize) -> Row {
    let state = bson::serialize_to_raw_document_buf(document).unwrap();
    Row { id: id.to_owned(), generation: 1, position: Position::new(1), state: Some(state) }
}

fn keyed<P: Projection>(events: &[Event]) -> Model {
    let mut rows = Vec::new();
    drop(Scenario::<P>::new().when(copy(events)).then_all(|all| {
        rows = all.iter().map(|(id, document)| row(id, document)).collect();
    }));
    Model { name: P::NAME, rows, indexes: P::indexes() }
}

fn of_rows<P: RowProjection>(events: &[Event]) -> Model {
    let mut rows = Vec::new();
    drop(RowScenario::<P>::new().when(copy(events)).then_rows(|all| {
        rows = all.iter().map(|(id, document)| row(id, document)).collect();
    }));
    Model { name: P::NAME, rows, indexes: P::indexes() }
}

/// All models, `changelogs` with rows that expire.
async fn models() -> Vec<Model> {
    let events = history().await;
    vec![
        keyed::<Balances>(&events),
        of_rows::<Statements>(&events),
        keyed::<Dashboards>(&events),
        keyed::<Entities>(&events),
        of_rows::<ExpiringChangelogs<36_500>>(&events),
        keyed::<Preferences>(&events),
    ]
}

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/models").join(name).with_extension("md");
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What stands under a heading.
fn section<'a>(page: &'a str, heading: &str) -> &'a str {
    let heading = format!("\n## {heading}\n");
    let (_, rest) = page.split_once(&heading).unwrap_or_else(|| panic!("there is no {heading:?}"));
    rest.split_once("\n## ").map_or(rest, |(section, _)| section)
}

fn type_name(value: &Bson) -> &'static str {
    match value {
        Bson::String(_) => "string",
        Bson::Int32(_) => "int32",
        Bson::Int64(_) => "int64",
        Bson::Decimal128(_) => "decimal",
        Bson::DateTime(_) => "date",
        Bson::Document(_) => "object",
        Bson::Array(_) => "array",
        Bson::Boolean(_) => "bool",
        other => panic!("no model has {other:?} at its top"),
    }
}

#[tokio::test]
async fn every_field_and_its_type_stand_on_the_page_and_no_others() {
    for model in models().await {
        let page = page(model.name);
        let told: BTreeMap<String, String> = section(&page, "Fields")
            .lines()
            .filter_map(|line| {
                let mut cells = line.strip_prefix("| `")?.split('|');
                let field = cells.next()?.trim().trim_end_matches('`').to_owned();
                Some((field, cells.next()?.trim().to_owned()))
            })
            .collect();
        let mut found: BTreeMap<String, String> =
            [("_id", "string"), ("g", "int64"), ("p", "int64")].map(|(a, b)| (a.to_owned(), b.to_owned())).into();
        for row in &model.rows {
            let document = Document::try_from(row.state.as_deref().unwrap()).unwrap();
            for (field, value) in document {
                let before = found.insert(field.clone(), type_name(&value).to_owned());
                assert!(before.is_none_or(|before| before == type_name(&value)), "{field} has two types");
            }
        }
        assert_eq!(told, found, "{}", model.name);
    }
}

#[tokio::test]
async fn every_index_stands_on_the_page_and_no_others() {
    for model in models().await {
        let store = MemoryStore::new();
        store.create(model.name, &model.indexes).await.unwrap();
        let page = page(model.name);
        let told: BTreeSet<_> = section(&page, "Indexes")
            .lines()
            .filter_map(|line| line.strip_prefix("- `")?.split('`').next().map(str::to_owned))
            .collect();
        assert_eq!(told, store.indexes(model.name).into_iter().collect(), "{}", model.name);
    }
    let lasting = Changelogs::indexes().len();
    assert_eq!(ExpiringChangelogs::<1>::indexes().len(), lasting + 1);
}

#[tokio::test]
async fn every_query_of_the_pages_runs_and_finds_something() {
    let database = Database::create().await;
    let uri = std::env::var("MONGODB_URI").unwrap();
    let client = Client::with_uri_str(&uri).await.unwrap();
    let reader = client.database(&database.name);
    let mut queries: Vec<Query> = Query::all(&page("README"));
    for model in models().await {
        database.store.create(model.name, &model.indexes).await.unwrap();
        for rows in model.rows.chunks(2) {
            let written = database.store.insert(model.name, &rows.iter().collect::<Vec<_>>()).await.unwrap();
            assert_eq!(written.refused, [], "{}", model.name);
        }
        queries.extend(Query::all(section(&page(model.name), "Queries")));
    }
    assert!(queries.len() > 25, "{}", queries.len());
    for query in queries {
        let collection = reader.collection::<Document>(&query.collection);
        let found: Vec<Document> = if let Some(pipeline) = query.aggregate {
            collection.aggregate(pipeline).await.unwrap().try_collect().await.unwrap()
        } else {
            let find = collection.find(query.filter).projection(query.projection).limit(query.limit);
            find.optional(query.sort, Find::sort).await.unwrap().try_collect().await.unwrap()
        };
        assert!(!found.is_empty(), "finds nothing: {}", query.text);
    }
    client.shutdown().await;
    database.drop().await;
}

/// A query as the pages write it for mongosh: `db.<collection>.find(..)` with `.sort(..)` and `.limit(..)`, or
/// `.aggregate(..)`.
struct Query {
    text: String,
    collection: String,
    filter: Document,
    projection: Document,
    sort: Option<Document>,
    limit: i64,
    aggregate: Option<Vec<Document>>,
}

impl Query {
    fn all(page: &str) -> Vec<Self> {
        page.split("```js\n").skip(1).filter_map(|block| block.split("```").next()).map(Self::read).collect()
    }

    fn read(text: &str) -> Self {
        let calls: String = text.lines().map(str::trim).collect();
        let (collection, mut rest) = calls.strip_prefix("db.").unwrap().split_once('.').unwrap();
        let mut query = Self {
            text: text.to_owned(),
            collection: collection.to_owned(),
            filter: doc! {},
            projection: doc! {},
            sort: None,
            limit: 0,
            aggregate: None,
        };
        while !rest.is_empty() {
            let (method, behind) = rest.split_once('(').unwrap();
            let (arguments, behind) = behind.split_at(closing(behind));
            let mut values = values(arguments).into_iter();
            let mut document = || values.next().map_or(doc! {}, |value| value.as_document().unwrap().clone());
            match method {
                "find" => (query.filter, query.projection) = (document(), document()),
                "sort" => query.sort = Some(document()),
                "limit" => query.limit = arguments.parse().unwrap(),
                "aggregate" => {
                    let stages = values.next().unwrap().as_array().unwrap().clone();
                    query.aggregate = Some(stages.iter().map(|stage| stage.as_document().unwrap().clone()).collect());
                }
                other => panic!("{other} in {text}"),
            }
            rest = behind[1..].trim_start_matches('.');
        }
        query
    }
}

/// The place of the parenthesis that closes the one before this text.
fn closing(text: &str) -> usize {
    let (mut depth, mut quoted) = (1, false);
    for (place, character) in text.char_indices() {
        match character {
            '"' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return place;
        }
    }
    panic!("no end: {text}");
}

/// Arguments in JSON, with the two words of mongosh that the pages use.
fn values(arguments: &str) -> Vec<Bson> {
    let mut json = format!("[{arguments}]");
    for (word, mark) in [("ISODate(", "$date"), ("NumberDecimal(", "$numberDecimal")] {
        while let Some((before, behind)) = json.split_once(word) {
            let (value, behind) = behind.split_once(')').unwrap();
            json = format!("{before}{{\"{mark}\":{value}}}{behind}");
        }
    }
    let value: serde_json::Value = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"));
    value.as_array().unwrap().iter().map(typed).collect()
}

fn typed(value: &serde_json::Value) -> Bson {
    use serde_json::Value;

    match value {
        Value::Array(items) => Bson::Array(items.iter().map(typed).collect()),
        Value::Object(fields) => match (fields.get("$date"), fields.get("$numberDecimal")) {
            (Some(Value::String(time)), _) => Bson::DateTime(bson::DateTime::parse_rfc3339_str(time).unwrap()),
            (_, Some(Value::String(number))) => Bson::Decimal128(number.parse().unwrap()),
            _ => Bson::Document(fields.iter().map(|(name, value)| (name.clone(), typed(value))).collect()),
        },
        plain => bson::serialize_to_bson(plain).unwrap(),
    }
}
