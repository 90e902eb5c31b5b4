//! Rules and limits over real sockets: protocol violations, sizes, times, outbox policies, slow readers.

mod support;

use std::io::{Read, Write};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use support::{
    PATIENCE, Record, TestServer, close_of, config, echo, eventually, frame, metric, read_close, read_frame,
    say, text_of,
};
use ws_server::{ClosedBy, Encoded, OutboxConfig, OutboxPolicy, Published, SendOutcome, WsConfig, WsServer};

const SHORT: Duration = Duration::from_millis(150);

#[test]
fn violations_are_answered_with_their_code_then_fin() {
    let (server, record) = Record::watch(echo(config()));
    let server = TestServer::start(server);
    let too_big: Vec<u8> = [&[0x82, 0xff][..], &(1_u64 << 40).to_be_bytes(), &[0; 4]].concat();
    let rows: Vec<(&str, Vec<u8>, u16)> = vec![
        ("RFC 6455 §5.1 unmasked", vec![0x81, 1, b'x'], 1002),
        ("§5.2 reserved bit", frame(0xc1, b"x"), 1002),
        ("§5.2 reserved opcode", frame(0x83, b""), 1002),
        ("§5.4 stray continuation", frame(0x80, b""), 1002),
        ("§5.5 long ping", frame(0x89, &[0; 126]), 1002),
        ("§5.5.1 one-byte close", frame(0x88, &[3]), 1002),
        ("§7.4 close code 1005", frame(0x88, &[3, 0xed]), 1002),
        ("§8.1 not UTF-8", frame(0x81, &[0xff]), 1007),
        ("§10.4 declared length", too_big, 1009),
    ];
    for (name, bytes, code) in rows {
        let errors = metric(&server.hub, "ws_errors_total");
        let mut stream = server.raw();
        stream.write_all(&frame(0x81, b"before")).unwrap();
        stream.write_all(&bytes).unwrap();
        // Delivered to nobody.
        let _ = stream.write_all(&frame(0x81, b"after"));
        assert_eq!(
            read_frame(&mut stream),
            Some((0x81, b"before".to_vec())),
            "{name}"
        );
        assert_eq!(read_close(&mut stream).0, code, "{name}");
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "{name}: a FIN, not a reset");
        drop(stream);
        assert!(record.error().contains(&code.to_string()), "{name}");
        assert_eq!(record.close(), (code, ClosedBy::Error), "{name}");
        assert_eq!(metric(&server.hub, "ws_errors_total"), errors + 1.0, "{name}");
    }
    assert_eq!(metric(&server.hub, "ws_messages_in_total"), 9.0);
}

#[test]
fn a_message_over_the_size_limit_is_refused_before_it_is_sent() {
    let server = TestServer::start(echo(WsConfig {
        max_message_size: 1000,
        ..config()
    }));
    let mut client = server.connect("/");
    say(&mut client, &"x".repeat(1000));
    assert_eq!(text_of(&mut client).len(), 1000);
    say(&mut client, &"x".repeat(1001));
    assert_eq!(close_of(&mut client).0, 1009);
    let mut fragments = server.raw();
    fragments
        .write_all(&[frame(0x01, &[b'x'; 600]), frame(0x00, &[b'x'; 401])].concat())
        .unwrap();
    assert_eq!(read_close(&mut fragments).0, 1009);
}

#[test]
fn without_a_limit_large_messages_pass() {
    let outbox = OutboxConfig {
        bytes: 0,
        ..OutboxConfig::default()
    };
    let server = TestServer::start(echo(WsConfig {
        max_message_size: 0,
        outbox,
        ..config()
    }));
    let mut client = server.connect("/");
    let text = "€".repeat(1_000_000);
    say(&mut client, &text);
    assert!(text_of(&mut client) == text, "3 MB come back unchanged");
}

#[test]
fn frames_of_any_size_in_segments_of_any_size() {
    let server = TestServer::start(echo(config()));
    let mut stream = server.raw();
    for byte in frame(0x81, b"byte by byte").chunks(1) {
        stream.write_all(byte).unwrap();
    }
    assert_eq!(read_frame(&mut stream), Some((0x81, b"byte by byte".to_vec())));
    stream
        .write_all(&[frame(0x01, b"fr"), frame(0x89, b"?"), frame(0x80, b"ag")].concat())
        .unwrap();
    assert_eq!(
        read_frame(&mut stream),
        Some((0x8a, b"?".to_vec())),
        "the pong passes the unfinished message"
    );
    assert_eq!(read_frame(&mut stream), Some((0x81, b"frag".to_vec())));
}

#[test]
fn a_session_that_says_nothing_is_closed_after_the_idle_limit() {
    let (server, record) = Record::watch(echo(WsConfig {
        idle_timeout: SHORT,
        ..config()
    }));
    let server = TestServer::start(server);
    let start = Instant::now();
    let mut client = server.connect("/");
    assert_eq!(close_of(&mut client), (1000, "idle timeout".to_owned()));
    assert!(start.elapsed() >= SHORT);
    assert_eq!(record.close(), (1000, ClosedBy::Timeout));
}

#[test]
fn pings_come_at_their_interval_and_a_peer_without_pong_is_gone() {
    let settings = WsConfig {
        ping_interval: SHORT,
        pong_timeout: SHORT,
        ..config()
    };
    let (server, record) = Record::watch(echo(settings));
    let server = TestServer::start(server);
    let mut stream = server.raw();
    for _ in 0..3 {
        assert_eq!(read_frame(&mut stream), Some((0x89, Vec::new())));
        stream.write_all(&frame(0x8a, b"")).unwrap();
    }
    let asked = Instant::now();
    while let Some((first, _)) = read_frame(&mut stream) {
        assert_eq!(first, 0x89, "no Close to a peer that does not answer");
    }
    assert!(asked.elapsed() >= SHORT);
    assert_eq!(record.close(), (1006, ClosedBy::Timeout));
    assert_eq!(metric(&server.hub, "ws_errors_total"), 0.0);
}

#[test]
fn pings_are_answered_unless_switched_off() {
    for auto_ping_pong in [true, false] {
        let server = TestServer::start(echo(WsConfig {
            auto_ping_pong,
            ..config()
        }));
        let mut stream = server.raw();
        for number in 0..10 {
            stream.write_all(&frame(0x89, &[number; 125])).unwrap();
        }
        stream.write_all(&frame(0x81, b"end")).unwrap();
        let mut pongs = Vec::new();
        while let Some((first, payload)) = read_frame(&mut stream).filter(|(first, _)| *first != 0x81) {
            assert_eq!((first, payload.len()), (0x8a, 125));
            pongs.push(payload[0]);
        }
        let expected: Vec<u8> = if auto_ping_pong {
            (0..10).collect()
        } else {
            Vec::new()
        };
        assert_eq!(pongs, expected);
    }
}

#[test]
fn a_peer_that_never_answers_a_close_is_left_after_the_limit() {
    let settings = WsConfig {
        close_timeout: SHORT,
        ..config()
    };
    let (server, record) = Record::watch(WsServer::new(settings).on_message(|session, _| async move {
        session.close(4000, "go");
    }));
    let server = TestServer::start(server);
    let mut stream = server.raw();
    stream.write_all(&frame(0x81, b"x")).unwrap();
    assert_eq!(read_close(&mut stream), (4000, "go".to_owned()));
    let start = Instant::now();
    // What it says instead of a Close is read and dropped.
    stream.write_all(&frame(0x81, b"y")).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "a FIN, not a reset");
    assert!(start.elapsed() >= SHORT / 2);
    assert_eq!(record.close(), (4000, ClosedBy::Server));
    eventually("counted", || {
        metric(&server.hub, "ws_messages_unhandled_total") == 1.0
    });
}

#[test]
fn a_slow_reader_gets_1013_and_every_message_is_accounted_for() {
    let outbox = OutboxConfig {
        messages: 0,
        bytes: 100_000,
        policy: OutboxPolicy::Close,
    };
    let settings = WsConfig {
        outbox,
        close_timeout: Duration::from_secs(10),
        ..config()
    };
    let (server, record) = Record::watch(WsServer::new(settings));
    let server = TestServer::start(server);
    let mut slow = server.raw();
    eventually("open", || server.hub.sessions() == 1);
    let message = Encoded::binary(vec![1; 10_000]);
    let mut sent = 0;
    loop {
        let published = support::block_on(server.hub.broadcast(message.clone())).unwrap();
        sent += 1;
        if published.closing > 0 {
            break;
        }
        assert!(sent < 100_000, "the outbox never filled");
    }
    let mut received = 0;
    let code = loop {
        match read_frame(&mut slow).expect("a Close before the end") {
            (0x82, payload) => received += usize::from(payload.len() == 10_000),
            (_, payload) => break u16::from_be_bytes([payload[0], payload[1]]),
        }
    };
    assert_eq!(code, 1013);
    slow.write_all(&frame(0x88, &[3, 0xf5])).unwrap();
    assert!(record.error().contains("slowly"));
    assert_eq!(record.close(), (1013, ClosedBy::Slow));
    let lost = metric(&server.hub, "ws_messages_dropped_total")
        + metric(&server.hub, "ws_messages_undelivered_total");
    assert_eq!(received as f64, metric(&server.hub, "ws_messages_out_total"));
    assert_eq!(received as f64 + lost, f64::from(sent), "sent = received + lost");
}

#[test]
fn dropping_policies_keep_the_session_and_keep_latest_ends_with_the_newest() {
    let rows = [
        (OutboxPolicy::DropNewest, false),
        (OutboxPolicy::DropOldest, true),
        (OutboxPolicy::KeepLatest(1), true),
    ];
    for (policy, newest_arrives) in rows {
        let outbox = OutboxConfig {
            messages: 8,
            bytes: 0,
            policy,
        };
        let server = TestServer::start(WsServer::new(WsConfig { outbox, ..config() }));
        let mut slow = server.raw();
        eventually("open", || server.hub.sessions() == 1);
        let body = "x".repeat(20_000);
        let (mut sent, mut lost) = (0, 0.0);
        while lost < 50.0 {
            let message = Encoded::text(format!("{sent:06}{body}"));
            let published: Published = support::block_on(server.hub.broadcast(message)).unwrap();
            assert_eq!(published.closing, 0, "{policy:?}");
            sent += 1;
            lost = metric(&server.hub, "ws_messages_dropped_total");
            assert!(sent < 100_000, "{policy:?}: nothing was ever dropped");
        }
        let mut numbers = Vec::new();
        while (numbers.len() as f64) < f64::from(sent) - lost {
            let (_, payload) = read_frame(&mut slow).unwrap();
            numbers.push(
                String::from_utf8(payload[..6].to_vec())
                    .unwrap()
                    .parse::<u32>()
                    .unwrap(),
            );
        }
        assert!(numbers.is_sorted(), "{policy:?}: order is kept");
        assert_eq!(numbers.last() == Some(&(sent - 1)), newest_arrives, "{policy:?}");
        assert_eq!(server.hub.sessions(), 1, "{policy:?}: still open");
    }
}

#[test]
fn the_sender_learns_what_became_of_its_message() {
    let (sender, outcomes) = channel();
    let outbox = OutboxConfig {
        messages: 2,
        bytes: 0,
        policy: OutboxPolicy::DropNewest,
    };
    let server = WsServer::new(WsConfig { outbox, ..config() }).on_open(move |session| {
        let outcomes: Vec<SendOutcome> = (0..3).map(|_| session.send_text("x")).collect();
        let replaced = session.send_with(Encoded::text("y"), OutboxPolicy::DropOldest);
        session.close(1000, "");
        sender.send((outcomes, replaced, session.send_text("z"))).unwrap();
        async {}
    });
    let server = TestServer::start(server);
    let mut client = server.connect("/");
    let (outcomes_of_three, replaced, late) = outcomes.recv_timeout(PATIENCE).unwrap();
    assert_eq!(
        outcomes_of_three,
        [SendOutcome::Queued, SendOutcome::Queued, SendOutcome::Dropped]
    );
    assert_eq!((replaced, late), (SendOutcome::Queued, SendOutcome::Closed));
    assert_eq!(
        (text_of(&mut client), text_of(&mut client)),
        ("x".to_owned(), "y".to_owned())
    );
    assert_eq!(close_of(&mut client).0, 1000);
    assert_eq!(metric(&server.hub, "ws_messages_dropped_total"), 2.0);
}

#[test]
fn a_client_that_pipelines_more_than_the_outbox_holds_is_served_not_closed() {
    let outbox = OutboxConfig {
        messages: 128,
        ..OutboxConfig::default()
    };
    let server = TestServer::start(echo(WsConfig { outbox, ..config() }));
    let mut stream = server.raw();
    let count = 20_000;
    let bytes = frame(0x81, &[b'x'; 300]).repeat(count);
    let mut writer = stream.try_clone().unwrap();
    let writing = std::thread::spawn(move || writer.write_all(&bytes).unwrap());
    for number in 0..count {
        let (first, payload) = read_frame(&mut stream).expect("every message comes back");
        assert_eq!((first, payload.len()), (0x81, 300), "message {number}");
    }
    writing.join().unwrap();
    assert_eq!(metric(&server.hub, "ws_messages_dropped_total"), 0.0);
}

#[test]
fn messages_left_behind_by_a_peer_that_goes_are_counted() {
    let outbox = OutboxConfig {
        messages: 0,
        bytes: 0,
        policy: OutboxPolicy::Close,
    };
    let server = TestServer::start(WsServer::new(WsConfig { outbox, ..config() }));
    let reader = server.raw();
    eventually("open", || server.hub.sessions() == 1);
    let message = Encoded::binary(vec![0; 1 << 20]);
    let sent = 64;
    for _ in 0..sent {
        support::block_on(server.hub.broadcast(message.clone())).unwrap();
    }
    eventually("the socket is full", || {
        metric(&server.hub, "ws_bytes_out_total") > 0.0
    });
    drop(reader);
    eventually("it is gone", || server.hub.sessions() == 0);
    let out = metric(&server.hub, "ws_messages_out_total");
    assert_eq!(
        out + metric(&server.hub, "ws_messages_undelivered_total"),
        f64::from(sent)
    );
}
