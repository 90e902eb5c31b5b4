//! The access log and the span of a request: one line each, nothing raw, nothing secret. A binary of its own, because
//! a log belongs to a process.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::time::Duration;

use axum::extract::Path;
use axum::routing::{get, post};
use common::log::Log;
use common::{Server, config, eventually};
use http_app::{App, AppConfig, Waf};

/// The lines of the access log for this path.
fn lines_of(path: &str) -> Vec<String> {
    let wanted = format!("path={path:?}");
    let mut lines = Log::get().lines();
    lines.retain(|line| line.contains("http_app::access") && line.contains(&wanted));
    lines
}

fn only_line_of(path: &str) -> String {
    eventually(path, || !lines_of(path).is_empty());
    let mut lines = lines_of(path);
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.remove(0)
}

fn has(line: &str, parts: &[&str]) {
    for part in parts {
        assert!(line.contains(part), "{part:?} is not in {line:?}");
    }
}

#[test]
fn each_request_has_one_line_whatever_becomes_of_it() {
    let log = Log::get();
    let app = App::new(AppConfig {
        request_timeout: Duration::from_millis(300),
        waf: Waf {
            max_target_len: 600,
            max_body_bytes: 10,
            ..Waf::default()
        },
        ..config()
    });
    let app = app
        .route("/fine", get(|| async { "0123456789" }))
        .route(
            "/spoken/{word}",
            get(|Path(word): Path<String>| async move {
                tracing::warn!(?word, "the handler speaks");
                "said"
            }),
        )
        .route(
            "/panic",
            get(|| async { panic!("on purpose\r\n\u{1b}[31mred") as &'static str }),
        )
        .route("/slow", get(std::future::pending::<()>))
        .route(
            "/left",
            get(|| async { tokio::time::sleep(Duration::from_secs(60)).await }),
        )
        .route("/body", post(|body: String| async move { body }))
        .request_id()
        .tracing()
        .access_log();
    let server = Server::start(app);
    let mut client = server.client();
    let local = client.stream.local_addr().unwrap().to_string();

    client.send("GET /fine?token=SECRET HTTP/1.1\r\nHost: test\r\nAuthorization: SECRET\r\nX-Request-Id: id-1\r\n\r\n");
    assert_eq!(client.reply().status(), 200);
    let line = only_line_of("/fine");
    has(
        &line,
        &[
            "method=\"GET\"",
            "status=200",
            "bytes=10",
            "millis=",
            &format!("client={local}"),
            "id=\"id-1\"",
        ],
    );

    for (request, path, parts) in [
        (
            "GET /nothing HTTP/1.1\r\nHost: test\r\n\r\n",
            "/nothing",
            ["status=404", "\"GET\""],
        ),
        (
            "BREW /fine/x HTTP/1.1\r\nHost: test\r\n\r\n",
            "/fine/x",
            ["status=404", "\"BREW\""],
        ),
        (
            "GET /panic HTTP/1.1\r\nHost: test\r\n\r\n",
            "/panic",
            ["status=500", "\"GET\""],
        ),
        (
            "GET /slow HTTP/1.1\r\nHost: test\r\n\r\n",
            "/slow",
            ["status=503", "\"GET\""],
        ),
    ] {
        server.client().send(request).reply();
        has(&only_line_of(path), &parts);
    }
    server
        .client()
        .send("POST /body HTTP/1.1\r\nHost: test\r\nContent-Length: 11\r\n\r\n")
        .reply()
        .assert_error(413);
    has(&only_line_of("/body"), &["status=413", "\"POST\""]);
    let mut client = server.client();
    client
        .send("HEAD /fine/head HTTP/1.1\r\nHost: test\r\n\r\n")
        .reply_without_body();
    has(&only_line_of("/fine/head"), &["\"HEAD\"", "bytes=0"]);

    let long = format!("/{}", "a".repeat(650));
    server.get(&long).assert_error(414);
    let line = only_line_of(&long[..512]);
    has(&line, &["status=414"]);
    assert!(!line.contains(&long[..513]), "the path is cut");

    let mut leaving = server.client();
    leaving.send("GET /left HTTP/1.1\r\nHost: test\r\n\r\n");
    eventually("the request runs", || server.app.metrics().in_flight() == 1);
    drop(leaving);
    has(&only_line_of("/left"), &["status=499"]);

    // A handler that logs what a client sent, decoded: the span says whose it is.
    server
        .client()
        .send("GET /spoken/a%0d%0a%1b%5b31mb%c2%9b HTTP/1.1\r\nHost: test\r\nX-Request-Id: id-2\r\n\r\n")
        .reply();
    only_line_of("/spoken/a%0d%0a%1b%5b31mb%c2%9b");
    let lines = log.lines();
    let spoken = lines
        .iter()
        .find(|line| line.contains("the handler speaks"))
        .unwrap();
    has(spoken, &["request{", "id=\"id-2\"", r"a\r\n\u{1b}[31mb\u{9b}"]);
    let panicked = lines
        .iter()
        .find(|line| line.contains("a handler panicked"))
        .unwrap();
    has(panicked, &[r"on purpose\r\n\u{1b}[31mred"]);

    let whole = log.text();
    assert!(!whole.contains("SECRET"), "{whole}");
    let raw = whole.chars().find(|char| char.is_control() && *char != '\n');
    assert_eq!(raw, None, "{whole}");
    // Every line is one of the log's own: a value of a client's began none.
    assert!(lines.iter().all(|line| line.starts_with("20")), "{lines:?}");
}
