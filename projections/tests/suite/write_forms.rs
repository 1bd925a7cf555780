//! A document for each statement, or many: what comes of it is the same.

use bson::rawdoc;
use postfold::Position;
use postfold_projections::{Guard, Index, MongoSettings, Row, Store, StoreErrorKind, WriteForm};

use crate::database::Database;

const FORMS: [WriteForm; 2] = [WriteForm::Statements, WriteForm::Table];

async fn database(write_form: WriteForm) -> Database {
    Database::create_with(MongoSettings { write_form, ..MongoSettings::default() }).await
}

fn row(number: i64, position: i64, value: i64) -> Row {
    let state = Some(rawdoc! { "value": value, "at": position });
    Row { id: format!("{number:03}"), generation: 1, position: Position::new(position), state }
}

async fn stored(database: &Database) -> Vec<Row> {
    database.store.scan("rows", None, None, 1_000).await.unwrap()
}

#[tokio::test]
async fn the_document_that_the_server_refuses_is_named_and_the_others_are_written() {
    for form in FORMS {
        let database = database(form).await;
        database.store.create("rows", &[Index::ascending(["value"]).unique()]).await.unwrap();
        let before: Vec<Row> = (0..120).map(|number| row(number, 1, number)).collect();
        let written = database.store.insert("rows", &before.iter().collect::<Vec<_>>()).await.unwrap();
        assert_eq!(written.done, 120);
        // Number 70 takes the value of one that keeps it: 119, which is not among those sent.
        let sent: Vec<Row> =
            (0..119).map(|number| row(number, 2, if number == 70 { 119 } else { 1_000 + number })).collect();
        let written = database.store.replace("rows", Guard::Behind, &sent.iter().collect::<Vec<_>>()).await.unwrap();
        let refused: Vec<_> = written.refused.iter().map(|refused| (refused.index, refused.error.kind)).collect();
        assert_eq!(refused, [(70, StoreErrorKind::Duplicate)], "{form:?}");
        assert_eq!(written.done, 118, "{form:?}");
        let mut expected = sent;
        expected[70] = before[70].clone();
        expected.push(before[119].clone());
        assert_eq!(stored(&database).await, expected, "{form:?}");
        database.drop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_that_meet_never_move_a_document_back() {
    for form in FORMS {
        let database = database(form).await;
        let first: Vec<Row> = (0..100).map(|number| row(number, 1, 1)).collect();
        database.store.insert("rows", &first.iter().collect::<Vec<_>>()).await.unwrap();
        let writers = (0..4).map(|writer| {
            let store = database.store.clone();
            tokio::spawn(async move {
                let mut done = 0;
                for round in 0..20 {
                    // Each writer is the furthest of them on a quarter of the documents.
                    let place = |number: i64| 2 + round * 4 + (number + writer) % 4;
                    let rows: Vec<Row> = (0..100).map(|number| row(number, place(number), place(number))).collect();
                    let rows: Vec<&Row> = rows.iter().collect();
                    done += store.replace("rows", Guard::Behind, &rows).await.unwrap().done;
                }
                done
            })
        });
        let done: usize = futures::future::join_all(writers).await.into_iter().map(Result::unwrap).sum();
        let last = 2 + 19 * 4 + 3;
        let expected: Vec<Row> = (0..100).map(|number| row(number, last, last)).collect();
        assert_eq!(stored(&database).await, expected, "{form:?}");
        // Each position of each document is written once at most: nothing is counted that was not written.
        assert!((100..=100 * 80).contains(&done), "{form:?}: {done}");
        database.drop().await;
    }
}
