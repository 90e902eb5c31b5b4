//! Limits of a request: time, target, body, and the two lengths at once.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::{get, post};
use bytes::Bytes;
use common::{Reply, Server, config, eventually, metric};
use http_app::{App, AppConfig, RequestTimeout, Waf, WafMode};
use http_body_util::BodyExt;

const SHORT: Duration = Duration::from_millis(50);

fn timed(limit: Duration) -> AppConfig {
    AppConfig {
        request_timeout: limit,
        ..config()
    }
}

fn limited(waf: Waf) -> AppConfig {
    AppConfig { waf, ..config() }
}

/// Says on drop that the handler's future is gone.
struct Dropped(Arc<AtomicBool>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn a_request_out_of_time_gets_503_and_its_handler_is_dropped() {
    let dropped = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&dropped);
    let never = move || {
        let guard = Dropped(Arc::clone(&flag));
        async move {
            std::future::pending::<()>().await;
            drop(guard);
        }
    };
    let server = Server::start(
        App::new(timed(SHORT))
            .route("/never", get(never))
            .route("/", get(|| async {})),
    );
    let mut client = server.client();
    let started = Instant::now();
    client.get("/never").assert_error(503);
    assert!(started.elapsed() >= SHORT);
    assert!(dropped.load(Ordering::SeqCst), "before the answer");
    assert_eq!(client.get("/").status(), 200, "the connection goes on");
    let metrics = server.app.metrics();
    assert_eq!(metric(&metrics, r#"http_limits_total{limit="timeout"}"#), 1.0);
    assert_eq!(metrics.in_flight(), 0);
}

#[test]
fn middleware_is_inside_the_request_timeout() {
    async fn stuck(_: Request, _: Next) -> Response {
        std::future::pending().await
    }
    let server = Server::start(App::new(timed(SHORT)).layer(from_fn(stuck)));
    server.get("/").assert_error(503);
}

/// Answers after several times the short limit.
async fn slow() -> &'static str {
    tokio::time::sleep(SHORT * 4).await;
    "slow"
}

#[test]
fn routes_choose_their_own_timeout() {
    let merged = axum::Router::new().route("/merged", get(slow));
    let long = RequestTimeout::after(SHORT * 400);
    let server = Server::start(
        App::new(timed(SHORT))
            .route("/plain", get(slow))
            .route("/longer", get(slow).layer(long))
            .route("/off", get(slow).layer(RequestTimeout::off()))
            .route("/zero", get(slow).layer(RequestTimeout::after(Duration::ZERO)))
            .route_without_timeout("/untimed", get(slow))
            .merge_without_timeout(merged),
    );
    server.get("/plain").assert_error(503);
    for path in ["/longer", "/off", "/zero", "/untimed", "/merged"] {
        assert_eq!(server.get(path).text(), "slow", "{path}");
    }
}

#[test]
fn what_a_route_chose_does_not_hold_for_the_next_request_of_its_connection() {
    let free = get(slow).layer(RequestTimeout::off());
    let server = Server::start(
        App::new(timed(SHORT))
            .route("/free", free)
            .route("/plain", get(slow)),
    );
    let mut client = server.client();
    for _ in 0..2 {
        assert_eq!(client.get("/free").text(), "slow");
        client.get("/plain").assert_error(503);
    }
}

#[test]
fn a_route_may_have_less_than_the_others() {
    let shorter = get(std::future::pending::<()>).layer(RequestTimeout::after(SHORT));
    let server = Server::start(App::new(timed(Duration::ZERO)).route("/shorter", shorter));
    server.get("/shorter").assert_error(503);
}

#[test]
fn no_request_timeout_at_zero_and_none_on_streams() {
    let server = Server::start(App::new(timed(Duration::ZERO)).route("/", get(slow)));
    assert_eq!(server.get("/").text(), "slow");
    let stream = || async {
        let chunks = futures_util::stream::unfold(0, |n| async move {
            tokio::time::sleep(SHORT).await;
            (n < 4).then(|| (Ok::<_, std::io::Error>(Bytes::from(n.to_string())), n + 1))
        });
        Body::from_stream(chunks)
    };
    let server = Server::start(App::new(timed(SHORT)).route("/stream", get(stream)));
    assert_eq!(
        server.get("/stream").text(),
        "0123",
        "only the head of an answer is timed"
    );
}

#[test]
fn a_target_past_the_limit_gets_414() {
    let waf = Waf {
        max_target_len: 100,
        ..Waf::default()
    };
    let server = Server::start(App::new(limited(waf)).route("/{path}", get(|| async { "found" })));
    let target = |length: usize| format!("/p?{}", "q".repeat(length - 3));
    let mut client = server.client();
    assert_eq!(client.get(&target(100)).text(), "found");
    client.get(&target(101)).assert_error(414);
    client
        .send(format!(
            "GET http://test{} HTTP/1.1\r\nHost: test\r\n\r\n",
            target(100)
        ))
        .reply()
        .assert_error(414);
    assert_eq!(
        metric(&server.app.metrics(), r#"http_limits_total{limit="target"}"#),
        2.0
    );
}

fn echo_app(waf: Waf) -> Server {
    let read_itself = |request: Request| async {
        // A handler that makes nothing of the error.
        let whole = request.into_body().collect().await;
        whole.map_or_else(
            |_| "the handler's own".to_owned(),
            |body| body.to_bytes().len().to_string(),
        )
    };
    Server::start(
        App::new(limited(waf))
            .route("/echo", post(|body: Bytes| async move { body.len().to_string() }))
            .route("/raw", post(read_itself))
            .route(
                "/small",
                post(|body: Bytes| async move { body.len().to_string() }).layer(DefaultBodyLimit::max(10)),
            )
            .route("/ignore", post(|| async { "ignored" })),
    )
}

fn post_sized(server: &Server, path: &str, length: usize) -> Reply {
    let mut client = server.client();
    client.send(format!(
        "POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n"
    ));
    client.send("x".repeat(length)).reply()
}

fn post_chunked(server: &Server, path: &str, length: usize) -> Reply {
    let mut client = server.client();
    client.send(format!(
        "POST {path} HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
    ));
    for _ in 0..length / 50 {
        client.send(format!("32\r\n{}\r\n", "x".repeat(50)));
    }
    client.send("0\r\n\r\n").reply()
}

#[test]
fn a_body_past_the_limit_gets_413_by_its_length_and_by_its_chunks() {
    let server = echo_app(Waf {
        max_body_bytes: 1000,
        ..Waf::default()
    });
    for path in ["/echo", "/raw"] {
        assert_eq!(post_sized(&server, path, 1000).text(), "1000", "{path}");
        assert_eq!(post_chunked(&server, path, 1000).text(), "1000", "{path}");
        post_sized(&server, path, 1001).assert_error(413);
        post_chunked(&server, path, 1050).assert_error(413);
    }
    assert_eq!(
        metric(&server.app.metrics(), r#"http_limits_total{limit="body"}"#),
        4.0
    );
    assert_eq!(
        post_sized(&server, "/small", 11).status(),
        413,
        "a route may want less"
    );
}

#[test]
fn a_declared_length_is_refused_before_the_body_is_sent() {
    let server = echo_app(Waf {
        max_body_bytes: 1000,
        ..Waf::default()
    });
    for length in ["1001", "18446744073709551613"] {
        let mut client = server.client();
        let expect = "Expect: 100-continue\r\n";
        client.send(format!(
            "POST /echo HTTP/1.1\r\nHost: test\r\n{expect}Content-Length: {length}\r\n\r\n"
        ));
        let reply = client.reply();
        reply.assert_error(413);
        assert_eq!(reply.header("connection"), Some("close"));
        assert_eq!(client.rest(), "", "and the connection ends");
    }
}

#[test]
fn a_body_that_nobody_reads_does_not_become_a_request() {
    let server = echo_app(Waf::default());
    let mut client = server.client();
    let inside = "GET /echo HTTP/1.1\r\nHost: test\r\n\r\n";
    let length = inside.len();
    client.send(format!(
        "POST /ignore HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n{inside}"
    ));
    assert_eq!(client.reply().text(), "ignored");
    client.finish_sending();
    assert_eq!(client.rest(), "");
    assert_eq!(server.app.metrics().requests(), 1);
}

#[test]
fn the_limits_are_lifted_by_off_and_by_zero() {
    let off = Waf {
        mode: WafMode::Off,
        max_target_len: 10,
        max_body_bytes: 10,
    };
    let zero = Waf {
        mode: WafMode::Basic,
        max_target_len: 0,
        max_body_bytes: 0,
    };
    for waf in [off, zero] {
        let server = echo_app(waf);
        let three_mebibytes = 3 << 20;
        assert_eq!(
            post_sized(&server, "/echo", three_mebibytes).text(),
            three_mebibytes.to_string()
        );
        assert_eq!(post_chunked(&server, "/echo", 100_000).text(), "100000");
        assert_eq!(server.get(&format!("/{}", "a".repeat(12_000))).status(), 404);
    }
}

#[test]
fn the_body_limit_may_be_above_the_frameworks_own() {
    let server = echo_app(Waf {
        max_body_bytes: 4 << 20,
        ..Waf::default()
    });
    let length = (4 << 20) - 10;
    assert_eq!(post_sized(&server, "/echo", length).text(), length.to_string());
}

/// RFC 9112 §6.3: a request with both lengths ought to be refused. The hidden request behind the shorter reading must
/// never be answered.
#[test]
fn both_lengths_are_never_two_requests() {
    let lengths = "Content-Length: 5\r\n";
    let chunked = "Transfer-Encoding: chunked\r\n";
    let hidden = "GET /hidden HTTP/1.1\r\nHost: test\r\n\r\n";
    for (first, second) in [(lengths, chunked), (chunked, lengths)] {
        let server = echo_app(Waf::default());
        let mut client = server.client();
        client.send(format!(
            "POST /echo HTTP/1.1\r\nHost: test\r\n{first}{second}\r\n0\r\n\r\n{hidden}"
        ));
        let reply = client.reply();
        reply.assert_error(400);
        assert_eq!(reply.header("connection"), Some("close"));
        assert_eq!(client.rest(), "", "nothing behind it is answered");
        assert_eq!(server.app.metrics().requests(), 0);
    }
}

#[test]
fn lengths_that_contradict_themselves_are_refused_and_closed() {
    for (head, status) in [
        ("Content-Length: 5\r\nContent-Length: 6\r\n", 400),
        ("Content-Length: -1\r\n", 400),
        ("Content-Length: +5\r\n", 400),
        ("Content-Length: 5, 6\r\n", 400),
        ("Transfer-Encoding: chunked, gzip\r\n", 400),
        ("Transfer-Encoding: xchunked\r\n", 501),
        ("Content-Length : 5\r\n", 400),
    ] {
        let server = echo_app(Waf::default());
        let mut client = server.client();
        client.send(format!("POST /echo HTTP/1.1\r\nHost: test\r\n{head}\r\n"));
        client.reply().assert_error(status);
        assert_eq!(client.rest(), "", "{head}");
        assert_eq!(server.app.metrics().requests(), 0, "{head}");
    }
}

#[test]
fn a_slow_body_counts_against_the_request_timeout() {
    let app =
        App::new(timed(SHORT)).route("/echo", post(|body: Bytes| async move { body.len().to_string() }));
    let server = Server::start(app);
    let mut client = server.client();
    client.send("POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nhalf");
    client.reply().assert_error(503);
    eventually("nothing in flight", || server.app.metrics().in_flight() == 0);
}
