//! Every bad setting is a start error in one line, with exit code 1 and nothing half-started.

use std::net::TcpListener;
use workspace_tests::certificate::self_signed;
use workspace_tests::example::Launch;

/// Checks that a process ends with 1 before it is ready, and that its last words are one line that has all of these.
fn refused(launch: Launch, words: &[&str]) {
    let (code, said) = launch.run_to_end();
    assert_eq!(code, Some(1), "{said}");
    assert!(!said.lines().any(|line| line.starts_with("ready ")), "{said}");
    let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("Error: ")).collect();
    assert_eq!(errors.len(), 1, "{said}");
    for word in words {
        assert!(errors[0].contains(word), "{word} is not in: {}", errors[0]);
    }
}

#[test]
fn bad_settings_are_start_errors() {
    for (key, value) in [
        ("SERVER_PORT", "eighty"),
        ("SERVER_PORT", "65536"),
        ("SERVER_IO_THREADS", "-1"),
        ("SERVER_REQUEST_TIMEOUT", "soon"),
        ("SERVER_MAX_CONNECTIONS", "many"),
        ("SERVER_MAX_CONNECTIONS", "-1"),
        ("SERVER_MAX_CONNECTIONS_PER_ADDRESS", "4294967296"),
        ("SERVER_TRUSTED_PROXIES", "10.0.0.1,proxy"),
        ("SERVER_TRUSTED_PROXIES", "10.0.0.0/33"),
        ("WEBSOCKET_MAX_MESSAGE_SIZE", "64k"),
        ("WEBSOCKET_AUTO_PING_PONG", "maybe"),
        ("WEBSOCKET_OUTBOX_POLICY", "block"),
        ("WAF_MODE", "strict"),
        ("LONGPOLL_WAIT", "30"),
        ("LONGPOLL_MAX_SESSIONS_PER_ADDRESS", "-1"),
        ("LOGGING_QUEUE_MAX", "0"),
        ("SHUTDOWN_CLOSE_CODE", "1000"),
        ("METRICS_PREFIX", "1-bad"),
        ("SERVER_HOST", "no such host"),
        ("SERVER_TLS_ENABLED", "perhaps"),
        ("SERVER_TLS_HANDSHAKE_TIMEOUT", "soon"),
    ] {
        let needle = if key == "METRICS_PREFIX" { "1-bad" } else { key };
        refused(Launch::new("full").set(key, value), &[needle]);
    }
    refused(
        Launch::new("full")
            .unset("SERVER_PORT")
            .file(".env", "# one\nSERVER_PORT=x\nWEBSOCKET_PORT=secret\n"),
        &[".env:2", "SERVER_PORT", "a port from 0 to 65535"],
    );
}

/// Of a secret the error says only where it is.
#[test]
fn a_bad_secret_is_a_start_error_that_does_not_show_it() {
    for secret in ["hunter2-hunter2", "hunter2 hunter2 hunter2"] {
        let launch = Launch::new("full").file(".env", &format!("OPS_TOKEN=\"{secret}\"\n"));
        let (code, said) = launch.run_to_end();
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(".env:1") && said.contains("OPS_TOKEN"), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
    refused(
        Launch::new("minimal").set("OPS_TOKEN", "short"),
        &["OPS_TOKEN", "16 to 256 visible ASCII characters"],
    );
}

#[test]
fn tls_without_usable_files_is_a_start_error() {
    let tls = || Launch::new("full").set("SERVER_TLS_ENABLED", "true");
    refused(tls(), &["SERVER_TLS_CERT_FILE"]);
    refused(
        tls().set("SERVER_TLS_CERT_FILE", "cert.pem"),
        &["SERVER_TLS_KEY_FILE"],
    );
    let named = || {
        tls()
            .set("SERVER_TLS_CERT_FILE", "cert.pem")
            .set("SERVER_TLS_KEY_FILE", "key.pem")
    };
    refused(named(), &["SERVER_TLS_CERT_FILE", "cert.pem"]);
    refused(
        named().file("cert.pem", "no certificate"),
        &["SERVER_TLS_CERT_FILE", "cert.pem"],
    );
    let (certificate, _) = self_signed();
    refused(
        named().file("cert.pem", &certificate),
        &["SERVER_TLS_KEY_FILE", "key.pem"],
    );
    let (_, key) = self_signed();
    refused(
        named().file("cert.pem", &certificate).file("key.pem", &key),
        &["SERVER_TLS_KEY_FILE", "key.pem", "does not belong to"],
    );
}

#[test]
fn unknown_settings_in_a_file_are_start_errors() {
    refused(
        Launch::new("full").file(".env", "WEBSOKET_PORT=1\nWEBSOCKET_PROT=9\n"),
        &[".env:2", "WEBSOCKET_PROT", "did you mean `WEBSOCKET_PORT`?"],
    );
    refused(Launch::new("full").file(".env", "SERVER_PORT\n"), &[".env:1"]);
    // Other people's keys are none of our business.
    Launch::new("full").file(".env", "DATABASE_URL=x\n").start();
}

#[test]
fn a_taken_port_is_a_start_error() {
    for (key, server) in [
        ("SERVER_PORT", "HTTP"),
        ("WEBSOCKET_PORT", "WebSocket"),
        ("METRICS_PORT", "metrics"),
    ] {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = taken.local_addr().expect("bound").port();
        refused(
            Launch::new("full").set(key, port),
            &[server, &format!("127.0.0.1:{port}")],
        );
    }
}
