//! Tests of the ring: numbers, bounds, gaps, cursors of every kind.

use super::{Limits, Ring};
use crate::encoded::Encoded;
use crate::resume::ResumeError;
use proptest::prelude::*;

fn ring(messages: usize, bytes: usize) -> Ring {
    Ring::new(Limits { messages, bytes })
}

fn filled(limit: usize, count: u64) -> Ring {
    let mut ring = ring(limit, 1 << 20);
    for number in 1..=count {
        ring.push(Encoded::text(number.to_string()));
    }
    ring
}

fn texts(ring: &mut Ring, cursor: u64, messages: usize) -> (u64, u64, Vec<u64>) {
    let run = ring.read(cursor, messages, 1 << 20);
    let numbers = run
        .messages
        .iter()
        .map(|message| message.as_text().unwrap().parse().unwrap())
        .collect();
    (run.lost, run.from, numbers)
}

#[test]
fn reading_takes_nothing_away_and_acknowledging_does() {
    let mut ring = filled(8, 3);
    assert_eq!(texts(&mut ring, 0, 10), (0, 0, vec![1, 2, 3]));
    assert_eq!(texts(&mut ring, 0, 2), (0, 0, vec![1, 2]));
    assert_eq!(texts(&mut ring, 2, 10), (0, 2, vec![3]));
    ring.acknowledge(2).unwrap();
    assert_eq!((ring.len(), ring.is_settled()), (1, false));
    ring.acknowledge(1).unwrap();
    assert_eq!(texts(&mut ring, 2, 10), (0, 2, vec![3]));
    ring.acknowledge(3).unwrap();
    assert!(ring.is_settled());
    assert_eq!(texts(&mut ring, 3, 10), (0, 3, vec![]));
}

#[test]
fn cursors_from_the_past_and_from_the_future() {
    let mut ring = filled(8, 3);
    ring.acknowledge(2).unwrap();
    assert_eq!(ring.check(1), Err(ResumeError::Behind));
    assert_eq!((ring.check(2), ring.check(3)), (Ok(()), Ok(())));
    assert_eq!(ring.check(4), Err(ResumeError::Ahead));
    assert_eq!(ring.acknowledge(4), Err(ResumeError::Ahead));
    assert_eq!(ring.check(u64::MAX), Err(ResumeError::Ahead));
}

#[test]
fn a_gap_that_is_told_again_is_no_new_loss() {
    let mut ring = filled(4, 10);
    let lost = |ring: &mut Ring, cursor| {
        let run = ring.read(cursor, 10, 1 << 20);
        (run.lost, run.newly_lost)
    };
    assert_eq!(lost(&mut ring, 0), (6, 6));
    assert_eq!(lost(&mut ring, 0), (6, 0));
    for number in 11..=13_u64 {
        ring.push(Encoded::text(number.to_string()));
    }
    assert_eq!(lost(&mut ring, 0), (9, 3), "three more went since");
    assert_eq!(lost(&mut ring, 7), (2, 0));
}

#[test]
fn an_overflow_is_a_gap_with_the_number_lost() {
    let mut ring = filled(4, 10);
    assert_eq!(ring.len(), 4);
    assert_eq!(texts(&mut ring, 0, 10), (6, 6, vec![7, 8, 9, 10]));
    assert_eq!(texts(&mut ring, 5, 10), (1, 6, vec![7, 8, 9, 10]));
    assert_eq!(texts(&mut ring, 8, 10), (0, 8, vec![9, 10]));
    assert_eq!(
        ring.push(Encoded::text("11")),
        0,
        "what goes had been given to a transport"
    );
}

#[test]
fn what_could_not_be_kept_is_a_gap_where_it_was() {
    let mut ring = ring(8, 1 << 20);
    ring.push(Encoded::text("1"));
    ring.lose();
    ring.push(Encoded::text("3"));
    ring.lose();
    assert_eq!(texts(&mut ring, 0, 10), (0, 0, vec![1]));
    assert_eq!(texts(&mut ring, 1, 10), (1, 2, vec![3]));
    assert_eq!(texts(&mut ring, 3, 10), (1, 4, vec![]));
    assert_eq!(texts(&mut ring, 4, 10), (0, 4, vec![]));
}

#[test]
fn bytes_are_bounded_and_one_long_message_may_stand_alone() {
    let mut ring = ring(100, 1000);
    for _ in 0..10 {
        ring.push(Encoded::binary([0; 300]));
    }
    assert_eq!((ring.len(), ring.bytes <= 1000), (3, true));
    ring.push(Encoded::binary([0; 5000]));
    assert_eq!(ring.len(), 1);
    let run = ring.read(0, 10, 10);
    assert_eq!(
        (run.lost, run.messages.len()),
        (10, 1),
        "one goes, whatever its length"
    );
    assert_eq!(ring.clear(), 0);
}

proptest! {
    /// Whatever is sent, read and acknowledged: what a reader has and what it is told to be lost add up, in order, and
    /// the ring keeps its bounds.
    #[test]
    fn a_reader_has_each_number_once_or_knows_that_it_is_lost(
        limit in 1usize..9,
        steps in proptest::collection::vec((0u8..12, 1usize..6), 1..200),
    ) {
        let mut ring = ring(limit, 1 << 20);
        let (mut last, mut cursor, mut seen, mut lost) = (0u64, 0u64, 0u64, 0u64);
        for (what, count) in steps {
            match what {
                0..=6 => {
                    last += 1;
                    ring.push(Encoded::text(last.to_string()));
                }
                7..=9 => {
                    let (gone, from, numbers) = texts(&mut ring, cursor, count);
                    prop_assert_eq!(from, cursor + gone);
                    for (expected, number) in (from + 1..).zip(&numbers) {
                        prop_assert_eq!(expected, *number);
                    }
                    lost += gone;
                    seen += numbers.len() as u64;
                    cursor = from + numbers.len() as u64;
                }
                10 => ring.acknowledge(cursor).unwrap(),
                _ => {
                    // An answer that was lost is asked for again with the same cursor.
                    let again = texts(&mut ring, cursor, count);
                    prop_assert_eq!(&again, &texts(&mut ring, cursor, count));
                }
            }
            prop_assert!(ring.len() <= limit);
            prop_assert_eq!(seen + lost, cursor);
        }
    }
}
