//! What must not get out: a secret of `.env`, the pages of the operator, what clients say as a label.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use workspace_tests::example::Launch;
use workspace_tests::http;
use workspace_tests::raw::{Raw, TEXT};

const SECRET: &str = "correct-horse-battery-staple";
/// What a client puts wherever it can.
const MARK: &str = "m4rk3d";

/// Requests that go wrong in every way a client can arrange, each with the mark.
fn requests() -> Vec<String> {
    let fields = format!("Host: {MARK}\r\nUser-Agent: {MARK}\r\nReferer: {MARK}\r\nConnection: close\r\n");
    let lines = [
        format!("GET / HTTP/1.1\r\n{fields}"),
        format!("GET /{MARK}?{MARK}=1 HTTP/1.1\r\n{fields}"),
        format!("{MARK} /status HTTP/1.1\r\n{fields}"),
        format!("GET /status HTTP/9.9\r\n{fields}"),
        format!("GET /{} HTTP/1.1\r\n{fields}", MARK.repeat(1000)),
        format!("GET / HTTP/1.1\r\nContent-Length: {MARK}\r\n{fields}"),
        format!("GET /ws/poll?session_id={MARK}&max={MARK} HTTP/1.1\r\n{fields}"),
        format!("POST /ws/send HTTP/1.1\r\nContent-Length: 6\r\n{fields}"),
    ];
    lines.map(|head| format!("{head}\r\n{MARK}")).into()
}

#[test]
fn a_secret_of_the_settings_appears_nowhere() {
    let mut lab = Launch::new("lab")
        .set("RUST_LOG", "trace")
        .set("LOGGING_ASYNC", "false")
        .file(
            ".env",
            &format!("DATABASE_PASSWORD={SECRET}\nSERVER_TLS_KEY_FILE={SECRET}\n"),
        )
        .start();
    let mut said = String::new();
    for to in [lab.http(), lab.ws(), lab.metrics()] {
        for request in requests() {
            let mut stream = http::connect(to);
            stream.write_all(request.as_bytes()).expect("taken");
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
            said += &String::from_utf8_lossy(&answer);
        }
    }
    for path in ["/openapi.json", "/docs", "/events", "/healthz", "/readyz"] {
        said += http::get(lab.http(), path).text();
    }
    said += &lab.metrics_page();
    let mut session = Raw::connect(lab.ws(), "/");
    session.frame(TEXT, br#"{"type":"throw"}"#);
    said += &session.closed().1;
    assert_eq!(lab.terminate(), Some(0));
    said += &lab.all_lines().join("\n");
    assert!(said.len() > 10_000, "{said}");
    assert!(!said.contains(SECRET), "{said}");
}

/// The value that is wrong is named, the others are not.
#[test]
fn an_error_about_one_setting_tells_no_other() {
    let (code, said) = Launch::new("lab")
        .file(
            ".env",
            &format!("DATABASE_PASSWORD={SECRET}\nSERVER_HEAD_TIMEOUT=soon\n"),
        )
        .run_to_end();
    assert_ne!(code, Some(0));
    assert!(
        said.contains("SERVER_HEAD_TIMEOUT") && said.contains("soon"),
        "{said}"
    );
    assert!(!said.contains(SECRET), "{said}");
}

/// Wherever HTTP is bound, the metrics are not there, and they are on loopback alone.
#[test]
fn the_operators_pages_are_on_loopback_alone() {
    let lab = Launch::new("lab")
        .set("SERVER_HOST", "0.0.0.0")
        .set("WEBSOCKET_HOST", "0.0.0.0")
        .start();
    assert_eq!(lab.metrics().ip(), Ipv4Addr::LOCALHOST);
    assert_eq!(http::get(lab.metrics(), "/metrics").status, 200);
    let elsewhere = |port| SocketAddr::from(([127, 0, 0, 2], port));
    let refused = TcpStream::connect(elsewhere(lab.metrics().port())).expect_err("it is not bound there");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    let page = http::get(elsewhere(lab.http().port()), "/metrics");
    assert_eq!(page.status, 404, "HTTP is bound there, and has no metrics");
}

#[test]
fn no_label_is_what_a_client_says() {
    let lab = Launch::new("lab").start();
    let series = || {
        let page = lab.metrics_page();
        let names = page.lines().filter(|line| !line.starts_with('#'));
        let names = names.filter_map(|line| line.rsplit_once(' ').map(|(name, _)| name.to_owned()));
        names.collect::<Vec<_>>()
    };
    http::get(lab.http(), "/");
    let before = series();
    for to in [lab.http(), lab.ws(), lab.metrics()] {
        for request in requests() {
            let mut stream = http::connect(to);
            stream.write_all(request.as_bytes()).expect("taken");
            let _ = stream.read_to_end(&mut Vec::new());
        }
    }
    let mut session = Raw::connect(lab.ws(), &format!("/{MARK}"));
    let joins = format!(r#"{{"type":"room.join","room":"{MARK}","kind":"{MARK}"}}"#);
    session.frame(TEXT, joins.as_bytes());
    let after = series();
    assert!(after.iter().all(|name| !name.contains(MARK)), "{after:?}");
    assert_eq!(before, after, "not one series more");
}
