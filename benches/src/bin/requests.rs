//! Requests over loopback with nothing around them, for a counter of instructions: `requests kept|fresh ROUNDS`.
//!
//! `kept` asks again on one connection, `fresh` opens one for each request. Server and client share one thread and take
//! turns, so two runs do the same, up to the seeds of hash tables. `.ci/guard` runs it with and without the guard that
//! tells a listener of connections.

use std::convert::Infallible;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;

use bytes::Bytes;
use core_executor::{BoundListener, RunningServer, RuntimeExecutor, ServeOptions, serve};
use http::Response;
use http_body_util::Full;
use tower::service_fn;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n";

type AnyError = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let is_fresh = arguments.next().as_deref() == Some("fresh");
    let rounds = arguments
        .next()
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(0);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime of one thread can be built");
    match runtime.block_on(run(is_fresh, rounds)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(is_fresh: bool, rounds: u64) -> Result<(), AnyError> {
    let executor = RuntimeExecutor::on_current()?;
    let answer = |_| async { Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"Hello")))) };
    let listener = BoundListener::bind("127.0.0.1", 0)?;
    let server = serve(
        listener,
        service_fn(answer),
        ServeOptions::new("bench"),
        &executor.spawner(),
    )?;
    let mut client = connect(server.local_addr())?;
    for _ in 0..rounds {
        ask(&mut client).await?;
        if is_fresh {
            drop(client);
            gone(&server).await;
            client = connect(server.local_addr())?;
        }
    }
    Ok(())
}

fn connect(to: SocketAddr) -> Result<TcpStream, AnyError> {
    let client = TcpStream::connect(to)?;
    client.set_nonblocking(true)?;
    client.set_nodelay(true)?;
    Ok(client)
}

async fn ask(client: &mut TcpStream) -> Result<(), AnyError> {
    client.write_all(REQUEST)?;
    let mut buffer = [0; 1024];
    loop {
        match client.read(&mut buffer) {
            Ok(count) if buffer[..count].ends_with(b"Hello") => return Ok(()),
            Ok(_) => return Err("the answer is not what it should be".into()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => tokio::task::yield_now().await,
            Err(error) => return Err(error.into()),
        }
    }
}

async fn gone(server: &RunningServer) {
    while server.connections() > 0 {
        tokio::task::yield_now().await;
    }
}
