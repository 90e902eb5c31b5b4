//! Two halves, two bounded queues and two heartbeats: who waits for whom, and what is never lost.

use std::sync::mpsc::channel;
use std::time::Duration;

use ws_server::client::{ClientConfig, ClientError, Message, QueueConfig};
use ws_server::{ClosedBy, WsConfig, WsServer};

use crate::hand_made::{HandMade, client_config, executor, patiently, text, wait_for_end};
use crate::support::{self, PATIENCE, Record, TestServer, config, echo, eventually};

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
fn at_the_limit_of_the_queue_sending_waits_or_says_so() {
    let (go, may_go) = channel::<()>();
    let server = HandMade::after_handshake(move |mut stream| {
        may_go.recv_timeout(PATIENCE).unwrap();
        wait_for_end(&mut stream);
    });
    let executor = executor();
    patiently(async {
        let client = server
            .connect(&client_config(), &executor.spawner())
            .await
            .unwrap();
        let sender = client.sender();
        let message = Message::binary(vec![0; 512 * 1024]);
        // Until the kernel and the queue are full and stay so.
        let mut refusals = 0;
        while refusals < 1000 {
            match sender.try_send(message.clone()) {
                Ok(()) => refusals = 0,
                Err(ClientError::Full) => refusals += 1,
                Err(other) => panic!("{other:?}"),
            }
            tokio::task::yield_now().await;
        }
        let mut waiting = Box::pin(sender.send(message));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        go.send(()).unwrap();
        waiting.await.unwrap();
    });
    drop(executor);
    server.join();
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
