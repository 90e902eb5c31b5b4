//! Channels: counting, expiry and the conservation of messages.

use super::{Channel, Closed, Terms};
use crate::metrics::LongPollMetrics;
use crate::readers::{Reader, ReaderId};
use crate::ring::{Limits, Position};
use bytes::Bytes;
use std::sync::Arc;
use std::time::{Duration, Instant};

const TTL: Duration = Duration::from_secs(60);

fn channel(messages: usize) -> (Arc<Channel>, LongPollMetrics) {
    let metrics = LongPollMetrics::new();
    let ring = Limits {
        messages,
        bytes: 1000,
    };
    let terms = Arc::new(Terms {
        ring,
        max_readers: 4,
        metrics: metrics.clone(),
    });
    (Arc::new(Channel::new(terms, Instant::now())), metrics)
}

fn push(channel: &Channel, count: usize) {
    for _ in 0..count {
        channel.push(Bytes::from("{}")).unwrap();
    }
}

/// Enqueued, drained, buffered, kept, overwritten, expired.
fn counts(metrics: &LongPollMetrics) -> (u64, u64, i64, i64, u64, u64) {
    (
        metrics.enqueued.get(),
        metrics.drained.get(),
        metrics.buffered.get(),
        metrics.kept.get(),
        metrics.overwritten.get(),
        metrics.expired.get(),
    )
}

#[test]
fn every_message_is_in_one_count() {
    let (channel, metrics) = channel(3);
    push(&channel, 2);
    assert_eq!(counts(&metrics), (2, 0, 2, 2, 0, 0));
    channel.read(Reader::Shared, Position(0), 1);
    assert_eq!(counts(&metrics), (2, 1, 1, 2, 0, 0));
    push(&channel, 3);
    assert_eq!(
        counts(&metrics),
        (5, 1, 3, 3, 1, 0),
        "one read and one unread message went"
    );
    let own = Reader::Own(ReaderId(1), None);
    let from = channel.begin(own, Instant::now());
    assert_eq!(
        channel.read(own, from, 1).missed,
        0,
        "a new reader misses nothing"
    );
    assert_eq!(channel.read(Reader::Shared, Position(1), 1).missed, 1);
    assert_eq!(metrics.missed.get(), 1);
    assert_eq!(
        counts(&metrics),
        (5, 2, 2, 3, 1, 0),
        "a second reader drains nothing"
    );
    assert!(channel.expire(Instant::now() + TTL, TTL));
    assert_eq!(counts(&metrics), (5, 2, 0, 0, 1, 2));
    assert_eq!(channel.push(Bytes::from("{}")), Err(Closed));
    assert_eq!(counts(&metrics), (5, 2, 0, 0, 1, 2));
}

#[test]
fn a_channel_lives_while_somebody_is_at_it() {
    let (channel, _) = channel(3);
    let late = Instant::now() + TTL + TTL;
    let hold = channel.clone().hold().unwrap();
    assert!(!channel.expire(late, TTL));
    drop(hold);
    assert!(!channel.expire(Instant::now() + TTL / 2, TTL), "just used");
    assert!(channel.expire(late, TTL));
    assert!(channel.expire(late, TTL), "and stays closed");
    assert!(channel.hold().is_err());
}

#[test]
fn a_broadcast_alone_keeps_nothing_alive() {
    let (channel, _) = channel(3);
    let late = Instant::now() + TTL;
    push(&channel, 1);
    assert!(channel.expire(late, TTL));
}

#[test]
fn epochs_differ() {
    assert_ne!(channel(1).0.epoch(), channel(1).0.epoch());
}
