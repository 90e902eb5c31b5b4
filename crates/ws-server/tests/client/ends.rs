//! Every way a connection ends, and what both sides are told.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use ws_server::client::{ClientConfig, ClientError, Message, Reconnect, ReconnectConfig, WsClient};
use ws_server::{ClosedBy, StopPlan, WsServer};

use crate::hand_made::{
    HandMade, client_close, client_config, client_frame, close_body, close_payload, conversation, executor,
    patiently, server_frame, text,
};
use crate::support::{self, PATIENCE, Record, TestServer, block_on, config, echo, eventually};

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

/// RFC 6455 §5.5.1, §7.4: every code that may be sent comes back and is told.
#[test]
fn close_codes_of_the_server() {
    for code in [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4999,
    ] {
        let (_, outcome, closed) = conversation(&client_config(), move |mut stream| {
            stream
                .write_all(&server_frame(0x88, &close_payload(code, "retry=250")))
                .unwrap();
            assert_eq!(client_close(&mut stream).0, code);
        });
        outcome.unwrap();
        assert_eq!((closed.code, closed.is_clean), (code, true));
        assert_eq!(closed.retry_after(), Some(Duration::from_millis(250)));
    }
    let (_, outcome, closed) = conversation(&client_config(), |mut stream| {
        stream.write_all(&server_frame(0x88, b"")).unwrap();
        assert_eq!(client_close(&mut stream).0, 1005, "answered without a code");
    });
    outcome.unwrap();
    assert_eq!((closed.code, closed.is_clean), (1005, true));
}

#[test]
fn what_comes_behind_the_servers_close_is_ignored() {
    let (messages, outcome, closed) = conversation(&client_config(), |mut stream| {
        let mut bytes = server_frame(0x88, &close_payload(1000, ""));
        bytes.extend(server_frame(0x81, b"late"));
        bytes.extend(server_frame(0x89, b"late"));
        bytes.extend(support::frame(0x81, b"late"));
        stream.write_all(&bytes).unwrap();
        assert_eq!(client_close(&mut stream).0, 1000);
        stream.shutdown(Shutdown::Write).unwrap();
        assert!(client_frame(&mut stream).is_none());
    });
    outcome.unwrap();
    assert!(messages.is_empty() && closed.is_clean);
}

#[test]
fn a_server_that_does_not_answer_our_close_is_waited_for_once() {
    let (done, is_done) = channel::<()>();
    let server = HandMade::after_handshake(move |mut stream| {
        assert_eq!(client_close(&mut stream), (1001, "enough".to_owned()));
        // It leaves the connection open: it is the client that goes.
        assert!(client_frame(&mut stream).is_none());
        let _ = is_done.recv_timeout(PATIENCE);
    });
    let executor = executor();
    patiently(async {
        let client = server
            .connect(&client_config(), &executor.spawner())
            .await
            .unwrap();
        let closed = client.close(1001, "enough").await.unwrap();
        assert_eq!((closed.code, closed.is_clean), (1001, false));
    });
    done.send(()).unwrap();
    server.join();
}

#[test]
fn a_close_whose_future_is_dropped_goes_on() {
    let server = HandMade::after_handshake(|mut stream| {
        assert_eq!(client_frame(&mut stream), Some((0x82, b"first".to_vec())));
        assert_eq!(client_close(&mut stream).0, 3000);
        stream.write_all(&server_frame(0x81, b"one more")).unwrap();
        stream
            .write_all(&server_frame(0x88, &close_payload(3000, "")))
            .unwrap();
        assert!(client_frame(&mut stream).is_none());
    });
    let executor = executor();
    patiently(async {
        let mut client = server
            .connect(&client_config(), &executor.spawner())
            .await
            .unwrap();
        client.send(&b"first"[..]).await.unwrap();
        assert!(futures_util::poll!(Box::pin(client.close(3000, ""))).is_pending());
        assert_eq!(text(client.receive().await.unwrap()), "one more");
        assert_eq!(client.receive().await.unwrap(), None);
        assert!(client.closed().unwrap().is_clean);
    });
    server.join();
}

#[test]
fn closes_that_cross_each_other_are_clean() {
    let (closing, is_closing) = channel::<()>();
    let server = HandMade::after_handshake(move |mut stream| {
        stream
            .write_all(&server_frame(0x88, &close_payload(1001, "going")))
            .unwrap();
        closing.send(()).unwrap();
        let (first, payload) = client_frame(&mut stream).unwrap();
        assert_eq!(first, 0x88);
        assert!([1000, 1001].contains(&close_body(&payload).0));
        assert!(client_frame(&mut stream).is_none(), "one Close alone");
    });
    let executor = executor();
    patiently(async {
        let client = server
            .connect(&client_config(), &executor.spawner())
            .await
            .unwrap();
        is_closing.recv_timeout(PATIENCE).unwrap();
        assert!(client.close(1000, "").await.unwrap().is_clean);
    });
    server.join();
}

#[test]
fn a_close_that_came_before_the_connection_broke_is_told() {
    for _ in 0..20 {
        let server = HandMade::after_handshake(|mut stream| {
            let mut first = [0; 1];
            stream.read_exact(&mut first).unwrap();
            stream
                .write_all(&server_frame(0x88, &close_payload(1013, "too slow")))
                .unwrap();
            // What it has not read makes its end a reset.
        });
        let executor = executor();
        patiently(async {
            let mut client = server
                .connect(&client_config(), &executor.spawner())
                .await
                .unwrap();
            while client.send(vec![0; 10_000]).await.is_ok() {}
            let outcome = client.receive().await;
            let closed = client.closed().unwrap();
            assert_eq!(
                (closed.code, closed.reason.as_str()),
                (1013, "too slow"),
                "{outcome:?}"
            );
        });
        server.join();
    }
}

#[test]
fn a_peer_that_vanishes_is_lost_with_1006() {
    let (messages, outcome, closed) = conversation(&client_config(), |mut stream| {
        stream.write_all(&server_frame(0x81, b"last words")).unwrap();
        stream.write_all(&server_frame(0x82, &[1; 10])[..5]).unwrap();
    });
    assert_eq!(messages, [Message::text("last words")]);
    assert!(matches!(outcome, Err(ClientError::Lost(_))), "{outcome:?}");
    assert_eq!((closed.code, closed.is_clean), (1006, false));
    assert_eq!(closed.retry_after(), None);
}

#[test]
fn a_server_that_answers_no_ping_is_given_up() {
    let beating = ClientConfig {
        ping_interval: Duration::from_millis(20),
        pong_timeout: Duration::from_millis(100),
        ..client_config()
    };
    let (_, outcome, closed) = conversation(&beating, |mut stream| {
        // It hears the pings and says nothing.
        let mut pings = 0;
        while let Some(frame) = client_frame(&mut stream) {
            assert_eq!(frame, (0x89, Vec::new()));
            pings += 1;
        }
        assert!(pings >= 1);
    });
    assert!(matches!(outcome, Err(ClientError::NoPong { .. })), "{outcome:?}");
    assert_eq!(closed.code, 1006);
}

#[test]
fn a_server_that_takes_nothing_is_given_up_and_what_it_missed_is_counted() {
    let (done, is_done) = channel::<()>();
    let server = HandMade::after_handshake(move |stream| {
        let _ = is_done.recv_timeout(PATIENCE);
        drop(stream);
    });
    let config = ClientConfig {
        write_stall_timeout: Duration::from_millis(200),
        ..client_config()
    };
    let executor = executor();
    patiently(async {
        let mut client = server.connect(&config, &executor.spawner()).await.unwrap();
        let mut accepted = 0_u64;
        let refused = loop {
            match client.send(vec![0; 256 * 1024]).await {
                Ok(()) => accepted += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(refused, ClientError::Closed), "{refused:?}");
        assert!(matches!(client.receive().await, Err(ClientError::Stalled { .. })));
        let closed = client.closed().unwrap();
        assert!(
            closed.unsent > 0 && closed.unsent <= accepted,
            "{closed:?} of {accepted}"
        );
    });
    done.send(()).unwrap();
    server.join();
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
