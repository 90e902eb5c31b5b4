//! The limits on connections as settings of a whole process, on both of its servers, each with its metric.

use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};
use workspace_tests::example::{Example, Launch};
use workspace_tests::http;
use workspace_tests::observe::until;

/// Every limit in seconds is set to this.
const LIMIT: Duration = Duration::from_secs(1);

fn lab(settings: &[(&str, &str)]) -> Example {
    let launch = Launch::new("lab").set("LAB_QUIET", 1);
    settings
        .iter()
        .fold(launch, |launch, (key, value)| launch.set(key, value))
        .start()
}

fn refused(lab: &Example, server: &str, reason: &str) -> f64 {
    lab.metric(&format!(
        "{server}_connections_refused_total{{reason=\"{reason}\"}}"
    ))
}

/// Everything that comes until the connection ends, and how long that took.
fn rest(stream: &mut impl Read) -> (String, Duration) {
    let (began, mut bytes) = (Instant::now(), Vec::new());
    let _ = stream.read_to_end(&mut bytes);
    (String::from_utf8_lossy(&bytes).into_owned(), began.elapsed())
}

fn about(took: Duration) {
    assert!(
        took > LIMIT - Duration::from_millis(200) && took < LIMIT * 2,
        "{took:?}"
    );
}

fn said(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = http::connect(address);
    stream.write_all(bytes).expect("sent");
    stream
}

#[test]
fn first_byte_head_and_idle_on_both_servers() {
    let lab = lab(&[
        ("SERVER_FIRST_BYTE_TIMEOUT", "1"),
        ("SERVER_HEAD_TIMEOUT", "1"),
        ("SERVER_SESSION_TIMEOUT_SEC", "1"),
    ]);
    for (server, address) in [("http", lab.http()), ("ws", lab.ws())] {
        let (said_back, took) = rest(&mut said(address, b""));
        assert_eq!(said_back, "", "{server}");
        about(took);
        assert_eq!(refused(&lab, server, "first_byte_timeout"), 1.0, "{server}");

        let (said_back, took) = rest(&mut said(address, b"GET / HTTP/1.1\r\nHo"));
        assert!(said_back.starts_with("HTTP/1.1 408 "), "{server}: {said_back}");
        about(took);
        assert_eq!(refused(&lab, server, "head_timeout"), 1.0, "{server}");

        let idle = said(address, b"GET /status HTTP/1.1\r\nHost: t\r\n\r\n");
        let mut idle = BufReader::new(idle);
        http::read_answer(&mut idle).expect("an answer");
        let (said_back, took) = rest(&mut idle);
        assert_eq!(said_back, "", "{server}");
        if server == "http" {
            about(took);
            assert_eq!(refused(&lab, server, "idle"), 1.0);
        }
    }
}

#[test]
fn off_means_off() {
    let lab = lab(&[
        ("SERVER_FIRST_BYTE_TIMEOUT", "0"),
        ("SERVER_HEAD_TIMEOUT", "0"),
        ("SERVER_MAX_HEADERS", "0"),
        ("SERVER_MAX_HEAD_SIZE", "0"),
    ]);
    for address in [lab.http(), lab.ws()] {
        let mut stream = said(address, b"");
        thread::sleep(LIMIT / 4);
        let fields = "A: b\r\n".repeat(4000);
        write!(stream, "GET /status HTTP/1.1\r\nHost: t\r\n{fields}").expect("sent");
        thread::sleep(LIMIT / 4);
        stream.write_all(b"\r\n").expect("sent");
        let answer = http::read_answer(&mut BufReader::new(stream)).expect("an answer");
        assert!([200, 400, 426].contains(&answer.status), "{answer:?}");
    }
}

#[test]
fn a_body_that_stops() {
    let lab = lab(&[
        ("SERVER_BODY_STALL_TIMEOUT", "1"),
        ("SERVER_REQUEST_TIMEOUT", "0"),
    ]);
    let (said_back, took) = rest(&mut said(
        lab.http(),
        b"POST /ws/send HTTP/1.1\r\nHost: t\r\nContent-Length: 100\r\n\r\n{",
    ));
    assert!(said_back.starts_with("HTTP/1.1 408 "), "{said_back}");
    assert!(
        said_back.ends_with(r#"{"message":"request body not received in time"}"#),
        "{said_back}"
    );
    about(took);
    assert_eq!(refused(&lab, "http", "body_stall"), 1.0);
}

#[test]
fn size_and_number_of_header_fields() {
    let lab = lab(&[("SERVER_MAX_HEAD_SIZE", "500"), ("SERVER_MAX_HEADERS", "5")]);
    for (server, address) in [("http", lab.http()), ("ws", lab.ws())] {
        let send = |more: String| {
            let request = format!("GET /status HTTP/1.1\r\nHost: t\r\nConnection: close\r\n{more}\r\n");
            http::send(address, &request).status
        };
        assert_ne!(send("A: b\r\n".repeat(3)), 431, "{server}");
        assert_eq!(send("A: b\r\n".repeat(4)), 431, "{server}");
        assert_eq!(send(format!("A: {}\r\n", "a".repeat(500))), 431, "{server}");
        assert_eq!(refused(&lab, server, "headers"), 1.0, "{server}");
        assert_eq!(refused(&lab, server, "head_size"), 1.0, "{server}");
    }
}

#[test]
fn who_pipelines_and_does_not_read_is_held_up_then_reset_and_costs_no_memory() {
    let lab = lab(&[
        ("SERVER_WRITE_STALL_TIMEOUT", "1"),
        ("SERVER_MAX_PIPELINED_REQUESTS", "4"),
    ]);
    for _ in 0..3 {
        http::get(lab.http(), "/status");
    }
    lab.forget_peak();
    let before = lab.peak_kib();
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a size");
    socket.connect(&lab.http().into()).expect("it accepts");
    let mut stream = TcpStream::from(socket);
    let batch = b"GET /status HTTP/1.1\r\nHost: t\r\n\r\n".repeat(1000);
    let began = Instant::now();
    while stream.write_all(&batch).is_ok() {
        assert!(began.elapsed() < Duration::from_secs(30), "it is never cut");
    }
    until("it is counted", || refused(&lab, "http", "write_stall") == 1.0);
    assert_eq!(refused(&lab, "http", "pipelined"), 1.0);
    let grown = lab.peak_kib().saturating_sub(before);
    assert!(grown < 1024, "{grown} KiB");
    assert_eq!(http::get(lab.http(), "/status").status, 200);
}

#[test]
fn header_bombs_cost_next_to_nothing() {
    let lab = lab(&[]);
    for _ in 0..3 {
        http::get(lab.http(), "/status");
    }
    let mebibyte = format!("A: {}\r\n\r\n", "a".repeat(1 << 20));
    // Name, bytes, how often they are sent at most, and what is counted.
    let bombs = [
        ("200 headers", "A: b\r\n".repeat(200) + "\r\n", 1, "headers"),
        ("1 MiB header", mebibyte, 1, "head_size"),
        // 100 MiB, if anybody took them.
        ("endless header", "a".repeat(64 * 1024), 1600, "head_size"),
        ("endless headers", "Name: value\r\n".repeat(5000), 1600, "headers"),
    ];
    for (server, address) in [("http", lab.http()), ("ws", lab.ws())] {
        for (name, bytes, most, counted) in &bombs {
            lab.forget_peak();
            let (memory, time, before) = (lab.peak_kib(), lab.cpu_time(), refused(&lab, server, counted));
            for _ in 0..20 {
                let mut stream = said(address, b"GET / HTTP/1.1\r\nHost: t\r\n");
                let _ = (0..*most).try_for_each(|_| stream.write_all(bytes.as_bytes()));
                let answer = http::read_answer(&mut BufReader::new(stream)).expect("an answer");
                assert_eq!(answer.status, 431, "{server}, {name}");
            }
            let grown = lab.peak_kib().saturating_sub(memory);
            assert!(grown < 512, "{server}, {name}: {grown} KiB");
            let each = (lab.cpu_time() - time) / 20;
            assert!(
                each < Duration::from_millis(10),
                "{server}, {name}: {each:?} for one"
            );
            assert_eq!(refused(&lab, server, counted) - before, 20.0, "{server}, {name}");
        }
    }
}
