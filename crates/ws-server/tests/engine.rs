//! Writes by whoever sends: frames stay whole and in order, every message is accounted for, producers can wait.
#![allow(clippy::unwrap_used, reason = "this is test code")]

mod support;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use support::{PATIENCE, TestServer, config, echo, eventually, frame, metric, read_frame, say, text_of};
use ws_server::{Encoded, OutboxConfig, OutboxPolicy, Published, Session, WsConfig, WsServer};

const ROOM: &str = "room";

fn in_one_room(server: WsServer) -> WsServer {
    server.on_open(|session: Session| async move { session.join(ROOM).expect("one room") })
}

fn outbox(messages: usize, bytes: usize, policy: OutboxPolicy) -> OutboxConfig {
    OutboxConfig {
        messages,
        bytes,
        policy,
    }
}

/// A text with its author, its number, and a length that depends on both.
fn numbered(author: usize, number: usize) -> String {
    let length = (author * 7919 + number * 104_729) % 9000;
    format!("{author} {number} {}", "x".repeat(length))
}

/// Author and number of a text that is whole.
fn check_numbered(payload: &[u8]) -> (usize, usize) {
    let text = str::from_utf8(payload).expect("a text");
    let mut words = text.split(' ');
    let mut next = || {
        let word = words.next().expect("a word");
        word.parse::<usize>().expect("a number")
    };
    let (author, number) = (next(), next());
    assert_eq!(text, numbered(author, number), "a frame was torn");
    (author, number)
}

/// Several threads publish at once, among them handlers, to members that read in fits and starts and send pings: every
/// frame is whole, each author's messages come in order, pongs stand between frames, and the counts add up.
#[test]
fn frames_of_many_writers_are_whole_in_order_and_accounted_for() {
    const AUTHORS: usize = 4;
    const MESSAGES: usize = 400;
    for policy in [
        OutboxPolicy::Close,
        OutboxPolicy::DropOldest,
        OutboxPolicy::DropNewest,
    ] {
        let messages = if policy == OutboxPolicy::Close { 0 } else { 16 };
        let server = TestServer::start(in_one_room(WsServer::new(WsConfig {
            outbox: outbox(messages, 0, policy),
            ..config()
        })));
        let streams: Vec<_> = (0..3).map(|_| server.raw()).collect();
        eventually("all are in the room", || server.hub.room_size(ROOM) == 3);
        let sent = Arc::new(AtomicU64::new(0));
        let readers: Vec<_> = streams
            .into_iter()
            .enumerate()
            .map(|(reader, mut stream)| {
                let mut pings = stream.try_clone().unwrap();
                std::thread::spawn(move || {
                    let mut newest = [None; AUTHORS];
                    let mut received = 0_u64;
                    for turn in 0.. {
                        if turn % 50 == 0 {
                            pings.write_all(&frame(0x89, b"?")).unwrap();
                            // A reader that stops for a moment makes the socket full.
                            std::thread::sleep(Duration::from_millis(reader as u64 * 3));
                        }
                        let Some((first, payload)) = read_frame(&mut stream) else {
                            break;
                        };
                        match first {
                            0x8a => assert_eq!(payload, b"?"),
                            0x88 => break,
                            _ => {
                                let (author, number) = check_numbered(&payload);
                                assert!(newest[author] < Some(number), "out of order");
                                newest[author] = Some(number);
                                received += 1;
                            }
                        }
                    }
                    received
                })
            })
            .collect();
        let authors: Vec<_> = (0..AUTHORS)
            .map(|author| {
                let (hub, sent) = (server.hub.clone(), sent.clone());
                std::thread::spawn(move || {
                    support::block_on(async {
                        for number in 0..MESSAGES {
                            let text = Encoded::text(numbered(author, number));
                            let published: Published = hub.publish(ROOM, text).await.unwrap();
                            assert_eq!(published.closing, 0);
                            sent.fetch_add(3, Ordering::SeqCst);
                        }
                    });
                })
            })
            .collect();
        for author in authors {
            author.join().unwrap();
        }
        let hub = server.hub.clone();
        let report = server.stop_within(PATIENCE);
        assert_eq!(
            (report.sessions, report.undelivered_messages),
            (3, 0),
            "{policy:?}"
        );
        let received: u64 = readers.into_iter().map(|reader| reader.join().unwrap()).sum();
        let dropped = metric(&hub, "ws_messages_dropped_total");
        assert_eq!(
            received as f64,
            metric(&hub, "ws_messages_out_total"),
            "{policy:?}"
        );
        assert_eq!(
            received as f64 + dropped,
            sent.load(Ordering::SeqCst) as f64,
            "{policy:?}: delivered + dropped = sent"
        );
    }
}

#[test]
fn what_a_handler_sends_in_a_burst_arrives_in_order_and_in_full() {
    let server = WsServer::new(config()).on_message(|session, text| async move {
        let count: usize = text.parse().unwrap();
        for number in 0..count {
            assert!(session.send_text(numbered(0, number)).is_queued());
            if number % 100 == 99 {
                assert!(session.drained().await);
            }
        }
    });
    let server = TestServer::start(server);
    let mut client = server.connect("/");
    for count in [1, 2, 63, 64, 65, 5000] {
        say(&mut client, &count.to_string());
        for number in 0..count {
            assert_eq!(check_numbered(text_of(&mut client).as_bytes()), (0, number));
        }
    }
    assert_eq!(metric(&server.hub, "ws_messages_dropped_total"), 0.0);
}

/// Messages of one read to a room are handled first and written then, in their order.
#[test]
fn messages_of_one_read_reach_every_member_in_order() {
    let server = in_one_room(WsServer::new(config())).on_message(|session, text| async move {
        session.hub().publish(ROOM, Encoded::text(text)).await.unwrap();
    });
    let server = TestServer::start(server);
    let mut members: Vec<_> = (0..150).map(|_| server.raw()).collect();
    eventually("all are in the room", || server.hub.room_size(ROOM) == 150);
    let bytes: Vec<u8> = (0..20_u8)
        .flat_map(|number| frame(0x81, &[b'a' + number]))
        .collect();
    members[0].write_all(&bytes).unwrap();
    for member in &mut members {
        for number in 0..20 {
            assert_eq!(read_frame(member), Some((0x81, vec![b'a' + number])));
        }
    }
}

#[test]
fn a_producer_that_waits_loses_nothing_and_learns_of_the_end() {
    let (sessions, opened) = channel();
    let server = WsServer::new(WsConfig {
        outbox: outbox(4, 0, OutboxPolicy::Close),
        ..config()
    })
    .on_open(move |session| {
        sessions.send(session).unwrap();
        async {}
    });
    let server = TestServer::start(server);
    let mut stream = server.raw();
    let session: Session = opened.recv_timeout(PATIENCE).unwrap();
    let produced = session.clone();
    let producer = std::thread::spawn(move || {
        support::block_on(async {
            for _ in 0..500 {
                assert!(produced.send_binary(vec![7; 50_000]).is_queued());
                // Dropping the wait changes nothing.
                let _ = tokio::time::timeout(Duration::ZERO, produced.drained()).await;
                assert!(produced.drained().await);
            }
        });
    });
    for _ in 0..500 {
        assert_eq!(read_frame(&mut stream).unwrap().1.len(), 50_000);
    }
    producer.join().unwrap();
    assert_eq!(metric(&server.hub, "ws_messages_out_total"), 500.0);
    let waiting = std::thread::spawn(move || {
        let large = vec![7; 16 << 20];
        session.send_binary(large);
        support::block_on(session.drained())
    });
    eventually("the socket is full", || {
        metric(&server.hub, "ws_bytes_out_total") > 500.0 * 50_000.0 + 10_000.0
    });
    drop(stream);
    assert!(!waiting.join().unwrap(), "the session has ended");
}

#[test]
fn round_trips_are_measured_from_ping_to_pong() {
    let server = TestServer::start(echo(WsConfig {
        ping_interval: Duration::from_millis(100),
        ..config()
    }));
    let mut stream = server.raw();
    // Nobody asked for it.
    stream.write_all(&frame(0x8a, b"")).unwrap();
    for _ in 0..3 {
        assert_eq!(read_frame(&mut stream), Some((0x89, Vec::new())));
        stream.write_all(&frame(0x8a, b"")).unwrap();
    }
    eventually("three round trips", || round_trips(&server) == 3);
}

fn round_trips(server: &TestServer) -> u64 {
    let registry = prometheus::Registry::new();
    server
        .hub
        .metrics()
        .register(&registry)
        .expect("an empty registry");
    let families = registry.gather();
    let rtt = families
        .iter()
        .find(|family| family.name() == "ws_ping_rtt_seconds")
        .expect("a known metric");
    rtt.get_metric()[0].get_histogram().get_sample_count()
}

/// A broadcast to a crowd is done in steps: an echo on the same worker gets its turn between them.
#[test]
fn a_broadcast_to_a_crowd_lets_others_have_their_turn() {
    // Many more on demand: ENGINE_CROWD=100000.
    let crowd: usize = std::env::var("ENGINE_CROWD").map_or(10_000, |count| count.parse().unwrap());
    let server = TestServer::start_on(
        1,
        echo(WsConfig {
            outbox: outbox(0, 0, OutboxPolicy::Close),
            ..config()
        }),
    );
    let received = Arc::new(AtomicU64::new(0));
    let (hub, spawner) = (server.hub.clone(), server.executor.spawner());
    let counted = received.clone();
    support::block_on(async {
        for _ in 0..crowd {
            let peer = ws_server::Peer::new(None, "/", &http::HeaderMap::new());
            let opened = hub.open_session(peer, ws_server::TransportKind::Sse).await;
            let mut member = opened.unwrap();
            member.session().join(ROOM).unwrap();
            let counted = counted.clone();
            spawner
                .spawn_service(async move {
                    while member.ready().await == ws_server::Ready::Messages {
                        let batch = member.take_batch(64, 1 << 20);
                        member.written(&batch);
                        counted.fetch_add(batch.len() as u64, Ordering::SeqCst);
                    }
                })
                .unwrap();
        }
    });
    let mut client = server.connect("/");
    let mut round_trip = || {
        let start = Instant::now();
        say(&mut client, "?");
        assert_eq!(text_of(&mut client), "?");
        start.elapsed()
    };
    let mut quiet: Vec<Duration> = (0..500).map(|_| round_trip()).collect();
    let hub = server.hub.clone();
    let start = Instant::now();
    server
        .executor
        .spawner()
        .post(async move {
            for _ in 0..3 {
                hub.publish(ROOM, Encoded::text("hello")).await.unwrap();
            }
        })
        .unwrap();
    let mut loud = Vec::new();
    while received.load(Ordering::SeqCst) < 3 * crowd as u64 {
        loud.push(round_trip());
        assert!(start.elapsed() < 6 * PATIENCE, "the crowd never got it");
    }
    let took = start.elapsed();
    let p99 = |times: &mut Vec<Duration>| {
        times.sort();
        times[times.len() * 99 / 100]
    };
    let (count, quiet, loud) = (loud.len(), p99(&mut quiet), p99(&mut loud));
    eprintln!(
        "crowd {crowd}: {count} echoes beside 3 broadcasts in {took:?}, p99 {quiet:?} before and {loud:?} beside"
    );
    // Without steps there would be about one echo a broadcast. Times are held to bounds where nothing else runs.
    assert!(count > 20, "{count} echoes beside the broadcasts");
}
