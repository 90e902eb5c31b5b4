//! The opening handshake: what the client offers, and what it makes of each answer.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::channel;
use std::time::Duration;

use core_executor::IoStream;
use http::{HeaderValue, StatusCode};
use ws_server::client::{ClientConfig, ClientError, WsClient};
use ws_server::{Refusal, WsConfig, WsServer};

use crate::hand_made::{
    HandMade, client_config, executor, lawful_answer, patiently, request, server_frame, text, wait_for_end,
    with_line,
};
use crate::support::{PATIENCE, TestServer, config, echo};

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

/// What a client with these settings makes of a hand-made server's handshake.
fn refused_by_client(server: HandMade, config: &ClientConfig) -> ClientError {
    let executor = executor();
    let outcome = patiently(server.connect(config, &executor.spawner()));
    let error = outcome.expect_err("no connection comes about");
    drop(executor);
    server.join();
    error
}

#[test]
fn answers_that_are_wrong() {
    type Change = fn(String) -> String;
    let rows: [(Change, &str); 9] = [
        (
            |answer| answer.replace("Accept: ", "Accept: x"),
            "its Sec-WebSocket-Accept does not belong to our key",
        ),
        (
            |answer| answer.replace("Upgrade: websocket\r\n", ""),
            "its Upgrade header is not websocket",
        ),
        (
            |answer| answer.replace("Connection: Upgrade", "Connection: close"),
            "its Connection header does not say upgrade",
        ),
        (
            |answer| with_line(&answer, "Sec-WebSocket-Protocol: chat"),
            "it has a subprotocol that was not offered",
        ),
        (
            |answer| with_line(&answer, "Sec-WebSocket-Extensions: permessage-deflate"),
            "it has an extension that was not offered",
        ),
        (
            |answer| with_line(&answer, "Transfer-Encoding: chunked"),
            "it has a body",
        ),
        (|answer| with_line(&answer, "no colon"), "its head cannot be read"),
        (|_| "SSH-2.0-OpenSSH\r\n".to_owned(), "it is not HTTP/1.1"),
        (
            |answer| answer.replace("HTTP/1.1", "HTTP/1.0"),
            "it is not HTTP/1.1",
        ),
    ];
    for (change, expected) in rows {
        match refused_by_client(HandMade::answering(change), &client_config()) {
            ClientError::BadAnswer { rule } => assert_eq!(rule, expected),
            other => panic!("{expected}: {other:?}"),
        }
    }
}

#[test]
fn another_status_is_told_with_its_return_time() {
    let server = HandMade::answering(|_| {
        "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n".to_owned()
    });
    let error = refused_by_client(server, &client_config());
    assert_eq!(
        error.to_string(),
        "the server refused the handshake with status 503 Service Unavailable"
    );
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3)));
    assert!(error.is_temporary());
}

#[test]
fn a_head_without_an_end_is_read_up_to_its_limit() {
    let (sent, was_sent) = channel();
    let server = HandMade::start(move |mut stream| {
        request(&mut stream);
        let mut bytes = b"HTTP/1.1 101 Switching Protocols\r\n".to_vec();
        bytes.extend(b"X-Filler: 0123456789\r\n".repeat(50));
        let mut total = 0;
        while stream.write_all(&bytes).is_ok() {
            total += bytes.len();
            bytes = b"X-Filler: 0123456789\r\n".repeat(50);
            assert!(total < 100 << 20, "the client went on reading");
        }
        sent.send(total).unwrap();
    });
    let config = ClientConfig {
        max_head_size: 4096,
        ..client_config()
    };
    let error = refused_by_client(server, &config);
    assert!(
        matches!(error, ClientError::HeadTooLong { limit: 4096 }),
        "{error:?}"
    );
    assert!(was_sent.recv_timeout(PATIENCE).is_ok());
}

#[test]
fn a_head_over_the_limit_is_refused_even_when_it_comes_whole() {
    let server = HandMade::answering(|answer| with_line(&answer, &format!("X-Filler: {}", "x".repeat(1000))));
    let config = ClientConfig {
        max_head_size: 1000,
        ..client_config()
    };
    let error = refused_by_client(server, &config);
    assert!(
        matches!(error, ClientError::HeadTooLong { limit: 1000 }),
        "{error:?}"
    );
}

#[test]
fn silence_and_dripping_end_at_the_limit_of_the_handshake() {
    let silent = HandMade::start(|mut stream| wait_for_end(&mut stream));
    let dripping = HandMade::start(|mut stream| {
        let answer = lawful_answer(&request(&mut stream));
        stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        for byte in answer.bytes() {
            // One byte, then as long as the client stays, 20 ms.
            if stream.write_all(&[byte]).is_err() || matches!(stream.read(&mut [0]), Ok(0)) {
                return;
            }
        }
        panic!("the client waited for all of it");
    });
    let config = ClientConfig {
        handshake_timeout: Duration::from_millis(200),
        ..client_config()
    };
    for server in [silent, dripping] {
        let error = refused_by_client(server, &config);
        assert!(matches!(error, ClientError::HandshakeTimeout { .. }), "{error:?}");
        assert!(error.is_temporary());
    }
}

#[test]
fn a_connection_that_ends_during_the_handshake_is_lost() {
    for answer in ["", "HTTP/1.1 101 Swi"] {
        let server = HandMade::start(move |mut stream| {
            request(&mut stream);
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let error = refused_by_client(server, &client_config());
        assert!(matches!(error, ClientError::Lost(_)), "{error:?}");
    }
}

#[test]
fn nobody_listens_and_no_such_address() {
    let executor = executor();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let connect = |url: String| {
        let spawner = executor.spawner();
        patiently(async move {
            WsClient::connect(&url, &client_config(), &spawner)
                .await
                .unwrap_err()
        })
    };
    match connect(format!("ws://{free}/")) {
        error @ ClientError::Connect { .. } => {
            assert_eq!(error.to_string(), format!("no connection to {free}"));
            let source = std::error::Error::source(&error).expect("what the system says");
            assert!(source.is::<std::io::Error>() && error.is_temporary());
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        connect(format!("wss://{free}/")),
        ClientError::TlsNotSupported
    ));
    assert!(matches!(
        connect(format!("http://{free}/")),
        ClientError::BadUrl { .. }
    ));
}

#[test]
fn a_connect_that_is_dropped_leaves_nothing_behind() {
    let (asked, was_asked) = channel();
    let server = HandMade::start(move |mut stream| {
        request(&mut stream);
        asked.send(()).unwrap();
        wait_for_end(&mut stream);
    });
    let executor = executor();
    patiently(async {
        let (config, spawner) = (client_config(), executor.spawner());
        let mut connect = Box::pin(server.connect(&config, &spawner));
        while was_asked.try_recv().is_err() {
            let waiting = tokio::time::timeout(Duration::from_millis(1), &mut connect).await;
            assert!(waiting.is_err(), "the server has not answered");
        }
        drop(connect);
    });
    // The executor goes on: it is the client that hangs up.
    server.join();
}

#[test]
fn the_handshake_goes_over_any_stream() {
    let (ours, theirs) = tokio::io::duplex(1024);
    let executor = executor();
    let server = async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut theirs = theirs;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(theirs.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        assert!(
            head.starts_with("GET /inside HTTP/1.1\r\nHost: sealed.example\r\n"),
            "{head}"
        );
        theirs.write_all(lawful_answer(&head).as_bytes()).await.unwrap();
        theirs.write_all(&server_frame(0x81, b"hi")).await.unwrap();
        let mut frame = [0; 8];
        theirs.read_exact(&mut frame).await.unwrap();
        assert_eq!(frame[..2], [0x81, 0x82], "a masked text of two bytes");
        theirs
    };
    patiently(async {
        // It keeps what is written until it is flushed, as an encrypted stream may.
        let stream = IoStream::Boxed(Box::new(tokio::io::BufStream::new(ours)));
        let (config, spawner) = (client_config(), executor.spawner());
        let connect = WsClient::connect_over(stream, "wss://sealed.example/inside", &config, &spawner);
        let speak = async {
            let client = connect.await.unwrap();
            client.send("ho").await.unwrap();
            client
        };
        let (mut client, theirs) = tokio::join!(speak, server);
        assert_eq!(text(client.receive().await.unwrap()), "hi");
        drop(theirs);
        assert!(matches!(client.receive().await, Err(ClientError::Lost(_))));
    });
}
