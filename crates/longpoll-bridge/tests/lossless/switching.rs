//! A session whose transport changes again and again while messages flow both ways.

use crate::support::{Body, Client, Kind, Lab, block_on, config, until};
use std::sync::{Arc, Mutex};

/// What the server got, in order.
type Got = Arc<Mutex<Vec<String>>>;

fn recording() -> (Lab, Got) {
    let got: Got = Arc::default();
    let record = Arc::clone(&got);
    let lab = Lab::start(config(), |server| {
        server.on_message(move |session, text| {
            record.lock().unwrap().push(text.to_string());
            async move {
                session.send_text(text);
            }
        })
    });
    (lab, got)
}

#[test]
fn twenty_switches_while_ten_thousand_messages_flow_both_ways() {
    const MESSAGES: u64 = 10_000;
    const BATCH: u64 = 50;
    let (lab, got) = recording();
    let mut client = lab.client(Kind::WebSocket);
    let kinds = [
        Kind::Sse,
        Kind::Poll,
        Kind::WebSocket,
        Kind::WebSocket,
        Kind::Poll,
        Kind::Sse,
        Kind::Sse,
        Kind::WebSocket,
    ];
    let (mut heard, mut switches) = (0, 0);
    for batch in 0..MESSAGES / BATCH {
        let numbers = batch * BATCH + 1..=(batch + 1) * BATCH;
        client
            .say_all(numbers.map(|number| Body::Text(number.to_string())))
            .unwrap();
        // In the middle of what comes back, with the rest on its way.
        if batch % 10 == 5 {
            for _ in 0..batch % 40 {
                heard += 1;
                client.expect(&heard.to_string());
            }
            client.switch(kinds[switches % kinds.len()]).unwrap();
            switches += 1;
        }
        while heard < (batch + 1) * BATCH {
            heard += 1;
            client.expect(&heard.to_string());
        }
    }
    assert_eq!((switches, heard, client.lost), (20, MESSAGES, 0));
    let expected: Vec<String> = (1..=MESSAGES).map(|number| number.to_string()).collect();
    assert_eq!(*got.lock().unwrap(), expected);
    assert_eq!(lab.opens.try_iter().count(), 1);
    assert!(lab.closes.try_recv().is_err());
    assert_eq!(lab.hub.sessions(), 1);
    client.acknowledge().unwrap();
    until("all is acknowledged", || {
        lab.metric("ws_messages_unacknowledged") == 0.0
    });
}

#[test]
fn the_newest_transport_wins_whatever_the_two_are() {
    for former in Kind::ALL {
        for latter in Kind::ALL {
            let (lab, _) = recording();
            let mut client = lab.client(former);
            let session = lab.session();
            session.send_text("a");
            client.expect("a");
            let (id, cursor) = (client.id.clone(), client.cursor);
            let waiting = std::thread::spawn(move || {
                let heard = client.hear().unwrap();
                (heard, client.replaced)
            });
            let is_there = || match former {
                Kind::WebSocket => true,
                Kind::Sse => lab.bridge.streams() == 1,
                Kind::Poll => lab.bridge.waiting() == 1,
            };
            until("the former waits", is_there);
            let mut newer = Client::adopt(lab.places(), latter, id, cursor);
            if latter == Kind::Poll {
                // A poll is there when it asks.
                session.send_text("b");
            }
            let (heard, replaced) = waiting.join().unwrap();
            if latter == Kind::Poll {
                // The former was there until the poll came, so it may have had the message: then both have it.
                assert!(replaced || heard == Some("b".into()), "{former:?} {latter:?}");
            } else {
                assert_eq!((heard, replaced), (None, true), "{former:?} {latter:?}");
                session.send_text("b");
            }
            newer.expect("b");
            assert_eq!(lab.hub.sessions(), 1);
        }
    }
}

#[test]
fn a_second_poll_ends_the_first_with_409() {
    let (lab, _) = recording();
    let mut client = lab.client(Kind::Poll);
    let session = lab.session();
    let id = client.id.clone();
    let first = std::thread::spawn(move || {
        assert_eq!(client.hear().unwrap(), None);
        client.replaced
    });
    until("the first waits", || lab.bridge.waiting() == 1);
    let mut second = Client::adopt(lab.places(), Kind::Poll, id, 0);
    let second = std::thread::spawn(move || second.expect("for the second"));
    assert!(first.join().unwrap(), "409");
    session.send_text("for the second");
    second.join().unwrap();
}

#[test]
fn two_pollers_of_one_room_both_get_every_message() {
    let lab = Lab::start(config(), |server| {
        server.on_open(|session| async move {
            session.join("r").unwrap();
        })
    });
    let clients = [lab.client(Kind::Poll), lab.client(Kind::Poll)];
    let threads: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            std::thread::spawn(move || {
                for number in 1..=100 {
                    client.expect(&number.to_string());
                }
            })
        })
        .collect();
    for number in 1..=100_u64 {
        block_on(lab.hub.broadcast_text_to_room("r", number.to_string())).unwrap();
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}
