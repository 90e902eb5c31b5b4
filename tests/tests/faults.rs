//! Faults of the machine that are no client's: a disk that is full under the log, a clock that jumps.

use std::io::{BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use workspace_tests::example::{Addresses, Example, Launch};
use workspace_tests::http;
use workspace_tests::observe::{skipped, until};
use workspace_tests::ws::Client;

/// An address of the loopback that no other test run has, so that ports on it are free.
fn own_address() -> IpAddr {
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, high | 128, middle, low))
}

/// Every line of its log fails with ENOSPC, from the first one on.
fn with_a_full_disk(asynchronous: bool) -> Example {
    let null = || OwnedFd::from(std::fs::File::open("/dev/null").expect("Linux has it"));
    let place = |port| SocketAddr::new(own_address(), port);
    let addresses = Addresses {
        http: Some(place(8080)),
        ws: Some(place(9090)),
        metrics: Some(place(9100)),
    };
    let mut launch = Launch::new("lab").through("exec \"$0\" 2>/dev/full", null(), null());
    for server in ["SERVER", "WEBSOCKET", "METRICS"] {
        launch = launch.set(&format!("{server}_HOST"), own_address());
    }
    let lab = launch
        .set("SERVER_PORT", 8080)
        .set("WEBSOCKET_PORT", 9090)
        .set("METRICS_PORT", 9100)
        .set("LOGGING_ASYNC", asynchronous)
        .start_unheard(addresses);
    until("it serves", || TcpStream::connect(place(9100)).is_ok());
    lab
}

#[test]
fn a_full_disk_under_the_log_is_survived_and_counted() {
    for asynchronous in [false, true] {
        let mut lab = with_a_full_disk(asynchronous);
        // Panics and refusals are logged too.
        let mut broken = Client::connect(lab.ws(), "/");
        broken.send(r#"{"type":"throw"}"#);
        assert_eq!(broken.closed().0, 1011);
        assert_eq!(http::get(lab.http(), "/nowhere").status, 404);
        let mut session = Client::connect(lab.ws(), "/");
        assert_eq!(session.text(), "welcome");
        session.send("hello");
        assert_eq!(session.text(), "echo: hello");
        until("lost lines are counted", || {
            lab.metric("log_lines_lost_total") >= 3.0
        });
        lab.signal("TERM");
        assert_eq!(session.closed().0, 1001);
        assert_eq!(lab.wait().code(), Some(0), "asynchronous: {asynchronous}");
    }
}

/// What fakes the wall clock of a process, and no other clock (`apt-get install libfaketime`).
fn faketime() -> Option<String> {
    let places = ["x86_64", "aarch64"].map(|machine| format!("/usr/lib/{machine}-linux-gnu"));
    let files = places
        .into_iter()
        .chain(["/usr/lib".to_owned(), "/usr/lib64".to_owned()])
        .map(|place| format!("{place}/faketime/libfaketime.so.1"));
    files.into_iter().find(|file| Path::new(file).is_file())
}

/// The wall clock of a process as it tells it, in seconds from ours.
fn ahead(lab: &mut Example, seen: &mut u64) -> i64 {
    let mut session = Client::connect(lab.ws(), "/");
    assert_eq!(session.text(), "welcome");
    *seen += 1;
    let number = format!(" ws_open conn={seen}");
    let line = lab.wait_for_line(|line| line.starts_with("EV ") && line.ends_with(&number));
    let told = line.split([' ', '.']).nth(1).expect("seconds");
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970");
    session.close(1000, "");
    told.parse::<i64>().expect("a number") - now.as_secs() as i64
}

#[test]
fn a_clock_that_jumps_ends_nothing_early_and_nothing_late() {
    const DAY: i64 = 24 * 3600;
    let Some(library) = faketime() else {
        skipped("there is no libfaketime, so no clock jumped");
        return;
    };
    let mut lab = Launch::new("lab")
        .file("clock", "+0")
        .set("LD_PRELOAD", library)
        .set("FAKETIME_TIMESTAMP_FILE", "clock")
        .set("FAKETIME_NO_CACHE", 1)
        .set("FAKETIME_DONT_FAKE_MONOTONIC", 1)
        .set("LONGPOLL_WAIT", 2)
        .set("WEBSOCKET_PING_INTERVAL", 20)
        .start();
    let mut seen = 0;
    assert!(ahead(&mut lab, &mut seen).abs() < 60);
    let mut session = Client::connect(lab.ws(), "/");
    assert_eq!(session.text(), "welcome");
    seen += 1;
    let opened = http::post(lab.http(), "/ws/session", "").json();
    let id = opened["session"].as_str().expect("an id").to_owned();
    seen += 1;
    let polled = http::get(lab.http(), &format!("/ws/session/poll?session_id={id}"));
    let cursor = polled.json()["cursor"].as_u64().expect("a number");
    let mut kept = BufReader::new(http::connect(lab.http()));
    for (jump, days) in [("+1d", 1), ("-2d", -2)] {
        let (http, path) = (
            lab.http(),
            format!("/ws/session/poll?session_id={id}&cursor={cursor}"),
        );
        let began = Instant::now();
        let waiting = std::thread::spawn(move || (http::get(http, &path), began.elapsed()));
        until("the poll waits", || {
            lab.metric("ws_lp_polls_waiting") == 1.0 || waiting.is_finished()
        });
        lab.write("clock", jump);
        let ahead = ahead(&mut lab, &mut seen);
        assert!((ahead - days * DAY).abs() < 60, "{jump}: {ahead} s ahead");
        let (answer, took) = waiting.join().expect("answered");
        assert_eq!(answer.status, 200, "the session is there");
        assert!(took >= Duration::from_millis(1900), "a wait is a wait: {took:?}");
        session.send("still here");
        assert_eq!(session.text(), "echo: still here");
        write!(kept.get_mut(), "GET / HTTP/1.1\r\nHost: t\r\n\r\n").expect("still open");
        assert_eq!(http::read_answer(&mut kept).expect("an answer").status, 200);
    }
    lab.signal("TERM");
    assert_eq!(session.closed().0, 1001);
    assert_eq!(lab.wait().code(), Some(0));
}
