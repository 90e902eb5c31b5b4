//! Frames that break RFC 6455, and some that only look as if they did.

use std::io::Write;
use std::time::{Duration, Instant};

use crate::scene::Scene;
use workspace_tests::raw::{BINARY, CLOSE, PING, PONG, TEXT, declared, frame};

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(CLOSE, &[&code.to_be_bytes()[..], reason].concat())
}

#[test]
fn rules_of_frames_are_answered_with_1002_and_nothing_is_delivered_behind() {
    let mut scene = Scene::new(&[]);
    let rows: Vec<(&str, Vec<u8>)> = vec![
        ("RSV1", frame(TEXT | 0x40, b"x")),
        ("RSV2", frame(BINARY | 0x20, b"x")),
        ("RSV3", frame(PING | 0x10, b"x")),
        ("reserved data opcode", frame(0x83, b"x")),
        ("last reserved data opcode", frame(0x87, b"")),
        ("reserved control opcode", frame(0x8b, b"")),
        ("last reserved control opcode", frame(0x8f, b"x")),
        ("unmasked text", vec![TEXT, 1, b'x']),
        ("unmasked ping", vec![PING, 0]),
        ("unmasked close", vec![CLOSE, 2, 3, 0xe8]),
        ("long ping", frame(PING, &[0; 126])),
        ("long pong", frame(PONG, &[0; 65_536])),
        ("fragmented ping", frame(0x09, b"")),
        ("fragmented close", frame(0x08, &[3, 0xe8])),
        ("continuation of nothing", frame(0x80, b"x")),
        (
            "new message inside another",
            [frame(0x01, b"a"), frame(TEXT, b"b")].concat(),
        ),
        ("close of 1 byte", frame(CLOSE, &[3])),
        ("close of 126 bytes", close(1000, &[b'x'; 124])),
    ];
    let count = rows.len() as u64;
    for (name, bytes) in &rows {
        let behind = frame(TEXT, br#"{"type":"throw"}"#);
        scene.breaks(name, &[&bytes[..], &behind].concat(), 1002);
    }
    assert_eq!(
        scene.lab.event("handler_panics"),
        0,
        "nothing was delivered behind"
    );
    scene.ends_unharmed(&[("protocol", count)]);
}

#[test]
fn close_codes_are_told_apart() {
    let mut scene = Scene::new(&[]);
    let unlawful = [
        0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 5001, 10_000, 32_768, 65_535,
    ];
    for code in unlawful {
        scene.breaks(&format!("{code}"), &close(code, b""), 1002);
    }
    for (name, reason) in [
        ("overlong", &b"\xc0\xaf"[..]),
        ("cut", b"\xe2\x82"),
        ("surrogate", b"\xed\xa0\x80"),
    ] {
        scene.breaks(name, &close(1000, reason), 1007);
    }
    let lawful = [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4000, 4999,
    ];
    for code in lawful {
        let (mut raw, session) = scene.attacker();
        raw.send(
            &[
                close(code, "grüße".as_bytes()),
                frame(TEXT, br#"{"type":"throw"}"#),
            ]
            .concat(),
        );
        scene.is_closed("lawful", (raw, session), code, "peer");
    }
    let (mut raw, session) = scene.attacker();
    raw.frame(CLOSE, b"");
    assert_eq!(
        raw.read_frame(),
        Some((CLOSE, Vec::new())),
        "no body is answered by no body"
    );
    assert!(raw.ends_in_order());
    scene.was_closed("no code", session, 1005, "peer");
    assert_eq!(
        scene.lab.event("handler_panics"),
        0,
        "nothing is delivered after a Close"
    );
    scene.ends_unharmed(&[("protocol", unlawful.len() as u64), ("text", 3)]);
}

#[test]
fn invalid_utf_8_is_answered_with_1007_at_the_byte() {
    let mut scene = Scene::new(&[]);
    let forms: [(&str, &[u8]); 8] = [
        ("stray continuation", b"ok \x80"),
        ("never a byte", b"\xfe"),
        ("overlong", b"\xc0\xaf"),
        ("surrogate", b"\xed\xa0\x80"),
        ("pair of surrogates", b"\xed\xa0\x81\xed\xb0\x80"),
        ("beyond Unicode", b"\xf4\x90\x80\x80"),
        ("five bytes", b"\xf8\x88\x80\x80\x80"),
        ("cut character", b"\xf0\x9f\x98"),
    ];
    for (name, bytes) in forms {
        scene.breaks(name, &frame(TEXT, bytes), 1007);
        let pieces: Vec<u8> = bytes.iter().flat_map(|byte| frame(0x00, &[*byte])).collect();
        let split = [frame(0x01, b""), pieces, frame(0x80, b"")].concat();
        scene.breaks(&format!("{name}, split"), &split, 1007);
    }
    // The frame says 60 000 bytes, one is bad, and no more come.
    let unfinished = [declared(TEXT, 60_000), vec![0xff ^ 0x37]].concat();
    scene.breaks("inside a frame that never ends", &unfinished, 1007);
    scene.ends_unharmed(&[("text", 17)]);
}

#[test]
fn declared_lengths_are_refused_before_a_byte_of_them_is_awaited() {
    let mut scene = Scene::new(&[]);
    let grown = scene.growth(|scene| {
        for power in 20..64 {
            for length in [
                1_u64 << power,
                (1 << power) | 1,
                (1_u64 << power) + ((1 << power) - 1),
            ] {
                let began = Instant::now();
                let code = if length >> 63 == 0 { 1009 } else { 1002 };
                scene.breaks(&format!("{length}"), &declared(BINARY, length), code);
                assert!(began.elapsed() < Duration::from_secs(1), "{length}: at once");
            }
        }
    });
    assert!(grown < 256, "132 headers took {grown} KiB");
    scene.ends_unharmed(&[("size", 43 * 3), ("protocol", 3)]);
}

#[test]
fn segments_of_any_size_are_lawful() {
    let mut scene = Scene::new(&[]);
    let text = "x".repeat(300);
    let bytes = frame(TEXT, text.as_bytes());
    for cut in 1..8 {
        let (mut raw, _) = scene.attacker();
        raw.send(&bytes[..cut]);
        // The first part has been read when somebody else has been answered.
        scene.neighbour_is_served();
        raw.send(&bytes[cut..]);
        assert_eq!(raw.text(), format!("echo: {text}"), "cut behind {cut}");
        raw.frame(CLOSE, &[3, 0xe8]);
        assert_eq!(raw.closed().0, 1000);
    }
    let (mut raw, _) = scene.attacker();
    for byte in &bytes {
        raw.stream().write_all(&[*byte]).expect("taken");
    }
    assert_eq!(raw.text(), format!("echo: {text}"), "byte by byte");
    drop(raw);
    scene.ends_unharmed(&[]);
}
