//! Order and counts of what is written; no socket.

use super::{Load, MAX_PONGS, Writer};
use crate::codec::{ping_frame, pong_frame};
use crate::encoded::Encoded;
use crate::outbox::Offer;
use tungstenite::protocol::frame::coding::Data;

/// What would go over the wire, a byte at a time.
fn drain(writer: &mut Writer) -> Vec<u8> {
    let mut bytes = Vec::new();
    writer.seal();
    while let Some(first) = writer.queue.front() {
        bytes.push(first.rest[0]);
        writer.advance(1);
    }
    bytes
}

#[test]
fn a_pong_waits_for_the_frame_that_is_begun_and_passes_the_others() {
    let mut writer = Writer::default();
    writer.push_message(Encoded::text("aa"));
    writer.push_message(Encoded::text("bb"));
    writer.advance(1);
    writer.push_pong(pong_frame(b"1"));
    writer.push_ping(ping_frame());
    writer.push_ping(ping_frame());
    writer.push_pong(pong_frame(b"2"));
    let rest = drain(&mut writer);
    assert_eq!(rest, b"\x02aa\x8a\x011\x89\x00\x8a\x012\x81\x02bb");
}

#[test]
fn unanswered_pings_are_bounded_and_the_newest_are_kept() {
    let mut writer = Writer::default();
    for number in 0..=255_u8 {
        writer.push_pong(pong_frame(&[number]));
    }
    assert_eq!(writer.queue.len(), MAX_PONGS);
    assert_eq!(writer.queue.back().unwrap().rest[2], 255);
}

#[test]
fn messages_count_when_their_last_byte_is_out() {
    let mut writer = Writer::default();
    let (one, two) = (Encoded::text("abc"), Encoded::text("de"));
    writer.push_message(one.clone());
    writer.push_message(two.clone());
    assert_eq!(writer.advance(4).messages, Load::default());
    assert_eq!(
        writer.advance(4).messages,
        Load {
            messages: 1,
            bytes: one.len()
        }
    );
    assert_eq!(
        writer.discard(),
        Load::default(),
        "a frame that is begun must go out whole"
    );
    assert_eq!(
        writer.advance(1).messages,
        Load {
            messages: 1,
            bytes: two.len()
        }
    );
    assert!(writer.is_empty());
}

#[test]
fn discarding_leaves_control_frames_and_the_begun_frame() {
    let mut writer = Writer::default();
    for text in ["a", "b", "c"] {
        writer.push_message(Encoded::text(text));
    }
    writer.advance(1);
    writer.push_pong(pong_frame(b""));
    assert_eq!(
        writer.discard(),
        Load {
            messages: 2,
            bytes: 6
        }
    );
    assert_eq!(drain(&mut writer), b"\x01a\x8a\x00");
}

fn gather(writer: &mut Writer, texts: &[&str]) {
    for text in texts {
        writer.gather(&Offer::Body(Data::Text, text.as_bytes()));
    }
}

#[test]
fn what_is_gathered_counts_when_all_of_it_is_out() {
    let mut writer = Writer::default();
    gather(&mut writer, &["a", "bcd"]);
    assert!(!writer.is_empty());
    let progress = writer.gathered_out(Ok(8)).unwrap();
    assert_eq!(
        (
            progress.messages.messages,
            progress.messages.bytes,
            progress.bytes
        ),
        (2, 8, 8)
    );
    assert!(writer.is_empty());
}

#[test]
fn of_a_part_of_what_is_gathered_each_whole_frame_counts_and_a_pong_waits_for_the_begun_one() {
    let long = "x".repeat(300);
    let mut writer = Writer::default();
    gather(&mut writer, &["a", &long, "c"]);
    let progress = writer.gathered_out(Ok(3 + 4)).unwrap();
    assert_eq!((progress.messages.messages, progress.messages.bytes), (1, 3));
    writer.push_pong(pong_frame(b"1"));
    let rest = [long.as_bytes(), b"\x8a\x011\x81\x01c"].concat();
    assert_eq!(drain(&mut writer), rest);
}

#[test]
fn what_is_gathered_stands_behind_control_frames_and_before_what_comes_later() {
    let mut writer = Writer::default();
    gather(&mut writer, &["a"]);
    writer.push_ping(ping_frame());
    writer.push_message(Encoded::text("b"));
    assert_eq!(drain(&mut writer), b"\x89\x00\x81\x01a\x81\x01b");
    gather(&mut writer, &["c", "d"]);
    assert_eq!(
        writer.discard(),
        Load {
            messages: 2,
            bytes: 6
        }
    );
    assert!(writer.is_empty());
}

#[test]
fn a_short_message_joins_as_far_as_there_is_room_and_never_once_a_write_was_tried() {
    let mut writer = Writer::default();
    gather(&mut writer, &["a"]);
    let join = |writer: &mut Writer, body: &[u8]| writer.gathered().unwrap().join(Data::Binary, body);
    assert!(!join(&mut writer, b"b"), "no room was given");
    let room = |messages, bytes| Load { messages, bytes };
    assert_eq!(writer.gathered().unwrap().count(), room(1, 3));
    writer.gathered().unwrap().set_room(room(2, 100));
    assert!(join(&mut writer, b"b"));
    assert!(!join(&mut writer, &[0; 98]), "too many bytes");
    assert!(join(&mut writer, b""));
    assert!(!join(&mut writer, b"d"), "too many messages");
    assert_eq!(writer.uncounted(), room(2, 5));
    assert_eq!(
        (writer.gathered().unwrap().count(), writer.uncounted()),
        (room(2, 5), room(0, 0))
    );
    writer.gathered().unwrap().set_room(room(9, 100));
    writer.close_gathered();
    assert!(!join(&mut writer, b"e"));
    assert_eq!(drain(&mut writer), b"\x81\x01a\x82\x01b\x82\x00");
}
