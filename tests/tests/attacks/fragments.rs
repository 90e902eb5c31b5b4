//! Messages that never end: in fragments, in time, in size.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use crate::scene::Scene;
use workspace_tests::raw::{BINARY, PING, PONG, TEXT, declared, frame};

/// Sends `bytes` from a thread of its own, because the server answers before it has read them all.
fn floods(scene: &mut Scene, name: &str, bytes: Vec<u8>, code: u16) {
    let (raw, session) = scene.attacker();
    let mut writer = raw.stream().try_clone().expect("a socket");
    let writing = thread::spawn(move || {
        let _ = writer.write_all(&bytes);
    });
    scene.is_closed(name, (raw, session), code, "error");
    writing.join().expect("the writer ends");
}

#[test]
fn two_hundred_thousand_one_byte_fragments_end_at_the_1025th() {
    let mut scene = Scene::new(&[]);
    let grown = scene.growth(|scene| {
        let bytes = [frame(0x02, b"x"), frame(0x00, b"x").repeat(199_999)].concat();
        floods(scene, "one byte each", bytes, 1008);
        let (mut raw, session) = scene.attacker();
        raw.send(
            &[
                frame(0x01, b"x"),
                frame(0x00, b"x").repeat(1023),
                frame(PING, b"?"),
            ]
            .concat(),
        );
        assert_eq!(raw.read_frame(), Some((PONG, b"?".to_vec())), "1024 are allowed");
        raw.frame(0x80, b"x");
        scene.is_closed("the 1025th, though it is the last", (raw, session), 1008, "error");
    });
    assert!(grown < 1024, "{grown} KiB");
    scene.ends_unharmed(&[("policy", 2)]);
}

#[test]
fn a_million_empty_fragments_end_at_the_17th() {
    let mut scene = Scene::new(&[]);
    let grown = scene.growth(|scene| {
        let bytes = [frame(0x02, b""), frame(0x00, b"").repeat(999_999)].concat();
        floods(scene, "empty", bytes, 1008);
        let (mut raw, session) = scene.attacker();
        raw.send(&[frame(0x01, b"x"), frame(0x00, b"").repeat(16), frame(PING, b"?")].concat());
        assert_eq!(raw.read_frame(), Some((PONG, b"?".to_vec())), "16 are allowed");
        raw.frame(0x00, b"");
        scene.is_closed("the 17th", (raw, session), 1008, "error");
    });
    assert!(grown < 1024, "{grown} KiB");
    scene.ends_unharmed(&[("policy", 2)]);
}

#[test]
fn a_message_in_fragments_ends_as_soon_as_its_sum_passes_the_limit() {
    let mut scene = Scene::new(&[]);
    let grown = scene.growth(|scene| {
        let (mut raw, session) = scene.attacker();
        raw.send(
            &[
                frame(0x02, &[7; 16_384]),
                frame(0x00, &[7; 16_384]).repeat(3),
                frame(PING, b"?"),
            ]
            .concat(),
        );
        assert_eq!(
            raw.read_frame(),
            Some((PONG, b"?".to_vec())),
            "65 536 are allowed"
        );
        raw.send(&declared(0x80, 1));
        scene.is_closed("one more, before it has come", (raw, session), 1009, "error");
        let endless = [
            frame(0x01, &[b'x'; 1000]),
            frame(0x00, &[b'x'; 1000]).repeat(16_000),
        ]
        .concat();
        floods(scene, "16 MB", endless, 1009);
    });
    assert!(grown < 1024, "{grown} KiB");
    scene.ends_unharmed(&[("size", 2)]);
}

#[test]
fn half_a_frame_and_silence_ends_at_the_frame_limit() {
    let mut scene = Scene::new(&[("WEBSOCKET_FRAME_TIMEOUT", "2")]);
    let whole = frame(TEXT, &[b'x'; 1000]);
    let second = [frame(0x01, b"whole"), frame(0x00, b"cut")[..7].to_vec()].concat();
    let rows: [(&str, &[u8]); 6] = [
        ("a byte of the header", &whole[..1]),
        ("a header without its mask", &whole[..6]),
        ("a header", &whole[..8]),
        ("half a payload", &whole[..500]),
        ("half a ping", &frame(PING, b"hello")[..8]),
        ("half a second fragment", &second),
    ];
    let began = Instant::now();
    let mut halves = Vec::new();
    for (name, bytes) in rows {
        let (mut raw, session) = scene.attacker();
        raw.send(bytes);
        halves.push((name, raw, session));
    }
    for (name, raw, session) in halves {
        scene.is_closed(name, (raw, session), 1008, "error");
        let took = began.elapsed();
        assert!(
            took > Duration::from_millis(1900) && took < Duration::from_secs(3),
            "{name}: {took:?}"
        );
    }
    scene.ends_unharmed(&[("policy", 6)]);
}

#[test]
fn a_frame_of_one_byte_per_second_ends_at_the_frame_limit() {
    let mut scene = Scene::new(&[("WEBSOCKET_FRAME_TIMEOUT", "3")]);
    let (mut raw, session) = scene.attacker();
    let mut writer = raw.stream().try_clone().expect("a socket");
    let began = Instant::now();
    let writing = thread::spawn(move || {
        for byte in frame(TEXT, b"slowly").into_iter().take(6) {
            if writer.write_all(&[byte]).is_err() {
                return;
            }
            thread::sleep(Duration::from_secs(1));
        }
    });
    assert_eq!(raw.closed().0, 1008);
    let took = began.elapsed();
    assert!(
        took > Duration::from_millis(2900) && took < Duration::from_secs(4),
        "{took:?}"
    );
    writing.join().expect("the writer ends");
    drop(raw);
    scene.was_closed("byte by byte", session, 1008, "error");
    scene.ends_unharmed(&[("policy", 1)]);
}

/// The limit is for each 64 KiB of a frame, and there is none between frames.
#[test]
fn slow_but_lawful_senders_are_served() {
    let mut scene = Scene::new(&[
        ("WEBSOCKET_FRAME_TIMEOUT", "1"),
        ("WEBSOCKET_MAX_MESSAGE_SIZE", "300000"),
    ]);
    let (mut raw, _) = scene.attacker();
    let bytes = frame(TEXT, &[b'x'; 250_000]);
    for piece in bytes.chunks(40_000) {
        raw.send(piece);
        thread::sleep(Duration::from_millis(400));
    }
    assert_eq!(raw.text().len(), 250_006);
    raw.send(&frame(0x01, b"one"));
    thread::sleep(Duration::from_millis(1500));
    raw.send(&frame(0x80, b" two"));
    assert_eq!(raw.text(), "echo: one two");
    drop(raw);
    scene.ends_unharmed(&[]);
}

/// A binary message that nobody handles costs nothing either.
#[test]
fn messages_without_a_handler_are_read_and_forgotten() {
    let mut scene = Scene::new(&[]);
    let (mut raw, _) = scene.attacker();
    let grown = scene.growth(|_| {
        for _ in 0..500 {
            raw.frame(BINARY, &[7; 60_000]);
        }
        raw.frame(TEXT, b"end");
        assert_eq!(raw.text(), "echo: end");
    });
    assert!(grown < 1024, "{grown} KiB");
    drop(raw);
    scene.ends_unharmed(&[]);
}
