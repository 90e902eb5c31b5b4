//! Sessions that outlive their WebSocket connection: numbers, resends, takeovers, ends. The client is tungstenite's,
//! the envelopes are written by hand.

#![allow(clippy::unwrap_used, reason = "this is test code")]

mod support;

use std::io::Write;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use support::{Client, PATIENCE, TestServer, config, eventually, say, text_of};
use tungstenite::protocol::{CloseFrame, Message};
use ws_server::{CloseInfo, ResumeConfig, SUBPROTOCOL, SendOutcome, Session, WsServer};

struct Lab {
    server: TestServer,
    opens: Receiver<Session>,
    closes: Receiver<CloseInfo>,
}

fn lab(resume: ResumeConfig, describe: impl FnOnce(WsServer) -> WsServer) -> Lab {
    let (opened, opens) = channel();
    let (closed, closes) = channel();
    let server = WsServer::new(config())
        .resumable(resume)
        .on_open(move |session| {
            opened.send(session).unwrap();
            async {}
        })
        .on_close(move |_, info| {
            closed.send(info).unwrap();
            async {}
        });
    let server = TestServer::start(describe(server));
    Lab {
        server,
        opens,
        closes,
    }
}

fn echoing() -> Lab {
    lab(ResumeConfig::default(), |server| {
        server.on_message(|session, text| async move {
            session.send_text(format!("echo {text}"));
        })
    })
}

impl Lab {
    fn connect(&self) -> Client {
        support::try_connect(self.server.addr, "/", &[("sec-websocket-protocol", SUBPROTOCOL)]).unwrap()
    }

    fn open(&self) -> (Client, serde_json::Value) {
        let mut client = self.connect();
        control(&mut client, r#"{"open":{}}"#);
        let hello = envelope(&mut client, "hello");
        (client, hello)
    }

    fn resume(&self, hello: &serde_json::Value, cursor: u64) -> (Client, serde_json::Value) {
        let mut client = self.connect();
        ask_to_resume(&mut client, hello["session"].as_str().unwrap(), cursor);
        let hello = envelope(&mut client, "hello");
        (client, hello)
    }

    fn refused(&self, id: &str, cursor: u64) -> (u16, String) {
        let mut client = self.connect();
        ask_to_resume(&mut client, id, cursor);
        let error = envelope(&mut client, "error");
        let (code, reason) = support::close_of(&mut client);
        assert_eq!(error["status"], code - 4000);
        assert_eq!(error["error"], *reason);
        (code, reason)
    }
}

fn ask_to_resume(client: &mut Client, id: &str, cursor: u64) {
    control(
        client,
        &format!(r#"{{"resume":{{"session":"{id}","cursor":{cursor}}}}}"#),
    );
}

fn control(client: &mut Client, json: &str) {
    say(client, &format!("\u{1e}{json}"));
}

/// The next text, which is the server's envelope of this name.
fn envelope(client: &mut Client, name: &str) -> serde_json::Value {
    let text = text_of(client);
    let json = text
        .strip_prefix('\u{1e}')
        .unwrap_or_else(|| panic!("no envelope: {text}"));
    let value: serde_json::Value = serde_json::from_str(json).unwrap();
    assert!(value[name].is_object() || value[name].is_u64(), "{name}: {value}");
    value[name].clone()
}

/// The next message, with envelopes between left out.
fn message(client: &mut Client) -> String {
    loop {
        let text = text_of(client);
        match text.strip_prefix('\u{1e}') {
            None => return text,
            Some(rest) if rest.starts_with('\u{1e}') => return rest.to_owned(),
            Some(_) => {}
        }
    }
}

#[test]
fn a_session_goes_on_over_another_connection_with_one_open_and_one_close() {
    let lab = echoing();
    let (mut first, hello) = lab.open();
    assert_eq!((&hello["cursor"], &hello["received"]), (&0.into(), &0.into()));
    let session = lab.opens.recv_timeout(PATIENCE).unwrap();
    for text in ["a", "b", "c"] {
        say(&mut first, text);
        assert_eq!(message(&mut first), format!("echo {text}"));
    }
    drop(first);
    session.send_text("while nobody was there");
    let (mut second, hello) = lab.resume(&hello, 2);
    assert_eq!((&hello["cursor"], &hello["received"]), (&2.into(), &3.into()));
    assert_eq!(message(&mut second), "echo c", "it was not acknowledged");
    assert_eq!(message(&mut second), "while nobody was there");
    say(&mut second, "d");
    assert_eq!(message(&mut second), "echo d");
    assert_eq!(lab.server.hub.sessions(), 1);
    second
        .close(Some(CloseFrame {
            code: 1000.into(),
            reason: "done".into(),
        }))
        .unwrap();
    let info = lab.closes.recv_timeout(PATIENCE).unwrap();
    assert_eq!((info.code, &*info.reason), (1000, "done"));
    assert!(lab.opens.try_recv().is_err() && lab.closes.try_recv().is_err());
    eventually("it is gone", || lab.server.hub.sessions() == 0);
    assert_eq!(lab.refused(hello["session"].as_str().unwrap(), 0).0, 4410);
}

#[test]
fn what_the_client_sends_again_is_handled_once() {
    let lab = echoing();
    let (mut first, hello) = lab.open();
    say(&mut first, "1");
    say(&mut first, "2");
    assert_eq!(
        (message(&mut first), message(&mut first)),
        ("echo 1".into(), "echo 2".into())
    );
    // The former connection is still there: the server has to end it.
    let (mut second, hello) = lab.resume(&hello, 2);
    assert_eq!(hello["received"], 2);
    assert_eq!(support::close_of(&mut first).0, 4409);
    say(&mut second, "3");
    assert_eq!(message(&mut second), "echo 3");
}

#[test]
fn acknowledged_messages_are_let_go_and_a_sender_can_wait_for_it() {
    let lab = lab(ResumeConfig::default(), |server| server);
    let (mut client, hello) = lab.open();
    let session = lab.opens.recv_timeout(PATIENCE).unwrap();
    let waiting = session.clone();
    for number in 1..=100 {
        assert_eq!(session.send_text(number.to_string()), SendOutcome::Queued);
    }
    let drained = std::thread::spawn(move || support::block_on(async move { waiting.drained().await }));
    for number in 1..=100 {
        assert_eq!(message(&mut client), number.to_string());
    }
    assert!(!drained.is_finished());
    control(&mut client, r#"{"ack":99}"#);
    control(&mut client, r#"{"ping":7}"#);
    assert_eq!(envelope(&mut client, "pong"), 7);
    assert!(!drained.is_finished());
    control(&mut client, r#"{"ack":100}"#);
    assert!(drained.join().unwrap(), "the session lives");
    // Cursors from the past and from the future.
    let id = hello["session"].as_str().unwrap();
    assert_eq!(lab.refused(id, 99).0, 4409);
    assert_eq!(lab.refused(id, 101).0, 4400);
    session.send_text("101");
    assert_eq!(message(&mut client), "101", "nobody was disturbed");
}

#[test]
fn an_overflow_while_nobody_is_there_is_a_gap() {
    let resume = ResumeConfig {
        ring_messages: 10,
        ..ResumeConfig::default()
    };
    let lab = lab(resume, |server| server);
    let (client, hello) = lab.open();
    let session = lab.opens.recv_timeout(PATIENCE).unwrap();
    drop(client);
    for number in 1..=25 {
        assert_eq!(session.send_text(number.to_string()), SendOutcome::Queued);
    }
    let (mut client, _) = lab.resume(&hello, 0);
    let gap = envelope(&mut client, "gap");
    assert_eq!((&gap["lost"], &gap["cursor"]), (&15.into(), &15.into()));
    for number in 16..=25 {
        assert_eq!(message(&mut client), number.to_string());
    }
}

#[test]
fn texts_that_look_like_envelopes_are_messages_when_they_are_marked() {
    let lab = lab(ResumeConfig::default(), |server| {
        server
            .on_message(|session, text| async move {
                session.send_text(text);
            })
            .on_binary(|session, body| async move {
                session.send_binary(body);
            })
    });
    let (mut client, _) = lab.open();
    say(&mut client, "\u{1e}\u{1e}{\"ack\":1000}");
    assert_eq!(message(&mut client), "\u{1e}{\"ack\":1000}");
    client.send(Message::binary(vec![0x1e, b'{'])).unwrap();
    let answer = loop {
        match client.read().unwrap() {
            Message::Binary(body) => break body,
            _ => continue,
        }
    };
    assert_eq!(answer[..], [0x1e, b'{']);
}

#[test]
fn a_session_nobody_comes_back_to_ends_with_its_resume_time() {
    let resume = ResumeConfig {
        resume_time: Duration::from_millis(50),
        ..ResumeConfig::default()
    };
    let lab = lab(resume, |server| server);
    let (client, hello) = lab.open();
    lab.opens.recv_timeout(PATIENCE).unwrap();
    assert!(lab.closes.try_recv().is_err());
    drop(client);
    assert_eq!(lab.closes.recv_timeout(PATIENCE).unwrap().code, 1006);
    eventually("it is gone", || lab.server.hub.sessions() == 0);
    assert_eq!(lab.refused(hello["session"].as_str().unwrap(), 0).0, 4410);
}

#[test]
fn ids_that_were_not_given_and_clients_that_say_something_else() {
    let lab = echoing();
    assert_eq!(lab.refused("lps_0123456789abcdef0123456789abcdef", 0).0, 4404);
    assert_eq!(lab.refused("lps_x", 0).0, 4400);
    for first in [
        "hello",
        "\u{1e}{\"ack\":1}",
        "\u{1e}nonsense",
        "\u{1e}{\"open\":{},\"ack\":1}",
    ] {
        let mut client = lab.connect();
        say(&mut client, first);
        envelope(&mut client, "error");
        assert_eq!(support::close_of(&mut client).0, 4400, "{first}");
    }
    let (mut client, _) = lab.open();
    control(&mut client, r#"{"open":{}}"#);
    envelope(&mut client, "error");
    assert_eq!(support::close_of(&mut client).0, 4400);
    let (mut client, _) = lab.open();
    control(&mut client, r#"{"ack":1}"#);
    envelope(&mut client, "error");
    assert_eq!(support::close_of(&mut client).0, 4400);
}

#[test]
fn a_client_that_does_not_say_what_it_wants_is_let_go() {
    let resume = ResumeConfig {
        open_timeout: Duration::from_millis(50),
        ..ResumeConfig::default()
    };
    let lab = lab(resume, |server| server);
    let mut client = lab.connect();
    assert_eq!(envelope(&mut client, "error")["status"], 408);
    assert_eq!(support::close_of(&mut client).0, 4408);
    assert!(lab.opens.try_recv().is_err(), "no session was opened for it");
}

#[test]
fn an_id_is_bound_to_what_opened_it() {
    let lab = echoing();
    let with = |token: &'static str| {
        let headers = [("sec-websocket-protocol", SUBPROTOCOL), ("authorization", token)];
        support::try_connect(lab.server.addr, "/", &headers).unwrap()
    };
    let mut owner = with("Bearer 1");
    control(&mut owner, r#"{"open":{}}"#);
    let hello = envelope(&mut owner, "hello");
    let id = hello["session"].as_str().unwrap();
    for mut thief in [with("Bearer 2"), lab.connect()] {
        ask_to_resume(&mut thief, id, 0);
        assert_eq!(envelope(&mut thief, "error")["status"], 404);
    }
    say(&mut owner, "still mine");
    assert_eq!(message(&mut owner), "echo still mine");
    drop(owner);
    let mut owner = with("Bearer 1");
    ask_to_resume(&mut owner, id, 1);
    assert_eq!(envelope(&mut owner, "hello")["received"], 1);
}

#[test]
fn sessions_are_bounded_in_all_and_for_each_address() {
    for (max, per_address, code) in [(2, 0, 4503), (10, 2, 4429)] {
        let resume = ResumeConfig {
            max_sessions: max,
            max_sessions_per_address: per_address,
            ..ResumeConfig::default()
        };
        let lab = lab(resume, |server| server);
        let (first, _second) = (lab.open(), lab.open());
        let mut third = lab.connect();
        control(&mut third, r#"{"open":{}}"#);
        assert_eq!(envelope(&mut third, "error")["status"], code - 4000);
        assert_eq!(support::close_of(&mut third).0, code);
        let (mut client, _) = first;
        client
            .close(Some(CloseFrame {
                code: 1000.into(),
                reason: "".into(),
            }))
            .unwrap();
        eventually("a place is free", || lab.server.hub.sessions() == 1);
        let (_third, _) = lab.open();
    }
}

#[test]
fn a_stop_closes_connected_sessions_cleanly_and_forsaken_ones_at_once() {
    let lab = echoing();
    let (mut here, _) = lab.open();
    let (gone, _) = lab.open();
    lab.opens.recv_timeout(PATIENCE).unwrap();
    let session = lab.opens.recv_timeout(PATIENCE).unwrap();
    drop(gone);
    let resumption = lab.server.hub.resumption().unwrap();
    eventually("its end was noticed", || {
        resumption
            .all()
            .iter()
            .filter(|session| session.is_carried())
            .count()
            == 1
    });
    session.send_text("never read");
    let reader = std::thread::spawn(move || support::close_of(&mut here));
    let Lab { server, closes, .. } = lab;
    let report = server.stop_within(Duration::from_secs(5));
    assert_eq!(reader.join().unwrap().0, 1001);
    assert_eq!(
        (report.sessions, report.closed_cleanly, report.left),
        (2, 1, 1),
        "{report:?}"
    );
    assert_eq!(report.undelivered_messages, 1);
    assert_eq!(closes.try_iter().count(), 2);
}

#[test]
fn a_panic_in_a_handler_ends_the_session_with_1011() {
    let lab = lab(ResumeConfig::default(), |server| {
        server.on_message(|_, _| async { panic!("on purpose") })
    });
    let (mut client, hello) = lab.open();
    say(&mut client, "x");
    assert_eq!(support::close_of(&mut client).0, 1011);
    assert_eq!(lab.closes.recv_timeout(PATIENCE).unwrap().code, 1011);
    assert_eq!(lab.refused(hello["session"].as_str().unwrap(), 0).0, 4410);
}

#[test]
fn without_resumable_the_subprotocol_is_not_spoken() {
    let server = TestServer::start(WsServer::new(config()).on_message(|session, text| async move {
        session.send_text(text);
    }));
    let mut stream = support::tcp(server.addr);
    let asked = format!("Sec-WebSocket-Protocol: {SUBPROTOCOL}");
    stream.write_all(&support::handshake("/", &[&asked])).unwrap();
    let head = support::read_head(&mut stream);
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    assert!(
        !head.to_ascii_lowercase().contains("sec-websocket-protocol"),
        "{head}"
    );
}
