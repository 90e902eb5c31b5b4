//! The end of real processes: what every client sees, with which exit code, and that nothing waits for what never ends.
//! How soon, to the fraction of a second, is held in `neighbours/stops.rs`.

use std::collections::HashMap;
use std::io::{BufReader, Read, Write};
use std::thread;
use std::time::{Duration, Instant};
use workspace_tests::PATIENCE;
use workspace_tests::example::{Example, Launch};
use workspace_tests::http;
use workspace_tests::ws::Client;

const SESSIONS: usize = 500;
const POLLS: usize = 20;
const REQUESTS: usize = 5;

/// How often each session was opened and closed, from the lab's event lines.
fn opens_and_closes(lines: &[String]) -> HashMap<String, (usize, usize)> {
    let mut sessions = HashMap::<String, (usize, usize)>::new();
    for line in lines.iter().filter(|line| line.starts_with("EV ")) {
        let words: Vec<&str> = line.split(' ').collect();
        let counts = |sessions: &mut HashMap<String, (usize, usize)>| {
            let conn = words[3].trim_start_matches("conn=").to_owned();
            *sessions.entry(conn).or_default()
        };
        match words[2] {
            "ws_open" => {
                let (opens, closes) = counts(&mut sessions);
                sessions.insert(
                    words[3].trim_start_matches("conn=").to_owned(),
                    (opens + 1, closes),
                );
            }
            "ws_close" => {
                let (opens, closes) = counts(&mut sessions);
                sessions.insert(
                    words[3].trim_start_matches("conn=").to_owned(),
                    (opens, closes + 1),
                );
            }
            _ => {}
        }
    }
    sessions
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let limit = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < limit, "{what} did not come true");
        thread::sleep(Duration::from_millis(5));
    }
}

fn event(lab: &Example, name: &str) -> u64 {
    http::get(lab.http(), "/events").json()[name]
        .as_u64()
        .expect("the counter is there")
}

fn metric(lab: &Example, name: &str) -> f64 {
    let page = http::get(lab.metrics(), "/metrics");
    let line = page
        .text()
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned));
    line.expect("the metric is there").parse().expect("a number")
}

#[test]
fn everybody_is_answered_and_every_session_closed() {
    let mut lab = Launch::new("lab").start();
    let mut sessions: Vec<Client> = (0..SESSIONS).map(|_| Client::connect(lab.ws(), "/")).collect();
    let http = lab.http();
    let polls: Vec<_> = (0..POLLS)
        .map(|_| thread::spawn(move || http::get(http, "/ws/poll?session_id=lp-drain")))
        .collect();
    let requests: Vec<_> = (0..REQUESTS)
        .map(|_| thread::spawn(move || http::get(http, "/slow?ms=1500")))
        .collect();
    // 1 is the request that asks.
    until("polls wait and requests run", || {
        metric(&lab, "ws_lp_polls_waiting") == POLLS as f64
            && metric(&lab, "http_requests_in_flight") == (POLLS + REQUESTS) as f64
    });

    let began = Instant::now();
    lab.signal("TERM");
    for session in &mut sessions {
        let (code, reason) = session.closed();
        assert_eq!(code, 1001);
        let wait: u64 = reason
            .strip_prefix("retry=")
            .expect("a return time")
            .parse()
            .expect("milliseconds");
        assert!(wait <= 5000, "within the window of 5 s");
    }
    for poll in polls {
        let answer = poll.join().expect("the poll is answered");
        assert_eq!((answer.status, answer.text()), (200, "[]"));
    }
    for request in requests {
        assert_eq!(request.join().expect("the request is answered").text(), "slow");
    }
    assert_eq!(lab.wait().code(), Some(0));
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "took {:?}",
        began.elapsed()
    );

    let counts = opens_and_closes(&lab.all_lines());
    assert_eq!(counts.len(), SESSIONS);
    assert!(
        counts.values().all(|count| *count == (1, 1)),
        "one open and one close each: {counts:?}"
    );
}

#[test]
fn an_idle_application_is_gone_at_once() {
    let mut full = Launch::new("full").start();
    let began = Instant::now();
    assert_eq!(full.terminate(), Some(0));
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "took {:?}",
        began.elapsed()
    );
}

#[test]
fn a_request_that_never_ends_is_cut_at_the_deadline_and_counted() {
    let mut lab = Launch::new("lab").set("SHUTDOWN_DEADLINE", 2).start();
    let mut stuck = http::connect(lab.http());
    write!(stuck, "GET /slow?ms=600000 HTTP/1.1\r\nHost: x\r\n\r\n").expect("sent");
    until("the request runs", || {
        metric(&lab, "http_requests_in_flight") == 1.0
    });

    let began = Instant::now();
    assert_eq!(lab.terminate(), Some(2));
    let took = began.elapsed();
    assert!(
        took >= Duration::from_millis(1900) && took < Duration::from_secs(4),
        "took {took:?}"
    );
    let lines = lab.all_lines().join("\n");
    assert!(lines.contains("requests 0 answered, 1 cut"), "{lines}");
    assert!(
        lines.contains("slow_end") && lines.contains("cancelled"),
        "{lines}"
    );
}

#[test]
fn a_session_whose_handler_never_ends_is_closed_and_counted() {
    let mut lab = Launch::new("lab")
        .set("SHUTDOWN_DEADLINE", 2)
        .set("WEBSOCKET_CLOSE_TIMEOUT", 1)
        .start();
    let mut stuck = Client::connect(lab.ws(), "/");
    stuck.send(r#"{"type":"sleep","payload":{"ms":600000}}"#);
    until("the handler runs", || metric(&lab, "ws_messages_in_total") == 1.0);

    let began = Instant::now();
    lab.signal("TERM");
    assert_eq!(stuck.closed().0, 1001);
    assert_eq!(lab.wait().code(), Some(2));
    assert!(
        began.elapsed() < Duration::from_secs(4),
        "took {:?}",
        began.elapsed()
    );
    let counts = opens_and_closes(&lab.all_lines());
    assert!(counts.values().all(|count| *count == (1, 1)), "{counts:?}");
}

#[test]
fn a_peer_that_never_answers_the_close_is_normal() {
    let limit = Duration::from_secs(1);
    let times: Vec<_> = (0..3).map(|_| end_beside_a_silent_peer(limit)).collect();
    assert!(times.iter().all(|took| *took >= limit * 9 / 10), "{times:?}");
    // The best of three: a machine with other work may be late now and then.
    assert!(times.iter().any(|took| *took < limit * 5 / 2), "{times:?}");
}

fn end_beside_a_silent_peer(limit: Duration) -> Duration {
    let mut lab = Launch::new("lab")
        .set("WEBSOCKET_CLOSE_TIMEOUT", limit.as_secs())
        .start();
    let silent = Client::connect(lab.ws(), "/");
    until("the session is open", || event(&lab, "opens") == 1);
    let began = Instant::now();
    assert_eq!(lab.terminate(), Some(0));
    let took = began.elapsed();
    drop(silent);
    took
}

#[test]
fn a_second_signal_means_now_and_still_tells_every_session() {
    let mut lab = Launch::new("lab").start();
    let session = Client::connect(lab.ws(), "/");
    let mut stuck = http::connect(lab.http());
    write!(stuck, "GET /slow?ms=600000 HTTP/1.1\r\nHost: x\r\n\r\n").expect("sent");
    until("both are there", || {
        metric(&lab, "http_requests_in_flight") == 1.0 && event(&lab, "opens") == 1
    });

    lab.signal("TERM");
    lab.wait_for_line(|line| line.contains("phase=draining"));
    let began = Instant::now();
    lab.signal("INT");
    assert_eq!(lab.wait().code(), Some(3));
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "took {:?}",
        began.elapsed()
    );
    let counts = opens_and_closes(&lab.all_lines());
    assert_eq!(counts.values().copied().collect::<Vec<_>>(), [(1, 1)]);
    drop(session);
}

#[test]
fn half_a_head_does_not_delay_the_end() {
    let mut lab = Launch::new("lab").start();
    let mut half = http::connect(lab.http());
    half.write_all(b"GET / HT").expect("sent");
    // The bytes have arrived when a later request on another connection has been answered.
    http::get(lab.http(), "/");
    let began = Instant::now();
    assert_eq!(lab.terminate(), Some(0));
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "took {:?}",
        began.elapsed()
    );
    assert_eq!(half.read(&mut [0; 64]).unwrap_or(0), 0);
}

#[test]
fn stopping_from_an_http_handler_and_from_a_callback_ends_the_process() {
    let mut lab = Launch::new("lab").start();
    assert_eq!(http::get(lab.http(), "/stop").text(), "stopping");
    assert_eq!(lab.wait().code(), Some(0));

    let mut lab = Launch::new("lab").start();
    let mut client = Client::connect(lab.ws(), "/");
    client.send(r#"{"type":"stop.request"}"#);
    assert_eq!(client.closed().0, 1001);
    assert_eq!(lab.wait().code(), Some(0));
}

#[test]
fn what_was_queued_before_the_stop_arrives_before_the_close() {
    let mut lab = Launch::new("lab").start();
    let mut client = Client::connect(lab.ws(), "/");
    client.send(r#"{"type":"burst.stop","payload":{"n":"500","size":1000}}"#);
    assert_eq!(client.text(), "welcome");
    assert!(client.text().starts_with("echo: "));
    for _ in 0..500 {
        assert_eq!(client.text().len(), 1000);
    }
    assert_eq!(client.closed().0, 1001);
    assert_eq!(lab.wait().code(), Some(0));
    let report = lab.all_lines().join("\n");
    assert!(report.contains(" 0 messages undelivered"), "{report}");
}

#[test]
fn listeners_stay_open_for_the_ready_delay() {
    let mut lab = Launch::new("lab").set("SHUTDOWN_READY_DELAY", 1).start();
    let began = Instant::now();
    lab.signal("TERM");
    lab.wait_for_line(|line| line.contains("phase=draining"));
    assert_eq!(http::get(lab.http(), "/").status, 200);
    assert_eq!(lab.wait().code(), Some(0));
    assert!(
        began.elapsed() >= Duration::from_millis(950),
        "took {:?}",
        began.elapsed()
    );
}

#[test]
fn the_close_code_and_the_return_time_are_settings() {
    let mut lab = Launch::new("lab")
        .set("SHUTDOWN_CLOSE_CODE", 1012)
        .set("SHUTDOWN_RETRY_WINDOW", 0)
        .start();
    let mut client = Client::connect(lab.ws(), "/");
    lab.signal("TERM");
    assert_eq!(client.closed(), (1012, String::new()));
    assert_eq!(lab.wait().code(), Some(0));
}

#[test]
fn sessions_are_closed_at_the_pace_of_the_batch() {
    let mut lab = Launch::new("lab").set("SHUTDOWN_BATCH", 20).start();
    let mut clients: Vec<Client> = (0..30).map(|_| Client::connect(lab.ws(), "/")).collect();
    let began = Instant::now();
    lab.signal("TERM");
    for client in &mut clients {
        assert_eq!(client.closed().0, 1001);
    }
    assert!(
        began.elapsed() >= Duration::from_millis(400),
        "30 at 20 a second took {:?}",
        began.elapsed()
    );
    assert_eq!(lab.wait().code(), Some(0));
}

#[test]
fn a_kept_alive_connection_is_answered_and_closed_while_draining() {
    let mut lab = Launch::new("lab").set("SHUTDOWN_READY_DELAY", 1).start();
    let mut stream = BufReader::new(http::connect(lab.http()));
    write!(stream.get_mut(), "GET / HTTP/1.1\r\nHost: x\r\n\r\n").expect("sent");
    let answer = http::read_answer(&mut stream).expect("an answer");
    assert_eq!((answer.status, answer.header("connection")), (200, None));
    lab.signal("TERM");
    lab.wait_for_line(|line| line.contains("phase=draining"));
    write!(stream.get_mut(), "GET / HTTP/1.1\r\nHost: x\r\n\r\n").expect("sent");
    let answer = http::read_answer(&mut stream).expect("an answer");
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert!(http::read_answer(&mut stream).is_none(), "as it said");
    let answer = http::send(lab.http(), "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(answer.status, 200, "the listener is still open");
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(lab.wait().code(), Some(0));
}
