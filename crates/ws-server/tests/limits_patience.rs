//! Peers that try a server's patience: they take nothing, send half a frame, or send control frames for their own sake.
#![allow(clippy::unwrap_used, reason = "this is test code")]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use support::{
    PATIENCE, Record, TestServer, config, echo, eventually, frame, metric, read_close, read_frame,
};
use ws_server::{ClosedBy, Encoded, OutboxConfig, OutboxPolicy, WsConfig, WsServer};

const LIMIT: Duration = Duration::from_millis(400);

/// Sends until the peer's socket is full and messages wait.
fn fill(server: &TestServer) -> f64 {
    let message = Encoded::binary(vec![1; 100_000]);
    let mut sent = 0.0;
    while server.hub.sessions() > 0 && sent < 1000.0 {
        let published =
            support::block_on(server.hub.broadcast(message.clone())).expect("no room to be named");
        sent += 1.0;
        if published.closing > 0 {
            break;
        }
    }
    sent
}

fn accounted(server: &TestServer) -> f64 {
    [
        "ws_messages_out_total",
        "ws_messages_dropped_total",
        "ws_messages_undelivered_total",
    ]
    .map(|name| metric(&server.hub, name))
    .iter()
    .sum()
}

#[test]
fn a_peer_that_takes_nothing_is_cut_at_the_limit_whatever_its_outbox_holds() {
    let rows = [
        // Nothing overflows: it is cut for taking nothing.
        (0, 1006, "nothing overflows"),
        // It overflows, and the Close cannot be written either.
        (1 << 20, 1013, "its outbox overflows"),
    ];
    for (bytes, code, name) in rows {
        let outbox = OutboxConfig {
            messages: 0,
            bytes,
            policy: OutboxPolicy::Close,
        };
        let (server, record) = Record::watch(WsServer::new(WsConfig {
            outbox,
            write_stall_timeout: LIMIT,
            // Only waited for when the kernel makes room at the last moment and the Close gets out after all.
            close_timeout: PATIENCE / 4,
            ..config()
        }));
        let server = TestServer::start(server);
        let mut slow = server.raw();
        eventually("open", || server.hub.sessions() == 1);
        let start = Instant::now();
        let sent = fill(&server);
        assert!(record.error().contains("slow"), "{name}");
        assert_eq!(record.close(), (code, ClosedBy::Slow), "{name}");
        assert!(start.elapsed() >= LIMIT, "{name}");
        assert_eq!(accounted(&server), sent, "{name}: delivered + dropped = sent");
        // The kernel does not go on sending to it: a reset, not what was left.
        let mut rest = Vec::new();
        let _ = slow.read_to_end(&mut rest);
        assert!((rest.len() as f64) < sent * 100_000.0, "{name}");
    }
}

#[test]
fn a_peer_that_takes_a_little_now_and_then_is_not_cut() {
    let outbox = OutboxConfig {
        messages: 0,
        bytes: 0,
        policy: OutboxPolicy::Close,
    };
    let server = TestServer::start(WsServer::new(WsConfig {
        outbox,
        write_stall_timeout: LIMIT,
        ..config()
    }));
    let mut slow = server.raw();
    eventually("open", || server.hub.sessions() == 1);
    let sent = 400;
    let hub = server.hub.clone();
    let sending = std::thread::spawn(move || {
        for _ in 0..sent {
            support::block_on(hub.broadcast(Encoded::binary(vec![1; 100_000]))).unwrap();
        }
    });
    let start = Instant::now();
    for number in 0..sent {
        // About three limits in all.
        let due = start + LIMIT * 3 * number / sent;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        assert!(read_frame(&mut slow).is_some(), "message {number}");
    }
    sending.join().unwrap();
    assert_eq!(server.hub.sessions(), 1);
}

fn patient() -> WsConfig {
    WsConfig {
        frame_timeout: LIMIT,
        ..config()
    }
}

/// What a peer that writes `bytes` one by one, `pause` apart, is told in the end.
fn dribble(stream: &mut TcpStream, bytes: &[u8], pause: Duration) -> (u16, String) {
    let mut out = stream.try_clone().expect("a second handle");
    let bytes = bytes.to_vec();
    let writing = std::thread::spawn(move || {
        for byte in bytes {
            if out.write_all(&[byte]).is_err() {
                return;
            }
            std::thread::sleep(pause);
        }
    });
    let close = read_close(stream);
    writing.join().expect("the writer does not panic");
    close
}

#[test]
fn half_a_frame_and_a_frame_that_dribbles_are_1008_at_the_limit() {
    let (server, record) = Record::watch(echo(patient()));
    let server = TestServer::start(server);
    let whole = frame(0x82, &[7; 200]);
    let rows: [(&str, &[u8], Duration); 3] = [
        ("half a header", &whole[..1], Duration::ZERO),
        ("half a payload", &whole[..150], Duration::ZERO),
        ("a byte now and then", &whole, Duration::from_millis(20)),
    ];
    for (name, bytes, pause) in rows {
        let mut stream = server.raw();
        let start = Instant::now();
        let (code, reason) = dribble(&mut stream, bytes, pause);
        assert_eq!((code, reason.as_str()), (1008, "a frame took too long"), "{name}");
        assert!(start.elapsed() >= LIMIT, "{name}: {:?}", start.elapsed());
        assert_eq!(record.close(), (1008, ClosedBy::Error), "{name}");
    }
}

#[test]
fn a_frame_may_take_its_time_for_each_64_kib_and_silence_between_frames_costs_nothing() {
    let server = TestServer::start(echo(WsConfig {
        max_message_size: 1 << 20,
        ..patient()
    }));
    let mut stream = server.raw();
    // Ten parts: four seconds are allowed, one and a half limits are taken.
    let long = frame(0x82, &vec![7; 640 * 1024]);
    for piece in long.chunks(long.len() / 10 + 1) {
        stream.write_all(piece).unwrap();
        std::thread::sleep(LIMIT * 3 / 20);
    }
    assert_eq!(read_frame(&mut stream).unwrap().1.len(), 640 * 1024);
    // A message may be fragmented over any time; each frame is short.
    for piece in [frame(0x01, b"a"), frame(0x00, b"b"), frame(0x80, b"c")] {
        stream.write_all(&piece).unwrap();
        std::thread::sleep(LIMIT * 3 / 2);
    }
    assert_eq!(read_frame(&mut stream), Some((0x81, b"abc".to_vec())));
}

#[test]
fn a_frame_is_not_late_because_a_handler_kept_us_from_reading() {
    let server = TestServer::start(WsServer::new(patient()).on_message(|session, text| async move {
        tokio::time::sleep(LIMIT * 3 / 2).await;
        session.send_text(text);
    }));
    let mut stream = server.raw();
    let bytes = [frame(0x81, b"a"), frame(0x81, b"b"), frame(0x81, b"c")].concat();
    let (now, later) = bytes.split_at(bytes.len() - 2);
    stream.write_all(now).unwrap();
    assert_eq!(read_frame(&mut stream), Some((0x81, b"a".to_vec())));
    stream.write_all(later).unwrap();
    assert_eq!(read_frame(&mut stream), Some((0x81, b"b".to_vec())));
    assert_eq!(read_frame(&mut stream), Some((0x81, b"c".to_vec())));
}

#[test]
fn a_flood_of_control_frames_is_1008_past_the_burst() {
    for opcode in [0x89, 0x8a] {
        let (server, record) = Record::watch(echo(WsConfig {
            control_rate: 1,
            control_burst: 50,
            ..config()
        }));
        let server = TestServer::start(server);
        let mut stream = server.raw();
        stream.write_all(&frame(opcode, b"x").repeat(50)).unwrap();
        stream.write_all(&frame(0x81, b"still here")).unwrap();
        let still = loop {
            match read_frame(&mut stream) {
                Some((0x8a, _)) => {}
                other => break other,
            }
        };
        assert_eq!(still, Some((0x81, b"still here".to_vec())));
        let _ = stream.write_all(&frame(opcode, b"x").repeat(1000));
        assert_eq!(
            read_close(&mut stream),
            (1008, "too many control frames".to_owned())
        );
        assert_eq!(record.close(), (1008, ClosedBy::Error));
    }
}

#[test]
fn a_peer_that_vanished_is_gone_at_ping_plus_timeout() {
    let (server, record) = Record::watch(echo(WsConfig {
        ping_interval: LIMIT,
        pong_timeout: LIMIT,
        ..config()
    }));
    let server = TestServer::start(server);
    let start = Instant::now();
    let _silent = server.raw();
    assert_eq!(record.close(), (1006, ClosedBy::Timeout));
    let took = start.elapsed();
    assert!(took >= 2 * LIMIT && took < PATIENCE / 2, "{took:?}");
}
