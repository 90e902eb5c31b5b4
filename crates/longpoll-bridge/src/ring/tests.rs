//! What holds for a ring whatever is pushed and read, in whatever order.

use super::{Limits, Position, Pushed, Ring};
use bytes::Bytes;
use proptest::prelude::*;

fn ring(messages: usize, bytes: usize) -> Ring {
    Ring::new(Limits { messages, bytes })
}

fn texts(batch: &super::Batch) -> Vec<&str> {
    batch
        .messages
        .iter()
        .map(|text| str::from_utf8(text).unwrap())
        .collect()
}

#[test]
fn two_readers_both_get_everything() {
    let mut ring = ring(10, 100);
    for text in ["a", "b", "c"] {
        ring.push(Bytes::from(text));
    }
    let first = ring.read(Position(0), 50);
    let second = ring.read(Position(0), 2);
    assert_eq!((texts(&first), first.first_reads), (vec!["a", "b", "c"], 3));
    assert_eq!((texts(&second), second.first_reads), (vec!["a", "b"], 0));
    assert_eq!(texts(&ring.read(second.position, 50)), ["c"]);
    assert_eq!(ring.unread(), 0);
}

#[test]
fn overflow_is_told_to_who_missed_it() {
    let mut ring = ring(2, 100);
    ring.push(Bytes::from("a"));
    ring.read(Position(0), 1);
    ring.push(Bytes::from("b"));
    assert_eq!(
        ring.push(Bytes::from("c")),
        Pushed {
            lost_unread: 0,
            dropped_read: 1
        }
    );
    assert_eq!(
        ring.push(Bytes::from("d")),
        Pushed {
            lost_unread: 1,
            dropped_read: 0
        }
    );
    let late = ring.read(Position(1), 50);
    assert_eq!((texts(&late), late.missed), (vec!["c", "d"], 1));
    assert_eq!(ring.oldest(), Position(2));
}

#[test]
fn a_message_that_fits_in_no_ring_leaves_a_gap_and_the_others() {
    let mut ring = ring(10, 3);
    ring.push(Bytes::from("a"));
    assert_eq!(
        ring.push(Bytes::from("long")),
        Pushed {
            lost_unread: 1,
            dropped_read: 0
        }
    );
    ring.push(Bytes::from("b"));
    let batch = ring.read(Position(0), 50);
    assert_eq!((texts(&batch), batch.missed), (vec!["a", "b"], 1));
}

#[test]
fn a_position_from_the_future_is_the_end() {
    let mut ring = ring(10, 100);
    ring.push(Bytes::from("a"));
    let batch = ring.read(Position(u64::MAX), 50);
    assert_eq!(
        (batch.messages.len(), batch.position, batch.missed),
        (0, Position(1), 0)
    );
}

#[derive(Debug, Clone)]
enum Step {
    Push(usize),
    Read { reader: usize, max: usize },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..14_usize).prop_map(Step::Push),
        (0..3_usize, 0..6_usize).prop_map(|(reader, max)| Step::Read { reader, max }),
    ]
}

/// A message of this number and at least this length.
fn message(number: u64, length: usize) -> Bytes {
    Bytes::from(format!("{number:0length$}"))
}

proptest! {
    /// Each reader gets the suffix that is still kept, in order and once, and hears exactly how much is not in it.
    #[test]
    fn every_number_is_read_or_reported_missing(
        limit in 1..6_usize,
        bytes in 1..40_usize,
        steps in proptest::collection::vec(step(), 0..80),
    ) {
        let mut ring = ring(limit, bytes);
        let mut kept: Vec<(u64, Bytes)> = Vec::new();
        let (mut pushed, mut gone, mut unread_lost, mut first_reads) = (0_u64, 0_u64, 0_u64, 0_u64);
        let mut positions = [Position(0); 3];
        for step in steps {
            match step {
                Step::Push(length) => {
                    pushed += 1;
                    let text = message(pushed, length);
                    let told = ring.push(text.clone());
                    if text.len() <= bytes {
                        kept.push((pushed, text));
                        while kept.len() > limit || kept.iter().map(|(_, text)| text.len()).sum::<usize>() > bytes {
                            kept.remove(0);
                        }
                    }
                    gone += told.lost_unread + told.dropped_read;
                    unread_lost += told.lost_unread;
                    prop_assert_eq!(gone, pushed - kept.len() as u64);
                }
                Step::Read { reader, max } => {
                    let from = positions[reader];
                    let batch = ring.read(from, max);
                    let expected: Vec<_> =
                        kept.iter().filter(|(number, _)| *number > from.0).take(max).cloned().collect();
                    let got: Vec<_> = expected.iter().map(|(_, text)| text.clone()).collect();
                    prop_assert_eq!(&batch.messages, &got);
                    prop_assert!(batch.position >= from);
                    prop_assert_eq!(batch.position.0 - from.0, got.len() as u64 + batch.missed);
                    if let Some((last, _)) = expected.last() {
                        prop_assert!(batch.position.0 >= *last);
                    }
                    positions[reader] = batch.position;
                    first_reads += batch.first_reads;
                }
            }
            prop_assert_eq!(ring.len(), kept.len());
            prop_assert_eq!(pushed, first_reads + unread_lost + ring.unread() as u64);
        }
        for from in positions {
            let rest = ring.read(from, usize::MAX);
            prop_assert_eq!(rest.position, Position(pushed));
        }
    }
}
