//! Messages in and out, compressed or not, and frames that a server may not send.

use std::io::Write;
use std::net::Shutdown;

use ws_server::client::{ClientConfig, ClientError, Message};
use ws_server::{DeflateConfig, JsonMessage, WsConfig, WsServer};

use crate::hand_made::{
    HandMade, client_close, client_config, client_frame, close_payload, conversation, executor, header,
    lawful_answer, patiently, request, server_frame, text, with_line,
};
use crate::support::{self, PATIENCE, TestServer, config, echo};

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
fn fragments_with_control_frames_between_them_are_one_message_however_they_are_cut() {
    let (messages, outcome, closed) = conversation(&client_config(), |mut stream| {
        let mut bytes = server_frame(0x01, "grü".as_bytes());
        bytes.extend(server_frame(0x89, b"are you there"));
        bytes.extend(server_frame(0x00, &"ß".as_bytes()[..1]));
        bytes.extend(server_frame(0x8a, b"unasked"));
        bytes.extend(server_frame(0x80, &"ß".as_bytes()[1..]));
        bytes.extend(server_frame(0x82, &[7; 300]));
        bytes.extend(server_frame(0x81, b""));
        stream.set_nodelay(true).unwrap();
        for byte in bytes {
            stream.write_all(&[byte]).unwrap();
        }
        assert_eq!(client_frame(&mut stream), Some((0x8a, b"are you there".to_vec())));
        stream
            .write_all(&server_frame(0x88, &close_payload(1000, "bye")))
            .unwrap();
        assert_eq!(client_close(&mut stream), (1000, String::new()));
    });
    outcome.unwrap();
    assert_eq!(
        messages,
        [
            Message::text("grüß"),
            Message::binary(vec![7; 300]),
            Message::text("")
        ]
    );
    assert_eq!(
        (closed.code, closed.reason.as_str(), closed.is_clean),
        (1000, "bye", true)
    );
}

#[test]
fn frames_right_behind_the_handshake_are_not_lost() {
    let server = HandMade::start(|mut stream| {
        let mut bytes = lawful_answer(&request(&mut stream)).into_bytes();
        bytes.extend(server_frame(0x81, b"early"));
        bytes.extend(server_frame(0x88, &close_payload(4321, "")));
        stream.write_all(&bytes).unwrap();
        assert_eq!(client_close(&mut stream).0, 4321);
    });
    let executor = executor();
    patiently(async {
        let mut client = server
            .connect(&client_config(), &executor.spawner())
            .await
            .unwrap();
        assert_eq!(text(client.receive().await.unwrap()), "early");
        assert_eq!(client.receive().await.unwrap(), None);
        assert_eq!(client.closed().unwrap().code, 4321);
    });
    server.join();
}

/// RFC 6455 §5.1 to §5.5, §7.4, §8.1: the code the server is sent for each thing it may not do.
#[test]
fn frames_a_server_may_not_send_are_answered_with_their_code() {
    let rows: Vec<(&str, Vec<u8>, u16)> = vec![
        ("masked", support::frame(0x81, b"x"), 1002),
        ("masked close", support::frame(0x88, b""), 1002),
        ("RSV1 without an extension", server_frame(0xc1, b"x"), 1002),
        ("RSV2", server_frame(0xa1, b"x"), 1002),
        ("RSV3", server_frame(0x91, b"x"), 1002),
        ("reserved opcode 3", server_frame(0x83, b""), 1002),
        ("reserved opcode 11", server_frame(0x8b, b""), 1002),
        ("continuation of nothing", server_frame(0x80, b"x"), 1002),
        ("fragmented ping", server_frame(0x09, b""), 1002),
        ("long ping", server_frame(0x89, &[0; 126]), 1002),
        (
            "text inside a text",
            [server_frame(0x01, b"a"), server_frame(0x81, b"b")].concat(),
            1002,
        ),
        ("close of one byte", server_frame(0x88, b"x"), 1002),
        (
            "close code 1005",
            server_frame(0x88, &close_payload(1005, "")),
            1002,
        ),
        (
            "close code 999",
            server_frame(0x88, &close_payload(999, "")),
            1002,
        ),
        (
            "top bit of the length",
            [&[0x82, 127, 0x80][..], &[0; 7]].concat(),
            1002,
        ),
        ("text that is not UTF-8", server_frame(0x81, &[0xff]), 1007),
        (
            "close reason that is not UTF-8",
            server_frame(0x88, &[0x03, 0xe8, 0xff]),
            1007,
        ),
        (
            "too big",
            [&[0x82, 127][..], &(1_u64 << 40).to_be_bytes()].concat(),
            1009,
        ),
        (
            "too many fragments",
            [server_frame(0x02, b"x"), server_frame(0x00, b"x").repeat(9)].concat(),
            1008,
        ),
        (
            "too many empty fragments",
            [server_frame(0x02, b""), server_frame(0x00, b"").repeat(4)].concat(),
            1008,
        ),
    ];
    let config = ClientConfig {
        max_fragments: 8,
        max_empty_fragments: 3,
        ..client_config()
    };
    for (name, bytes, expected) in rows {
        let (messages, outcome, closed) = conversation(&config, move |mut stream| {
            stream.write_all(&server_frame(0x81, b"good")).unwrap();
            stream.write_all(&bytes).unwrap();
            stream.write_all(&server_frame(0x81, b"behind it")).unwrap();
            assert_eq!(client_close(&mut stream).0, expected, "{name}");
            stream.shutdown(Shutdown::Write).unwrap();
            assert!(client_frame(&mut stream).is_none(), "nothing follows a Close");
        });
        assert_eq!(messages, [Message::text("good")], "{name}");
        match outcome {
            Err(ClientError::Protocol { code, .. }) => assert_eq!(code, expected, "{name}"),
            other => panic!("{name}: {other:?}"),
        }
        assert_eq!((closed.code, closed.is_clean), (expected, false), "{name}");
    }
}

#[test]
fn answers_to_what_came_before_a_violation_go_out_before_the_close() {
    let server = HandMade::after_handshake(|mut stream| {
        let bytes = [
            server_frame(0x81, b"one"),
            server_frame(0x81, b"two"),
            server_frame(0x83, b""),
        ]
        .concat();
        stream.write_all(&bytes).unwrap();
        for answer in ["one", "two"] {
            assert_eq!(client_frame(&mut stream), Some((0x81, answer.into())));
        }
        assert_eq!(client_close(&mut stream).0, 1002);
    });
    let executor = executor();
    patiently(async {
        let mut client = server
            .connect(&client_config(), &executor.spawner())
            .await
            .unwrap();
        while let Ok(Some(message)) = client.receive().await {
            // Long after the violation was read.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            client.send(message).await.unwrap();
        }
        assert_eq!(client.closed().unwrap().code, 1002);
    });
    server.join();
}

#[test]
fn a_violation_waits_for_a_busy_receiver_no_longer_than_a_close_does() {
    let server = HandMade::after_handshake(|mut stream| {
        let bytes = [server_frame(0x81, b"one"), server_frame(0x83, b"")].concat();
        stream.write_all(&bytes).unwrap();
        assert_eq!(client_close(&mut stream).0, 1002);
    });
    let executor = executor();
    let client = patiently(server.connect(&client_config(), &executor.spawner())).unwrap();
    server.join();
    patiently(async {
        let mut client = client;
        assert_eq!(text(client.receive().await.unwrap()), "one");
        let outcome = client.receive().await;
        assert!(
            matches!(outcome, Err(ClientError::Protocol { code: 1002, .. })),
            "{outcome:?}"
        );
    });
}

#[test]
fn broken_and_bursting_compression_is_refused() {
    let config = ClientConfig {
        enable_deflate: true,
        ..client_config()
    };
    let bomb = bomb();
    let rows: [(&str, Vec<u8>, u16); 4] = [
        ("bomb", server_frame(0xc2, &bomb), 1009),
        (
            "broken",
            server_frame(0xc1, &[0x00, 0x05, 0x00, 0x00, 0x00]),
            1007,
        ),
        (
            "RSV1 on a continuation",
            [server_frame(0x42, b""), server_frame(0xc0, b"")].concat(),
            1002,
        ),
        ("RSV1 on a ping", server_frame(0xc9, b""), 1002),
    ];
    for (name, bytes, expected) in rows {
        let server = HandMade::start(move |mut stream| {
            let request = request(&mut stream);
            let offer = header(&request, "sec-websocket-extensions").expect("it offers");
            assert!(offer.starts_with("permessage-deflate"));
            let answer = with_line(
                &lawful_answer(&request),
                "Sec-WebSocket-Extensions: permessage-deflate",
            );
            stream.write_all(answer.as_bytes()).unwrap();
            stream.write_all(&bytes).unwrap();
            let code = client_close(&mut stream).0;
            assert_eq!(code, expected, "{name}");
        });
        let executor = executor();
        patiently(async {
            let mut client = server.connect(&config, &executor.spawner()).await.unwrap();
            let outcome = client.receive().await;
            assert!(
                matches!(outcome, Err(ClientError::Protocol { code, .. }) if code == expected),
                "{name}: {outcome:?}"
            );
        });
        server.join();
    }
}

/// A few KiB of deflate data that make 8 MiB of zeros.
fn bomb() -> Vec<u8> {
    let mut state = flate2::Compress::new(flate2::Compression::best(), false);
    let (zeros, mut output) = (vec![0; 8 << 20], Vec::with_capacity(1 << 16));
    state
        .compress_vec(&zeros, &mut output, flate2::FlushCompress::Sync)
        .unwrap();
    output.truncate(output.len() - 4);
    output
}
