//! Limits on connections, seen from outside a whole process: the settings, an idle crowd, no descriptors, little memory.

use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use workspace_tests::descriptors::want_descriptors;
use workspace_tests::example::{Example, Launch};
use workspace_tests::http::{self, Answer};
use workspace_tests::observe::until;
use workspace_tests::raw::{Raw, TEXT};
use workspace_tests::ws::Client;

fn lab() -> Launch {
    Launch::new("lab").set("LAB_QUIET", 1)
}

/// A connection that has been answered once, so it has its place.
fn kept(address: SocketAddr) -> TcpStream {
    let mut stream = http::connect(address);
    stream.write_all(GET).expect("taken");
    let answer = http::read_answer(&mut BufReader::new(&stream)).expect("an answer");
    assert_eq!(answer.status, 200);
    stream
}

const GET: &[u8] = b"GET /status HTTP/1.1\r\nHost: t\r\n\r\n";

/// What a peer that says nothing is told.
fn told(address: SocketAddr) -> Option<Answer> {
    http::read_answer(&mut BufReader::new(http::connect(address)))
}

fn is_refusal(answer: &Answer) -> bool {
    answer.status == 503
        && answer.header("retry-after") == Some("1")
        && answer.header("connection") == Some("close")
        && answer.json()["message"] == "too many connections"
}

fn refused(example: &Example, server: &str, reason: &str) -> u64 {
    example.metric(&format!(
        "{server}_connections_refused_total{{reason=\"{reason}\"}}"
    )) as u64
}

#[test]
fn both_servers_share_the_limit_and_metrics_have_their_own_door() {
    let example = lab().set("SERVER_MAX_CONNECTIONS", 2).start();
    let (mut session, page) = (Client::connect(example.ws(), "/"), kept(example.http()));
    assert_eq!(session.text(), "welcome");
    for address in [example.http(), example.ws()] {
        assert!(is_refusal(&told(address).expect("503")));
    }
    assert_eq!(refused(&example, "http", "total"), 1);
    assert_eq!(refused(&example, "ws", "total"), 1);
    drop(page);
    until("a place is free", || told_status(example.http()) == Some(200));
    drop(session);
    until("the session's place is free", || {
        let first = kept_or_refused(example.http());
        let second = kept_or_refused(example.http());
        first.is_some() && second.is_some()
    });
}

fn told_status(address: SocketAddr) -> Option<u16> {
    let mut stream = http::connect(address);
    stream.write_all(GET).ok()?;
    http::read_answer(&mut BufReader::new(stream)).map(|answer| answer.status)
}

fn kept_or_refused(address: SocketAddr) -> Option<TcpStream> {
    let mut stream = http::connect(address);
    stream.write_all(GET).ok()?;
    let answer = http::read_answer(&mut BufReader::new(&stream))?;
    (answer.status == 200).then_some(stream)
}

#[test]
fn a_proxy_tells_the_sessions_address_and_is_exempt() {
    let example = lab()
        .set("SERVER_MAX_CONNECTIONS_PER_ADDRESS", 1)
        .set("SERVER_TRUSTED_PROXIES", "127.0.0.0/8")
        .start();
    let _sessions: Vec<_> = (0..3)
        .map(|_| Raw::offering(example.ws(), "/", "X-Forwarded-For: 203.0.113.7\r\n"))
        .collect();
    assert_eq!(refused(&example, "ws", "address"), 0);
    drop(example);
    let example = lab().set("SERVER_MAX_CONNECTIONS_PER_ADDRESS", 1).start();
    let _session = Raw::offering(example.ws(), "/", "X-Forwarded-For: 203.0.113.7\r\n");
    assert!(
        is_refusal(&told(example.ws()).expect("503")),
        "not trusted, so not believed"
    );
}

/// security.md: "5000 idle connections from one address".
#[test]
fn an_idle_crowd_from_one_address_leaves_room_for_others() {
    const CROWD: usize = 5000;
    let example = lab()
        .set("SERVER_MAX_CONNECTIONS_PER_ADDRESS", 256)
        .set("SERVER_MAX_CONNECTIONS", 300)
        // On a slow machine the first of the crowd would be gone before the last has come.
        .set("SERVER_FIRST_BYTE_TIMEOUT", 0)
        .start();
    want_descriptors(CROWD + 200);
    let mut crowd = Vec::new();
    for _ in 0..CROWD {
        crowd.push(http::connect(example.http()));
    }
    until("all but 256 are refused", || {
        refused(&example, "http", "address") as usize == CROWD - 256
    });
    let answered = crowd.drain(256..).filter(|stream| {
        let mut begin = [0; 12];
        let mut stream: &TcpStream = stream;
        stream.read_exact(&mut begin).is_ok() && &begin == b"HTTP/1.1 503"
    });
    // So many are refused at once with a word, and as many of the others as the server came to.
    let answered = answered.count();
    assert!(answered >= 256, "only {answered} were told why");
    until("whoever comes now is told why", || {
        told(example.http()).is_some_and(|answer| is_refusal(&answer))
    });
    // Others are served until the total is reached.
    let others: Vec<_> = (0..44)
        .map(|index| served_from([127, 0, 1, index], example.http()))
        .collect();
    assert!(is_refusal(&told_from([127, 0, 2, 1], example.http())));
    assert_eq!(refused(&example, "http", "total"), 1);
    drop(others);
}

fn connect_from(source: [u8; 4], to: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket
        .bind(&SocketAddr::from((source, 0)).into())
        .expect("all of 127/8 is ours");
    socket.connect(&to.into()).expect("the server accepts");
    let stream: TcpStream = socket.into();
    stream
        .set_read_timeout(Some(workspace_tests::PATIENCE))
        .expect("a positive limit");
    stream
}

fn served_from(source: [u8; 4], to: SocketAddr) -> TcpStream {
    let mut stream = connect_from(source, to);
    stream.write_all(GET).expect("taken");
    let answer = http::read_answer(&mut BufReader::new(&stream)).expect("an answer");
    assert_eq!(answer.status, 200);
    stream
}

fn told_from(source: [u8; 4], to: SocketAddr) -> Answer {
    http::read_answer(&mut BufReader::new(connect_from(source, to))).expect("an answer")
}

/// security.md: "400 MiB memory limit". A limit on address space is the strictest there is: what is reserved and never
/// touched counts too.
#[test]
fn with_little_memory_it_refuses_at_its_budget_and_does_not_abort() {
    const PLACES: usize = 2500;
    want_descriptors(PLACES + 700);
    let mut example = lab()
        .limited("-v 409600")
        .set("SERVER_IO_THREADS", 2)
        .set("SERVER_MAX_CONNECTIONS", PLACES)
        // On a slow machine the first session would be gone before the last has come.
        .set("WEBSOCKET_IDLE_TIMEOUT", 0)
        .set("WEBSOCKET_PING_INTERVAL", 0)
        .start();
    let mut sessions: Vec<_> = (0..PLACES).map(|_| Raw::connect(example.ws(), "/")).collect();
    for _ in 0..500 {
        assert!(is_refusal(&told(example.ws()).expect("503")));
    }
    assert_eq!(refused(&example, "ws", "total"), 500);
    let last = sessions.last_mut().expect("there are some");
    assert_eq!(last.text(), "welcome");
    last.frame(TEXT, b"still there");
    assert_eq!(last.text(), "echo: still there");
    eprintln!("{} KiB at most for {PLACES} sessions", example.peak_kib());
    drop(sessions);
    assert_eq!(example.terminate(), Some(0));
}

/// With the default limit the process never runs out of descriptors: it says 503 before.
#[test]
fn with_few_descriptors_the_default_limit_answers_503() {
    let example = lab().limited("-n 64").start();
    let held: Vec<_> = (0..32).map(|_| kept(example.http())).collect();
    assert!(is_refusal(&told(example.http()).expect("503")));
    assert!(is_refusal(&told(example.ws()).expect("503")));
    assert_eq!(http::get(example.metrics(), "/metrics").status, 200);
    drop(held);
    until("it serves again", || told_status(example.http()) == Some(200));
}

/// security.md: "EMFILE (nofile = 64)".
#[test]
fn without_descriptors_it_costs_nothing_and_it_serves_when_they_are_back() {
    let mut example = lab().limited("-n 64").set("SERVER_MAX_CONNECTIONS", 0).start();
    let servers = [example.http(), example.ws()];
    let mut attempts = Vec::new();
    for _ in 0..3 {
        let held: Vec<_> = (0..80).map(|index| http::connect(servers[index % 2])).collect();
        let share = starved_share(&mut example);
        drop(held);
        let began = Instant::now();
        echoes(servers[1]);
        let took = began.elapsed();
        eprintln!("{:.2} % of a core, echo after {took:?}", share * 100.0);
        if share < 0.02 && took <= Duration::from_millis(500) {
            return;
        }
        attempts.push((share, took));
    }
    panic!("share of a core, time to an echo: {attempts:?}");
}

fn echoes(address: SocketAddr) {
    let mut client = Client::connect(address, "/");
    assert_eq!(client.text(), "welcome");
    client.send("again");
    assert_eq!(client.text(), "echo: again");
}

/// Share of a core that is used in three seconds without descriptors, in which each server may log three lines.
fn starved_share(example: &mut Example) -> f64 {
    let complaints = |example: &mut Example| {
        let lines = example.all_lines();
        lines.iter().filter(|line| line.contains("cannot accept")).count()
    };
    until("it has run out of descriptors", || complaints(example) > 0);
    thread::sleep(Duration::from_millis(100));
    let (said, used, began) = (complaints(example), example.cpu_time(), Instant::now());
    thread::sleep(Duration::from_secs(3));
    let share = (example.cpu_time() - used).as_secs_f64() / began.elapsed().as_secs_f64();
    let more = complaints(example) - said;
    assert!(
        (1..=8).contains(&more),
        "{more} lines of two servers in three seconds"
    );
    share
}
