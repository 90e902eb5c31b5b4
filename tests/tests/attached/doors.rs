//! The ways in: WebSocket under a path of the app, probes on both ports, sockets of the caller.

use crate::support::{app, block_on, executor, finalize, http_addr, ws, ws_addr};
use attached_runtime::{
    AttachedRuntime, Cause, ConnectionInfo, ConnectionStateListener, ExecutorConfig, LongPollBridge,
    LongPollConfig, MetricsConfig, Notice, RuntimeExecutor,
};
use axum::Router;
use axum::extract::Request;
use axum::routing::get;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use workspace_tests::http;
use workspace_tests::ws::Client;

/// The kinds of notices of a server, in the order they came.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<&'static str>>>);

impl ConnectionStateListener for Seen {
    fn state_changed(&self, notice: &Notice) {
        let kind = match notice.cause {
            Cause::Accepted(_) => "accepted",
            Cause::UpgradedToWebSocket => "upgraded",
            _ => "closed",
        };
        self.0.lock().expect("nothing panics here").push(kind);
    }
}

#[test]
fn one_port_serves_http_websocket_and_polls_and_drains_all() {
    let seen = Seen::default();
    let app = app().connection_state_listener(seen.clone());
    let server = ws().on_open(|session| async move {
        session.join("general").expect("a room");
    });
    let hub = server.hub();
    let runtime = AttachedRuntime::builder(app, server)
        .one_port("/ws")
        .long_polling(LongPollBridge::new(LongPollConfig::default()).open_mailboxes(true))
        .start(executor())
        .expect("it starts");
    assert!(runtime.addresses().ws.is_none());
    let address = http_addr(&runtime);
    let mut client = Client::connect(address, "/ws");
    client.send("hello");
    assert_eq!(client.text(), "echo: hello");
    assert_eq!(
        *seen.0.lock().expect("nothing panics here"),
        ["accepted", "upgraded"]
    );
    assert_eq!(http::get(address, "/").text(), "up");
    assert_eq!(
        http::get(address, "/ws").status,
        426,
        "not every request upgrades"
    );
    let sent = http::post(address, "/ws/send", r#"{"type":"note","room":"general"}"#);
    assert_eq!(sent.status, 202);
    assert!(client.text().contains(r#""type":"note""#));
    let poll = http::get(address, "/ws/poll?session_id=room:general");
    assert_eq!(poll.json()[0]["type"], "note");
    assert_eq!(hub.sessions(), 1);

    let closing = std::thread::spawn(move || client.closed());
    let report = finalize(runtime);
    assert_eq!(closing.join().expect("closed").0, 1001);
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.websocket.sessions, 1);
}

#[test]
fn a_path_beside_the_own_port_has_the_same_rooms() {
    let server = ws().on_open(|session| async move {
        session.join("general").expect("a room");
    });
    let server = server.on_message(|session, text| async move {
        let told = session.hub().broadcast_text_to_room("general", text).await;
        told.expect("the server runs");
    });
    // The limit on requests must not reach the session.
    let mut app = app();
    app = app.route("/slow", get(std::future::pending::<()>));
    let runtime = AttachedRuntime::builder(app, server)
        .websocket_on("/a/ws")
        .websocket_on("/b")
        .start(executor())
        .expect("it starts");
    let mut members = [
        Client::connect(http_addr(&runtime), "/a/ws?x=1"),
        Client::connect(http_addr(&runtime), "/b"),
        Client::connect(ws_addr(&runtime), "/anything"),
    ];
    members[0].send("to all");
    for member in &mut members {
        assert_eq!(member.text(), "to all");
    }
    let request = "GET /c HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\n\
        Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    assert_eq!(
        http::send(http_addr(&runtime), request).status,
        404,
        "no other path"
    );
    drop(finalize(runtime));
}

#[test]
fn not_ready_from_the_first_moment_of_draining_on_both_ports() {
    let executor = RuntimeExecutor::new(ExecutorConfig {
        threads: 2,
        ready_delay: Duration::from_secs(5),
        ..ExecutorConfig::default()
    });
    let app = app();
    let stop = app.stop_handle();
    let runtime = AttachedRuntime::builder(app, ws())
        .metrics(MetricsConfig {
            port: 0,
            ..MetricsConfig::default()
        })
        .signals(false)
        .start(executor.expect("threads can be started"))
        .expect("it starts");
    let ports = [http_addr(&runtime), runtime.addresses().metrics.expect("metrics")];
    for port in ports {
        assert_eq!(http::get(port, "/healthz").text(), r#"{"status":"alive"}"#);
        assert_eq!(http::get(port, "/readyz").text(), r#"{"status":"ready"}"#);
    }
    stop.stop_async();
    for port in ports {
        assert_eq!(http::get(port, "/readyz").status, 503, "from the wish on");
        assert_eq!(http::get(port, "/healthz").status, 200);
    }
    // Served as before until the delay is over.
    assert_eq!(http::get(ports[0], "/").text(), "up");
    runtime.handle().request_stop_now();
    drop(block_on(runtime.finalize_shutdown()).expect("it ends"));
}

#[test]
fn probes_can_be_left_out() {
    let runtime = AttachedRuntime::builder(app(), ws())
        .health(false)
        .start(executor());
    let runtime = runtime.expect("it starts");
    assert_eq!(http::get(http_addr(&runtime), "/readyz").status, 404);
    drop(finalize(runtime));
}

#[test]
fn sockets_of_the_caller_are_served() {
    let socket = || TcpListener::bind("127.0.0.1:0").expect("a free port");
    let (first, second) = (socket(), socket());
    let expected = (
        first.local_addr().expect("bound"),
        second.local_addr().expect("bound"),
    );
    let runtime = AttachedRuntime::start(app().listener(first), ws().listener(second), executor());
    let runtime = runtime.expect("it starts");
    assert_eq!((http_addr(&runtime), ws_addr(&runtime)), expected);
    assert_eq!(http::get(expected.0, "/").text(), "up");
    let mut client = Client::connect(expected.1, "/");
    client.send("hello");
    assert_eq!(client.text(), "echo: hello");
    let began = Instant::now();
    drop(client);
    drop(finalize(runtime));
    assert!(began.elapsed() < Duration::from_secs(5));
    TcpListener::bind(expected.0).expect("closed at the end");
}

#[test]
fn the_openapi_document_has_the_app_the_polls_and_the_upgrade() {
    let bridge = || LongPollBridge::new(LongPollConfig::default());
    let runtime = AttachedRuntime::builder(app(), ws())
        .long_polling(bridge())
        .websocket_on("/ws")
        .start(executor())
        .expect("it starts");
    let (http, ws_port) = (http_addr(&runtime), ws_addr(&runtime));
    let api = http::get(http, "/openapi.json").json();
    let paths = api["paths"].as_object().expect("an object");
    let listed: Vec<&str> = paths.keys().map(String::as_str).collect();
    let known = [
        "/",
        "/healthz",
        "/readyz",
        "/ws",
        "/ws/client.d.ts",
        "/ws/client.js",
        "/ws/poll",
        "/ws/send",
        "/ws/session",
        "/ws/session/close",
        "/ws/session/events",
        "/ws/session/poll",
        "/ws/session/send",
    ];
    assert_eq!(listed, known);
    for status in ["101", "400", "403", "426"] {
        assert!(paths["/ws"]["get"]["responses"][status].is_object(), "{status}");
    }
    let body = &paths["/ws/send"]["post"]["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(body["required"], serde_json::json!(["type"]));
    let poll = paths["/ws/poll"].as_object().expect("an object");
    assert!(poll.contains_key("get") && !poll.contains_key("head"), "{poll:?}");
    let about = api["info"]["description"].as_str().expect("a text");
    assert!(about.contains(&format!("ws://{ws_port}/")), "{about}");
    assert_eq!(http::get(http, "/docs").status, 200);
    drop(finalize(runtime));

    let runtime = AttachedRuntime::builder(app(), ws())
        .long_polling(bridge())
        .docs(false)
        .start(executor())
        .expect("it starts");
    assert_eq!(http::get(http_addr(&runtime), "/openapi.json").status, 404);
    drop(finalize(runtime));
}

#[test]
fn below_a_prefix_the_whole_target_is_known() {
    let server = ws().on_open(|session| async move {
        session.send_text(format!(
            "{}?{}",
            session.path(),
            session.query().unwrap_or_default()
        ));
    });
    let told = |request: Request| async move {
        let target = ConnectionInfo::target_of(request.uri(), request.extensions());
        format!("{} {}", request.uri(), target.expect("it has a path"))
    };
    let below = Router::new()
        .route("/told", get(told))
        .route_service("/ws", server.service());
    let app = app().nest("/api/{version}", below);
    let runtime = AttachedRuntime::builder(app, server)
        .start(executor())
        .expect("it starts");
    let address = http_addr(&runtime);
    let reply = http::get(address, "/api/v1/told?x=1");
    assert_eq!(reply.text(), "/told?x=1 /api/v1/told?x=1");
    assert_eq!(
        Client::connect(address, "/api/v2/ws?y=2").text(),
        "/api/v2/ws?y=2"
    );
    drop(finalize(runtime));
}
