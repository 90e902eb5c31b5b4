//! What an application counts, and the page that shows it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use axum::routing::get;
use common::{Server, config, eventually, metric};
use http_app::{App, AppError, MetricsConfig, metrics_app, metrics_router};
use prometheus::{IntCounter, Registry};

const TEXT_FORMAT: Option<&str> = Some("text/plain; version=0.0.4; charset=utf-8");

fn exporter(prefix: &str) -> (MetricsConfig, Registry) {
    let config = MetricsConfig {
        port: 0,
        prefix: prefix.to_owned(),
        ..MetricsConfig::default()
    };
    let registry = config.registry().unwrap();
    let counter = IntCounter::new("ws_connections_total", "Connections.").unwrap();
    registry.register(Box::new(counter.clone())).unwrap();
    counter.inc_by(3);
    (config, registry)
}

#[test]
fn the_exporter_is_an_ordinary_application() {
    for (prefix, line) in [
        ("", "ws_connections_total 3"),
        ("vix", "vix_ws_connections_total 3"),
    ] {
        let (config, registry) = exporter(prefix);
        let server = Server::start(metrics_app(config, registry));
        let reply = server.get("/metrics");
        assert_eq!((reply.status(), reply.header("content-type")), (200, TEXT_FORMAT));
        assert!(
            reply.text().lines().any(|found| found == line),
            "{}",
            reply.text()
        );
        assert_eq!(server.get("/").status(), 404);
    }
}

#[test]
fn the_page_can_be_a_route_of_the_application_itself() {
    let (_, registry) = exporter("");
    let app = App::new(config())
        .route("/", get(|| async { "root" }))
        .merge(metrics_router(registry.clone()));
    app.metrics().register(&registry).unwrap();
    let server = Server::start(app);
    assert_eq!(server.get("/").text(), "root");
    let page = server.get("/metrics");
    assert_eq!(page.header("content-type"), TEXT_FORMAT);
    for line in [
        r#"http_requests_total{class="2xx"} 1"#,
        "http_requests_in_flight 1",
    ] {
        assert!(
            page.text().lines().any(|found| found == line),
            "{line} in {}",
            page.text()
        );
    }
}

#[test]
fn a_prefix_that_starts_no_name_is_refused() {
    for prefix in ["1st", "a-b", "a b", "é", "a\n"] {
        let config = MetricsConfig {
            prefix: prefix.to_owned(),
            ..MetricsConfig::default()
        };
        let error = config.registry().unwrap_err();
        assert!(matches!(error, AppError::MetricsPrefix { .. }), "{prefix:?}");
    }
}

#[test]
fn requests_are_counted_by_class_and_timed() {
    let app = App::new(config()).route("/", get(|| async { "root" }));
    let server = Server::start(app);
    let mut client = server.client();
    client.get("/");
    client.get("/");
    client.get("/nowhere");
    let metrics = server.app.metrics();
    for (line, value) in [
        (r#"http_requests_total{class="2xx"}"#, 2.0),
        (r#"http_requests_total{class="4xx"}"#, 1.0),
        (r#"http_requests_total{class="5xx"}"#, 0.0),
        ("http_request_duration_seconds_count", 3.0),
        ("http_requests_in_flight", 0.0),
        ("http_requests_abandoned_total", 0.0),
        ("http_connections_accepted_total", 1.0),
    ] {
        assert_eq!(metric(&metrics, line), value, "{line}");
    }
    assert!(metric(&metrics, "http_request_duration_seconds_sum") > 0.0);
}

#[test]
fn a_request_whose_client_leaves_is_counted_as_abandoned() {
    let app = App::new(config()).route_without_timeout("/wait", get(std::future::pending::<()>));
    let server = Server::start(app);
    let metrics = server.app.metrics();
    let mut client = server.client();
    client.send("GET /wait HTTP/1.1\r\nHost: test\r\n\r\n");
    eventually("in flight", || metrics.in_flight() == 1);
    drop(client);
    eventually("gone", || metrics.in_flight() == 0);
    assert_eq!(metric(&metrics, "http_requests_abandoned_total"), 1.0);
    assert_eq!(metrics.requests(), 0);
}

#[test]
fn one_registry_takes_one_application() {
    let registry = Registry::new();
    let first = App::new(config());
    first.metrics().register(&registry).unwrap();
    assert!(App::new(config()).metrics().register(&registry).is_err());
}
