//! The bounds and policies of an outbox; no socket, no clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};

use proptest::prelude::*;

use super::{Interest, Load, Offer, Outbox, OutboxPolicy, SendOutcome, Sent};
use crate::batch::Hold;
use crate::close::{CloseInfo, CloseRequest, ClosedBy};
use crate::config::OutboxConfig;
use crate::encoded::Encoded;

const ALL: Load = Load {
    messages: usize::MAX,
    bytes: usize::MAX,
};

fn limits(messages: usize, bytes: usize) -> OutboxConfig {
    OutboxConfig {
        messages,
        bytes,
        policy: OutboxPolicy::Close,
    }
}

fn info() -> CloseInfo {
    CloseInfo::new(1000, "", ClosedBy::Server)
}

fn take_texts(outbox: &Outbox, room: Load) -> Vec<String> {
    let mut texts = Vec::new();
    outbox.take(room, |message| texts.push(message.as_text().unwrap().to_owned()));
    texts
}

fn offer(outbox: &Outbox, message: &Encoded, policy: OutboxPolicy, limits: &OutboxConfig) -> Sent {
    outbox
        .send(Offer::Framed(message), policy, limits, Hold::Never)
        .expect_err("there is no socket to write it to")
}

fn send(outbox: &Outbox, text: &str, policy: OutboxPolicy, limits: &OutboxConfig) -> Sent {
    offer(outbox, &Encoded::text(text), policy, limits)
}

#[test]
fn past_the_count_each_policy_does_what_it_says() {
    let limits = limits(2, 0);
    let rows = [
        (OutboxPolicy::Close, SendOutcome::Closed, 1, vec!["a", "b"]),
        (OutboxPolicy::DropNewest, SendOutcome::Dropped, 1, vec!["a", "b"]),
        (OutboxPolicy::DropOldest, SendOutcome::Queued, 1, vec!["b", "c"]),
        (
            OutboxPolicy::KeepLatest(7),
            SendOutcome::Queued,
            1,
            vec!["b", "c"],
        ),
    ];
    for (policy, outcome, lost, left) in rows {
        let outbox = Outbox::new();
        for text in ["a", "b"] {
            assert_eq!(
                send(&outbox, text, OutboxPolicy::Close, &limits),
                Sent::new(SendOutcome::Queued, 0)
            );
        }
        let sent = send(&outbox, "c", policy, &limits);
        assert_eq!((sent.outcome, sent.lost), (outcome, lost), "{policy:?}");
        assert_eq!(sent.overflowed, policy == OutboxPolicy::Close);
        assert_eq!(take_texts(&outbox, ALL), left, "{policy:?}");
    }
}

#[test]
fn bytes_bound_it_too_and_an_empty_one_takes_a_single_larger_message() {
    let limits = limits(0, 10);
    let outbox = Outbox::new();
    let large = "x".repeat(100);
    assert_eq!(
        send(&outbox, &large, OutboxPolicy::DropNewest, &limits).outcome,
        SendOutcome::Queued
    );
    assert_eq!(
        send(&outbox, "y", OutboxPolicy::DropNewest, &limits).outcome,
        SendOutcome::Dropped
    );
    assert_eq!(take_texts(&outbox, ALL), [large]);
    let refused = send(&outbox, "y", OutboxPolicy::DropNewest, &limits);
    assert_eq!(
        refused.outcome,
        SendOutcome::Dropped,
        "what is being written still counts"
    );
    outbox.written(Load {
        messages: 1,
        bytes: 102,
    });
    assert_eq!(
        send(&outbox, "12345678", OutboxPolicy::DropNewest, &limits).outcome,
        SendOutcome::Queued
    );
}

#[test]
fn the_newest_of_a_key_replaces_the_waiting_one_and_stands_last() {
    let limits = limits(10, 0);
    let outbox = Outbox::new();
    for (text, policy, lost) in [
        ("price 1", OutboxPolicy::KeepLatest(1), 0),
        ("chat", OutboxPolicy::Close, 0),
        ("volume 1", OutboxPolicy::KeepLatest(2), 0),
        ("price 2", OutboxPolicy::KeepLatest(1), 1),
    ] {
        assert_eq!(
            send(&outbox, text, policy, &limits),
            Sent::new(SendOutcome::Queued, lost)
        );
    }
    assert_eq!(take_texts(&outbox, ALL), ["chat", "volume 1", "price 2"]);
}

#[test]
fn a_message_in_flight_cannot_be_dropped_yet_the_newest_enters() {
    let limits = limits(1, 0);
    let outbox = Outbox::new();
    assert!(
        send(&outbox, "in flight", OutboxPolicy::DropOldest, &limits)
            .outcome
            .is_queued()
    );
    assert_eq!(take_texts(&outbox, ALL).len(), 1);
    for (text, lost) in [("old", 0), ("new", 1)] {
        assert_eq!(
            send(&outbox, text, OutboxPolicy::DropOldest, &limits),
            Sent::new(SendOutcome::Queued, lost)
        );
    }
    assert_eq!(take_texts(&outbox, ALL), ["new"]);
    assert_eq!(outbox.end(), 2, "both are undelivered");
}

#[test]
fn a_batch_stops_at_its_room_but_never_starves() {
    let outbox = Outbox::new();
    for text in ["aaaa", "bbbb", "cccc"] {
        send(&outbox, text, OutboxPolicy::Close, &limits(0, 0));
    }
    assert_eq!(
        take_texts(
            &outbox,
            Load {
                messages: 2,
                bytes: 1000
            }
        ),
        ["aaaa", "bbbb"]
    );
    assert_eq!(
        take_texts(
            &outbox,
            Load {
                messages: 2,
                bytes: 1
            }
        ),
        ["cccc"]
    );
}

#[test]
fn the_first_wish_to_close_counts_and_ends_sending() {
    let outbox = Outbox::new();
    send(&outbox, "a", OutboxPolicy::Close, &limits(0, 0));
    assert_eq!(outbox.close(CloseRequest::new(info())), Some(0));
    assert_eq!(outbox.close(CloseRequest::discarding(info())), None);
    assert_eq!(
        send(&outbox, "b", OutboxPolicy::Close, &limits(0, 0)).outcome,
        SendOutcome::Closed
    );
    assert_eq!(
        take_texts(&outbox, ALL),
        ["a"],
        "what was queued before is still sent"
    );
}

#[test]
fn a_handler_that_is_waited_for_may_still_send() {
    let outbox = Outbox::new();
    let waiting = CloseRequest {
        handler_until: Some(std::time::Instant::now()),
        ..CloseRequest::new(info())
    };
    assert_eq!(outbox.close(waiting), Some(0));
    assert!(
        send(&outbox, "answer", OutboxPolicy::Close, &limits(0, 0))
            .outcome
            .is_queued()
    );
    outbox.seal();
    assert_eq!(
        send(&outbox, "late", OutboxPolicy::Close, &limits(0, 0)).outcome,
        SendOutcome::Closed
    );
}

struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_sleeper_is_woken_once_and_only_for_what_it_waits_for() {
    let count = Arc::new(Count(AtomicUsize::new(0)));
    let waker = Waker::from(Arc::clone(&count));
    let context = Context::from_waker(&waker);
    let outbox = Outbox::new();
    let woken = || count.0.load(Ordering::SeqCst);
    let interest = |messages| Interest {
        messages,
        close_version: outbox.close_version(),
    };

    assert!(outbox.sleep(interest(true), &context));
    send(&outbox, "a", OutboxPolicy::Close, &limits(0, 0));
    send(&outbox, "b", OutboxPolicy::Close, &limits(0, 0));
    assert_eq!(woken(), 1, "the second message finds nobody asleep");
    assert!(!outbox.sleep(interest(true), &context), "messages are there");

    assert!(outbox.sleep(interest(false), &context));
    send(&outbox, "c", OutboxPolicy::Close, &limits(0, 0));
    assert_eq!(
        woken(),
        1,
        "a transport that cannot write is not woken for messages"
    );
    let before = interest(false);
    assert_eq!(outbox.close(CloseRequest::new(info())), Some(0));
    assert_eq!(woken(), 2);
    assert!(!outbox.sleep(before, &context), "the wish to close is news");
}

proptest! {
    #[test]
    fn sent_is_delivered_plus_lost_for_every_policy(
        steps in proptest::collection::vec((0_u8..4, 0_u64..3, 0_usize..40), 1..200),
    ) {
        let limits = limits(4, 100);
        let outbox = Outbox::new();
        let (mut delivered, mut lost, mut refused) = (0, 0, 0);
        for (step, key, size) in &steps {
            let policy = match step {
                0 => OutboxPolicy::DropNewest,
                1 => OutboxPolicy::DropOldest,
                2 => OutboxPolicy::KeepLatest(*key),
                _ => {
                    let mut taken = Load::default();
                    outbox.take(Load { messages: 1, bytes: 1000 }, |message| {
                        taken = Load { messages: 1, bytes: message.len() };
                    });
                    delivered += taken.messages as u64;
                    outbox.written(taken);
                    refused += 1;
                    continue;
                }
            };
            lost += offer(&outbox, &Encoded::binary(vec![0; *size]), policy, &limits).lost;
        }
        let undelivered = outbox.end();
        prop_assert!(undelivered <= 5);
        prop_assert_eq!(delivered + lost + undelivered, steps.len() as u64 - refused);
    }
}
