//! Echo and room servers of other WebSocket libraries: `peers NAME PORT [batched]`, paths `/echo` and `/room`.
//!
//! Each one is written as the library's own documentation shows it, on one current-thread tokio runtime, because the
//! comparison gives each server one core; `axum-multi-thread` is axum on the runtime that `#[tokio::main]` makes. No
//! logging, no limits beyond the library's defaults.

mod axum_ws;
mod fastwebsockets_ws;
mod room;
mod sockudo;
mod tungstenite;
mod yawc_ws;

use std::net::SocketAddr;
use std::process::ExitCode;

use tokio::net::TcpListener;
use tokio::runtime::Builder;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// The names `peers` knows.
const NAMES: &str = "tokio-tungstenite axum axum-multi-thread fastwebsockets yawc sockudo-ws";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(name), Some(port)) = (
        arguments.next(),
        arguments.next().and_then(|port| port.parse().ok()),
    ) else {
        eprintln!("peers NAME PORT [batched], NAME one of: {NAMES}");
        return ExitCode::FAILURE;
    };
    let is_batched = arguments.next().is_some_and(|word| word == "batched");
    let mut runtime = match name.ends_with("-multi-thread") {
        true => Builder::new_multi_thread(),
        false => Builder::new_current_thread(),
    };
    let runtime = runtime
        .enable_all()
        .build()
        .expect("a runtime of one thread can be built");
    match runtime.block_on(serve(&name, port, is_batched)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(name: &str, port: u16, is_batched: bool) -> Result<(), AnyError> {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))).await?;
    eprintln!("ready ws={}", listener.local_addr()?);
    match name {
        "tokio-tungstenite" => tungstenite::serve(listener, is_batched).await,
        "axum" | "axum-multi-thread" => axum_ws::serve(listener, is_batched).await,
        "fastwebsockets" => fastwebsockets_ws::serve(listener).await,
        "yawc" => yawc_ws::serve(listener, is_batched).await,
        "sockudo-ws" => sockudo::serve(listener, is_batched).await,
        other => Err(format!("{other} is none of: {NAMES}").into()),
    }
}
