//! How soon a process is gone that something would hold up: unfinished heads and handshakes, a handler without an end,
//! a second signal; and that probes are answered while handlers block.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use attached_runtime::{
    App, AppConfig, AttachedRuntime, ExecutorConfig, RuntimeExecutor, WsConfig, WsServer,
};
use axum::routing::get;
use core_executor::TaskOptions;
use workspace_tests::certificate::self_signed;
use workspace_tests::example::{Example, Launch};
use workspace_tests::observe::until;
use workspace_tests::raw::{PING, PONG, Raw, TEXT, frame};
use workspace_tests::{http, http2};

use crate::measuring::{p99, undisturbed};
use crate::{alone, best_of_three};

/// What an unfinished head, and a second signal, may cost.
const AT_ONCE: Duration = Duration::from_millis(250);
/// What an end at its deadline may take beyond it.
const BEYOND: Duration = Duration::from_millis(100);
/// What a probe may take while handlers block.
const PROBE: Duration = Duration::from_millis(50);

fn within(what: &str, took: Duration, limit: Duration) -> Result<(), String> {
    let measured = format!("{what}: {took:?}");
    eprintln!("{measured}");
    if took <= limit { Ok(()) } else { Err(measured) }
}

/// From SIGTERM to the end of the process, whose exit code is this.
fn end(example: &mut Example, signal: &str, code: i32) -> Duration {
    let began = Instant::now();
    example.signal(signal);
    let status = example.wait();
    let took = began.elapsed();
    assert_eq!(status.code(), Some(code), "{:?}", example.all_lines());
    took
}

fn said(to: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = http::connect(to);
    stream.write_all(bytes).expect("taken");
    stream
}

#[test]
fn unfinished_heads_and_handshakes_do_not_delay_the_end() {
    let _alone = alone();
    let (certificate, key) = self_signed();
    for is_tls in [false, true] {
        best_of_three(|| {
            let launch = Launch::new("lab")
                .file("server.pem", &certificate)
                .file("server.key", &key);
            let mut lab = launch
                .set("SERVER_TLS_ENABLED", is_tls)
                .set("SERVER_TLS_CERT_FILE", "server.pem")
                .set("SERVER_TLS_KEY_FILE", "server.key")
                .start();
            let beginnings: [&[u8]; 5] = [
                b"",
                b"GET / HT",
                b"POST / HTTP/1.1\r\nHost: t\r\n",
                &http2::PREFACE[..20],
                // The beginning of a ClientHello (RFC 8446 §4.1.2).
                b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            ];
            let slow: Vec<_> = [lab.http(), lab.ws()]
                .into_iter()
                .flat_map(|to| beginnings.map(|bytes| said(to, bytes)))
                .collect();
            until("all arrived", || {
                ["http", "ws"]
                    .map(|server| lab.metric(&format!("{server}_connections_open")) as usize)
                    .into_iter()
                    .sum::<usize>()
                    >= slow.len() - usize::from(!is_tls) * 2
            });
            let took = end(&mut lab, "TERM", 0);
            drop(slow);
            within(
                &format!("the end with unfinished heads, TLS {is_tls}"),
                took,
                AT_ONCE,
            )
        });
    }
}

#[test]
fn a_second_signal_ends_at_once_and_every_session_is_told() {
    let _alone = alone();
    for second in ["TERM", "INT"] {
        best_of_three(|| {
            let mut lab = Launch::new("lab").start();
            let mut session = Raw::connect(lab.ws(), "/");
            session.text();
            let _stuck = said(lab.http(), b"GET /slow?ms=600000 HTTP/1.1\r\nHost: t\r\n\r\n");
            until("the request runs", || {
                lab.metric("http_requests_in_flight") == 1.0
            });
            lab.signal("TERM");
            lab.wait_for_line(|line| line.contains("phase=draining"));
            let took = end(&mut lab, second, 3);
            let lines = lab.all_lines();
            let closes = lines.iter().filter(|line| line.contains(" ws_close "));
            assert_eq!(closes.count(), 1, "{lines:?}");
            within(&format!("the end by a second signal, {second}"), took, AT_ONCE)
        });
    }
}

#[test]
fn handlers_without_an_end_are_cut_at_the_deadline() {
    let _alone = alone();
    let deadline = Duration::from_secs(2);
    best_of_three(|| {
        let mut lab = Launch::new("lab")
            .set("SHUTDOWN_DEADLINE", deadline.as_secs())
            .start();
        let _request = said(lab.http(), b"GET /slow?ms=600000 HTTP/1.1\r\nHost: t\r\n\r\n");
        let mut session = Raw::connect(lab.ws(), "/");
        session.text();
        session.frame(TEXT, br#"{"type":"sleep","payload":{"ms":600000}}"#);
        until("the request runs", || {
            lab.metric("http_requests_in_flight") == 1.0
        });
        let took = end(&mut lab, "TERM", 2);
        let lines = lab.all_lines().join("\n");
        assert!(lines.contains("requests 0 answered, 1 cut"), "{lines}");
        assert!(took >= deadline - BEYOND, "{took:?}");
        within("the end of handlers without one", took, deadline + BEYOND)
    });
}

/// Handlers that block as they should, on the lane for it: all its threads are taken and its queue is long.
#[test]
fn probes_and_pings_are_answered_while_handlers_block() {
    let _alone = alone();
    best_of_three(|| {
        let config = ExecutorConfig {
            threads: 1,
            blocking_threads: 4,
            ..ExecutorConfig::default()
        };
        let executor = RuntimeExecutor::new(config).expect("threads can be had");
        let spawner = executor.spawner();
        let blocks = move || {
            let spawner = spawner.clone();
            async move {
                let options = TaskOptions::named("blocks").timeout(Duration::from_secs(60));
                let work = spawner.spawn_blocking(options, || thread::sleep(Duration::from_millis(200)));
                let _ = work.expect("the queue has room").await;
            }
        };
        let config = AppConfig {
            port: 0,
            ..AppConfig::default()
        };
        let app = App::new(config).route_without_timeout("/blocks", get(blocks));
        let config = WsConfig {
            port: 0,
            ..WsConfig::default()
        };
        let runtime = AttachedRuntime::builder(app, WsServer::new(config))
            .announce(false)
            .start(executor)
            .expect("free ports");
        let addresses = runtime.addresses();
        let (to, ws) = (
            addresses.http.expect("it is served"),
            addresses.ws.expect("it is served"),
        );
        let busy: Vec<_> = (0..64)
            .map(|_| said(to, b"GET /blocks HTTP/1.1\r\nHost: t\r\n\r\n"))
            .collect();
        let mut session = Raw::connect(ws, "/");
        let ping = frame(PING, b"ping");
        let mut times = Vec::new();
        for _ in 0..100 {
            // Below the budget for control frames.
            times.push(undisturbed(|| {
                thread::sleep(Duration::from_millis(10));
                let began = Instant::now();
                session.send(&ping);
                assert_eq!(session.read_frame().map(|(first, _)| first), Some(PONG));
                began.elapsed()
            }));
            times.push(undisturbed(|| {
                let began = Instant::now();
                assert_eq!(http::get(to, "/healthz").status, 200);
                began.elapsed()
            }));
        }
        drop(busy);
        runtime.handle().request_stop_now();
        within("probes and pings while handlers block, p99", p99(times), PROBE)
    });
}
