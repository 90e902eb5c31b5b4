//! Conversations with a peer that is played by hand: what it hears on each connection, and what it does wrong.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use ws_server::client::{ClientError, Incoming, LosslessClient, LosslessConfig, Message, QueueConfig};

use crate::hand_made::{
    client_close, client_frame, close_payload, executor, lawful_answer, patiently, request, server_frame,
    with_line,
};
use crate::lossless::lossless_config;
use crate::support::PATIENCE;

/// One connection of a server played by hand, after its handshake.
struct Peer(TcpStream);

impl Peer {
    fn accept(listener: &TcpListener) -> Self {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let answer = lawful_answer(&request(&mut stream));
        let answer = with_line(&answer, "Sec-WebSocket-Protocol: lossless.v1");
        stream.write_all(answer.as_bytes()).unwrap();
        Self(stream)
    }

    fn say(&mut self, text: &str) {
        self.0.write_all(&server_frame(0x81, text.as_bytes())).unwrap();
    }

    fn control(&mut self, envelope: &Value) {
        self.say(&format!("\u{1e}{envelope}"));
    }

    fn hello(&mut self, session: &str, cursor: u64, received: u64) {
        self.control(&json!({ "hello": { "session": session, "cursor": cursor, "received": received } }));
    }

    fn close(&mut self, code: u16, reason: &str) {
        self.0
            .write_all(&server_frame(0x88, &close_payload(code, reason)))
            .unwrap();
    }

    /// The next text.
    fn hear(&mut self) -> String {
        let (first, payload) = client_frame(&mut self.0).expect("a frame before the end");
        assert_eq!(first, 0x81, "a text");
        String::from_utf8(payload).unwrap()
    }

    /// The next text, which is a control envelope.
    fn hear_control(&mut self) -> Value {
        let text = self.hear();
        serde_json::from_str(text.strip_prefix('\u{1e}').expect("an envelope")).unwrap()
    }
}

/// A server that plays a scene of several connections.
struct Scene {
    addr: SocketAddr,
    thread: JoinHandle<()>,
}

impl Scene {
    fn play(play: impl FnOnce(&TcpListener) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let thread = std::thread::spawn(move || play(&listener));
        Self { addr, thread }
    }

    /// What a client is given, up to the end, and how it ended.
    fn heard_by(self, config: &LosslessConfig, said: &[&str]) -> (Vec<Incoming>, Result<u16, ClientError>) {
        let executor = executor();
        let url = format!("ws://{}/", self.addr);
        let heard = patiently(async {
            let mut client = LosslessClient::open(&url, config, &executor.spawner()).unwrap();
            for text in said {
                client.send(*text).await.unwrap();
            }
            let mut heard = Vec::new();
            loop {
                match client.receive().await {
                    Ok(Some(incoming)) => heard.push(incoming),
                    Ok(None) => break (heard, Ok(client.closed().expect("it has ended").code)),
                    Err(error) => break (heard, Err(error)),
                }
            }
        });
        self.thread.join().expect("the peer saw what it expected");
        heard
    }
}

fn message(text: &str) -> Incoming {
    Incoming::Message(Message::text(text))
}

#[test]
fn it_resumes_from_its_cursor_and_sends_again_what_was_not_received() {
    let scene = Scene::play(|listener| {
        let mut peer = Peer::accept(listener);
        assert_eq!(peer.hear_control(), json!({ "open": {} }));
        peer.hello("a", 0, 0);
        for text in ["one", "two", "three"] {
            assert_eq!(peer.hear(), text);
        }
        peer.control(&json!({ "ack": 1 }));
        peer.say("1");
        peer.say("2");
        drop(peer);
        let mut peer = Peer::accept(listener);
        assert_eq!(
            peer.hear_control(),
            json!({ "resume": { "session": "a", "cursor": 2 } })
        );
        // The second was received before the end, and the answer to the cursor begins too early.
        peer.hello("a", 1, 2);
        assert_eq!(peer.hear(), "three");
        for text in ["2", "3"] {
            peer.say(text);
        }
        peer.control(&json!({ "gap": { "lost": 4, "cursor": 7 } }));
        peer.say("8");
        // Acknowledged within a second, without being asked.
        assert_eq!(peer.hear_control(), json!({ "ack": 8 }));
        peer.close(1000, "");
        client_close(&mut peer.0);
    });
    let (heard, end) = scene.heard_by(&lossless_config(), &["one", "two", "three"]);
    let expected = [
        message("1"),
        message("2"),
        message("3"),
        Incoming::Gap { lost: 4 },
        message("8"),
    ];
    assert_eq!(heard, expected);
    assert_eq!(end.unwrap(), 1000);
}

#[test]
fn many_messages_are_acknowledged_at_once() {
    let scene = Scene::play(|listener| {
        let mut peer = Peer::accept(listener);
        peer.hear_control();
        peer.hello("a", 0, 0);
        for number in 0..64 {
            peer.say(&number.to_string());
        }
        let started = Instant::now();
        let ack = peer.hear_control()["ack"].as_u64();
        assert!(ack >= Some(32), "{ack:?}");
        assert!(started.elapsed() < PATIENCE / 4, "not only when it is time");
        while peer.hear_control() != json!({ "ack": 64 }) {}
        peer.close(1000, "");
        client_close(&mut peer.0);
    });
    let (heard, _) = scene.heard_by(&lossless_config(), &[]);
    assert_eq!(heard.len(), 64);
}

#[test]
fn a_session_that_is_gone_is_followed_by_a_new_one() {
    let scene = Scene::play(|listener| {
        let mut peer = Peer::accept(listener);
        peer.hear_control();
        peer.hello("a", 0, 0);
        assert_eq!(peer.hear(), "under way");
        drop(peer);
        let mut peer = Peer::accept(listener);
        peer.hear_control();
        peer.control(&json!({ "error": { "status": 410, "error": "it has ended" } }));
        peer.close(4410, "it has ended");
        client_close(&mut peer.0);
        let mut peer = Peer::accept(listener);
        assert_eq!(peer.hear_control(), json!({ "open": {} }));
        peer.hello("b", 0, 0);
        peer.say("welcome");
        peer.close(4000, "");
        client_close(&mut peer.0);
    });
    let (heard, end) = scene.heard_by(&lossless_config(), &["under way"]);
    let unsure = vec![Message::text("under way")];
    assert_eq!(heard, [Incoming::Reopened { unsure }, message("welcome")]);
    assert_eq!(end.unwrap(), 4000);
}

#[test]
fn a_return_time_is_kept_to_and_begins_a_new_session() {
    const RETRY: Duration = Duration::from_millis(400);
    let scene = Scene::play(|listener| {
        let mut peer = Peer::accept(listener);
        peer.hear_control();
        peer.hello("a", 0, 0);
        peer.close(1012, &format!("retry={}", RETRY.as_millis()));
        client_close(&mut peer.0);
        let ended = Instant::now();
        let mut peer = Peer::accept(listener);
        assert!(
            ended.elapsed() >= RETRY - Duration::from_millis(5),
            "{:?}",
            ended.elapsed()
        );
        assert_eq!(peer.hear_control(), json!({ "open": {} }));
        peer.hello("b", 0, 0);
        peer.close(1000, "");
        client_close(&mut peer.0);
    });
    let (heard, _) = scene.heard_by(&lossless_config(), &[]);
    assert_eq!(heard, [Incoming::Reopened { unsure: Vec::new() }]);
}

#[test]
fn a_session_that_another_connection_has_taken_is_left_to_it() {
    let scene = Scene::play(|listener| {
        let mut peer = Peer::accept(listener);
        peer.hear_control();
        peer.hello("a", 0, 0);
        peer.close(4409, "replaced");
        client_close(&mut peer.0);
    });
    let (_, end) = scene.heard_by(&lossless_config(), &[]);
    assert_eq!(end.unwrap(), 4409);
}

#[test]
fn after_a_lost_connection_the_other_one_may_be_its_own() {
    let scene = Scene::play(|listener| {
        let mut peer = Peer::accept(listener);
        peer.hear_control();
        peer.hello("a", 0, 0);
        drop(peer);
        for _ in 0..2 {
            let mut peer = Peer::accept(listener);
            assert_eq!(
                peer.hear_control(),
                json!({ "resume": { "session": "a", "cursor": 0 } })
            );
            peer.hello("a", 0, 0);
            peer.close(4409, "replaced");
            client_close(&mut peer.0);
        }
    });
    let (_, end) = scene.heard_by(&lossless_config(), &[]);
    assert_eq!(end.unwrap(), 4409, "once is forgiven, not twice");
}

#[test]
fn a_server_without_a_hello_is_given_up_and_tried_again() {
    let scene = Scene::play(|listener| {
        let mut silent = Peer::accept(listener);
        silent.hear_control();
        assert_eq!(client_close(&mut silent.0).0, 1001, "which ends no session");
        let mut peer = Peer::accept(listener);
        peer.hear_control();
        peer.hello("a", 0, 0);
        peer.close(1000, "");
        client_close(&mut peer.0);
    });
    let mut config = lossless_config();
    config.connection.handshake_timeout = Duration::from_millis(300);
    let (heard, end) = scene.heard_by(&config, &[]);
    assert_eq!((heard.len(), end.unwrap()), (0, 1000));
}

#[test]
fn what_is_not_acknowledged_is_bounded() {
    let (filled, is_full) = std::sync::mpsc::channel();
    let scene = Scene::play(move |listener| {
        let mut peer = Peer::accept(listener);
        peer.hear_control();
        peer.hello("a", 0, 0);
        assert_eq!([peer.hear(), peer.hear()], ["0", "1"]);
        let sent: usize = is_full.recv().unwrap();
        assert_eq!(sent, 5, "two are kept, three are queued");
        peer.control(&json!({ "ack": 1 }));
        assert_eq!(peer.hear(), "2");
        peer.close(1000, "");
        client_close(&mut peer.0);
    });
    let mut config = lossless_config();
    config.unacknowledged = QueueConfig {
        messages: 2,
        bytes: 1000,
    };
    config.connection.outbox = QueueConfig {
        messages: 3,
        bytes: 1000,
    };
    let executor = executor();
    let url = format!("ws://{}/", scene.addr);
    patiently(async {
        let mut client = LosslessClient::open(&url, &config, &executor.spawner()).unwrap();
        let sender = client.sender();
        let mut sent = 0;
        while sent < 5 {
            sender.send(sent.to_string()).await.unwrap();
            sent += 1;
        }
        assert!(matches!(sender.try_send("one more"), Err(ClientError::Full)));
        filled.send(sent).unwrap();
        assert_eq!(client.receive().await.unwrap(), None);
        assert_eq!(
            client.closed().unwrap().unsent,
            4,
            "all but the first may be lost"
        );
    });
    scene.thread.join().unwrap();
}

/// What the peer says right behind its hello, and what follows.
#[track_caller]
fn broken_by(text: &'static str) {
    let scene = Scene::play(move |listener| {
        let mut peer = Peer::accept(listener);
        peer.hear_control();
        peer.hello("a", 0, 0);
        peer.say(text);
        assert_eq!(client_close(&mut peer.0).0, 1001, "{text}");
    });
    let (heard, end) = scene.heard_by(&lossless_config(), &[]);
    assert!(heard.is_empty(), "{text}");
    assert!(
        matches!(end, Err(ClientError::Protocol { code: 1002, .. })),
        "{text}: {end:?}"
    );
}

#[test]
fn a_peer_that_breaks_the_protocol_is_left() {
    for text in [
        "\u{1e}",
        "\u{1e}{",
        "\u{1e}[]",
        "\u{1e}{\"ack\":-1}",
        "\u{1e}{\"ack\":1}",
    ] {
        broken_by(text);
    }
}

#[test]
fn a_hello_that_does_not_fit_is_no_resumption() {
    let scene = Scene::play(|listener| {
        let mut peer = Peer::accept(listener);
        peer.hear_control();
        peer.hello("a", 5, 0);
        assert_eq!(client_close(&mut peer.0).0, 1001);
    });
    let (_, end) = scene.heard_by(&lossless_config(), &[]);
    assert!(matches!(end, Err(ClientError::Protocol { .. })), "{end:?}");
    let scene = Scene::play(|listener| {
        let mut peer = Peer::accept(listener);
        peer.hear_control();
        peer.say("a message before the hello");
        assert_eq!(client_close(&mut peer.0).0, 1001);
    });
    let (_, end) = scene.heard_by(&lossless_config(), &[]);
    assert!(matches!(end, Err(ClientError::BadAnswer { .. })), "{end:?}");
}
