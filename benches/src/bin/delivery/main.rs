//! How long a message takes to its session over WebSocket, SSE and long-polling, side by side in one run:
//! `delivery [--sessions N] [--seconds S] [--rounds N]`.
//!
//! The server is a process of its own, with one worker. A publisher on a WebSocket says a message to one session after the
//! other, so that each hears one a second; the time is taken from before it is sent to after the session's client has read
//! it. A message that is missing, comes twice or in the wrong order is an error.

mod publisher;
mod server;
mod subscriber;
mod wire;

use std::error::Error;
use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

use benches::{Arguments, Histogram, LoadError, UsageError};
use publisher::Ledger;
use subscriber::Transport;

/// What becomes of the first messages is not measured.
const WARM_UP: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut arguments = Arguments::parse(std::env::args().skip(1), &["serve"]);
    if arguments.flag("serve") {
        return server::run();
    }
    let sessions = arguments.value("sessions", 1000)?;
    let window = Duration::from_secs_f64(arguments.value("seconds", 10.0)?);
    let rounds: usize = arguments.value("rounds", 3)?;
    arguments.finish()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut sums = Transport::ALL.map(|_| Histogram::default());
    for _ in 0..rounds {
        for (transport, sum) in Transport::ALL.into_iter().zip(&mut sums) {
            let server = Server::start(sessions)?;
            let heard = runtime.block_on(measure(&server, transport, sessions, window))?;
            sum.merge(&heard);
        }
    }
    print(sessions, &sums)?;
    Ok(())
}

/// One transport on a fresh server.
async fn measure(
    server: &Server,
    transport: Transport,
    sessions: usize,
    window: Duration,
) -> Result<Histogram, LoadError> {
    let ledger = Arc::new(Ledger::new(sessions));
    let mut subscribers = tokio::task::JoinSet::new();
    for number in 0..sessions {
        let session = subscriber::open(server.http, server.ws, transport).await?;
        ledger.hears(number, session.room());
        let (number, ledger) = (number, Arc::clone(&ledger));
        subscribers.spawn(async move { session.hear(number, &ledger).await });
    }
    let publishing = publisher::publish(server.ws, &ledger, WARM_UP, window);
    tokio::select! {
        published = publishing => published?,
        Some(ended) = subscribers.join_next() => match ended {
            Ok(Err(error)) => return Err(error),
            Ok(Ok(())) => return Err(LoadError::Missing("a subscriber ended early".to_owned())),
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        },
    }
    ledger.close()
}

fn print(sessions: usize, sums: &[Histogram; 3]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{sessions} sessions, one message a second each")?;
    let websocket = sums[0].percentile(0.99);
    for (transport, sum) in Transport::ALL.into_iter().zip(sums) {
        let (p50, p99) = (sum.percentile(0.5), sum.percentile(0.99));
        writeln!(
            out,
            "{:<10} p50 {p50:.3} ms, p99 {p99:.3} ms ({:.2} of WebSocket's), max {:.3} ms",
            transport.name(),
            p99 / websocket,
            sum.max(),
        )?;
    }
    Ok(())
}

/// The server's process; killed when it is dropped.
struct Server {
    process: Child,
    http: SocketAddr,
    ws: SocketAddr,
}

impl Server {
    fn start(sessions: usize) -> Result<Self, Box<dyn Error>> {
        let mut process = Command::new(std::env::current_exe()?)
            .arg("--serve")
            .envs(["SERVER_PORT", "WEBSOCKET_PORT"].map(|key| (key, "0")))
            .env("SERVER_IO_THREADS", "1")
            .env("LONGPOLL_MAX_SESSIONS", (sessions + 1).to_string())
            .env("LONGPOLL_MAX_SESSIONS_PER_ADDRESS", "0")
            .stderr(Stdio::piped())
            .spawn()?;
        let errors = process.stderr.take().expect("it was asked for");
        let mut line = String::new();
        let mut lines = BufReader::new(errors);
        while !line.starts_with("ready ") {
            line.clear();
            if lines.read_line(&mut line)? == 0 {
                return Err(UsageError::Missing("the server's ready line").into());
            }
        }
        let place = |name: &str| -> Result<SocketAddr, Box<dyn Error>> {
            let word = line.split_whitespace().find_map(|word| word.strip_prefix(name));
            Ok(word.ok_or(UsageError::Missing("an address"))?.parse()?)
        };
        Ok(Self {
            http: place("http=")?,
            ws: place("ws=")?,
            process,
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
