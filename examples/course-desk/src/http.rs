//! The routes, and what a refusal looks like from outside.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{post, put};
use axum::{Json, Router};
use postfold::aggregate::Folded;
use postfold::{Balance, ExecuteError, Position, Receipt, Refusal as LedgerRefusal, Rule};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::course::{Course, Refusal, Terms};
use crate::desk::{Desk, Error, Form};

/// All routes of the desk.
pub fn routes(desk: Desk) -> Router {
    Router::new()
        .route("/students/{student}", put(welcome).get(balance))
        .route("/students/{student}/payments/{payment}", put(pay_in))
        .route("/courses/{course}", put(offer).get(course))
        .route("/courses/{course}/enrolments", post(enrol))
        .with_state(desk)
}

async fn welcome(State(desk): State<Desk>, Path(student): Path<String>) -> Result<Done, Problem> {
    Ok(desk.welcome(&student).await?.into())
}

async fn balance(State(desk): State<Desk>, Path(student): Path<String>) -> Result<Json<Balance>, Problem> {
    Ok(Json(desk.balance(&student).await?))
}

#[derive(Deserialize)]
struct Payment {
    /// A decimal as a string: a JSON number may have been a float.
    #[serde(with = "rust_decimal::serde::str")]
    amount: Decimal,
}

async fn pay_in(
    State(desk): State<Desk>,
    Path((student, payment)): Path<(String, String)>,
    Json(Payment { amount }): Json<Payment>,
) -> Result<Done, Problem> {
    Ok(desk.pay_in(&payment, &student, amount).await?.into())
}

async fn offer(
    State(desk): State<Desk>,
    Path(course): Path<String>,
    Json(terms): Json<Terms>,
) -> Result<Done, Problem> {
    Ok(desk.offer(&course, terms).await?.into())
}

async fn course(State(desk): State<Desk>, Path(course): Path<String>) -> Result<Json<Folded<Course>>, Problem> {
    let course = desk.course(&course).await?;
    match course.state.terms {
        Some(_) => Ok(Json(course)),
        None => Err(Error::Course(ExecuteError::Refused(Refusal::NotOffered)).into()),
    }
}

#[derive(Deserialize)]
struct Enrolment {
    student: String,
    email: String,
}

async fn enrol(
    State(desk): State<Desk>,
    Path(course): Path<String>,
    headers: HeaderMap,
    Json(Enrolment { student, email }): Json<Enrolment>,
) -> Result<Done, Problem> {
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok());
    let key =
        key.ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST, "no_key", "the header Idempotency-Key is required"))?;
    let form = Form { key: key.to_owned(), course, student, email };
    Ok(desk.enrol(&form).await?.into())
}

/// What was done: 201, or 200 when it had been done before.
#[derive(Serialize)]
struct Done {
    position: Option<Position>,
    duplicate: bool,
}

impl From<Receipt> for Done {
    fn from(receipt: Receipt) -> Self {
        Self { position: receipt.position, duplicate: receipt.duplicate }
    }
}

impl IntoResponse for Done {
    fn into_response(self) -> Response {
        let status = if self.duplicate { StatusCode::OK } else { StatusCode::CREATED };
        (status, Json(self)).into_response()
    }
}

/// Why it was not done: a word for programs, and a sentence for people.
#[derive(Debug, Serialize)]
struct Problem {
    #[serde(skip)]
    status: StatusCode,
    error: &'static str,
    message: String,
}

impl Problem {
    fn new(status: StatusCode, error: &'static str, message: impl Into<String>) -> Self {
        Self { status, error, message: message.into() }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.status, Json(self)).into_response()
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::Course(ExecuteError::Refused(refusal)) => refused(&refusal),
            Error::Course(ExecuteError::Ledger(refusal)) | Error::Ledger(postfold::Error::Refused(refusal)) => {
                refused_by_ledger(&refusal)
            }
            Error::Ledger(postfold::Error::UnknownAccount { .. }) => {
                Self::new(StatusCode::NOT_FOUND, "unknown_student", message)
            }
            other => {
                // Not for strangers: it may name hosts and tables.
                tracing::error!(error = %other, "a request failed");
                let message = "it may not have been done; send the same request again";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
            }
        }
    }
}

fn refused(refusal: &Refusal) -> Problem {
    let (status, error) = match refusal {
        Refusal::NotOffered => (StatusCode::NOT_FOUND, "not_offered"),
        Refusal::Full(_) => (StatusCode::CONFLICT, "full"),
        Refusal::AlreadyEnrolled(_) => (StatusCode::CONFLICT, "already_enrolled"),
        Refusal::SeatsTaken(_) => (StatusCode::CONFLICT, "seats_taken"),
    };
    Problem::new(status, error, refusal.to_string())
}

fn refused_by_ledger(refusal: &LedgerRefusal) -> Problem {
    let (status, error) = match refusal {
        LedgerRefusal::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
        LedgerRefusal::Conflict(_) => (StatusCode::CONFLICT, "conflict"),
        LedgerRefusal::Rejected(rejection) => match rejection.rule {
            Rule::InsufficientFunds => (StatusCode::PAYMENT_REQUIRED, rejection.rule.as_str()),
            Rule::UnknownAccount => (StatusCode::NOT_FOUND, "unknown_student"),
            rule => (StatusCode::CONFLICT, rule.as_str()),
        },
    };
    Problem::new(status, error, refusal.to_string())
}
