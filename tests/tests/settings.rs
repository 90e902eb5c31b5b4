//! Every setting has its effect, seen from outside, and every bad one is a start error in one line with exit code 1.

use std::io::{BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};
use tungstenite::Message;
use workspace_tests::example::{Example, Launch};
use workspace_tests::http;
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
