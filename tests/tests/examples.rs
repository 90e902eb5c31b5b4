//! Every example starts, does what its first lines say, and exits 0 on SIGTERM.

use std::io::{Read, Write};
use std::thread;
use std::time::Duration;
use tungstenite::Message;
use workspace_tests::certificate::connect;
use workspace_tests::example::{Example, Launch};
use workspace_tests::http;
use workspace_tests::ws::Client;

fn ends_well(mut example: Example) {
    assert_eq!(example.terminate(), Some(0), "{:?}", example.all_lines());
}

#[test]
fn minimal() {
    let example = Launch::new("minimal").start();
    assert_eq!(
        http::get(example.http(), "/").text(),
        "HTTP and WebSocket are running"
    );
    let mut client = Client::connect(example.ws(), "/");
    client.send("hello");
    assert_eq!(client.text(), "echo: hello");
    client.close(1000, "");
    ends_well(example);
}

#[test]
fn full_is_the_second_example_of_the_seed() {
    let example = Launch::new("full").start();
    let http = example.http();
    assert_eq!(http::get(http, "/").status, 200);
    let status = http::get(http, "/status");
    assert_eq!(status.text(), r#"{"status":"ok","http":true,"websocket":true}"#);
    assert_eq!(status.header("content-type"), Some("application/json"));

    let (mut member, mut guest) = (
        Client::connect(example.ws(), "/chat"),
        Client::connect(example.ws(), "/"),
    );
    assert_eq!(member.text(), "welcome");
    assert_eq!(guest.text(), "welcome");
    let join = r#"{"type":"room.join","payload":{}}"#;
    member.send(join);
    assert_eq!(
        member.text(),
        format!("echo: {join}"),
        "the raw handler comes first"
    );
    assert_eq!(member.text(), "joined general");

    let poll = thread::spawn(move || http::get(http, "/ws/poll?session_id=room:general"));
    let chat = r#"{"type":"chat.message","payload":{"text":"hi"}}"#;
    // Said again until the poll has its answer, because the poll may come after the first one.
    let mut said = 0;
    while !poll.is_finished() {
        guest.send(chat);
        said += 1;
        assert_eq!(guest.text(), format!("echo: {chat}"));
        assert_eq!(member.text(), "new chat message");
        thread::sleep(Duration::from_millis(20));
    }
    assert!(said >= 1);
    let polled = poll.join().expect("answered").json();
    let expected = serde_json::json!({
        "type": "text", "room": "general", "payload": { "text": "new chat message" }
    });
    assert_eq!(polled[0], expected);

    let sent = http::post(http, "/ws/send", r#"{"type":"chat.message","room":"general"}"#);
    assert_eq!(
        (sent.status, sent.text()),
        (202, r#"{"session_id":"room:general","status":"queued"}"#)
    );
    let api = http::get(http, "/openapi.json").json();
    for path in ["/", "/status", "/ws/poll", "/ws/send"] {
        assert!(api["paths"][path].is_object(), "{path}");
    }
    assert_eq!(http::get(http, "/docs").status, 200);
    let metrics = http::get(example.metrics(), "/metrics");
    assert_eq!(
        metrics.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    assert!(
        metrics.text().contains("\nws_connections_active 2\n"),
        "{}",
        metrics.text()
    );
    ends_well(example);
}

#[test]
fn one_port() {
    let mut example = Launch::new("one_port").start();
    assert!(example.addresses().ws.is_none());
    let http = example.http();
    assert_eq!(http::get(http, "/").text(), "HTTP and WebSocket on one port");
    let mut client = Client::connect(http, "/ws");
    client.send("hello");
    assert_eq!(client.text(), "hello");
    let sent = http::post(http, "/ws/send", r#"{"type":"chat.message","room":"general"}"#);
    assert_eq!(sent.status, 202);
    assert!(client.text().contains("chat.message"));
    // The hello reaches the room's mailbox too when that is made before the broadcast of it has come to its end.
    let polled = http::get(http, "/ws/poll?session_id=room:general").json();
    let last = polled.as_array().and_then(|messages| messages.last());
    assert_eq!(last.expect("a message")["type"], "chat.message");
    assert_eq!(http::get(http, "/readyz").status, 200);
    example.signal("TERM");
    assert_eq!(client.closed().0, 1001);
    assert_eq!(example.wait().code(), Some(0));
}

#[test]
fn rooms() {
    let example = Launch::new("rooms").start();
    let mut cook = Client::connect(example.ws(), "/kitchen");
    let mut waiter = Client::connect(example.ws(), "/kitchen");
    let mut gardener = Client::connect(example.ws(), "/garden");
    assert_eq!(cook.text(), "you are in kitchen");
    assert_eq!(waiter.text(), "you are in kitchen");
    assert_eq!(gardener.text(), "you are in garden");
    assert_eq!(http::get(example.http(), "/rooms/kitchen").text(), "2\n");
    waiter.send("two soups");
    assert!(cook.text().ends_with(": two soups"));
    assert!(waiter.text().ends_with(": two soups"));
    assert!(gardener.is_silent_for(Duration::from_millis(200)));
    ends_well(example);
}

#[test]
fn typed_messages() {
    let example = Launch::new("typed_messages").start();
    let mut client = Client::connect(example.ws(), "/");
    for (sent, answered) in [
        (r#"{"type":"ping"}"#, "pong"),
        (
            r#"{"type":"sum","payload":{"numbers":[1,2,3]}}"#,
            r#"{"payload":{"total":6},"type":"sum.result"}"#,
        ),
        (
            r#"{"type":"sum","payload":{"numbers":[9223372036854775807,1]}}"#,
            r#"{"payload":{"problem":"too large"},"type":"sum.problem"}"#,
        ),
        (
            r#"{"type":"jump"}"#,
            r#"{"payload":{"problem":"no type \"jump\" here"},"type":"unknown"}"#,
        ),
    ] {
        client.send(sent);
        assert_eq!(client.text(), answered);
    }
    ends_well(example);
}

#[test]
fn long_polling() {
    let example = Launch::new("long_polling").start();
    let http = example.http();
    // The first poll makes the mailbox; what is said from then on is kept for it.
    let waiting = thread::spawn(move || http::get(http, "/ws/poll?session_id=room:general"));
    let mut client = Client::connect(example.ws(), "/");
    while !waiting.is_finished() {
        client.send("hello");
        assert_eq!(client.text(), "hello");
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(
        waiting.join().expect("answered").json()[0]["payload"]["text"],
        "hello"
    );
    let body = r#"{"type":"chat.message","room":"general","payload":{"text":"hi"}}"#;
    assert_eq!(http::post(http, "/ws/send", body).status, 202);
    loop {
        match client.message() {
            Message::Text(text) if text.as_str() == "hello" => {}
            Message::Text(text) => {
                assert!(text.contains(r#""payload":{"text":"hi"}"#), "{text}");
                break;
            }
            other => panic!("unexpected: {other:?}"),
        }
    }
    ends_well(example);
}

#[test]
fn metrics() {
    let example = Launch::new("metrics").set("METRICS_PREFIX", "vix").start();
    http::get(example.http(), "/");
    for page in [
        http::get(example.http(), "/metrics"),
        http::get(example.metrics(), "/metrics"),
    ] {
        assert_eq!(page.status, 200);
        assert!(page.text().contains("\nvix_visits_total 1\n"), "{}", page.text());
        assert!(
            page.text().contains("\nvix_ws_connections_total 0\n"),
            "{}",
            page.text()
        );
    }
    ends_well(example);
}

#[test]
fn connection_states() {
    let mut example = Launch::new("connection_states").start();
    let mut pending = http::connect(example.http());
    write!(pending, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").expect("sent");
    example.wait_for_line(|line| line == "1 -- accepted");
    drop(pending);
    example.wait_for_line(|line| line == "1 -- closed");
    let http = example.http();
    let kept = thread::spawn(move || http::get(http, "/").status);
    example.wait_for_line(|line| line == "2 -- accepted");
    // Only a request that has reached its handler is let go by the hook.
    thread::sleep(Duration::from_millis(200));
    assert_eq!(example.terminate(), Some(0));
    assert_eq!(kept.join().expect("answered"), 503);
}

#[test]
fn standalone_ws() {
    let example = Launch::new("standalone_ws").start();
    assert!(example.addresses().http.is_none());
    let mut client = Client::connect(example.ws(), "/");
    client.send("alone");
    assert_eq!(client.text(), "echo: alone");
    example.signal("TERM");
    assert_eq!(client.closed().0, 1001);
    let mut example = example;
    assert_eq!(example.wait().code(), Some(0));
}

#[test]
fn standalone_http() {
    let mut example = Launch::new("standalone_http").start();
    assert!(example.addresses().ws.is_none());
    assert_eq!(
        http::get(example.http(), "/api/users/ada").text(),
        r#"{"name":"ada"}"#
    );
    assert_eq!(example.terminate(), Some(0));
    assert!(
        example.all_lines().iter().any(|line| line == "bye"),
        "the hook ran"
    );
}

#[test]
fn embed_in_tokio_main() {
    let mut example = Launch::new("embed_in_tokio_main").start();
    assert_eq!(
        http::get(example.http(), "/").text(),
        "on a runtime of somebody else"
    );
    let mut client = Client::connect(example.ws(), "/");
    client.send("hello");
    assert_eq!(client.text(), "echo: hello");
    example.signal("TERM");
    assert_eq!(client.closed().0, 1001);
    assert_eq!(example.wait().code(), Some(0));
    example.wait_for_line(|line| line.starts_with("stopped in "));
}

#[test]
fn mailboxes() {
    let example = Launch::new("mailboxes").start();
    let refused = http::get(example.http(), "/ws/poll?session_id=lp-mine");
    assert_eq!(refused.status, 403);
    assert!(
        refused.json()["error"]
            .as_str()
            .is_some_and(|hint| hint.contains("LONGPOLL_OPEN_MAILBOXES"))
    );
    ends_well(example);
}

#[test]
fn bench_server() {
    let example = Launch::new("bench_server").start();
    assert_eq!(http::get(example.http(), "/plaintext").text(), "Hello, World!");
    assert_eq!(http::get(example.http(), "/slow?ms=20").text(), "slow");
    let mut echo = Client::connect(example.ws(), "/echo");
    echo.send("text");
    assert_eq!(echo.message(), Message::text("text"));
    echo.send_binary(&[0, 255]);
    assert_eq!(echo.message(), Message::binary(vec![0, 255]));
    let (mut one, mut two) = (
        Client::connect(example.ws(), "/room"),
        Client::connect(example.ws(), "/room"),
    );
    one.send("both");
    assert_eq!((one.text(), two.text()), ("both".to_owned(), "both".to_owned()));
    assert!(
        echo.is_silent_for(Duration::from_millis(200)),
        "only the room hears the room"
    );
    ends_well(example);
}

#[test]
fn lab() {
    let mut lab = Launch::new("lab").start();
    let mut client = Client::connect(lab.ws(), "/");
    assert_eq!(client.text(), "welcome");
    let mut say = |text: &str| {
        client.send(text);
        assert_eq!(client.text(), format!("echo: {text}"));
        client.text()
    };
    assert_eq!(say(r#"{"type":"ping"}"#), "pong");
    assert_eq!(say(r#"{"type":"sleep","payload":{"ms":"10"}}"#), "slept");
    assert_eq!(say(r#"{"type":"burst","payload":{"n":1,"size":3}}"#), "xxx");
    assert!(say(r#"{"type":"sleep","payload":{"ms":[]}}"#).starts_with("bad sleep: "));
    let mut other = Client::connect(lab.ws(), "/");
    assert_eq!(other.text(), "welcome");
    assert_eq!(http::get(lab.http(), "/broadcast?size=2&n=3").json()["sent"], 3);
    assert_eq!([other.text(), other.text(), other.text()], ["xx"; 3]);
    other.send(r#"{"type":"close","payload":{"code":4001,"reason":"asked"}}"#);
    assert_eq!(
        other.text(),
        r#"echo: {"type":"close","payload":{"code":4001,"reason":"asked"}}"#
    );
    assert_eq!(other.closed(), (4001, "asked".to_owned()));
    let mut thrown = Client::connect(lab.ws(), "/");
    thrown.send(r#"{"type":"throw"}"#);
    assert_eq!(thrown.closed().0, 1011);
    lab.wait_for_line(|line| line.contains("ws_close") && line.ends_with("code=1011 by=error"));
    lab.wait_for_line(|line| line.contains("ws_close") && line.ends_with("code=4001 by=server"));

    let events = http::get(lab.http(), "/events").json();
    let count = |name: &str| events[name].as_u64().expect("a counter");
    assert_eq!(
        (
            count("opens"),
            count("closes"),
            count("upgraded"),
            count("handler_panics")
        ),
        (3, 2, 3, 1)
    );
    // This request's own connection is the one that is still open.
    assert_eq!(count("accepted"), count("closed") + count("upgraded") + 1);
    assert_eq!(http::get(lab.http(), "/slow?ms=10").text(), "slow");
    lab.wait_for_line(|line| line.contains("slow_end") && line.ends_with("completed"));
    ends_well(lab);

    let mut quiet = Launch::new("lab").set("LAB_QUIET", 1).start();
    Client::connect(quiet.ws(), "/").close(1000, "");
    assert!(!quiet.all_lines().iter().any(|line| line.starts_with("EV ")));
}

#[test]
fn tls_with_a_certificate_of_its_own() {
    let example = Launch::new("tls").start();
    let certificate = example.read("localhost.pem");
    let mut stream = connect(example.http(), &certificate, &["http/1.1"]);
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).expect("TLS");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(
        answer.contains("TLS 1.3 ") && answer.ends_with("Some(\"http/1.1\")\n"),
        "{answer}"
    );
    let stream = connect(example.ws(), &certificate, &[]);
    let (mut socket, _) = tungstenite::client("wss://localhost/", stream).expect("a session");
    socket.send(Message::text("hello")).expect("sent");
    assert_eq!(socket.read().expect("an echo"), Message::text("echo: hello"));
    socket.close(None).expect("a Close can be sent");
    assert!(matches!(socket.read(), Ok(Message::Close(_))));
    ends_well(example);
}
