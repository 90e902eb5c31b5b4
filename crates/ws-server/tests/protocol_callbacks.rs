//! A panic in each callback: the session or the handshake of its own gets 1011 or 500, it is counted once, and
//! nobody else notices.
#![allow(clippy::unwrap_used, reason = "this is test code")]

mod support;

use std::io::Write;
use std::sync::Arc;

use support::{
    Record, TestServer, close_of, config, eventually, frame, metric, read_close, say, text_of, try_connect,
};
use ws_server::{CloseInfo, Encoded, JsonMessage, Relay, Session, SessionError, Target, WsServer};

/// What makes each callback panic.
const TRAP: &str = "/trap";

struct Trapped;

impl Relay for Trapped {
    fn session_message(&self, _: &Session, message: &JsonMessage) {
        assert!(message.type_ != "relay", "asked to");
    }

    fn broadcast(&self, _: Target<'_>, _: &Encoded) {}
}

/// A server whose callback of this name panics at [`TRAP`], before its first wait or behind it.
fn trapped(place: &'static str, late: bool) -> WsServer {
    let springs = move |here: &str, path: &str| here == place && path == TRAP;
    let trap = move |here: &'static str, path: String| {
        assert!(late || !springs(here, &path), "asked to");
        async move {
            tokio::task::yield_now().await;
            assert!(!springs(here, &path), "asked to");
        }
    };
    WsServer::new(config())
        .relay(Arc::new(Trapped))
        .authorize(move |request| {
            let trap = trap("authorize", request.path().to_owned());
            async move {
                trap.await;
                Ok(())
            }
        })
        .on_open(move |session: Session| trap("open", session.path().to_owned()))
        .on_message(move |session: Session, text| {
            let trap = trap("message", session.path().to_owned());
            async move {
                trap.await;
                session.send_text(text);
            }
        })
        .on_binary(move |session: Session, _| trap("binary", session.path().to_owned()))
        .on_typed_message(move |session: Session, _| trap("typed", session.path().to_owned()))
        .on_error(move |session: Session, _: SessionError| trap("error", session.path().to_owned()))
        .on_close(move |session: Session, _: CloseInfo| trap("close", session.path().to_owned()))
}

#[test]
fn a_panic_in_each_callback_is_one_session_and_one_count() {
    for late in [false, true] {
        for (place, status, code) in [
            ("authorize", Some(500), None),
            ("open", Some(500), None),
            ("message", None, Some(1011)),
            ("binary", None, Some(1011)),
            ("typed", None, Some(1011)),
            ("error", None, Some(1002)),
            ("close", None, Some(1000)),
        ] {
            let server = TestServer::start(trapped(place, late));
            let mut neighbour = server.connect("/");
            let refused = try_connect(server.addr, TRAP, &[]);
            assert_eq!(refused.as_ref().err().copied(), status, "{place}");
            if let Ok(mut client) = refused {
                match place {
                    "binary" => client.send(tungstenite::Message::binary(vec![1])).unwrap(),
                    "error" => client.get_mut().write_all(&frame(0x83, b"")).unwrap(),
                    "close" => client.close(None).unwrap(),
                    _ => say(&mut client, r#"{"type":"x"}"#),
                }
                match (place, code) {
                    ("close", _) => while client.read().is_ok() {},
                    (_, Some(code)) => assert_eq!(close_of(&mut client).0, code, "{place}"),
                    (_, None) => {}
                }
            }
            eventually("counted", || metric(&server.hub, "ws_panics_total") == 1.0);
            eventually("gone", || server.hub.sessions() == 1);
            say(&mut neighbour, "still here");
            assert_eq!(text_of(&mut neighbour), "still here", "{place}");
            assert_eq!(metric(&server.hub, "ws_panics_total"), 1.0, "{place}: once");
        }
    }
}

#[test]
fn a_panic_in_a_relay_costs_nobody_anything() {
    let (server, record) = Record::watch(support::echo(config()).relay(Arc::new(Trapped)));
    let server = TestServer::start(server);
    let mut client = server.connect("/");
    say(&mut client, r#"{"type":"relay"}"#);
    assert_eq!(text_of(&mut client), r#"{"type":"relay"}"#);
    eventually("counted", || metric(&server.hub, "ws_panics_total") == 1.0);
    say(&mut client, "on");
    assert_eq!(text_of(&mut client), "on");
    let mut raw = server.raw();
    raw.write_all(&frame(0x88, b"\x03\xe8")).unwrap();
    assert_eq!(read_close(&mut raw).0, 1000);
    assert_eq!(record.close().0, 1000);
}
