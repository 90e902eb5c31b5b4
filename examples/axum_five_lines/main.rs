//! The guestbook of `before.rs`, five lines later: every open page hears of a new entry. See README.md beside this file.

use axum::extract::State;
use axum::routing::get;
use axum::{Extension, Json, Router};
use core_executor::RuntimeExecutor;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use ws_server::{Hub, StopPlan, WsConfig, WsServer};

type Book = Arc<Mutex<Vec<String>>>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let port: u16 = std::env::var("SERVER_PORT")
        .as_deref()
        .unwrap_or("8080")
        .parse()?;
    let app = Router::new().route("/entries", get(read).post(sign));
    let executor = RuntimeExecutor::on_current()?;
    let ws = WsServer::new(WsConfig::default());
    let app = app.layer(Extension(ws.hub())).route_service("/ws", ws.service());
    let running = ws.start_without_listener(&executor.spawner())?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let mut term = signal(SignalKind::terminate())?;
    let stopped = async move { term.recv().await.unwrap_or_default() };
    eprintln!("ready http={}", listener.local_addr()?);
    let served = axum::serve(listener, app.with_state(Book::default()));
    served.with_graceful_shutdown(stopped).await?;
    running.stop(StopPlan::within(Duration::from_secs(5))).await;
    Ok(())
}

async fn read(State(book): State<Book>) -> Json<Vec<String>> {
    Json(book.lock().unwrap_or_else(PoisonError::into_inner).clone())
}

async fn sign(State(book): State<Book>, Extension(hub): Extension<Hub>, entry: String) -> String {
    book.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(entry.clone());
    let _ = hub.broadcast_text(&entry).await;
    entry
}
