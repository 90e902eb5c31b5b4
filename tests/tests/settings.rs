//! Every setting has its effect, seen from outside, and every bad one is a start error in one line with exit code 1.

use std::io::{BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};
use tungstenite::Message;
use workspace_tests::example::{Example, Launch};
use workspace_tests::http::{self, Answer};
use workspace_tests::ws::Client;

fn lab(settings: &[(&str, &str)]) -> Example {
    settings
        .iter()
        .fold(Launch::new("lab"), |launch, (key, value)| launch.set(key, value))
        .start()
}

fn free_port() -> u16 {
    let probe = TcpListener::bind("127.0.0.1:0").expect("a free port");
    probe.local_addr().expect("bound").port()
}

/// Names of the threads of a process.
fn threads(example: &Example) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", example.pid())).expect("it runs");
    tasks
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok())
        .map(|name| name.trim().to_owned())
        .collect()
}

fn metrics(example: &Example) -> String {
    http::get(example.metrics(), "/metrics").text().to_owned()
}

fn handshake(example: &Example, extra: &str) -> Answer {
    http::send(
        example.ws(),
        &format!(
            "GET / HTTP/1.1\r\nHost: here:1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{extra}\r\n"
        ),
    )
}

/// How long the server leaves a silent connection open.
fn closed_after(stream: &mut impl Read) -> Duration {
    let began = Instant::now();
    let mut sink = [0; 4096];
    while stream.read(&mut sink).is_ok_and(|count| count > 0) {}
    began.elapsed()
}

#[test]
fn hosts_and_ports() {
    let ports = [free_port(), free_port(), free_port()];
    let launch = Launch::new("lab")
        .set("SERVER_HOST", "127.0.0.2")
        .set("WEBSOCKET_HOST", "localhost");
    let launch = launch
        .set("METRICS_HOST", "127.0.0.3")
        .set("SERVER_PORT", ports[0]);
    let lab = launch
        .set("WEBSOCKET_PORT", ports[1])
        .set("METRICS_PORT", ports[2])
        .start();
    assert_eq!(lab.http(), (Ipv4Addr::new(127, 0, 0, 2), ports[0]).into());
    assert_eq!(lab.ws().port(), ports[1]);
    assert!(lab.ws().ip().is_loopback());
    assert_eq!(lab.metrics(), (Ipv4Addr::new(127, 0, 0, 3), ports[2]).into());
    assert_eq!(http::get(lab.http(), "/status").status, 200);
    assert_eq!(Client::connect(lab.ws(), "/").text(), "welcome");
    assert_eq!(http::get(lab.metrics(), "/metrics").status, 200);
}

#[test]
fn port_zero_reports_the_real_port_everywhere() {
    let mut lab = lab(&[]);
    let addresses = lab.addresses();
    for address in [addresses.http, addresses.ws, addresses.metrics] {
        assert_ne!(address.expect("served").port(), 0);
    }
    let logged = lab.all_lines().join("\n");
    assert!(logged.contains(&lab.http().to_string()), "{logged}");
    assert_eq!(http::get(lab.http(), "/").status, 200);
}

#[test]
fn worker_threads() {
    let lab = lab(&[("SERVER_IO_THREADS", "3")]);
    let workers = threads(&lab)
        .iter()
        .filter(|name| name.starts_with("rt-worker-"))
        .count();
    assert_eq!(workers, 3);
}

#[test]
fn keep_alive_limit() {
    let lab = lab(&[("SERVER_SESSION_TIMEOUT_SEC", "1")]);
    let mut stream = BufReader::new(http::connect(lab.http()));
    write!(stream.get_mut(), "GET / HTTP/1.1\r\nHost: x\r\n\r\n").expect("sent");
    assert_eq!(http::read_answer(&mut stream).expect("an answer").status, 200);
    let idle = closed_after(&mut stream);
    assert!(
        idle > Duration::from_millis(800) && idle < Duration::from_millis(2500),
        "{idle:?}"
    );
}

#[test]
fn limits_on_target_and_body() {
    let bounded = lab(&[("WAF_MAX_TARGET_LEN", "20"), ("WAF_MAX_BODY_BYTES", "30")]);
    let body = format!(r#"{{"type":"t","room":"{}"}}"#, "r".repeat(40));
    assert_eq!(http::get(bounded.http(), "/status?and=more-than-20").status, 414);
    assert_eq!(http::post(bounded.http(), "/ws/send", &body).status, 413);

    let open = lab(&[
        ("WAF_MODE", "off"),
        ("WAF_MAX_TARGET_LEN", "20"),
        ("WAF_MAX_BODY_BYTES", "30"),
    ]);
    assert_eq!(http::get(open.http(), "/status?and=more-than-20").status, 200);
    assert_eq!(http::post(open.http(), "/ws/send", &body).status, 202);
}

#[test]
fn message_size() {
    let lab = lab(&[("WEBSOCKET_MAX_MESSAGE_SIZE", "100")]);
    let mut client = Client::connect(lab.ws(), "/");
    assert_eq!(client.text(), "welcome");
    client.send(&"x".repeat(100));
    assert_eq!(client.text().len(), 106);
    client.send(&"x".repeat(101));
    assert_eq!(client.closed().0, 1009);
}

#[test]
fn idle_limit() {
    let lab = lab(&[("WEBSOCKET_IDLE_TIMEOUT", "1"), ("WEBSOCKET_PING_INTERVAL", "0")]);
    let client = Client::connect(lab.ws(), "/");
    let idle = closed_after(&mut client.stream().try_clone().expect("a socket"));
    assert!(
        idle > Duration::from_millis(800) && idle < Duration::from_secs(4),
        "{idle:?}"
    );
}

/// The bytes a silent client is sent within 1.6 s, the greeting left out.
fn heard_by_a_silent_client(settings: &[(&str, &str)]) -> (Vec<u8>, Vec<String>) {
    let mut lab = lab(settings);
    let client = Client::connect(lab.ws(), "/");
    let mut stream = client.stream();
    stream
        .set_read_timeout(Some(Duration::from_millis(100)))
        .expect("a positive limit");
    let (until, mut heard) = (Instant::now() + Duration::from_millis(1600), Vec::new());
    while Instant::now() < until {
        let mut bytes = [0; 256];
        match stream.read(&mut bytes) {
            Ok(0) => break,
            Ok(count) => heard.extend_from_slice(&bytes[..count]),
            Err(_) => {}
        }
    }
    let greeting = b"\x81\x07welcome";
    let rest = heard.strip_prefix(greeting.as_slice()).unwrap_or(&heard).to_vec();
    (rest, lab.all_lines())
}

#[test]
fn ping_interval() {
    let (heard, _) = heard_by_a_silent_client(&[("WEBSOCKET_PING_INTERVAL", "1")]);
    assert_eq!(
        heard.first(),
        Some(&0x89),
        "a ping within its interval: {heard:?}"
    );
    let (heard, _) = heard_by_a_silent_client(&[("WEBSOCKET_PING_INTERVAL", "0")]);
    assert!(heard.is_empty(), "0 is off: {heard:?}");
}

#[test]
fn pong_timeout() {
    let mut lab = lab(&[("WEBSOCKET_PING_INTERVAL", "1"), ("WEBSOCKET_PONG_TIMEOUT", "1")]);
    let client = Client::connect(lab.ws(), "/");
    let gone = closed_after(&mut client.stream().try_clone().expect("a socket"));
    assert!(
        gone > Duration::from_millis(1800) && gone < Duration::from_secs(5),
        "{gone:?}"
    );
    let line = lab.wait_for_line(|line| line.contains("ws_close"));
    assert!(
        line.contains("code=1006") && line.contains("by=timeout"),
        "{line}"
    );
}

#[test]
fn answering_pings() {
    let ping = |setting: &str| {
        let lab = lab(&[("WEBSOCKET_AUTO_PING_PONG", setting)]);
        let mut stream = http::connect(lab.ws());
        stream
            .set_read_timeout(Some(Duration::from_millis(700)))
            .expect("a positive limit");
        write!(
            stream,
            "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        .expect("sent");
        stream.write_all(&[0x89, 0x81, 0, 0, 0, 0, b'p']).expect("sent");
        let mut heard = Vec::new();
        let mut bytes = [0; 1024];
        while let Ok(count @ 1..) = stream.read(&mut bytes) {
            heard.extend_from_slice(&bytes[..count]);
        }
        heard.windows(3).any(|window| window == [0x8a, 1, b'p'])
    };
    assert!(ping("true"));
    assert!(!ping("false"));
}

/// Lets a client that does not read fall behind, and gives how it ended and the metrics.
fn slow_reader(policy: &str) -> (Option<String>, String) {
    let mut lab = lab(&[
        ("WEBSOCKET_OUTBOX_POLICY", policy),
        ("WEBSOCKET_OUTBOX_MESSAGES", "50"),
        ("WEBSOCKET_CLOSE_TIMEOUT", "1"),
    ]);
    let mut client = Client::connect(lab.ws(), "/");
    client.send(r#"{"type":"burst","payload":{"n":400,"size":200000}}"#);
    client.send(r#"{"type":"ping"}"#);
    let until = Instant::now() + Duration::from_secs(10);
    let dropped = |page: &str| {
        let line = page
            .lines()
            .find_map(|line| line.strip_prefix("ws_messages_dropped_total ").map(str::to_owned));
        line.and_then(|number| number.parse::<f64>().ok()).unwrap_or(0.0)
    };
    loop {
        let page = metrics(&lab);
        let end = lab.all_lines().into_iter().find(|line| line.contains("ws_close"));
        let expects_end = policy == "close";
        if end.is_some() || (!expects_end && dropped(&page) > 0.0) || Instant::now() > until {
            return (end, page);
        }
    }
}

#[test]
fn outbox_policy_and_messages() {
    let (end, _) = slow_reader("close");
    let end = end.expect("the slow reader is closed");
    assert!(end.contains("by=slow"), "{end}");
    for policy in ["drop-oldest", "drop-newest"] {
        let (end, page) = slow_reader(policy);
        assert_eq!(end, None, "{policy} closes nobody");
        let dropped = page
            .lines()
            .find(|line| line.starts_with("ws_messages_dropped_total"));
        assert!(
            dropped.is_some_and(|line| !line.ends_with(" 0")),
            "{policy}: {dropped:?}"
        );
    }
}

#[test]
fn outbox_bytes() {
    let mut lab = lab(&[("WEBSOCKET_OUTBOX_BYTES", "1000")]);
    let mut client = Client::connect(lab.ws(), "/");
    client.send(r#"{"type":"burst","payload":{"n":200,"size":900}}"#);
    let line = lab.wait_for_line(|line| line.contains("ws_close"));
    assert!(line.contains("by=slow"), "{line}");
}

#[test]
fn allowed_origins() {
    let strict = lab(&[]);
    assert_eq!(handshake(&strict, "").status, 101, "no Origin is allowed");
    assert_eq!(
        handshake(&strict, "Origin: http://here:8080\r\n").status,
        101,
        "any port of the same host"
    );
    assert_eq!(handshake(&strict, "Origin: http://elsewhere\r\n").status, 403);
    let listed = lab(&[("WEBSOCKET_ALLOWED_ORIGINS", "http://elsewhere, http://third")]);
    assert_eq!(handshake(&listed, "Origin: http://elsewhere\r\n").status, 101);
    assert_eq!(handshake(&listed, "Origin: http://fourth\r\n").status, 403);
}

#[test]
fn rooms_and_their_names() {
    for setting in [
        ("WEBSOCKET_MAX_ROOM_NAME", "6"),
        ("WEBSOCKET_MAX_ROOMS_PER_SESSION", "1"),
    ] {
        let allowed = setting.0 == "WEBSOCKET_MAX_ROOMS_PER_SESSION";
        let lab = lab(&[setting]);
        let mut client = Client::connect(lab.ws(), "/");
        client.send(r#"{"type":"room.join"}"#);
        assert_eq!(client.text(), "welcome");
        assert!(client.text().starts_with("echo: "));
        // `general` has seven bytes.
        assert_eq!(client.text() == "joined general", allowed, "{setting:?}");
    }
}

#[test]
fn nesting_of_envelopes() {
    let lab = lab(&[("WEBSOCKET_MAX_JSON_DEPTH", "3")]);
    let mut client = Client::connect(lab.ws(), "/");
    assert_eq!(client.text(), "welcome");
    client.send(r#"{"type":"ping","payload":{"a":{}}}"#);
    assert!(client.text().starts_with("echo: "));
    assert_eq!(client.text(), "pong");
    client.send(r#"{"type":"ping","payload":{"a":{"b":{}}}}"#);
    assert!(client.text().starts_with("echo: "), "too deep: a raw message");
    client.send("next");
    assert_eq!(client.text(), "echo: next", "and no envelope");
}

#[test]
fn waiting_of_polls() {
    let lab = lab(&[("LONGPOLL_WAIT", "1")]);
    let began = Instant::now();
    let answer = http::get(lab.http(), "/ws/poll?session_id=lp-wait");
    let waited = began.elapsed();
    assert_eq!(answer.text(), "[]");
    assert!(
        waited > Duration::from_millis(900) && waited < Duration::from_millis(2500),
        "{waited:?}"
    );
}

#[test]
fn mailboxes_are_bounded_in_number_and_gone_after_their_time() {
    let lab = lab(&[
        ("LONGPOLL_MAX_SESSIONS", "3"),
        ("LONGPOLL_SESSION_TTL", "1"),
        ("LONGPOLL_WAIT", "0"),
    ]);
    let send = |id: usize| {
        let body = format!(r#"{{"type":"t","session_id":"lp-{id}"}}"#);
        http::post(lab.http(), "/ws/send", &body)
    };
    let answers: Vec<u16> = (0..10).map(|id| send(id).status).collect();
    assert_eq!(
        answers.iter().filter(|status| **status == 202).count(),
        3,
        "{answers:?}"
    );
    assert!(
        answers.iter().all(|status| [202, 503].contains(status)),
        "{answers:?}"
    );
    assert!(send(100).header("retry-after").is_some());
    let until = Instant::now() + Duration::from_secs(6);
    while send(200).status != 202 {
        assert!(Instant::now() < until, "the time to live has no effect");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn what_a_mailbox_keeps() {
    for setting in [("LONGPOLL_RING_MESSAGES", "5"), ("LONGPOLL_RING_BYTES", "400")] {
        let lab = lab(&[setting, ("LONGPOLL_WAIT", "0")]);
        for number in 0..50 {
            let body = format!(r#"{{"type":"t","session_id":"lp-ring","payload":{{"number":{number}}}}}"#);
            assert_eq!(http::post(lab.http(), "/ws/send", &body).status, 202);
        }
        let kept = http::get(lab.http(), "/ws/poll?session_id=lp-ring").json();
        let kept = kept.as_array().expect("an array");
        assert!(
            !kept.is_empty() && kept.len() <= 10,
            "{setting:?} kept {}",
            kept.len()
        );
        assert_eq!(
            kept.last().expect("not empty")["payload"]["number"],
            49,
            "the newest stay"
        );
    }
}

#[test]
fn open_mailboxes() {
    // `long_polling` and `full` open them in their code; `embed` without a bridge has no such route.
    let closed = Launch::new("mailboxes").set("LONGPOLL_WAIT", 0).start();
    assert_eq!(
        http::get(closed.http(), "/ws/poll?session_id=lp-mine").status,
        403
    );
    let open = Launch::new("mailboxes")
        .set("LONGPOLL_WAIT", 0)
        .set("LONGPOLL_OPEN_MAILBOXES", true)
        .start();
    assert_eq!(http::get(open.http(), "/ws/poll?session_id=lp-mine").status, 200);
}

#[test]
fn prefix_of_metrics() {
    let plain = metrics(&lab(&[]));
    let prefixed = metrics(&lab(&[("METRICS_PREFIX", "vix")]));
    assert!(plain.contains("\nws_connections_total 0"), "{plain}");
    assert!(prefixed.contains("\nvix_ws_connections_total 0"), "{prefixed}");
    assert!(!prefixed.contains("\nws_"), "{prefixed}");
}

#[test]
fn logging_from_a_thread_of_its_own() {
    // What the queue's length and its overflow do is shown beside the code, with a sink that stands still.
    let named_log = |lab: Example| threads(&lab).iter().any(|name| name == "log");
    assert!(named_log(lab(&[])));
    assert!(!named_log(lab(&[("LOGGING_ASYNC", "false")])));
}

#[test]
fn colours_never_reach_a_pipe() {
    let mut lab = lab(&[]);
    assert!(lab.all_lines().iter().all(|line| !line.contains('\u{1b}')));
}

#[test]
fn the_environment_beats_the_local_file_which_beats_the_file() {
    let launch = || {
        let launch = Launch::new("minimal")
            .unset("WEBSOCKET_PORT")
            .file(".env", "WEBSOCKET_HOST=127.0.0.5\nWEBSOCKET_PORT=0\n");
        launch.file(".env.local", "WEBSOCKET_HOST=127.0.0.6\n")
    };
    assert_eq!(launch().start().ws().ip(), Ipv4Addr::new(127, 0, 0, 6));
    assert_eq!(
        launch().set("WEBSOCKET_HOST", "127.0.0.7").start().ws().ip(),
        Ipv4Addr::new(127, 0, 0, 7)
    );
}

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
        ("WEBSOCKET_MAX_MESSAGE_SIZE", "64k"),
        ("WEBSOCKET_AUTO_PING_PONG", "maybe"),
        ("WEBSOCKET_OUTBOX_POLICY", "block"),
        ("WAF_MODE", "strict"),
        ("LONGPOLL_WAIT", "30"),
        ("LOGGING_QUEUE_MAX", "0"),
        ("SHUTDOWN_CLOSE_CODE", "1000"),
        ("METRICS_PREFIX", "1-bad"),
        ("SERVER_HOST", "no such host"),
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

#[test]
fn unknown_settings_in_a_file_are_start_errors() {
    refused(
        Launch::new("full").file(".env", "WEBSOKET_PORT=1\nWEBSOCKET_PROT=9\n"),
        &[".env:2", "WEBSOCKET_PROT", "did you mean `WEBSOCKET_PORT`?"],
    );
    // Keys of features that are not built yet are unknown: a setting without an effect would be worse.
    for key in [
        "WEBSOCKET_ENABLE_DEFLATE",
        "SERVER_TLS_ENABLED",
        "SERVER_MAX_CONNECTIONS",
    ] {
        refused(Launch::new("full").file(".env", &format!("{key}=1\n")), &[key]);
    }
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

#[test]
fn a_restart_after_a_kill_binds_the_same_port_at_once() {
    let (http, ws) = (free_port(), free_port());
    let launch = || {
        Launch::new("lab")
            .set("SERVER_PORT", http)
            .set("WEBSOCKET_PORT", ws)
    };
    let mut first = launch().start();
    let mut client = Client::connect(first.ws(), "/");
    assert_eq!(client.message(), Message::text("welcome"));
    first.signal("KILL");
    first.wait();
    let second = launch().start();
    assert_eq!(http::get(second.http(), "/").status, 200);
}
