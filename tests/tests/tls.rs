//! TLS of whole processes: both servers, reload by SIGHUP, and clients that are not ours.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tungstenite::Message;
use workspace_tests::certificate::{Secure, connect, self_signed};
use workspace_tests::example::{Example, Launch};
use workspace_tests::observe::skipped;
use workspace_tests::{PATIENCE, http};

/// An example under TLS, with what its clients have to trust.
fn launch(name: &str) -> (Example, String) {
    let (certificate, key) = self_signed();
    let example = Launch::new(name)
        .set("SERVER_TLS_ENABLED", "true")
        .set("SERVER_TLS_CERT_FILE", "server.pem")
        .set("SERVER_TLS_KEY_FILE", "server.key")
        .file("server.pem", &certificate)
        .file("server.key", &key)
        .start();
    (example, certificate)
}

fn get(mut stream: Secure, path: &str) -> std::io::Result<http::Answer> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(http::read_answer(&mut answer.as_slice()).expect("an answer"))
}

fn metric(example: &Example, name: &str) -> String {
    let answer = http::get(example.metrics(), "/metrics");
    let line = answer
        .text()
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("there is no {name}")).to_owned()
}

#[test]
fn both_servers_speak_tls_and_nothing_else() {
    let (mut example, certificate) = launch("full");
    let (http, ws) = (example.http(), example.ws());
    let answer = get(connect(http, &certificate, &[]), "/status").expect("TLS");
    assert_eq!(answer.text(), r#"{"status":"ok","http":true,"websocket":true}"#);

    let stream = connect(ws, &certificate, &["http/1.1"]);
    let (mut socket, _) = tungstenite::client("wss://localhost/", stream).expect("a session");
    assert_eq!(socket.read().expect("a greeting"), Message::text("welcome"));
    socket.send(Message::text("hi")).expect("sent");
    assert_eq!(socket.read().expect("an echo"), Message::text("echo: hi"));

    for address in [http, ws] {
        let mut plain = http::connect(address);
        plain
            .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .expect("sent");
        let mut answer = Vec::new();
        plain.read_to_end(&mut answer).expect("an end, not a reset");
        assert!(!answer.windows(4).any(|bytes| bytes == b"HTTP"), "{answer:?}");
    }
    for (server, handshakes) in [("http", "1"), ("ws", "1")] {
        let not_tls = format!("{server}_tls_handshake_failures_total{{reason=\"not_tls\"}}");
        assert_eq!(metric(&example, &not_tls), "1");
        assert_eq!(
            metric(&example, &format!("{server}_tls_handshakes_total")),
            handshakes
        );
    }

    example.signal("TERM");
    let close = socket.read().expect("a Close");
    assert!(
        matches!(&close, Message::Close(Some(frame)) if u16::from(frame.code) == 1001),
        "{close:?}"
    );
    assert_eq!(example.wait().code(), Some(0), "{:?}", example.all_lines());
}

#[test]
fn a_hangup_reads_the_certificate_again_and_keeps_the_old_one_when_it_is_no_good() {
    let (mut example, old) = launch("full");
    let (new, new_key) = self_signed();
    let trusts = |certificate: &str, address| get(connect(address, certificate, &[]), "/status").is_ok();
    let (http, ws) = (example.http(), example.ws());
    assert!(trusts(&old, http) && trusts(&old, ws) && !trusts(&new, http));

    // The certificate without its key.
    example.write("server.pem", &new);
    example.signal("HUP");
    let line = example.wait_for_line(|line| line.contains("the former certificate stays"));
    assert!(line.contains("SERVER_TLS_KEY_FILE"), "{line}");
    assert!(trusts(&old, http) && trusts(&old, ws));
    assert_eq!(metric(&example, "http_tls_reload_errors_total"), "1");

    example.write("server.key", &new_key);
    example.signal("HUP");
    example.wait_for_line(|line| line.contains("were read again"));
    assert!(trusts(&new, http) && trusts(&new, ws) && !trusts(&old, http));
    assert_eq!(metric(&example, "ws_tls_reloads_total"), "1");
    assert_eq!(example.terminate(), Some(0), "{:?}", example.all_lines());
}

#[test]
fn a_handshake_that_stalls_ends_at_the_limit() {
    let (certificate, key) = self_signed();
    let mut example = Launch::new("full")
        .set("SERVER_TLS_ENABLED", "true")
        .set("SERVER_TLS_CERT_FILE", "server.pem")
        .set("SERVER_TLS_KEY_FILE", "server.key")
        .set("SERVER_TLS_HANDSHAKE_TIMEOUT", "1")
        .file("server.pem", &certificate)
        .file("server.key", &key)
        .start();
    for address in [example.http(), example.ws()] {
        let began = Instant::now();
        let mut silent = http::connect(address);
        assert_eq!(silent.read(&mut [0]).expect("an end, not a reset"), 0);
        let took = began.elapsed();
        assert!(
            Duration::from_secs(1) <= took && took <= Duration::from_secs(2),
            "{took:?}"
        );
    }
    assert_eq!(example.terminate(), Some(0));
}

/// Runs a program that may not be there; says so aloud when it is not.
fn run(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) => {
            let text = [output.stdout, output.stderr].concat();
            Some(String::from_utf8_lossy(&text).into_owned())
        }
        Err(error) => {
            skipped(&format!("{program} cannot be run ({error})"));
            None
        }
    }
}

#[test]
fn curl_and_openssl() {
    let (mut example, certificate) = launch("tls");
    let file = example.write("trusted.pem", &certificate);
    let trusted = file.to_str().expect("a name in UTF-8");
    let port = example.http().port();

    let url = format!("https://localhost:{port}/");
    let resolve = format!("localhost:{port}:127.0.0.1");
    let limit = PATIENCE.as_secs().to_string();
    let arguments = [
        "--silent",
        "--show-error",
        "--max-time",
        &limit,
        "--resolve",
        &resolve,
        "--cacert",
        trusted,
    ];
    if let Some(said) = run("curl", &[&arguments[..], &["--http1.1", &url]].concat()) {
        assert!(said.starts_with("TLS 1.3 TLS13_"), "{said}");
        assert!(said.contains("http/1.1"), "{said}");
    }
    let at = format!("127.0.0.1:{port}");
    for version in ["-tls1_2", "-tls1_3"] {
        let arguments = [
            "s_client",
            "-connect",
            &at,
            "-servername",
            "localhost",
            "-CAfile",
            trusted,
            "-alpn",
            "http/1.1",
            version,
        ];
        if let Some(said) = run("openssl", &arguments) {
            assert!(said.contains("Verify return code: 0 (ok)"), "{said}");
            assert!(said.contains("ALPN protocol: http/1.1"), "{said}");
        }
    }
    if let Some(said) = run("openssl", &["s_client", "-connect", &at, "-tls1_1"]) {
        assert!(said.contains("Cipher is (NONE)"), "{said}");
    }
    assert_eq!(example.terminate(), Some(0), "{:?}", example.all_lines());
}
