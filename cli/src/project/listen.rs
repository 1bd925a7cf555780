//! `project run --listen`: metrics for Prometheus, health as JSON, over HTTP.

use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use postfold_projections::{Projector, metrics};
use tokio::net::TcpListener;

use super::health::Health;
use crate::exit::Failure;
use crate::terminal;

/// The text format of Prometheus.
const METRICS_TYPE: &str = "text/plain; version=0.0.4";
/// How often what was measured is summed up, so that it does not pile up where nobody asks.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);
/// How long a question about the health may take.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);
/// Bounds of the buckets of durations, in seconds.
const SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// Bounds of the buckets of counts.
const COUNTS: [f64; 10] = [1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0, 10_000.0, 30_000.0];

/// Who asks for the health learns it from this.
#[derive(Clone)]
struct Known {
    projector: Projector,
    lag_max: Duration,
    metrics: PrometheusHandle,
}

/// Answers at this address from now on, until the runtime ends.
pub(super) async fn listen(address: SocketAddr, projector: Projector, lag_max: Duration) -> Result<(), Failure> {
    let listener = TcpListener::bind(address).await;
    let listener = listener.map_err(|error| Failure::usage(format!("--listen {address} cannot be used: {error}")))?;
    let bound = listener.local_addr().unwrap_or(address);
    let metrics =
        recorder().map_err(|error| Failure::infrastructure(format!("metrics cannot be gathered: {error}")))?;
    tokio::spawn(upkeep(metrics.clone()));
    let router = router(Known { projector, lag_max, metrics });
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            terminal::say(format_args!("no more answers at {bound}: {error}"));
        }
    });
    terminal::say(format_args!("http://{bound}/metrics and http://{bound}/health"));
    Ok(())
}

/// Gathers the metrics of this process.
fn recorder() -> Result<PrometheusHandle, BuildError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full(metrics::BATCH_SECONDS.to_owned()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Full(metrics::BATCH_EVENTS.to_owned()), &COUNTS)?
        .set_buckets_for_metric(Matcher::Full(metrics::BATCH_DOCUMENTS.to_owned()), &COUNTS)?
        .install_recorder()
}

async fn upkeep(metrics: PrometheusHandle) {
    let mut every = tokio::time::interval(UPKEEP_EVERY);
    loop {
        every.tick().await;
        metrics.run_upkeep();
    }
}

fn router(known: Known) -> Router {
    Router::new().route("/metrics", get(text)).route("/health", get(health)).with_state(known)
}

async fn text(State(known): State<Known>) -> Response {
    ([(header::CONTENT_TYPE, METRICS_TYPE)], known.metrics.render()).into_response()
}

async fn health(State(known): State<Known>) -> Response {
    let health = match tokio::time::timeout(HEALTH_TIMEOUT, known.projector.status()).await {
        Ok(Ok(projections)) => Health::of(projections, known.lag_max),
        Ok(Err(error)) => Health::unknown(crate::secret::hide(&error.to_string()).into_owned()),
        Err(_) => Health::unknown(format!("the servers did not answer within {} s", HEALTH_TIMEOUT.as_secs())),
    };
    let code = if health.is_good() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(health)).into_response()
}
