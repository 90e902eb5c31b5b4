//! Compression, CORS and request ids, over real sockets.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::fs;
use std::io::Read;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::routing::get;
use bytes::Bytes;
use common::{Reply, Server, config};
use futures_util::stream;
use http_app::{App, AppConfig, AppError, Waf};
use tower_http::request_id::RequestId;

fn ask(server: &Server, path: &str, headers: &str) -> Reply {
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\n{headers}\r\n");
    server.client().send(request).reply()
}

fn gunzipped(body: &[u8]) -> String {
    let mut text = String::new();
    flate2::read::GzDecoder::new(body)
        .read_to_string(&mut text)
        .unwrap();
    text
}

fn typed(kind: &'static str, body: impl Into<Body>) -> impl IntoResponse {
    ([("content-type", kind)], body.into())
}

#[test]
fn text_is_compressed_for_who_wants_it_and_nothing_else_is() {
    let long = || "long text ".repeat(500);
    let events = || {
        Body::from_stream(stream::iter(
            ["data: 1\n\n"; 500].map(|event| Ok::<_, std::io::Error>(Bytes::from(event))),
        ))
    };
    let app = App::new(config())
        .route("/text", get(move || async move { long() }))
        .route("/tiny", get(|| async { "tiny" }))
        .route("/picture", get(move || async move { typed("image/png", long()) }))
        .route(
            "/archive",
            get(move || async move { typed("application/gzip", long()) }),
        )
        .route(
            "/events",
            get(move || async move { typed("text/event-stream", events()) }),
        )
        .route(
            "/encoded",
            get(move || async move {
                (
                    [("content-encoding", "br"), ("content-type", "text/plain")],
                    long(),
                )
            }),
        )
        .route(
            "/secret",
            get(move || async move {
                (
                    [("cache-control", "no-transform"), ("content-type", "text/plain")],
                    long(),
                )
            }),
        )
        .route("/none", get(|| async { http::StatusCode::NO_CONTENT }))
        .compression();
    let server = Server::start(app);
    let reply = ask(&server, "/text", "Accept-Encoding: br, gzip;q=0.5\r\n");
    assert_eq!(reply.header("content-encoding"), Some("gzip"));
    assert_eq!(reply.header("vary"), Some("accept-encoding"));
    assert_eq!(gunzipped(&reply.body), long());
    assert!(reply.body.len() < 500, "{}", reply.body.len());
    for headers in [
        "",
        "Accept-Encoding: identity\r\n",
        "Accept-Encoding: gzip;q=0\r\n",
        "Accept-Encoding: br\r\n",
        "Accept-Encoding: ;;,q=\r\n",
    ] {
        let plain = ask(&server, "/text", headers);
        assert_eq!(
            (plain.status(), plain.header("content-encoding")),
            (200, None),
            "{headers}"
        );
        assert_eq!(plain.text(), long());
    }
    for (path, encoding) in [
        ("/tiny", None),
        ("/picture", None),
        ("/archive", None),
        ("/events", None),
        ("/encoded", Some("br")),
        ("/secret", None),
        ("/none", None),
    ] {
        let reply = ask(&server, path, "Accept-Encoding: gzip\r\n");
        assert_eq!(reply.header("content-encoding"), encoding, "{path}");
    }
}

#[test]
fn a_compressed_file_has_a_weak_tag_that_still_saves_the_body() {
    let site = tempfile::tempdir().unwrap();
    fs::write(site.path().join("a.txt"), "text ".repeat(1000)).unwrap();
    let server = Server::start(App::new(config()).static_files("/", site.path()).compression());
    let plain = ask(&server, "/a.txt", "");
    let strong = plain.header("etag").unwrap();
    let packed = ask(&server, "/a.txt", "Accept-Encoding: gzip\r\n");
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert_eq!(packed.header("etag"), Some(format!("W/{strong}").as_str()));
    assert_eq!(packed.header("accept-ranges"), None);
    let again = ask(
        &server,
        "/a.txt",
        &format!("Accept-Encoding: gzip\r\nIf-None-Match: W/{strong}\r\n"),
    );
    assert_eq!(again.status(), 304);
    let part = ask(
        &server,
        "/a.txt",
        "Accept-Encoding: gzip\r\nRange: bytes=0-1999\r\n",
    );
    assert_eq!((part.status(), part.header("content-encoding")), (206, None));
}

#[test]
fn pages_of_listed_origins_may_read_and_others_may_not() {
    let app = App::new(config())
        .route("/", get(|| async { "read" }).delete(|| async { "gone" }))
        .cors(["https://example.org", "http://localhost:5173", "http://[::1]:80"]);
    let server = Server::start(app);
    for (origin, allowed) in [
        ("https://example.org", true),
        ("http://localhost:5173", true),
        ("http://example.org", false),
        ("https://example.org.evil.net", false),
        ("https://sub.example.org", false),
        ("null", false),
    ] {
        let reply = ask(&server, "/", &format!("Origin: {origin}\r\n"));
        let expected = allowed.then_some(origin);
        assert_eq!(reply.header("access-control-allow-origin"), expected, "{origin}");
        assert_eq!(reply.header("access-control-allow-credentials"), None);
        assert!(
            reply
                .header("vary")
                .unwrap()
                .to_ascii_lowercase()
                .contains("origin")
        );
    }
    // The application's own 404 may be read too.
    let missing = ask(&server, "/nothing", "Origin: https://example.org\r\n");
    assert_eq!(
        (missing.status(), missing.header("access-control-allow-origin")),
        (404, Some("https://example.org"))
    );
    let request = "OPTIONS / HTTP/1.1\r\nHost: test\r\nOrigin: https://example.org\r\n\
        Access-Control-Request-Method: DELETE\r\n\r\n";
    let preflight = server.client().send(request).reply();
    assert_eq!(preflight.status(), 200);
    assert!(
        preflight
            .header("access-control-allow-methods")
            .unwrap()
            .contains("DELETE")
    );
    assert_eq!(preflight.header("access-control-max-age"), Some("600"));
    let open = Server::start(App::new(config()).cors(["*"]));
    let reply = ask(&open, "/", "Origin: https://anything.net\r\n");
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
}

#[test]
fn what_is_no_origin_is_a_start_error_that_names_it() {
    for wrong in [
        "",
        "example.org",
        "https://example.org/",
        "https://example.org/path",
        "HTTPS://Example.org",
        "https://user@example.org",
        "https://example.org:99999",
        "https://exa mple.org",
        "https://*.example.org",
        "null",
        "https://a.org:x",
        "https://a.org:",
    ] {
        let error = App::new(config())
            .cors(["https://a.org", wrong])
            .bind()
            .expect_err(wrong);
        assert!(matches!(error, AppError::Origin { .. }), "{wrong}: {error}");
        assert!(error.to_string().contains(&format!("{wrong:?}")), "{error}");
    }
    let error = App::new(config())
        .cors(["*", "https://a.org"])
        .bind()
        .unwrap_err();
    assert!(matches!(error, AppError::Origin { .. }), "{error}");
    let long = format!("https://{}", "a".repeat(10_000));
    let error = App::new(config())
        .cors([format!("{long}/").as_str()])
        .bind()
        .unwrap_err();
    assert!(error.to_string().len() < 250, "{error}");
}

#[test]
fn ids_are_carried_or_made() {
    async fn told(headers: HeaderMap, Extension(id): Extension<RequestId>) -> String {
        let all: Vec<_> = headers.get_all("x-request-id").iter().collect();
        assert_eq!(all, [id.header_value()]);
        id.header_value().to_str().unwrap().to_owned()
    }
    let app = App::new(AppConfig {
        request_timeout: Duration::from_millis(50),
        waf: Waf {
            max_target_len: 100,
            ..Waf::default()
        },
        ..config()
    });
    let app = app
        .route("/", get(told))
        .route("/slow", get(std::future::pending::<()>))
        .route("/panic", get(|| async { panic!("on purpose") as &'static str }))
        .route("/own", get(|| async { [("x-request-id", "the handler's")] }))
        .request_id();
    let server = Server::start(app);
    let longest = "a".repeat(128);
    for id in ["a", "7f3c-A_b.c:d+e/f=@", &longest] {
        let reply = ask(&server, "/", &format!("X-Request-Id: {id}\r\n"));
        assert_eq!((reply.text(), reply.header("x-request-id")), (id, Some(id)));
    }
    let mut made = std::collections::HashSet::new();
    for headers in [
        String::new(),
        "X-Request-Id: \r\n".to_owned(),
        "X-Request-Id: a b\r\n".to_owned(),
        "X-Request-Id: a\tb\r\n".to_owned(),
        "X-Request-Id: \u{e9}\r\n".to_owned(),
        "X-Request-Id: \"a\"\r\n".to_owned(),
        "X-Request-Id: a\r\nX-Request-Id: b\r\n".to_owned(),
        format!("X-Request-Id: {longest}a\r\n"),
    ] {
        let reply = ask(&server, "/", &headers);
        let id = reply.header("x-request-id").unwrap();
        assert_eq!((id.len(), reply.text()), (36, id), "{headers}");
        assert!(made.insert(id.to_owned()), "made anew each time");
    }
    // Also where no handler answers.
    for (path, status) in [
        ("/nothing", 404),
        ("/slow", 503),
        ("/panic", 500),
        (longest.as_str(), 0),
    ] {
        let path = if status == 0 {
            format!("/{path}")
        } else {
            path.to_owned()
        };
        let reply = ask(&server, &path, "X-Request-Id: mine\r\n");
        assert!(reply.status() == status || reply.status() == 414, "{reply:?}");
        assert_eq!(reply.header("x-request-id"), Some("mine"), "{path}");
    }
    assert_eq!(
        ask(&server, "/own", "").header("x-request-id"),
        Some("the handler's")
    );
    let without = Server::start(App::new(config()));
    assert_eq!(
        ask(&without, "/", "X-Request-Id: mine\r\n").header("x-request-id"),
        None
    );
}
