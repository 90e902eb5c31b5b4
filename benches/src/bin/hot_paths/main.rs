//! The hot paths of the server with nothing around them, for a counter of instructions: `hot_paths PATH ROUNDS`.
//!
//! On simulated streams (`echo`, `echo-16`, `room`, `parse`) everything runs on one thread, and the other side of a
//! connection is the stream itself: what the server writes releases what it reads next. Over loopback (the names in
//! `-tcp`) the server has one worker as in earnest, and the clients are another process, which is not counted; they take
//! their turn when the server has written everything. So two runs do the same, instruction for instruction, up to the
//! seeds of hash tables. Pages over HTTP (`page`, beside `axum-page` for comparison) come from one thread that is client and
//! server. `instructions` runs this program and compares.

mod clients;
mod loopback;
mod pages;
mod simulated;
mod talk;

use std::io::{self, Write};
use std::process::ExitCode;

use core_executor::RuntimeExecutor;
use pages::Host;
use ws_server::{Encoded, Session, WsConfig, WsServer};

/// Members of the room.
const MEMBERS: usize = 500;
/// The one room.
const ROOM: &str = "all";

type AnyError = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().unwrap_or_default();
    if path == "clients" {
        return match clients::run(arguments) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                let _ = writeln!(io::stderr(), "clients: {error}");
                ExitCode::FAILURE
            }
        };
    }
    let Some(rounds) = arguments.next().and_then(|rounds| rounds.parse().ok()) else {
        let _ = writeln!(
            io::stderr(),
            "hot_paths echo|echo-16|room|parse|echo-tcp|echo-16-tcp|room-tcp|page|page-16|axum-page|axum-page-16 ROUNDS"
        );
        return ExitCode::FAILURE;
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime of one thread can be built");
    match runtime.block_on(run(&path, rounds)) {
        Ok(messages) => {
            let _ = writeln!(io::stdout(), "{messages}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "{path}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Does `rounds` rounds and returns how many messages that were (deliveries, in a room).
async fn run(path: &str, rounds: u64) -> Result<u64, AnyError> {
    let executor = RuntimeExecutor::on_current()?;
    let spawner = executor.spawner();
    match path {
        "echo" => simulated::run(echo(), &spawner, 1, 1, rounds).await,
        "echo-16" => simulated::run(echo(), &spawner, 1, 16, rounds).await,
        "room" => simulated::run(room(), &spawner, MEMBERS, 1, rounds).await,
        "room-tcp" => loopback::run(room(), path, rounds).await,
        "echo-tcp" | "echo-16-tcp" => loopback::run(echo(), path, rounds).await,
        "page" => pages::run(Host::Ours, &spawner, 1, rounds).await,
        "page-16" => pages::run(Host::Ours, &spawner, 16, rounds).await,
        "axum-page" => pages::run(Host::Axum, &spawner, 1, rounds).await,
        "axum-page-16" => pages::run(Host::Axum, &spawner, 16, rounds).await,
        "parse" => simulated::run(deaf(), &spawner, 1, 0, rounds).await,
        _ => Err("there is no such path".into()),
    }
}

fn config() -> WsConfig {
    WsConfig {
        port: 0,
        ..WsConfig::default()
    }
}

fn echo() -> WsServer {
    WsServer::new(config()).on_message(|session, text| async move {
        session.send_text(text);
    })
}

fn deaf() -> WsServer {
    WsServer::new(config()).on_message(|_, _| async {})
}

fn room() -> WsServer {
    WsServer::new(config())
        .on_open(|session: Session| async move {
            session.join(ROOM).expect("a session may be in one room");
        })
        .on_message(|session, text| async move {
            let _ = session.hub().publish(ROOM, Encoded::text(text)).await;
        })
}
