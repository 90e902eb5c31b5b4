//! Floods of control frames, and peers that do not read.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use crate::scene::Scene;
use workspace_tests::http;
use workspace_tests::observe::until;
use workspace_tests::raw::{CLOSE, PING, PONG, Raw, TEXT, frame, parse_close};

/// Pings or pongs a peer may send at once, and per second from then on.
const BURST: u64 = 100;
const RATE: u64 = 20;

#[test]
fn a_ping_flood_ends_past_the_budget_whether_its_answers_are_read_or_not() {
    let mut scene = Scene::new(&[]);
    let flood = frame(PING, b"are you there?").repeat(300_000);
    let grown = scene.growth(|scene| {
        for reads in [true, false] {
            let began = Instant::now();
            let (mut raw, session) = scene.attacker();
            let (mut writer, bytes) = (raw.stream().try_clone().expect("a socket"), flood.clone());
            let writing = thread::spawn(move || {
                let _ = writer.write_all(&bytes);
            });
            if !reads {
                // Not a byte is read before the end is known.
                scene.lab.wait_for_line(|line| {
                    line.contains(" ws_close ") && line.contains(&format!(" conn={session} "))
                });
            }
            let (pongs, code) = answers(&mut raw);
            assert_eq!(code, 1008, "reads: {reads}");
            let allowed = BURST + RATE * (began.elapsed().as_secs() + 1);
            assert!((1..=allowed).contains(&pongs), "reads: {reads}: {pongs} answers");
            drop(raw);
            scene.was_closed("flood", session, 1008, "error");
            writing.join().expect("the writer ends");
        }
    });
    assert!(grown < 1024, "{grown} KiB");
    scene.ends_unharmed(&[("policy", 2)]);
}

/// The pongs up to the Close, and its code.
fn answers(raw: &mut Raw) -> (u64, u16) {
    let mut pongs = 0;
    loop {
        match raw.read_frame().expect("a Close before the end") {
            (PONG, _) => pongs += 1,
            (CLOSE, payload) => return (pongs, parse_close(&payload).0),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn pongs_nobody_asked_for_count_as_well_and_a_lawful_rate_goes_on_for_ever() {
    let mut scene = Scene::new(&[]);
    let (mut raw, session) = scene.attacker();
    raw.send(&frame(PONG, b"").repeat(1000));
    scene.is_closed("pongs", (raw, session), 1008, "error");
    let (mut raw, session) = scene.attacker();
    raw.send(
        &[frame(PING, b""), frame(TEXT, b"x"), frame(PONG, b"")]
            .concat()
            .repeat(100),
    );
    scene.is_closed("mixed with texts", (raw, session), 1008, "error");

    let (mut raw, _) = scene.attacker();
    // Of many at once the older ones may go unanswered (RFC 6455 §5.5.3), the last one not.
    let burst: Vec<u8> = (1..=100).flat_map(|number| frame(PING, &[number])).collect();
    raw.send(&burst);
    while raw.read_frame().expect("an answer") != (PONG, vec![100]) {}
    for _ in 0..30 {
        thread::sleep(Duration::from_millis(60));
        raw.frame(PING, b"");
        assert_eq!(raw.read_frame(), Some((PONG, Vec::new())), "a lawful rate");
    }
    drop(raw);
    scene.ends_unharmed(&[("policy", 2)]);
}

#[test]
fn a_slow_reader_gets_1013_at_its_outbox_limit_and_every_message_is_counted() {
    let mut scene = Scene::new(&[]);
    let (mut slow, session) = scene.attacker();
    let base: Vec<f64> = losses(&scene);
    let out = scene.lab.metric("ws_messages_out_total");
    let mut sent = 0.0;
    let grown = scene.growth(|scene| {
        while scene.lab.metric("ws_closes_total{by=\"slow\"}") == 0.0 && !is_closing(scene, &base) {
            http::get(scene.lab.http(), "/broadcast?size=60000&n=1");
            sent += 1.0;
            // The neighbour reads what it gets, and so is never behind.
            assert_eq!(scene.neighbour().text().len(), 60_000);
            assert!(sent < 2000.0, "the outbox never filled");
        }
    });
    // 1 MiB may wait, and one encoding of the message that is being sent.
    assert!(grown < 3 * 1024, "{grown} KiB");
    let (mut received, mut code) = (0.0, 0);
    while let Some((first, payload)) = slow.read_frame() {
        match first {
            TEXT => received += 1.0,
            CLOSE => code = parse_close(&payload).0,
            other => panic!("{other:#x}"),
        }
        if code != 0 {
            slow.frame(CLOSE, &[3, 0xf5]);
            break;
        }
    }
    assert_eq!(code, 1013);
    scene.was_closed("slow", session, 1013, "slow");
    until("counted", || {
        let lost: f64 = losses(&scene)
            .iter()
            .zip(&base)
            .map(|(now, before)| now - before)
            .sum();
        received + lost == sent
    });
    let delivered = scene.lab.metric("ws_messages_out_total") - out;
    assert_eq!(
        delivered,
        sent + received,
        "what the neighbour and the slow reader got"
    );
    scene.ends_unharmed(&[("slow", 1)]);
}

fn losses(scene: &Scene) -> Vec<f64> {
    ["ws_messages_dropped_total", "ws_messages_undelivered_total"]
        .map(|name| scene.lab.metric(name))
        .to_vec()
}

fn is_closing(scene: &Scene, base: &[f64]) -> bool {
    losses(scene) != base
}

#[test]
fn a_reader_that_stops_is_gone_within_the_stall_limit_even_if_its_close_cannot_be_written() {
    let mut scene = Scene::new(&[
        ("WEBSOCKET_WRITE_STALL_TIMEOUT", "2"),
        ("WEBSOCKET_CLOSE_TIMEOUT", "60"),
        ("WEBSOCKET_PING_INTERVAL", "0"),
    ]);
    let (mut stopped, session) = scene.attacker();
    stopped.send(&frame(
        TEXT,
        br#"{"type":"burst","payload":{"n":1,"size":16000000}}"#,
    ));
    let began = Instant::now();
    let line = scene.lab.close_line(session);
    let took = began.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(line.by, "slow");
    assert!([1006, 1013].contains(&line.code), "{line:?}");
    drop(stopped);
    scene.ends_unharmed(&[("slow", 1)]);
}
