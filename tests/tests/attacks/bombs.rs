//! Small bytes that want to become large.

use std::io::Write;
use std::thread;

use flate2::{Compress, Compression, FlushCompress};

use crate::scene::Scene;
use workspace_tests::raw::{BINARY, TEXT, declared, frame};

const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
/// RSV1: the message is compressed.
const COMPRESSED: u8 = 0x40;

/// So many MiB of zeros, compressed as far as deflate goes.
fn bomb(mebibytes: usize) -> Vec<u8> {
    let mut piece = Vec::with_capacity(1 << 20);
    // A full flush makes each piece independent of those before it.
    Compress::new(Compression::best(), false)
        .compress_vec(&vec![0; 1 << 20], &mut piece, FlushCompress::Full)
        .expect("there is room");
    let mut bytes = piece.repeat(mebibytes);
    bytes.truncate(bytes.len() - 4);
    bytes
}

/// The bytes as fragments of 16 KiB.
fn fragmented(first: u8, bytes: &[u8]) -> Vec<u8> {
    let mut pieces = bytes.chunks(16_384);
    let begin = frame(first & 0x7f, pieces.next().expect("a bomb has bytes"));
    [begin, pieces.flat_map(|piece| frame(0x00, piece)).collect()].concat()
}

#[test]
fn a_compression_bomb_ends_at_the_limit_of_what_it_becomes() {
    let mut scene = Scene::new(&[]);
    let large = bomb(256);
    assert!(large.len() < 300 * 1024, "256 MiB in {} bytes", large.len());
    // Warm: each worker has inflated something.
    strikes(&mut scene, &bomb(1));
    let grown = scene.growth(|scene| strikes(scene, &large));
    assert!(grown < 1024, "{grown} KiB");
    scene.ends_unharmed(&[("size", 8)]);
}

/// A text and a binary message, each in fragments and as one frame.
fn strikes(scene: &mut Scene, bomb: &[u8]) {
    let whole = |first: u8| {
        let header = declared(first, bomb.len() as u64);
        let body = &frame(first, bomb)[header.len()..];
        [&header[..], body].concat()
    };
    for (name, bytes) in [
        ("text in fragments", fragmented(TEXT | COMPRESSED, bomb)),
        ("binary in fragments", fragmented(BINARY | COMPRESSED, bomb)),
        ("text in a frame", whole(TEXT | COMPRESSED)),
        ("binary in a frame", whole(BINARY | COMPRESSED)),
    ] {
        let (raw, session) = scene.attacker_offering(OFFER);
        assert!(raw.answer.header("sec-websocket-extensions").is_some(), "{name}");
        let mut writer = raw.stream().try_clone().expect("a socket");
        let writing = thread::spawn(move || {
            let _ = writer.write_all(&bytes);
        });
        scene.is_closed(name, (raw, session), 1009, "error");
        writing.join().expect("the writer ends");
    }
}
