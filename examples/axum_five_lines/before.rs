//! A guestbook on axum alone: the application before the five lines of `main.rs`.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

type Book = Arc<Mutex<Vec<String>>>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let port: u16 = std::env::var("SERVER_PORT")
        .as_deref()
        .unwrap_or("8080")
        .parse()?;
    let app = Router::new().route("/entries", get(read).post(sign));
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let mut term = signal(SignalKind::terminate())?;
    let stopped = async move { term.recv().await.unwrap_or_default() };
    eprintln!("ready http={}", listener.local_addr()?);
    let served = axum::serve(listener, app.with_state(Book::default()));
    served.with_graceful_shutdown(stopped).await?;
    Ok(())
}

async fn read(State(book): State<Book>) -> Json<Vec<String>> {
    Json(book.lock().unwrap_or_else(PoisonError::into_inner).clone())
}

async fn sign(State(book): State<Book>, entry: String) -> String {
    book.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(entry.clone());
    entry
}
