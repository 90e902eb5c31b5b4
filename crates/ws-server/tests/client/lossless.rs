//! Conversations over connections that break, with the real server: each message once, in order, in one session.

use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ws_server::client::{
    ClientError, Incoming, LosslessClient, LosslessConfig, Message, ReconnectConfig, Typed,
};
use ws_server::{ClosedBy, JsonMessage, ResumeConfig, WsServer};

use crate::hand_made::{client_config, executor, patiently};
use crate::support::{PATIENCE, Record, TestServer, config, eventually};

/// Comes back soon.
pub(crate) fn lossless_config() -> LosslessConfig {
    LosslessConfig {
        connection: client_config(),
        reconnect: ReconnectConfig {
            first: Duration::from_millis(10),
            highest: Duration::from_millis(50),
            ..ReconnectConfig::default()
        },
        ..LosslessConfig::default()
    }
}

/// A server that notes every text and sends it back.
fn noting() -> (WsServer, Arc<Mutex<Vec<String>>>) {
    let noted = Arc::new(Mutex::new(Vec::new()));
    let notes = noted.clone();
    let server = WsServer::new(config())
        .resumable(ResumeConfig {
            // Room for all that a test sends: a client that is late for want of a processor is told of a gap otherwise.
            ring_messages: 4096,
            ..ResumeConfig::default()
        })
        .on_message(move |session, text| {
            notes.lock().unwrap().push(text.to_string());
            async move {
                session.send_text(text);
            }
        })
        .on_binary(|session, body| async move {
            session.send_binary(body);
        });
    (server, noted)
}

/// A way to the server that breaks after so many bytes in either direction, again and again.
struct Breaking {
    addr: SocketAddr,
    breaks: Arc<AtomicUsize>,
}

impl Breaking {
    fn before(server: SocketAddr, bytes: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let breaks = Arc::new(AtomicUsize::new(0));
        let broken = breaks.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(server) else {
                    return;
                };
                let streams = [client.try_clone().unwrap(), server.try_clone().unwrap()];
                let up = std::thread::spawn(move || copy(&streams[0], &streams[1], bytes));
                copy(&server, &client, bytes);
                up.join().unwrap();
                broken.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { addr, breaks }
    }

    fn url(&self) -> String {
        format!("ws://{}/", self.addr)
    }
}

fn copy(mut from: &TcpStream, mut to: &TcpStream, most: usize) {
    let _ = std::io::copy(&mut std::io::Read::take(&mut from, most as u64), &mut to);
    for stream in [from, to] {
        let _ = stream.shutdown(Shutdown::Both);
    }
}

#[test]
fn nothing_is_lost_or_doubled_over_connections_that_break() {
    const COUNT: usize = 2000;
    let (server, noted) = noting();
    let (server, record) = Record::watch(server);
    let server = TestServer::start(server);
    let way = Breaking::before(server.addr, 6000);
    let executor = executor();
    patiently(async {
        let client = LosslessClient::open(&way.url(), &lossless_config(), &executor.spawner()).unwrap();
        let (sender, mut receiver) = client.split();
        let say = async {
            for number in 1..=COUNT {
                sender.send(number.to_string()).await.unwrap();
            }
        };
        let hear = async {
            for number in 1..=COUNT {
                let incoming = receiver.receive().await.unwrap();
                assert_eq!(
                    incoming,
                    Some(Incoming::Message(Message::text(number.to_string())))
                );
            }
        };
        tokio::join!(say, hear);
        // The last connection may break once more.
        let closed = sender.close(4000, "done").await.unwrap();
        assert_eq!(closed.code, 4000);
    });
    let breaks = way.breaks.load(Ordering::SeqCst);
    assert!(breaks >= 3, "it broke {breaks} times only");
    let expected: Vec<_> = (1..=COUNT).map(|number| number.to_string()).collect();
    assert!(*noted.lock().unwrap() == expected);
    assert_eq!(record.opens.load(Ordering::SeqCst), 1, "one session");
    server.stop_within(PATIENCE);
}

#[test]
fn what_is_queued_goes_out_before_the_close_and_looks_like_nothing_else() {
    let (server, noted) = noting();
    let (server, record) = Record::watch(server);
    let server = TestServer::start(server);
    let url = format!("ws://{}/", server.addr);
    patiently(async {
        let spawner = server.executor.spawner();
        let client = LosslessClient::open(&url, &lossless_config(), &spawner).unwrap();
        for text in ["plain", "\u{1e}{\"ack\":9}", "\u{1e}", ""] {
            client.send(text).await.unwrap();
        }
        client.send(vec![0x1e, 0]).await.unwrap();
        let (sender, mut receiver) = client.split();
        // Before there is a connection.
        let closed = sender.close(4321, "bye").await.unwrap();
        assert_eq!((closed.code, closed.is_clean, closed.unsent), (4321, true, 0));
        let mut back = Vec::new();
        while let Some(incoming) = receiver.receive().await.unwrap() {
            back.extend(incoming.into_message());
        }
        let unread = usize::try_from(closed.unread).unwrap();
        assert!(back.len() + unread <= 5, "{back:?}");
    });
    assert_eq!(
        *noted.lock().unwrap(),
        ["plain", "\u{1e}{\"ack\":9}", "\u{1e}", ""]
    );
    assert_eq!(record.close(), (4321, ClosedBy::Peer));
    server.stop_within(PATIENCE);
}

#[test]
fn a_session_that_the_server_ends_is_followed_by_another_when_it_says_so() {
    let (server, _) = noting();
    let (server, record) = Record::watch(server.on_typed_message(|session, _| async move {
        session.close(1001, "retry=1");
    }));
    let server = TestServer::start(server);
    let url = format!("ws://{}/", server.addr);
    patiently(async {
        let spawner = server.executor.spawner();
        let mut client = LosslessClient::open(&url, &lossless_config(), &spawner).unwrap();
        client.send("one").await.unwrap();
        let message = |text| Some(Incoming::Message(Message::text(text)));
        assert_eq!(client.receive().await.unwrap(), message("one"));
        client.send(r#"{"type":"end"}"#).await.unwrap();
        assert_eq!(client.receive().await.unwrap(), message(r#"{"type":"end"}"#));
        let Some(Incoming::Reopened { unsure }) = client.receive().await.unwrap() else {
            panic!("a new session");
        };
        assert!(unsure.len() <= 1, "{unsure:?}");
        client.send("two").await.unwrap();
        assert_eq!(client.receive().await.unwrap(), message("two"));
        drop(client);
    });
    eventually("the second session ends", || record.counts() == (2, 2));
    server.stop_within(PATIENCE);
}

#[test]
fn a_server_that_does_not_speak_it_is_told_apart() {
    let server = TestServer::start(WsServer::new(config()));
    let url = format!("ws://{}/", server.addr);
    patiently(async {
        let spawner = server.executor.spawner();
        let mut client = LosslessClient::open(&url, &lossless_config(), &spawner).unwrap();
        let error = client.receive().await.unwrap_err();
        assert!(matches!(error, ClientError::BadAnswer { .. }), "{error}");
        assert_eq!(client.receive().await.unwrap(), None, "an error comes once");
        assert!(matches!(client.send("late").await, Err(ClientError::Closed)));
    });
    server.stop_within(PATIENCE);
}

#[test]
fn attempts_are_bounded_and_an_address_that_cannot_be_used_is_an_end() {
    let executor = executor();
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("ws://{}/", listener.local_addr().unwrap())
    };
    let mut config = lossless_config();
    config.reconnect.attempts = 3;
    patiently(async {
        let spawner = executor.spawner();
        let mut client = LosslessClient::open(&nobody, &config, &spawner).unwrap();
        client.send("kept").await.unwrap();
        let error = client.receive().await.unwrap_err();
        assert!(matches!(error, ClientError::Connect { .. }), "{error}");
        assert_eq!(client.closed().unwrap().unsent, 1);
        let mut client = LosslessClient::open("http://x/", &config, &spawner).unwrap();
        let error = client.receive().await.unwrap_err();
        assert!(matches!(error, ClientError::BadUrl { .. }), "{error}");
        // Closing does not wait for a server that is not there.
        config.reconnect = ReconnectConfig {
            first: PATIENCE * 10,
            highest: PATIENCE * 10,
            ..ReconnectConfig::default()
        };
        let client = LosslessClient::open(&nobody, &config, &spawner).unwrap();
        let closed = client.close(1000, "").await.unwrap();
        assert_eq!((closed.code, closed.is_clean), (1000, false));
    });
}

#[test]
fn values_of_a_type_are_sent_and_received_over_connections_that_break() {
    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    #[serde(tag = "type", content = "payload")]
    enum Said {
        #[serde(rename = "count")]
        Count { n: u64 },
    }
    const COUNT: u64 = 100;
    let (server, _) = noting();
    let server = TestServer::start(server);
    let way = Breaking::before(server.addr, 4 * 1024);
    let url = format!("ws://{}/", way.addr);
    patiently(async {
        let spawner = server.executor.spawner();
        let mut client = LosslessClient::open(&url, &lossless_config(), &spawner).unwrap();
        for n in 1..=COUNT {
            let message = JsonMessage::new("count", &serde_json::json!({ "n": n })).unwrap();
            client.send_json(&message).await.unwrap();
        }
        client.send("no envelope").await.unwrap();
        for n in 1..=COUNT {
            let received = client.receive_typed().await.unwrap();
            assert_eq!(received, Some(Typed::Message(Said::Count { n })));
        }
        let other = client.receive_typed::<Said>().await.unwrap();
        assert_eq!(
            other,
            Some(Typed::Other(Incoming::Message(Message::text("no envelope"))))
        );
        client.close(1000, "").await.unwrap();
    });
    assert!(way.breaks.load(Ordering::SeqCst) >= 1);
    server.stop_within(PATIENCE);
}
