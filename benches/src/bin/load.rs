//! Puts one server under one load: `load MODE HOST:PORT/PATH [--connections N] …` prints the figures of the run.

use std::error::Error;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use benches::modes::{Idle, Load, beside, echo, handshakes, idle, plaintext, room};
use benches::{Arguments, LoadError, Measured, Process, UsageError};

const USAGE: &str = "\
load echo|room|handshakes|idle|plaintext|beside HOST:PORT/PATH
  --connections N   (200)      --size BYTES   (20)       --in-flight N (1)
  --seconds S       (3)        --warm-up S    (1)        --pid SERVER  (none: no figures of the server)
  --deflate         compressed JSON                      --binary      binary messages
  --messages N      stop after N messages instead of a time
  --touch BYTES     idle: one echo each before (0)       --rest S      idle: silence before memory is read (5)
  --flood HOST:PORT/PATH   beside: where WebSocket echoes are asked for meanwhile
  --json            the figures as one line of JSON";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut text = error.to_string();
            let mut cause = error.source();
            while let Some(error) = cause {
                text = format!("{text}: {error}");
                cause = error.source();
            }
            let usage = if matches!(error, LoadError::Usage(_)) {
                USAGE
            } else {
                ""
            };
            let _ = writeln!(io::stderr(), "{text}\n{usage}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), LoadError> {
    let mut arguments = Arguments::parse(std::env::args().skip(1), &["deflate", "binary", "json"]);
    let mode = arguments.word("the mode")?;
    let target = arguments.word("HOST:PORT/PATH")?;
    let as_json = arguments.flag("json");
    let silence = Idle {
        touch: arguments.value("touch", 0)?,
        rest: Duration::from_secs_f64(arguments.value("rest", 5.0)?),
    };
    let flood: Option<String> = arguments.optional("flood")?;
    let load = read_load(&target, &mut arguments)?;
    arguments.finish()?;
    let measured = match mode.as_str() {
        "echo" => echo(&load),
        "room" => room(&load),
        "handshakes" => handshakes(&load),
        "idle" => idle(&load, silence),
        "plaintext" => plaintext(&load),
        "beside" => {
            let flood = flood.ok_or(UsageError::Missing("--flood"))?;
            let (address, path) = place(&flood)?;
            beside(&load, address, &path)
        }
        _ => Err(UsageError::Unreadable("mode".to_owned(), mode.clone()).into()),
    }?;
    print(&measured, as_json)
}

fn read_load(target: &str, arguments: &mut Arguments) -> Result<Load, LoadError> {
    let (address, path) = place(target)?;
    Ok(Load {
        address,
        path,
        server: arguments.optional("pid")?.map(Process::new),
        connections: arguments.value("connections", 200)?,
        size: arguments.value("size", 20)?,
        in_flight: arguments.value("in-flight", 1)?,
        window: Duration::from_secs_f64(arguments.value("seconds", 3.0)?),
        warm_up: Duration::from_secs_f64(arguments.value("warm-up", 1.0)?),
        is_deflated: arguments.flag("deflate"),
        is_binary: arguments.flag("binary"),
        messages: arguments.optional("messages")?,
    })
}

fn place(target: &str) -> Result<(SocketAddr, String), UsageError> {
    let (host, path) = target.split_once('/').unwrap_or((target, ""));
    let unreadable = |_| UsageError::Unreadable("HOST:PORT/PATH".to_owned(), target.to_owned());
    Ok((host.parse().map_err(unreadable)?, format!("/{path}")))
}

fn print(measured: &Measured, as_json: bool) -> Result<(), LoadError> {
    let mut out = io::stdout().lock();
    if as_json {
        let json = serde_json::to_string(measured).map_err(io::Error::from)?;
        writeln!(out, "{json}")?;
        return Ok(());
    }
    writeln!(
        out,
        "{} messages in {:.2} s; CPU seconds: server {:.3}, load client {:.3}; {:.0} messages per CPU second of the server",
        measured.messages,
        measured.seconds,
        measured.server_cpu,
        measured.client_cpu,
        measured.per_cpu_second
    )?;
    writeln!(
        out,
        "latency p50 {:.3} ms, p99 {:.3} ms, max {:.3} ms; {:.0} bytes resident per connection",
        measured.p50, measured.p99, measured.max, measured.bytes_per_connection
    )?;
    Ok(())
}
