//! Sessions that polls and streams carry, against real processes: the drain, what a crowd of waiting polls costs, a flood
//! of new sessions, and the loop of an old page.

use std::collections::BTreeMap;
use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tungstenite::client::IntoClientRequest;
use tungstenite::{Message, WebSocket};
use workspace_tests::PATIENCE;
use workspace_tests::descriptors::want_descriptors;
use workspace_tests::example::{Example, Launch};
use workspace_tests::http::{self, Answer};
use workspace_tests::ws::Client;

/// Asks on a connection that stays open.
fn ask(stream: &mut TcpStream, method: &str, target: &str, session: &str, body: &str) -> Answer {
    request(stream, method, target, session, body);
    http::read_answer(&mut BufReader::new(stream)).expect("there is an answer")
}

fn request(stream: &mut TcpStream, method: &str, target: &str, session: &str, body: &str) {
    let length = body.len();
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nLongpoll-Session: {session}\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream
        .write_all(request.as_bytes())
        .expect("the request can be sent");
}

/// A new session's id.
fn opened(stream: &mut TcpStream) -> String {
    let answer = ask(stream, "POST", "/ws/session", "", "");
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()["session"].as_str().expect("an id").to_owned()
}

/// A WebSocket connection under the subprotocol, whose session is open.
fn lossless(address: SocketAddr) -> WebSocket<TcpStream> {
    let mut request = format!("ws://{address}/")
        .into_client_request()
        .expect("a request");
    let subprotocol = "lossless.v1".parse().expect("a header");
    request
        .headers_mut()
        .insert("sec-websocket-protocol", subprotocol);
    let (mut socket, _) =
        tungstenite::client(request, http::connect(address)).expect("the server accepts the handshake");
    socket.send(Message::text("\u{1e}{\"open\":{}}")).expect("sent");
    let hello = socket.read().expect("an answer");
    assert!(hello.to_text().expect("a text").starts_with("\u{1e}{\"hello\":"));
    socket
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let limit = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < limit, "{what} did not come true");
        thread::sleep(Duration::from_millis(5));
    }
}

fn return_time(close: &Value) -> u64 {
    assert_eq!(close["code"], 1001, "{close}");
    close["retry"].as_u64().expect("a return time")
}

#[test]
fn at_the_end_everybody_is_told_why_and_when_to_come_back() {
    const EACH: usize = 10;
    let mut lab = Launch::new("lab").start();
    let (http, ws) = (lab.http(), lab.ws());
    let polls: Vec<_> = (0..EACH)
        .map(|_| {
            thread::spawn(move || {
                let mut stream = http::connect(http);
                let id = opened(&mut stream);
                // What was said at the opening comes first.
                let first = ask(&mut stream, "GET", "/ws/session/poll", &id, "").json();
                let target = format!("/ws/session/poll?cursor={}", first["cursor"]);
                ask(&mut stream, "GET", &target, &id, "").json()
            })
        })
        .collect();
    let streams: Vec<_> = (0..EACH)
        .map(|_| {
            thread::spawn(move || {
                let mut stream = http::connect(http);
                let id = opened(&mut stream);
                ask(&mut stream, "GET", "/ws/session/events", &id, "")
                    .text()
                    .to_owned()
            })
        })
        .collect();
    let sockets: Vec<_> = (0..EACH).map(|_| lossless(ws)).collect();
    let plain: Vec<_> = (0..EACH).map(|_| Client::connect(ws, "/")).collect();
    let mut idle = http::connect(http);
    // One that nobody carries at the end.
    opened(&mut idle);
    until("polls wait and streams are open", || {
        lab.metric("ws_lp_polls_waiting") == EACH as f64 && lab.metric("ws_lp_streams_active") == EACH as f64
    });

    let began = Instant::now();
    lab.signal("TERM");
    for poll in polls {
        let answer = poll.join().expect("the poll is answered");
        assert!(return_time(&answer["close"]) <= 5000);
    }
    for stream in streams {
        let text = stream.join().expect("the stream has its end");
        let close = text.split("event: close\ndata: ").nth(1).expect("a last word");
        let close = serde_json::from_str(close.trim_end()).expect("JSON");
        assert!(return_time(&close) <= 5000);
    }
    for mut socket in sockets {
        let close = loop {
            match socket.read().expect("a Close before the end") {
                Message::Close(frame) => break frame.expect("a code"),
                _ => continue,
            }
        };
        while socket.read().is_ok() {}
        assert_eq!(u16::from(close.code), 1001);
        assert!(close.reason.starts_with("retry="));
    }
    for mut client in plain {
        assert_eq!(client.closed().0, 1001);
    }
    assert_eq!(lab.wait().code(), Some(0));
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "took {:?}",
        began.elapsed()
    );
    let lines = lab.all_lines();
    let count = |event: &str| lines.iter().filter(|line| line.contains(event)).count();
    assert_eq!(
        (count(" ws_open "), count(" ws_close ")),
        (4 * EACH + 1, 4 * EACH + 1)
    );
    assert_eq!(count("by=shutdown"), 4 * EACH + 1);
}

/// What one waiting poll may cost with its session and its connection, resident, whatever the build.
const KIB_EACH: f64 = 12.0;

/// `BRIDGE_POLLS` says how many.
#[test]
fn a_crowd_of_waiting_polls_costs_little_memory_and_no_time() {
    let crowd: usize = std::env::var("BRIDGE_POLLS").map_or(1000, |polls| polls.parse().expect("a number"));
    want_descriptors(crowd + 200);
    let server = Launch::new("full")
        .set("LONGPOLL_MAX_SESSIONS", crowd + 1)
        .set("LONGPOLL_MAX_SESSIONS_PER_ADDRESS", 0)
        .set("LONGPOLL_WAIT", 29)
        .start();
    let mut opening = http::connect(server.http());
    opened(&mut opening);
    let before = server.resident_kib();
    let polls: Vec<_> = (0..crowd)
        .map(|_| {
            let id = opened(&mut opening);
            let mut stream = http::connect(server.http());
            // The message of the example's on_open is acknowledged, so that the poll waits.
            request(&mut stream, "GET", "/ws/session/poll?cursor=1", &id, "");
            stream
        })
        .collect();
    until("all wait", || {
        server.metric("ws_lp_polls_waiting") == polls.len() as f64
    });
    let each = (server.resident_kib() - before) as f64 / polls.len() as f64;
    let (cpu, began) = (server.cpu_time(), Instant::now());
    thread::sleep(Duration::from_secs(1));
    let share = (server.cpu_time() - cpu).as_secs_f64() / began.elapsed().as_secs_f64();
    eprintln!(
        "{} polls: {each:.1} KiB each, {:.1} % of a core",
        polls.len(),
        share * 100.0
    );
    assert!(each < KIB_EACH, "{each} KiB for each waiting poll");
    assert!(share < 0.1, "{share} of a core for polls that wait");
    assert_eq!(server.metric("ws_lp_polls_waiting"), polls.len() as f64);
    // They are not forgotten: each is answered when there is something to say.
    server.signal("TERM");
    for mut poll in polls {
        let answer = http::read_answer(&mut BufReader::new(&mut poll)).expect("there is an answer");
        assert!(return_time(&answer.json()["close"]) <= 5000);
    }
}

/// Requests that are under way at once on one connection.
const TOGETHER: usize = 16;

/// Asks so many times with requests behind one another, and counts the answers of each status.
fn asked_in_a_row(address: SocketAddr, requests: impl Iterator<Item = String>) -> BTreeMap<u16, usize> {
    let (mut stream, mut statuses) = (http::connect(address), BTreeMap::new());
    let mut answers = BufReader::new(stream.try_clone().expect("a second handle"));
    let mut requests = requests.peekable();
    while requests.peek().is_some() {
        let batch: Vec<_> = requests.by_ref().take(TOGETHER).collect();
        stream
            .write_all(batch.concat().as_bytes())
            .expect("the requests can be sent");
        for _ in batch {
            let answer = http::read_answer(&mut answers).expect("there is an answer");
            *statuses.entry(answer.status).or_default() += 1;
        }
    }
    statuses
}

/// `BRIDGE_FLOOD` says how many.
#[test]
fn a_flood_of_new_sessions_takes_its_share_and_is_gone_after_its_time() {
    let flood = std::env::var("BRIDGE_FLOOD").map_or(5000, |flood| flood.parse().expect("a number"));
    const SHARE: f64 = 500.0;
    let server = Launch::new("full")
        .set("LONGPOLL_SESSION_TTL", 2)
        .set("LONGPOLL_MAX_SESSIONS_PER_ADDRESS", SHARE)
        .start();
    let before = server.resident_kib();
    let address = server.http();
    let flooding = thread::spawn(move || {
        let request = "POST /ws/session HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n";
        asked_in_a_row(address, std::iter::repeat_n(request.to_owned(), flood))
    });
    while !flooding.is_finished() {
        assert!(server.metric("ws_resumable_sessions_active") <= SHARE);
        thread::sleep(Duration::from_millis(20));
    }
    let statuses = flooding.join().expect("every request is answered");
    let grown = server.resident_kib().saturating_sub(before);
    eprintln!("{statuses:?} of {flood}, {grown} KiB");
    let (made, refused) = (statuses[&201], statuses[&429]);
    assert_eq!(made + refused, flood, "{statuses:?}");
    assert!(grown < 20 * 1024, "{made} made, {refused} refused, {grown} KiB");
    let ended = Instant::now();
    until("all are gone", || {
        server.metric("ws_resumable_sessions_active") == 0.0
    });
    assert!(ended.elapsed() < Duration::from_secs(7), "{:?}", ended.elapsed());
    assert_eq!(server.metric("ws_connections_active"), 0.0);
    let mut stream = http::connect(server.http());
    assert_eq!(ask(&mut stream, "POST", "/ws/session", "", "").status, 201);
}

/// `BRIDGE_GUESSES` says how many.
#[test]
fn guessed_ids_hit_nothing() {
    let guesses: u64 =
        std::env::var("BRIDGE_GUESSES").map_or(5000, |guesses| guesses.parse().expect("a number"));
    let server = Launch::new("full").start();
    let mut stream = http::connect(server.http());
    let ids: Vec<_> = (0..20).map(|_| opened(&mut stream)).collect();
    let guessed = |number: u64| {
        // As near as a guess can be: an id that was given, with other digits at its end.
        let near = &ids[number as usize % ids.len()][..24];
        format!("GET /ws/session/poll?session_id={near}{number:012x} HTTP/1.1\r\nHost: h\r\n\r\n")
    };
    let statuses = asked_in_a_row(server.http(), (0..guesses).map(guessed));
    assert_eq!(statuses, BTreeMap::from([(404, guesses as usize)]));
    assert_eq!(server.metric("ws_resumable_sessions_active"), 20.0);
}

/// What an old page does: it polls for arrays in a loop, with the cookie it was given, and sends envelopes. `BRIDGE_SECONDS`
/// says for how long.
#[test]
fn the_loop_of_an_old_page_loses_nothing() {
    let seconds = std::env::var("BRIDGE_SECONDS").map_or(5, |seconds| seconds.parse().expect("a number"));
    // A poll with nothing to say shall end before the test's patience does.
    let server = Launch::new("full").set("LONGPOLL_WAIT", 2).start();
    let http = server.http();
    let mut member = Client::connect(server.ws(), "/");
    assert_eq!(member.text(), "welcome");
    member.send(r#"{"type":"room.join","payload":{}}"#);
    while !member.text().contains("joined") {}
    let until = Instant::now() + Duration::from_secs(seconds);
    let (mut sends, mut polls) = (http::connect(http), http::connect(http));
    note(&mut sends, 1);
    let first = old_poll(&mut polls, None);
    let mut heard = Vec::new();
    collect(&first, &mut heard);
    let cookie = first
        .header("set-cookie")
        .and_then(|set| set.split(';').next())
        .map(str::to_owned);
    let cookie = cookie.expect("a cookie");
    let sender = thread::spawn(move || {
        let mut sent = 1;
        while Instant::now() < until {
            sent += 1;
            note(&mut sends, sent);
            thread::sleep(Duration::from_millis(5));
        }
        sent
    });
    while !sender.is_finished() {
        collect(&old_poll(&mut polls, Some(&cookie)), &mut heard);
    }
    let sent = sender.join().expect("every send is taken");
    while (heard.len() as u64) < sent {
        collect(&old_poll(&mut polls, Some(&cookie)), &mut heard);
    }
    let expected: Vec<u64> = (1..=sent).collect();
    assert_eq!(heard, expected);
    // The room's members over WebSocket have them too.
    let mut last = 0;
    while last < sent {
        let value: Value = serde_json::from_str(&member.text()).expect("an envelope");
        last += 1;
        assert_eq!(value["payload"]["n"], last);
    }
    eprintln!("{sent} messages in {seconds} s, none lost");
}

fn old_poll(stream: &mut TcpStream, cookie: Option<&str>) -> Answer {
    let cookie = cookie
        .map(|cookie| format!("Cookie: {cookie}\r\n"))
        .unwrap_or_default();
    let request = format!("GET /ws/poll?session_id=room:general HTTP/1.1\r\nHost: 127.0.0.1\r\n{cookie}\r\n");
    stream
        .write_all(request.as_bytes())
        .expect("the request can be sent");
    let answer = http::read_answer(&mut BufReader::new(stream)).expect("there is an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("longpoll-missed"), None);
    answer
}

fn note(stream: &mut TcpStream, number: u64) {
    let body = format!(r#"{{"type":"note","room":"general","payload":{{"n":{number}}}}}"#);
    let answer = ask(stream, "POST", "/ws/send", "", &body);
    let queued = r#"{"session_id":"room:general","status":"queued"}"#;
    assert_eq!((answer.status, answer.text()), (202, queued));
}

fn collect(answer: &Answer, heard: &mut Vec<u64>) {
    for envelope in answer.json().as_array().expect("an array") {
        heard.push(envelope["payload"]["n"].as_u64().expect("a number"));
    }
}

#[test]
fn settings_of_the_lossless_form() {
    let with = |settings: &[(&str, &str)]| -> Example {
        let launch = settings
            .iter()
            .fold(Launch::new("lab"), |launch, (key, value)| launch.set(key, value));
        launch.start()
    };
    let server = with(&[
        ("LONGPOLL_MAX_SESSIONS_PER_ADDRESS", "2"),
        ("LONGPOLL_WAIT", "1"),
        ("LONGPOLL_SESSION_TTL", "7"),
    ]);
    let mut stream = http::connect(server.http());
    let open = |stream: &mut TcpStream| ask(stream, "POST", "/ws/session", "", "");
    let hello = open(&mut stream).json();
    assert_eq!(
        (&hello["wait_ms"], &hello["resume_ms"]),
        (&1000.into(), &7000.into())
    );
    assert_eq!(open(&mut stream).status, 201);
    let refused = open(&mut stream);
    assert_eq!(refused.status, 429);
    assert!(refused.header("retry-after").is_some());

    let server = with(&[
        ("LONGPOLL_MAX_SESSIONS", "1"),
        ("LONGPOLL_MAX_SESSIONS_PER_ADDRESS", "0"),
    ]);
    let mut stream = http::connect(server.http());
    assert_eq!((open(&mut stream).status, open(&mut stream).status), (201, 503));

    let server = with(&[("LONGPOLL_RING_MESSAGES", "5"), ("LONGPOLL_WAIT", "0")]);
    let mut stream = http::connect(server.http());
    let id = open(&mut stream).json()["session"]
        .as_str()
        .expect("an id")
        .to_owned();
    assert_eq!(http::get(server.http(), "/broadcast?size=10&n=20").status, 200);
    let answer = ask(&mut stream, "GET", "/ws/session/poll", &id, "").json();
    let kept = answer["messages"].as_array().expect("messages").len();
    assert_eq!(kept, 5, "{answer}");
    assert!(answer["gap"]["lost"].as_u64() >= Some(15), "{answer}");
}
