//! One suite for every transport: open, echo, rooms, typed messages, order, backpressure, close, shutdown.

use crate::support::{Body, Client, Http, Kind, Lab, PATIENCE, block_on, config, until};
use std::time::{Duration, Instant};
use ws_server::{JsonMessage, SendOutcome, TransportKind, close_code};

/// Runs the same test over each transport.
fn over_each(test: impl Fn(Kind)) {
    Kind::ALL.into_iter().for_each(test);
}

fn kind_of(kind: Kind) -> TransportKind {
    match kind {
        Kind::WebSocket => TransportKind::WebSocket,
        Kind::Sse => TransportKind::Sse,
        Kind::Poll => TransportKind::LongPoll,
    }
}

#[test]
fn open() {
    over_each(|kind| {
        let lab = Lab::start(config(), |server| server.on_typed_message(|_, _| async {}));
        let mut client = lab.client(kind);
        let session = lab.session();
        session.send_text("welcome");
        client.expect("welcome");
        assert_eq!(session.transport(), kind_of(kind));
        assert_eq!((lab.hub.sessions(), lab.bridge.sessions()), (1, 1));
        assert_eq!(lab.metric("ws_connections_active"), 1.0);
    });
}

#[test]
fn echo() {
    over_each(|kind| {
        let lab = Lab::echo(config());
        let mut client = lab.client(kind);
        for body in [
            Body::from("hello"),
            Body::from(""),
            Body::from("grüß\r\n\n\u{2028}\u{1e}\"\\"),
            Body::from("\u{1e}{\"ack\":99}"),
            Body::Binary(vec![]),
            Body::Binary((0..=255).collect()),
            Body::from(&*"x".repeat(60_000)),
        ] {
            client.say(body.clone()).unwrap();
            assert_eq!(client.hear().unwrap(), Some(body), "{kind:?}");
        }
        assert_eq!((client.cursor, client.sent, client.lost), (7, 7, 0));
    });
}

#[test]
fn rooms() {
    let lab = Lab::start(config(), |server| {
        server.on_message(|session, room| async move {
            session.join(&room).unwrap();
            session.send_text(format!("in {room}"));
        })
    });
    // Three transports in one room: what the server says there reaches all.
    let mut clients: Vec<Client> = Kind::ALL.map(|kind| lab.client(kind)).into();
    for client in &mut clients {
        client.say("r").unwrap();
        client.expect("in r");
    }
    let published = block_on(lab.hub.broadcast_text_to_room("r", "to the room")).unwrap();
    assert_eq!(published.delivered, 3);
    block_on(lab.hub.broadcast_binary_to_room("r", [7])).unwrap();
    block_on(lab.hub.broadcast_text("to all")).unwrap();
    for client in &mut clients {
        client.expect("to the room");
        assert_eq!(client.hear().unwrap(), Some(Body::Binary(vec![7])));
        client.expect("to all");
    }
    // A session stays in its rooms whatever carries it.
    for (client, kind) in clients.iter_mut().zip([Kind::Poll, Kind::WebSocket, Kind::Sse]) {
        client.switch(kind).unwrap();
    }
    block_on(lab.hub.broadcast_text_to_room("r", "again")).unwrap();
    clients.iter_mut().for_each(|client| client.expect("again"));
}

#[test]
fn typed() {
    over_each(|kind| {
        let lab = Lab::start(config(), |server| {
            server
                .on_message(|session, _| async move {
                    session.send_text("raw");
                })
                .on_typed_message(|session, message| async move {
                    let reply = JsonMessage::new(
                        "reply",
                        &[("n", 1)]
                            .into_iter()
                            .collect::<std::collections::BTreeMap<_, _>>(),
                    );
                    session.send_json(&reply.unwrap().with_room(message.type_.clone()));
                })
        });
        let mut client = lab.client(kind);
        client
            .say(r#"{"type":"x","payload":{"n":18446744073709551616}}"#)
            .unwrap();
        client.expect("raw");
        client.expect(r#"{"payload":{"n":1},"room":"x","type":"reply"}"#);
    });
}

#[test]
fn order() {
    over_each(|kind| {
        let lab = Lab::start(config(), |server| {
            server.on_message(|session, text| async move {
                // Odd ones take longer: the even ones behind them must not overtake.
                if text.len() % 2 == 1 {
                    tokio::task::yield_now().await;
                }
                session.send_text(text);
            })
        });
        let mut client = lab.client(kind);
        let texts: Vec<String> = (0..200)
            .map(|number| "x".repeat(number % 17) + &number.to_string())
            .collect();
        for batch in texts.chunks(20) {
            client
                .say_all(batch.iter().map(|text| text.as_str().into()))
                .unwrap();
            batch.iter().for_each(|text| client.expect(text));
        }
        assert_eq!(client.cursor, 200);
    });
}

#[test]
fn backpressure() {
    const MESSAGES: u64 = 2_000;
    over_each(|kind| {
        let mut config = config();
        config.ring_messages = 64;
        let lab = Lab::start(config, |server| server);
        let mut client = lab.client(kind);
        let session = lab.session();
        // A producer that waits loses nothing, however small the ring is.
        let producer = std::thread::spawn(move || {
            block_on(async {
                for number in 1..=MESSAGES {
                    if number % 50 == 0 {
                        assert!(session.drained().await);
                    }
                    assert_eq!(session.send_text(number.to_string()), SendOutcome::Queued);
                }
            });
        });
        for number in 1..=MESSAGES {
            client.expect(&number.to_string());
            // Now and then, and when the producer waits.
            if number % 7 == 0 || number % 50 == 49 {
                client.acknowledge().unwrap();
            }
        }
        producer.join().unwrap();
        assert_eq!(client.lost, 0);
    });
}

#[test]
fn a_client_that_never_reads_costs_a_ring_and_is_told_what_it_lost() {
    over_each(|kind| {
        let lab = Lab::start(config(), |server| server);
        let mut client = lab.client(kind);
        let session = lab.session();
        session.send_text("first");
        client.expect("first");
        client.acknowledge().unwrap();
        // Nobody reads what is said now: far more than a socket takes.
        let text = "y".repeat(50_000);
        for _ in 0..1000 {
            session.send_text(&text);
        }
        until("the ring is full", || {
            lab.metric("ws_messages_unacknowledged") <= 256.0
        });
        assert!(lab.metric("ws_messages_unacknowledged") * 50_000.0 <= 1.1 * f64::from(1 << 20));
        assert!(lab.closes.try_recv().is_err(), "it is not closed for it");
        client.switch(kind).unwrap();
        session.send_text("last");
        let mut heard = 1;
        while client.hear().unwrap() != Some("last".into()) {
            heard += 1;
        }
        assert_eq!((heard + client.lost + 1, client.cursor), (1002, 1002));
        assert!(client.lost > 900);
    });
}

#[test]
fn close_by_the_server() {
    over_each(|kind| {
        let lab = Lab::start(config(), |server| {
            server.on_message(|session, _| async move {
                session.send_text("goodbye");
                session.close(4003, "enough");
            })
        });
        let mut client = lab.client(kind);
        client.say("x").unwrap();
        client.expect("goodbye");
        assert_eq!(client.expect_close(), (4003, "enough".to_owned()));
        let info = lab.close_info();
        assert_eq!((info.code, &*info.reason), (4003, "enough"));
        until("it is gone", || {
            lab.hub.sessions() == 0 && lab.bridge.sessions() == 0
        });
        assert!(lab.closes.try_recv().is_err());
    });
}

#[test]
fn close_by_the_client() {
    over_each(|kind| {
        let lab = Lab::echo(config());
        let mut client = lab.client(kind);
        client.say("x").unwrap();
        client.expect("x");
        client.close(3001, "bye").unwrap();
        let info = lab.close_info();
        assert_eq!((info.code, &*info.reason), (3001, "bye"));
        until("it is gone", || {
            lab.hub.sessions() == 0 && lab.bridge.sessions() == 0
        });
        assert!(client.switch(kind).is_err() || kind == Kind::Poll);
    });
}

#[test]
fn a_panic_of_a_handler() {
    over_each(|kind| {
        let lab = Lab::start(config(), |server| {
            server.on_message(|_, _| async { panic!("on purpose") })
        });
        let mut client = lab.client(kind);
        client.say("x").unwrap();
        assert_eq!(client.expect_close().0, close_code::INTERNAL);
        assert_eq!(lab.close_info().code, close_code::INTERNAL);
    });
}

#[test]
fn shutdown() {
    over_each(|kind| {
        let mut lab = Lab::echo(config());
        let readers: Vec<_> = (0..20)
            .map(|_| {
                let mut client = lab.client(kind);
                lab.session();
                std::thread::spawn(move || client.expect_close())
            })
            .collect();
        let waits = |lab: &Lab| match kind {
            Kind::WebSocket => 20,
            Kind::Sse => lab.bridge.streams(),
            Kind::Poll => lab.bridge.waiting(),
        };
        until("all wait", || waits(&lab) == 20);
        let began = Instant::now();
        let report = lab.stop();
        assert!(began.elapsed() < PATIENCE / 4, "{kind:?}: {:?}", began.elapsed());
        assert_eq!(
            (report.sessions, report.closed_cleanly, report.cut_off),
            (20, 20, 0),
            "{kind:?} {report:?}"
        );
        let mut retries = Vec::new();
        for reader in readers {
            let (code, reason) = reader.join().unwrap();
            assert_eq!(code, close_code::GOING_AWAY);
            let retry: u64 = reason.strip_prefix("retry=").unwrap().parse().unwrap();
            retries.push(retry);
        }
        retries.sort_unstable();
        let spread: Vec<u64> = (0..20).map(|number| number * 250).collect();
        assert_eq!(retries, spread, "{kind:?}: each has its share of 5 s");
        assert_eq!(lab.closes.iter().take(20).count(), 20);
    });
}

#[test]
fn a_message_under_way_at_the_shutdown_is_answered_first() {
    over_each(|kind| {
        let mut lab = Lab::start(config(), |server| {
            server.on_message(|session, text| async move {
                tokio::time::sleep(Duration::from_millis(100)).await;
                session.send_text(text);
            })
        });
        let mut client = lab.client(kind);
        lab.session();
        let mut sends = Http::new(lab.http_addr()).header("Longpoll-Session", &*client.id);
        let reader = std::thread::spawn(move || {
            match kind {
                Kind::WebSocket => client.say("slow").unwrap(),
                // Somebody else says it, so that this one can wait for the answer.
                _ => client.sent = 1,
            }
            let mut heard = Vec::new();
            while let Some(body) = client.hear().unwrap() {
                heard.push(body);
            }
            (heard, client.closed)
        });
        if kind != Kind::WebSocket {
            until("it listens", || lab.bridge.waiting() + lab.bridge.streams() == 1);
            let body = r#"{"messages":[{"seq":1,"text":"slow"}]}"#;
            std::thread::spawn(move || sends.post("/ws/session/send", body));
        }
        until("it is at work", || lab.hub.metrics().messages_received() == 1);
        let report = lab.stop();
        let (heard, closed) = reader.join().unwrap();
        assert_eq!(
            (report.cut_off, report.cut_handlers),
            (0, 0),
            "{kind:?} {report:?}"
        );
        assert_eq!(heard, [Body::from("slow")], "{kind:?}");
        assert_eq!(closed.unwrap().0, close_code::GOING_AWAY);
    });
}
