//! Behind a proxy that loses, repeats, delays and cuts: nothing is lost, nothing comes twice, everything is in order.

use crate::support::{Body, Client, Kind, Lab, Patience, Places, Proxy, config};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const MESSAGES: u64 = 1000;

/// Goes on with the client until it works, as a client does whose transport broke.
fn insist<T>(client: &mut Client, mut attempt: impl FnMut(&mut Client) -> io::Result<T>) -> T {
    let patience = Patience::new(Duration::from_secs(60));
    let mut outcome = attempt(client);
    loop {
        match outcome {
            Ok(done) => return done,
            Err(error) => patience.spend(&error),
        }
        let kind = client.kind;
        outcome = match client.switch(kind) {
            Ok(()) => attempt(client),
            Err(error) => Err(error),
        };
    }
}

/// The next message. A stream that the proxy has asked for twice is two transports to the server, of which the newer wins,
/// and this client knows that it has no other: it opens again. Polls have numbers, so one that comes twice is one.
fn hear(client: &mut Client) -> io::Result<Option<Body>> {
    let heard = client.hear()?;
    match std::mem::take(&mut client.replaced) {
        true if client.kind == Kind::Poll => panic!("a poll was taken for another transport"),
        true => Err(io::ErrorKind::ConnectionAborted.into()),
        false => Ok(heard),
    }
}

/// 1000 messages each way over one kind of transport: the client says numbers, the server says each back.
fn both_ways(kind: Kind, seed: u64) {
    let got: Arc<Mutex<Vec<String>>> = Arc::default();
    let record = Arc::clone(&got);
    let lab = Lab::start(config(), |server| {
        server.on_message(move |session, text| {
            record.lock().unwrap().push(text.to_string());
            async move {
                session.send_text(text);
            }
        })
    });
    let id = lab.client(kind).id;
    let (http, ws) = (
        Proxy::start(lab.http_addr(), seed),
        Proxy::start(lab.ws_addr(), !seed),
    );
    let places = Places {
        http: http.addr,
        ws: ws.addr,
    };
    let mut client = Client::absent(places, kind, id);
    let mut heard = 0;
    while heard < MESSAGES {
        let numbers = client.sent + 1..=(client.sent + 20).min(MESSAGES);
        let batch: Vec<Body> = numbers.map(|number| Body::Text(number.to_string())).collect();
        let mut batch = Some(batch);
        insist(&mut client, |client| match batch.take() {
            // What has a number is sent again by the client itself.
            Some(batch) => client.say_all(batch),
            None => Ok(()),
        });
        while heard < client.sent {
            let body = insist(&mut client, hear);
            heard += 1;
            assert_eq!(body, Some(Body::Text(heard.to_string())), "{kind:?}, seed {seed}");
        }
    }
    let expected: Vec<String> = (1..=MESSAGES).map(|number| number.to_string()).collect();
    assert_eq!(*got.lock().unwrap(), expected, "{kind:?}, seed {seed}");
    assert_eq!((client.lost, lab.opens.try_iter().count()), (0, 1));
    assert!(lab.closes.try_recv().is_err());
    assert!(lab.metric("ws_messages_unacknowledged") <= 256.0);
    let spoiled = http.spoiled() + ws.spoiled();
    assert!(spoiled >= 5, "{kind:?}, seed {seed}: the proxy spoiled {spoiled}");
}

#[test]
fn polls_over_a_lossy_proxy() {
    [1, 2, 3].into_iter().for_each(|seed| both_ways(Kind::Poll, seed));
}

#[test]
fn streams_over_a_lossy_proxy() {
    [1, 2, 3].into_iter().for_each(|seed| both_ways(Kind::Sse, seed));
}

#[test]
fn websocket_over_a_proxy_that_cuts() {
    [1, 2, 3]
        .into_iter()
        .for_each(|seed| both_ways(Kind::WebSocket, seed));
}
