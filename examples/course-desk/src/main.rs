//! Serves the course desk: `DATABASE_URL` says where the database is, `DESK_ADDRESS` where to listen.

use anyhow::Context;
use course_desk::desk::Desk;
use course_desk::http::routes;
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_env_filter(EnvFilter::from_default_env()).init();
    let database_url = std::env::var("DATABASE_URL").context("DATABASE_URL is not set")?;
    let address = std::env::var("DESK_ADDRESS").unwrap_or_else(|_| "127.0.0.1:8080".to_owned());
    let desk = Desk::open(&database_url, "course_desk", "course-desk").await?;
    let listener =
        tokio::net::TcpListener::bind(&address).await.with_context(|| format!("cannot listen on {address}"))?;
    println!("the course desk is open on http://{address}");
    // Requests that are under way get their answers.
    let stop = async { drop(tokio::signal::ctrl_c().await) };
    axum::serve(listener, routes(desk)).with_graceful_shutdown(stop).await?;
    Ok(())
}
