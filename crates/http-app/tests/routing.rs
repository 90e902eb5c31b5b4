//! Routes, groups, merged routers, state, middleware, fallbacks, panics, and what handlers know of their client.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::{get, post};
use common::{Client, Server, config, metric};
use core_executor::ConnectionInfo;
use http::HeaderValue;
use http_app::App;

#[test]
fn routes_groups_nested_and_merged_routers_answer() {
    let merged = Router::new()
        .route("/merged", get(|| async { "merged" }))
        .fallback(|| async { "not this" });
    let server = Server::start(
        App::new(config())
            .route("/", get(|| async { "root" }))
            .route(
                "/users/{id}",
                get(|Path(id): Path<u64>| async move { format!("user {id}") }),
            )
            .group("/api", |api| api.route("/status", get(|| async { "grouped" })))
            .nest("/nested", Router::new().route("/deep", get(|| async { "deep" })))
            .merge(merged)
            .merge(
                Router::new()
                    .route("/again", get(|| async { "again" }))
                    .fallback(|| async { "nor this" }),
            )
            .merge_without_timeout(Router::new().route("/untimed", get(|| async { "untimed" })))
            .route_without_timeout("/wait", get(|| async { "waited" })),
    );
    let mut client = server.client();
    for (path, text) in [
        ("/", "root"),
        ("/users/7", "user 7"),
        ("/api/status", "grouped"),
        ("/nested/deep", "deep"),
        ("/merged", "merged"),
        ("/again", "again"),
        ("/untimed", "untimed"),
        ("/wait", "waited"),
    ] {
        let reply = client.get(path);
        assert_eq!((reply.status(), reply.text()), (200, text), "{path}");
    }
    assert_eq!(
        client.get("/nowhere").status(),
        404,
        "a merged router's own fallback is left behind"
    );
}

#[test]
fn handlers_extract_the_state() {
    let count = Arc::new(AtomicU64::new(0));
    let handler = |State(count): State<Arc<AtomicU64>>| async move {
        (count.fetch_add(1, Ordering::SeqCst) + 1).to_string()
    };
    let server = Server::start(App::with_state(config(), Arc::clone(&count)).route("/count", get(handler)));
    assert_eq!(server.get("/count").text(), "1");
    assert_eq!(server.get("/count").text(), "2");
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

#[test]
fn an_unknown_route_is_named_in_404() {
    let nested = Router::new().route("/known", get(|| async {}));
    let server = Server::start(App::new(config()).nest("/nested", nested));
    let reply = server.get("/nested/un%22known?secret=1");
    assert_eq!(reply.status(), 404);
    let expected = r#"{"error":"Route not found","method":"GET","path":"/nested/un%22known"}"#;
    assert_eq!(reply.text(), expected);
    reply.json();
}

#[test]
fn the_404_body_is_cut_at_200_bytes() {
    let server = Server::start(App::new(config()));
    let method = "M".repeat(100);
    for path in [
        format!("/{}", "a".repeat(4000)),
        format!("/{}", "\"\\".repeat(1000)),
    ] {
        let mut client = server.client();
        let reply = client
            .send(format!("{method} {path} HTTP/1.1\r\nHost: test\r\n\r\n"))
            .reply();
        assert_eq!(reply.status(), 404, "{reply:?}");
        assert!((190..=200).contains(&reply.body.len()), "{reply:?}");
        let cut = reply.json()["path"].as_str().unwrap().to_owned();
        assert!(path.starts_with(&cut) && cut.len() > 20, "{cut}");
    }
}

#[test]
fn a_fallback_of_the_users_replaces_404() {
    let server = Server::start(App::new(config()).fallback(|| async { "mine" }));
    assert_eq!(server.get("/anything").text(), "mine");
}

#[test]
fn a_wrong_method_gets_405_with_allow() {
    let merged = Router::new().route("/merged", post(|| async {}));
    let app = App::new(config())
        .route("/both", get(|| async {}).post(|| async {}))
        .merge(merged);
    let server = Server::start(app);
    for (path, allow) in [("/both", "GET,HEAD,POST"), ("/merged", "POST")] {
        let mut client = server.client();
        let reply = client
            .send(format!("DELETE {path} HTTP/1.1\r\nHost: test\r\n\r\n"))
            .reply();
        reply.assert_error(405);
        assert_eq!(reply.header("allow"), Some(allow));
    }
}

#[test]
fn head_has_the_lengths_and_no_body() {
    let server = Server::start(App::new(config()).route("/", get(|| async { "12345" })));
    let mut client = server.client();
    let reply = client
        .send("HEAD / HTTP/1.1\r\nHost: test\r\n\r\n")
        .reply_without_body();
    assert_eq!((reply.status(), reply.header("content-length")), (200, Some("5")));
    assert_eq!(
        client.get("/").text(),
        "12345",
        "the connection goes on right behind the head"
    );
}

async fn mark(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response
        .headers_mut()
        .append("x-mark", HeaderValue::from_static("outer"));
    response
}

async fn mark_inner(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response
        .headers_mut()
        .append("x-mark", HeaderValue::from_static("inner"));
    response
}

#[test]
fn middleware_covers_routes_given_later_and_404_and_405_and_files() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("a.txt"), "file").unwrap();
    let server = Server::start(
        App::new(config())
            .layer(from_fn(mark_inner))
            .layer(from_fn(mark))
            .route("/later", get(|| async { "later" }))
            .static_files("/files", directory.path())
            .merge(Router::new().route("/merged", get(|| async { "merged" }))),
    );
    for (method, path, status) in [
        ("GET", "/later", 200),
        ("GET", "/merged", 200),
        ("GET", "/nowhere", 404),
        ("POST", "/later", 405),
        ("GET", "/files/a.txt", 200),
        ("GET", "/files/b.txt", 404),
        ("GET", "/files", 404),
    ] {
        let mut client = server.client();
        let reply = client
            .send(format!("{method} {path} HTTP/1.1\r\nHost: test\r\n\r\n"))
            .reply();
        assert_eq!(reply.status(), status, "{path}");
        let marks: Vec<_> = reply
            .head
            .lines()
            .filter(|line| line.starts_with("x-mark"))
            .collect();
        assert_eq!(marks, ["x-mark: inner", "x-mark: outer"], "{method} {path}");
    }
}

#[test]
fn a_panic_is_answered_with_500_and_counted_and_nothing_else_notices() {
    async fn late() {
        tokio::task::yield_now().await;
        panic!("late\r\nINFO forged line");
    }
    async fn in_layer(request: Request, next: Next) -> Response {
        assert_ne!(request.uri().path(), "/in-layer", "on purpose");
        next.run(request).await
    }
    let server = Server::start(
        App::new(config())
            .route(
                "/at-once",
                get(|| async {
                    if true {
                        panic!("at once")
                    }
                }),
            )
            .route("/late", get(late))
            .route("/fine", get(|| async { "fine" }))
            .layer(from_fn(in_layer)),
    );
    let mut client = server.client();
    for path in ["/at-once", "/late", "/in-layer"] {
        client.get(path).assert_error(500);
        assert_eq!(client.get("/fine").text(), "fine", "the same connection goes on");
    }
    let metrics = server.app.metrics();
    assert_eq!(metrics.handler_panics(), 3);
    assert_eq!(metric(&metrics, r#"http_requests_total{class="5xx"}"#), 3.0);
    assert_eq!(metrics.in_flight(), 0);
}

#[test]
fn handlers_know_their_client() {
    let handler = |ConnectInfo(peer): ConnectInfo<SocketAddr>, request: Request| async move {
        let info = request.extensions().get::<ConnectionInfo>().unwrap();
        assert_eq!(info.remote_addr, peer);
        format!("{peer} {}", info.id.get())
    };
    let server = Server::start(App::new(config()).route("/me", get(handler)));
    let mut client = server.client();
    let me = client.stream.local_addr().unwrap().to_string();
    let first = client.get("/me");
    assert_eq!(first.text().split(' ').next(), Some(&*me));
    assert_eq!(first.text(), client.get("/me").text(), "one connection, one id");
    assert_ne!(first.text(), server.get("/me").text());
}

#[test]
fn lower_case_headers_and_chunked_bodies_work() {
    let server = Server::start(App::new(config()).route("/echo", post(|body: String| async { body })));
    let mut client = server.client();
    client.send("POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: 5\r\n\r\nhello");
    assert_eq!(client.reply().text(), "hello");
    client.send("POST /echo HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n");
    client
        .send("3\r\nhel\r\n")
        .send("8;note=x\r\nlo again\r\n")
        .send("0\r\n\r\n");
    assert_eq!(client.reply().text(), "hello again");
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let echo = |Path(number): Path<u64>| async move {
        if number.is_multiple_of(3) {
            tokio::task::yield_now().await;
        }
        number.to_string()
    };
    let server = Server::start(App::new(config()).route("/{number}", get(echo)));
    let mut client: Client = server.client();
    let requests: String = (0..100)
        .map(|n| format!("GET /{n} HTTP/1.1\r\nHost: test\r\n\r\n"))
        .collect();
    client.send(requests);
    for number in 0..100 {
        assert_eq!(client.reply().text(), number.to_string());
    }
    assert_eq!(server.app.metrics().requests(), 100);
}
