//! The client against our own server, over real sockets.
#![allow(clippy::unwrap_used, reason = "this is test code")]

mod client_support;
mod support;

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use client_support::{client_config, executor, patiently, text};
use http::{HeaderValue, StatusCode};
use support::{PATIENCE, Record, TestServer, block_on, config, echo, eventually};
use ws_server::client::{
    ClientConfig, ClientError, Message, QueueConfig, Reconnect, ReconnectConfig, WsClient,
};
use ws_server::{ClosedBy, DeflateConfig, JsonMessage, Refusal, StopPlan, WsConfig, WsServer};

impl TestServer {
    async fn client(&self, config: &ClientConfig) -> WsClient {
        let url = format!("ws://{}/", self.addr);
        WsClient::connect(&url, config, &self.executor.spawner())
            .await
            .expect("the handshake succeeds")
    }
}

#[test]
fn texts_binaries_and_envelopes_come_back_in_order() {
    let server = TestServer::start(echo(config()));
    patiently(async {
        let mut client = server.client(&client_config()).await;
        let envelope = JsonMessage::new("chat", &serde_json::json!({"text": "grüß"})).unwrap();
        client.send("").await.unwrap();
        client.send("one").await.unwrap();
        for length in [0, 125, 126, 65535, 65536] {
            client.send(vec![7; length]).await.unwrap();
        }
        client.send_json(&envelope).await.unwrap();
        assert_eq!(text(client.receive().await.unwrap()), "");
        assert_eq!(text(client.receive().await.unwrap()), "one");
        for length in [0, 125, 126, 65535, 65536] {
            let back = client.receive().await.unwrap().unwrap();
            assert_eq!(back, Message::binary(vec![7; length]));
        }
        let back = JsonMessage::parse(&text(client.receive().await.unwrap()), 32).unwrap();
        assert_eq!(
            (back.type_.as_str(), back.payload.get()),
            ("chat", r#"{"text":"grüß"}"#)
        );

        let closed = client.close(1000, "done").await.unwrap();
        assert_eq!((closed.code, closed.reason.as_str()), (1000, "done"));
        assert!(
            closed.is_clean && closed.unsent == 0 && closed.unread == 0,
            "{closed:?}"
        );
        assert_eq!(client.closed(), Some(closed));
        assert_eq!(client.receive().await.unwrap(), None);
        assert!(matches!(client.send("late").await, Err(ClientError::Closed)));
    });
    server.stop_within(PATIENCE);
}

#[test]
fn what_the_server_says_right_behind_the_handshake_arrives() {
    let server = TestServer::start(WsServer::new(config()).on_open(|session| async move {
        for number in 0..100 {
            session.send_text(format!("welcome {number}"));
        }
    }));
    patiently(async {
        let mut client = server.client(&client_config()).await;
        for number in 0..100 {
            assert_eq!(text(client.receive().await.unwrap()), format!("welcome {number}"));
        }
    });
    server.stop_within(PATIENCE);
}

#[test]
fn headers_and_the_target_reach_the_session() {
    let (seen, sees) = channel();
    let server = TestServer::start(WsServer::new(config()).on_open(move |session| {
        let token = session.headers()["x-token"].to_str().unwrap().to_owned();
        seen.send((
            session.path().to_owned(),
            session.query().map(str::to_owned),
            token,
        ))
        .unwrap();
        async {}
    }));
    patiently(async {
        let mut config = client_config();
        config
            .headers
            .insert("x-token", HeaderValue::from_static("secret"));
        assert!(!format!("{config:?}").contains("secret"));
        let url = format!("ws://{}/a/b?c=d", server.addr);
        let client = WsClient::connect(&url, &config, &server.executor.spawner())
            .await
            .unwrap();
        assert_eq!(client.subprotocol(), None);
        assert!(client.response_headers().contains_key("sec-websocket-accept"));
    });
    let expected = ("/a/b".to_owned(), Some("c=d".to_owned()), "secret".to_owned());
    assert_eq!(sees.recv_timeout(PATIENCE).unwrap(), expected);
    server.stop_within(PATIENCE);
}

#[test]
fn messages_are_compressed_both_ways_where_both_want_it() {
    let keeping = DeflateConfig {
        context_takeover: true,
        ..DeflateConfig::default()
    };
    for (enable_deflate, deflate, offers) in [
        (true, DeflateConfig::default(), true),
        (true, keeping, true),
        (false, keeping, true),
        (true, keeping, false),
    ] {
        let server = TestServer::start(echo(WsConfig {
            enable_deflate,
            deflate,
            ..config()
        }));
        let long = "the same again and again, ".repeat(2000);
        let plain = format!("{long}{long}").len() as f64 * 5.0;
        patiently(async {
            let mut client = server
                .client(&ClientConfig {
                    enable_deflate: offers,
                    ..client_config()
                })
                .await;
            assert_eq!(client.uses_deflate(), enable_deflate && offers);
            for _ in 0..5 {
                client.send(long.as_str()).await.unwrap();
                client.send("short").await.unwrap();
                client.send(long.as_bytes()).await.unwrap();
                assert_eq!(text(client.receive().await.unwrap()), long);
                assert_eq!(text(client.receive().await.unwrap()), "short");
                assert_eq!(
                    client.receive().await.unwrap(),
                    Some(Message::binary(long.clone()))
                );
            }
            assert!(client.close(1000, "").await.unwrap().is_clean);
        });
        for name in ["ws_bytes_in_total", "ws_bytes_out_total"] {
            let bytes = support::metric(&server.hub, name);
            let is_small = bytes < plain / 20.0;
            assert_eq!(is_small, enable_deflate && offers, "{name}: {bytes} of {plain}");
        }
        server.stop_within(PATIENCE);
    }
}

#[test]
fn the_server_takes_the_subprotocol_it_speaks() {
    let server = TestServer::start(echo(WsConfig {
        subprotocols: vec!["chat".to_owned()],
        ..config()
    }));
    for (offered, taken) in [
        (vec!["new", "chat"], Some("chat")),
        (vec!["new"], None),
        (vec![], None),
    ] {
        let offering = ClientConfig {
            subprotocols: offered.iter().map(|name| (*name).to_owned()).collect(),
            ..client_config()
        };
        let client = patiently(server.client(&offering));
        assert_eq!(client.subprotocol(), taken, "{offered:?}");
    }
    server.stop_within(PATIENCE);
}

#[test]
fn a_refusal_has_its_status_and_its_headers() {
    let server = TestServer::start(
        WsServer::new(config())
            .authorize(|_| async { Err::<(), _>(Refusal::new(StatusCode::FORBIDDEN, "not you")) }),
    );
    let url = format!("ws://{}/", server.addr);
    let refused = patiently(WsClient::connect(
        &url,
        &client_config(),
        &server.executor.spawner(),
    ));
    match refused {
        Err(error @ ClientError::Refused { status, .. }) => {
            assert_eq!(status, StatusCode::FORBIDDEN);
            assert!(!error.is_temporary() && error.retry_after().is_none());
        }
        other => panic!("{other:?}"),
    }
    server.stop_within(PATIENCE);
}

#[test]
fn the_halves_work_on_tasks_of_their_own_and_senders_share_the_connection() {
    let server = TestServer::start(echo(config()));
    patiently(async {
        let (sender, mut receiver) = server.client(&client_config()).await.split();
        let send = |name: &'static str, sender: ws_server::client::ClientSender| async move {
            for number in 0..500 {
                sender.send(format!("{name} {number}")).await.unwrap();
            }
        };
        let receive = async {
            let mut next = [0, 0];
            while next != [500, 500] {
                let text = text(receiver.receive().await.unwrap());
                let (name, number) = text.split_once(' ').unwrap();
                let of = usize::from(name == "b");
                assert_eq!(
                    number,
                    next[of].to_string(),
                    "each sender's messages stay in order"
                );
                next[of] += 1;
            }
        };
        tokio::join!(send("a", sender.clone()), send("b", sender.clone()), receive);
        assert!(sender.close(1000, "").await.unwrap().is_clean);
    });
    server.stop_within(PATIENCE);
}

#[test]
fn what_is_queued_goes_out_before_our_close() {
    let (server, record) = Record::watch(WsServer::new(config()));
    let (seen, sees) = channel();
    let server = TestServer::start(server.on_message(move |_, text| {
        seen.send(text).unwrap();
        async {}
    }));
    patiently(async {
        let client = server.client(&client_config()).await;
        for number in 0..1000 {
            client.send(number.to_string()).await.unwrap();
        }
        let closed = client.close(4000, "enough").await.unwrap();
        assert!(closed.is_clean && closed.unsent == 0, "{closed:?}");
    });
    let all: Vec<_> = (0..1000).map(|_| sees.recv_timeout(PATIENCE).unwrap()).collect();
    assert!(all.iter().enumerate().all(|(at, text)| *text == at.to_string()));
    assert_eq!(record.close(), (4000, ClosedBy::Peer));
    server.stop_within(PATIENCE);
}

#[test]
fn dropping_everything_closes_with_1000_and_dropping_one_half_does_not() {
    let (server, record) = Record::watch(echo(config()));
    let server = TestServer::start(server);
    patiently(async {
        let (sender, mut receiver) = server.client(&client_config()).await.split();
        sender.send("last").await.unwrap();
        drop(sender);
        assert_eq!(
            text(receiver.receive().await.unwrap()),
            "last",
            "the receiver holds it open"
        );
        drop(receiver);
    });
    assert_eq!(record.close(), (1000, ClosedBy::Peer));

    patiently(async {
        let (sender, receiver) = server.client(&client_config()).await.split();
        drop(receiver);
        sender.send("nobody hears it").await.unwrap();
        eventually("the echo is thrown away", || {
            support::metric(&server.hub, "ws_messages_out_total") >= 2.0
        });
        let closed = sender.close(1001, "").await.unwrap();
        assert!(closed.is_clean && closed.unread == 1, "{closed:?}");
    });
    assert_eq!(record.close(), (1001, ClosedBy::Peer));
    server.stop_within(PATIENCE);
}

#[test]
fn a_server_that_stops_says_when_to_come_back() {
    let server = TestServer::start(echo(config()));
    let mut client = patiently(server.client(&client_config()));
    let TestServer {
        executor, running, ..
    } = server;
    let (outcome, report) = block_on(async {
        let plan = StopPlan {
            code: 1012,
            retry_window: Duration::from_secs(4),
            ..StopPlan::within(PATIENCE)
        };
        tokio::join!(client.receive(), running.stop(plan))
    });
    assert_eq!(outcome.unwrap(), None);
    assert_eq!(
        (report.sessions, report.closed_cleanly),
        (1, 1),
        "the client answered"
    );
    let closed = client.closed().unwrap();
    assert!(closed.is_clean && closed.code == 1012, "{closed:?}");
    let hint = closed.retry_after().expect("the reason tells when");
    assert!(hint <= Duration::from_secs(4));
    let mut reconnect = Reconnect::with_random(ReconnectConfig::default(), |_| 77);
    assert_eq!(reconnect.delay(Instant::now(), Some(hint)), Some(hint));
    block_on(executor.stop_and_wait(PATIENCE));
}

#[test]
fn both_heartbeats_keep_a_silent_connection_open() {
    let tick = Duration::from_millis(20);
    let (server, record) = Record::watch(WsServer::new(WsConfig {
        ping_interval: tick,
        pong_timeout: Duration::from_secs(2),
        idle_timeout: Duration::from_secs(4),
        ..config()
    }));
    let server = TestServer::start(server);
    let beating = ClientConfig {
        ping_interval: tick,
        pong_timeout: Duration::from_secs(2),
        ..client_config()
    };
    let client = patiently(server.client(&beating));
    let bytes = || support::metric(&server.hub, "ws_bytes_in_total");
    let before = bytes();
    // A masked ping has 6 bytes, and so has a masked pong.
    eventually("pings and pongs of the client", || bytes() - before >= 6.0 * 20.0);
    assert_eq!(client.closed(), None);
    let closed = patiently(client.close(1000, "")).unwrap();
    assert!(closed.is_clean, "{closed:?}");
    assert_eq!(record.close(), (1000, ClosedBy::Peer));
    server.stop_within(PATIENCE);
}

#[test]
fn a_receiver_that_waits_slows_the_server_down_and_loses_nothing() {
    let server = TestServer::start(
        WsServer::new(WsConfig {
            outbox: ws_server::OutboxConfig {
                messages: 0,
                bytes: 0,
                ..ws_server::OutboxConfig::default()
            },
            ..config()
        })
        .on_message(|session, _| async move {
            for number in 0_u32..3000 {
                session.send_binary(number.to_be_bytes().repeat(256));
            }
        }),
    );
    let narrow = ClientConfig {
        inbox: QueueConfig {
            messages: 2,
            bytes: 1500,
        },
        ..client_config()
    };
    patiently(async {
        let mut client = server.client(&narrow).await;
        client.send("go").await.unwrap();
        for number in 0_u32..3000 {
            let message = client.receive().await.unwrap().unwrap();
            assert_eq!(message.into_data()[..4], number.to_be_bytes());
        }
        assert!(client.close(1000, "").await.unwrap().is_clean);
    });
    server.stop_within(PATIENCE);
}

#[test]
fn a_close_passes_a_receiver_that_takes_nothing_and_counts_what_it_missed() {
    let server = TestServer::start(WsServer::new(config()).on_open(|session| async move {
        for number in 0..50 {
            session.send_text(number.to_string());
        }
    }));
    let narrow = ClientConfig {
        inbox: QueueConfig {
            messages: 3,
            bytes: 1000,
        },
        ..client_config()
    };
    patiently(async {
        let mut client = server.client(&narrow).await;
        eventually("everything is on its way", || {
            support::metric(&server.hub, "ws_messages_out_total") >= 50.0
        });
        let closed = client.close(1000, "").await.unwrap();
        assert!(closed.is_clean, "{closed:?}");
        let mut received = 0;
        while let Some(message) = client.receive().await.unwrap() {
            assert_eq!(message.to_text().unwrap(), received.to_string());
            received += 1;
        }
        assert_eq!((received, closed.unread), (3, 47));
    });
    server.stop_within(PATIENCE);
}

#[test]
fn a_call_that_is_dropped_has_neither_taken_nor_sent_anything() {
    let server = TestServer::start(echo(config()));
    patiently(async {
        let mut client = server.client(&client_config()).await;
        for number in 0..200 {
            drop(client.send("never polled"));
            client.send(number.to_string()).await.unwrap();
            loop {
                // Polled once and dropped, until it has something.
                let once = std::future::poll_fn(|context| {
                    let receive = std::pin::pin!(client.receive());
                    std::task::Poll::Ready(match receive.poll(context) {
                        std::task::Poll::Ready(message) => Some(message),
                        std::task::Poll::Pending => None,
                    })
                });
                if let Some(message) = once.await {
                    assert_eq!(text(message.unwrap()), number.to_string());
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
    });
    server.stop_within(PATIENCE);
}

#[test]
fn control_frames_and_codes_that_may_not_be_sent_are_refused() {
    let server = TestServer::start(echo(config()));
    patiently(async {
        let client = server.client(&client_config()).await;
        for message in [
            Message::Ping("x".into()),
            Message::Pong("x".into()),
            Message::Close(None),
        ] {
            assert!(matches!(
                client.send(message).await,
                Err(ClientError::NotAMessage)
            ));
        }
        for code in [0, 999, 1004, 1005, 1006, 1015, 5000] {
            let refused = client.close(code, "").await;
            assert!(matches!(refused, Err(ClientError::BadCloseCode { code: found }) if found == code));
        }
        assert_eq!(client.closed(), None);
    });
    server.stop_within(PATIENCE);
}

#[test]
fn an_executor_that_ends_ends_the_connection_and_one_that_has_ended_opens_none() {
    let server = TestServer::start(echo(config()));
    let own = executor();
    let spawner = own.spawner();
    let url = format!("ws://{}/", server.addr);
    let mut client = patiently(WsClient::connect(&url, &client_config(), &spawner)).unwrap();
    patiently(own.stop_and_wait(Duration::ZERO));
    let outcome = patiently(client.receive());
    assert!(matches!(outcome, Err(ClientError::ExecutorEnded)), "{outcome:?}");
    let refused = patiently(WsClient::connect(&url, &client_config(), &spawner));
    assert!(matches!(refused, Err(ClientError::Executor(_))), "{refused:?}");
    server.stop_within(PATIENCE);
}

#[test]
fn a_stop_that_was_asked_for_leaves_the_client_alone_until_the_deadline() {
    let server = TestServer::start(echo(config()));
    let own = executor();
    let url = format!("ws://{}/", server.addr);
    let mut client = patiently(WsClient::connect(&url, &client_config(), &own.spawner())).unwrap();
    own.shutdown_handle().request_stop();
    patiently(async {
        client.send("still here").await.unwrap();
        assert_eq!(text(client.receive().await.unwrap()), "still here");
    });
    own.shutdown_handle().request_stop_now();
    let outcome = patiently(client.receive());
    assert!(matches!(outcome, Err(ClientError::ExecutorEnded)), "{outcome:?}");
    server.stop_within(PATIENCE);
}
