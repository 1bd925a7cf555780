//! The routes against a real PostgreSQL: seats are never oversold; form, fee and seat stand together or not at all.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test ends at the first thing that goes wrong")]

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use course_desk::desk::Desk;
use course_desk::http::routes;
use http_body_util::BodyExt;
use postfold::Entry;
use rust_decimal::{Decimal, dec};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tower::ServiceExt;

/// A desk of its own for one test: its schema, its ledger, and a connection to look at both.
struct School {
    desk: Desk,
    router: Router,
    schema: String,
    ledger: String,
    connection: PgConnection,
}

fn database_url() -> String {
    std::env::var("DATABASE_URL")
        .expect("DATABASE_URL is not set; start the servers with `make stack`, then `eval \"$(make -s stack-env)\"`")
}

impl School {
    async fn new() -> Self {
        let schema = format!("desk_{}", uuid::Uuid::now_v7().simple());
        let ledger = schema.replace('_', "-");
        let desk = Desk::open(&database_url(), &schema, &ledger).await.unwrap();
        let connection = PgConnection::connect(&database_url()).await.unwrap();
        Self { router: routes(desk.clone()), desk, schema, ledger, connection }
    }

    /// One more process of the same application.
    async fn another(&self) -> Router {
        routes(Desk::open(&database_url(), &self.schema, &self.ledger).await.unwrap())
    }

    async fn offer(&self, seats: usize, fee: &str) {
        let terms = json!({"seats": seats, "fee": fee});
        assert_eq!(send(&self.router, Method::PUT, "/courses/rust", terms).await.0, StatusCode::CREATED);
    }

    /// A student with so much in the wallet.
    async fn student(&self, name: &str, amount: &str) {
        let path = format!("/students/{name}");
        assert_eq!(send(&self.router, Method::PUT, &path, Value::Null).await.0, StatusCode::CREATED);
        let payment = format!("/students/{name}/payments/first-{name}");
        let paid = send(&self.router, Method::PUT, &payment, json!({"amount": amount})).await;
        assert_eq!(paid.0, StatusCode::CREATED, "{paid:?}");
    }

    async fn forms(&mut self) -> usize {
        let sql = format!("select count(*) from {}.enrolment_form", self.schema);
        let count: i64 = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut self.connection).await.unwrap();
        usize::try_from(count).unwrap()
    }

    async fn fees(&self) -> Decimal {
        self.desk.ledger().balance("income:fees").await.unwrap().posted
    }

    async fn enrolled(&self) -> usize {
        self.desk.course("rust").await.unwrap().state.students.len()
    }

    /// Forms, seats and fees must agree, and the books be sound.
    async fn close(mut self, enrolled: usize, fees: Decimal) {
        assert_eq!((self.forms().await, self.enrolled().await, self.fees().await), (enrolled, enrolled, fees));
        let report = postfold::verify(self.desk.ledger().log(), |_| {}).await.unwrap();
        assert!(report.is_clean(), "{:#?}", report.problems);
        let drop = format!("drop schema {} cascade", self.schema);
        sqlx::query(AssertSqlSafe(drop)).execute(&mut self.connection).await.unwrap();
    }
}

async fn ask(router: &Router, request: Request<Body>) -> (StatusCode, Value) {
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or_else(|_| json!(String::from_utf8_lossy(&body))))
}

async fn send(router: &Router, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    ask(router, request.body(Body::from(body.to_string())).unwrap()).await
}

async fn enrol(router: &Router, key: &str, student: &str) -> (StatusCode, Value) {
    let request = Request::post("/courses/rust/enrolments").header("content-type", "application/json");
    let body = json!({"student": student, "email": format!("{student}@example.org")});
    ask(router, request.header("idempotency-key", key).body(Body::from(body.to_string())).unwrap()).await
}

#[tokio::test]
async fn a_student_enrols_once_however_often_they_ask() {
    let school = School::new().await;
    school.offer(2, "99.00").await;
    school.student("ann", "150.00").await;
    let (status, first) = enrol(&school.router, "e-1", "ann").await;
    assert_eq!((status, &first["duplicate"]), (StatusCode::CREATED, &json!(false)));
    let (status, again) = enrol(&school.router, "e-1", "ann").await;
    assert_eq!((status, &again["duplicate"], &again["position"]), (StatusCode::OK, &json!(true), &first["position"]));
    let (status, other) = enrol(&school.router, "e-2", "ann").await;
    assert_eq!((status, &other["error"]), (StatusCode::CONFLICT, &json!("already_enrolled")));
    let (_, wallet) = send(&school.router, Method::GET, "/students/ann", Value::Null).await;
    assert_eq!(wallet["available"], "51.00");
    let (_, course) = send(&school.router, Method::GET, "/courses/rust", Value::Null).await;
    assert_eq!(course["state"]["students"], json!(["ann"]));
    school.close(1, dec!(99)).await;
}

#[tokio::test]
async fn whoever_is_refused_leaves_neither_form_nor_fee_nor_seat() {
    let mut school = School::new().await;
    school.student("poor", "98.99").await;
    school.student("rich", "500.00").await;
    assert_eq!(enrol(&school.router, "e-0", "rich").await.1["error"], "not_offered");
    school.offer(1, "99.00").await;
    let (status, refused) = enrol(&school.router, "e-1", "poor").await;
    assert_eq!((status, &refused["error"]), (StatusCode::PAYMENT_REQUIRED, &json!("insufficient_funds")));
    assert_eq!(enrol(&school.router, "e-2", "nobody").await.1["error"], "unknown_student");
    assert_eq!((school.forms().await, school.enrolled().await, school.fees().await), (0, 0, dec!(0)));
    // None of the keys was used up.
    assert_eq!(enrol(&school.router, "e-1", "rich").await.0, StatusCode::CREATED);
    let (status, other) = enrol(&school.router, "e-1", "poor").await;
    assert_eq!((status, &other["error"]), (StatusCode::CONFLICT, &json!("id_reused")));
    let fewer = send(&school.router, Method::PUT, "/courses/rust", json!({"seats": 0, "fee": "1.00"})).await;
    assert_eq!(fewer.1["error"], "seats_taken");
    school.close(1, dec!(99)).await;
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_its_field() {
    let school = School::new().await;
    school.student("ann", "1.00").await;
    let request = Request::post("/courses/rust/enrolments").header("content-type", "application/json");
    let keyless = ask(&school.router, request.body(Body::from(r#"{"student":"ann","email":""}"#)).unwrap()).await;
    assert_eq!((keyless.0, &keyless.1["error"]), (StatusCode::BAD_REQUEST, &json!("no_key")));
    for (amount, status) in [
        (json!("1.001"), StatusCode::UNPROCESSABLE_ENTITY),
        (json!("-1"), StatusCode::UNPROCESSABLE_ENTITY),
        (json!(1.5), StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        let paid = send(&school.router, Method::PUT, "/students/ann/payments/p-2", json!({"amount": amount})).await;
        assert_eq!(paid.0, status, "{amount}: {paid:?}");
    }
    assert_eq!(send(&school.router, Method::GET, "/students/bob", Value::Null).await.0, StatusCode::NOT_FOUND);
    school.close(0, dec!(0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_who_ask_two_processes_at_once_get_ten_seats() {
    const SEATS: usize = 10;
    let school = School::new().await;
    school.offer(SEATS, "20.00").await;
    for number in 0..60 {
        school.student(&format!("s{number}"), "20.00").await;
    }
    let routers = [school.router.clone(), school.another().await];
    let mut tasks = Vec::new();
    for number in 0..60 {
        let router = routers[number % 2].clone();
        tasks.push(tokio::spawn(async move { enrol(&router, &format!("e-{number}"), &format!("s{number}")).await }));
    }
    // Meanwhile others write the ledger without any transaction.
    let busy = school.desk.clone();
    let payments = tokio::spawn(async move {
        for number in 0..60 {
            busy.pay_in(&format!("more-{number}"), &format!("s{number}"), dec!(1)).await.unwrap();
        }
    });
    let mut created = 0;
    for task in tasks {
        match task.await.unwrap() {
            (StatusCode::CREATED, _) => created += 1,
            (status, refused) => assert_eq!((status, &refused["error"]), (StatusCode::CONFLICT, &json!("full"))),
        }
    }
    payments.await.unwrap();
    assert_eq!(created, SEATS);
    school.close(SEATS, dec!(200)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_request_that_dies_half_way_leaves_nothing_and_can_be_sent_again() {
    let mut school = School::new().await;
    school.offer(1, "20.00").await;
    school.student("ann", "20.00").await;
    // Somebody holds the end of the ledger, so the request waits after it wrote its form.
    let mut holder = PgConnection::connect(&database_url()).await.unwrap();
    let pid: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut holder).await.unwrap();
    let mut holding = holder.begin().await.unwrap();
    let held = Entry::new("held").debit("assets:bank", dec!(1)).credit("income:fees", dec!(1));
    school.desk.ledger().post_in(&mut holding, held).await.unwrap().into_result().unwrap();
    let request = tokio::spawn({
        let router = school.router.clone();
        async move { enrol(&router, "e-1", "ann").await }
    });
    let waiting = "select exists (select from pg_stat_activity where $1 = any(pg_blocking_pids(pid)))";
    while !sqlx::query_scalar::<_, bool>(waiting).bind(pid).fetch_one(&mut school.connection).await.unwrap() {
        tokio::task::yield_now().await;
    }
    request.abort();
    assert!(request.await.unwrap_err().is_cancelled());
    holding.rollback().await.unwrap();
    // The server ends the transaction as soon as it sees that its client is gone.
    assert_eq!(enrol(&school.router, "e-1", "ann").await.0, StatusCode::CREATED);
    school.close(1, dec!(20)).await;
}
