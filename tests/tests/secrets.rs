//! What must not get out: a secret of `.env`, the pages of the operator, what clients say as a label.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use workspace_tests::certificate::{self, self_signed};
use workspace_tests::example::Launch;
use workspace_tests::http;
use workspace_tests::observe::until;
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

/// The token goes over every way in which it can be wrong or right, the key is read at the start, again, and when it is no
/// good any more.
#[test]
fn the_operators_token_and_the_key_of_tls_appear_nowhere() {
    let (certificate, key) = self_signed();
    let mut lab = Launch::new("lab")
        .set("RUST_LOG", "trace")
        .set("LOGGING_ASYNC", "false")
        .set("SERVER_TLS_ENABLED", "true")
        .set("SERVER_TLS_CERT_FILE", "server.pem")
        .set("SERVER_TLS_KEY_FILE", "server.key")
        .file("server.pem", &certificate)
        .file("server.key", &key)
        .file(".env", &format!("OPS_TOKEN={SECRET}\n"))
        .start();
    let mut said = String::new();
    let mut hear = |answer: http::Answer| {
        said += &format!("{answer:?} {}", String::from_utf8_lossy(&answer.body));
        answer
    };
    let ask = |method: &str, path: &str, fields: &str| {
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n");
        http::send(lab.metrics(), &format!("{head}{fields}\r\n"))
    };
    let given = format!("Authorization: Bearer {SECRET}\r\n");
    let login = hear(ask("POST", "/_ops/login", &given));
    assert_eq!(login.status, 204);
    let cookie = login.header("set-cookie").expect("a cookie");
    let seal = cookie.split(['=', ';']).nth(1).expect("a value").to_owned();
    for path in ["/_ops", "/_ops/state.json", "/metrics", "/readyz"] {
        assert_eq!(hear(ask("GET", path, &given)).status, 200, "{path}");
        for wrong in [
            format!("Authorization: Basic {SECRET}\r\n"),
            format!("Authorization: Bearer {SECRET}x\r\n"),
            format!("Cookie: ops={SECRET}\r\n"),
        ] {
            hear(ask("GET", path, &wrong));
        }
    }
    let mut secure = certificate::connect(lab.http(), &certificate, &[]);
    let request = format!("GET /status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{given}\r\n");
    secure.write_all(request.as_bytes()).expect("sent");
    let mut answer = Vec::new();
    secure.read_to_end(&mut answer).expect("an answer");
    said += &String::from_utf8_lossy(&answer);

    lab.signal("HUP");
    until("the key is read again", || {
        lab.metric("http_tls_reloads_total") >= 1.0
    });
    // Half a key: whatever reads it has something to complain about.
    lab.write("server.key", &key[..key.len() / 2]);
    lab.signal("HUP");
    until("the fault is counted", || {
        lab.metric("http_tls_reload_errors_total") >= 1.0
    });
    let pushed = http::send(
        lab.metrics(),
        &format!("POST /_ops/drain HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n{given}\r\n"),
    );
    assert_eq!(pushed.status, 202);
    assert_eq!(lab.wait().code(), Some(0));
    let lines = lab.all_lines();
    assert!(
        lines.iter().any(|line| line.contains("operator's page")),
        "{lines:?}"
    );
    let logged = lines.join("\n");
    assert!(!logged.contains(&seal), "what the cookie is worth was logged");
    said += &logged;
    assert!(!said.contains(SECRET), "{said}");
    let of_key = key
        .lines()
        .filter(|line| !line.starts_with("-----") && line.len() >= 16);
    let parts: Vec<&str> = of_key.map(|line| &line[..16]).collect();
    assert!(!parts.is_empty());
    assert!(parts.iter().all(|part| !said.contains(part)), "{said}");
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
