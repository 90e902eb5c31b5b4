//! How long messages wait, and who has those that are measured; on a stream that takes only so much, with a clock that
//! stands until it is moved.

use std::task::{Context, Waker};
use std::time::Duration;

use tokio::io::{AsyncReadExt, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::advance;

use super::marks::Marks;
use super::{Load, Offer, Outbox, OutboxPolicy, WriteEnd};
use crate::batch::Hold;
use crate::clock::now;
use crate::config::OutboxConfig;
use crate::encoded::Encoded;
use crate::fan_out::{FanOutTimes, Receipt};

const LIMITS: OutboxConfig = OutboxConfig {
    messages: 4,
    bytes: 0,
    policy: OutboxPolicy::Close,
};
const WIDE: OutboxConfig = OutboxConfig {
    messages: 0,
    ..LIMITS
};
const ALL: Load = Load {
    messages: usize::MAX,
    bytes: usize::MAX,
};

fn give(outbox: &Outbox, offer: Offer<'_>, policy: OutboxPolicy) {
    let sent = outbox.send(offer, policy, &LIMITS, Hold::Never);
    assert!(
        sent.expect_err("there is no socket to write it to")
            .outcome
            .is_queued()
    );
}

fn say(outbox: &Outbox, text: &str) {
    give(
        outbox,
        Offer::Framed(&Encoded::text(text)),
        OutboxPolicy::DropOldest,
    );
}

fn write(outbox: &Outbox, stream: &mut DuplexStream) -> WriteEnd {
    outbox
        .poll_write_to(stream, None, &mut Context::from_waker(Waker::noop()))
        .end
}

/// How old the oldest message is, in milliseconds.
fn age(outbox: &Outbox) -> Option<u128> {
    let since = outbox.oldest()?;
    Some(now().duration_since(since).as_millis())
}

async fn wait(milliseconds: u64) {
    advance(Duration::from_millis(milliseconds)).await;
}

#[tokio::test(start_paused = true)]
async fn the_oldest_message_is_as_old_as_the_time_its_transport_has_not_taken_it() {
    let (outbox, (mut ours, mut theirs)) = (Outbox::new(), duplex(8));
    say(&outbox, "one");
    wait(5).await;
    assert_eq!(age(&outbox), None, "nothing has stalled");
    // Five bytes of it are in, and three of these.
    say(&outbox, "two");
    assert!(matches!(write(&outbox, &mut ours), WriteEnd::Blocked));
    for (text, oldest) in [("three", 0), ("four", 10), ("five", 20)] {
        assert_eq!(age(&outbox), Some(oldest), "before {text}");
        say(&outbox, text);
        wait(10).await;
    }
    assert_eq!(age(&outbox), Some(30), "its first bytes out are not it");
    // Room for the rest of `two`, and a part of `three`, which has come at the beginning of the stall.
    theirs.read_exact(&mut [0; 5]).await.unwrap();
    assert!(matches!(write(&outbox, &mut ours), WriteEnd::Blocked));
    assert_eq!(age(&outbox), Some(30));
    theirs.read_exact(&mut [0; 8]).await.unwrap();
    assert!(matches!(write(&outbox, &mut ours), WriteEnd::Blocked));
    assert_eq!(age(&outbox), Some(20), "four came ten milliseconds later");
    let mut buffer = [0; 64];
    while !matches!(write(&outbox, &mut ours), WriteEnd::Flushed) {
        assert!(theirs.read(&mut buffer).await.unwrap() > 0);
    }
    assert_eq!(age(&outbox), None);
    say(&outbox, "six");
    wait(10).await;
    assert_eq!(age(&outbox), None, "a new one waits for nothing");
}

#[tokio::test(start_paused = true)]
async fn the_end_leaves_nothing_that_is_old() {
    let (outbox, (mut ours, _theirs)) = (Outbox::new(), duplex(4));
    say(&outbox, "more than four");
    assert!(matches!(write(&outbox, &mut ours), WriteEnd::Blocked));
    assert_eq!(age(&outbox), Some(0));
    outbox.end();
    assert_eq!(age(&outbox), None);
}

/// A message that is measured, on its way through `outbox`.
fn measured(outbox: &Outbox, receipt: &Receipt, text: &str, policy: OutboxPolicy) {
    give(outbox, Offer::Measured(&Encoded::text(text), receipt), policy);
}

#[tokio::test(start_paused = true)]
async fn a_message_is_had_when_its_last_byte_is_out() {
    let times = FanOutTimes::new();
    let (outbox, (mut ours, mut theirs)) = (Outbox::new(), duplex(4));
    measured(
        &outbox,
        &times.measured(),
        "more than four",
        OutboxPolicy::DropOldest,
    );
    for _ in 0..3 {
        assert!(matches!(write(&outbox, &mut ours), WriteEnd::Blocked));
        wait(10).await;
        theirs.read_exact(&mut [0; 4]).await.unwrap();
        assert_eq!(times.last(), (0, 0.0));
    }
    assert!(matches!(write(&outbox, &mut ours), WriteEnd::Flushed));
    assert_eq!(times.last(), (1, 30.0));
}

#[tokio::test(start_paused = true)]
async fn who_keeps_messages_for_a_client_has_them() {
    let (times, outbox) = (FanOutTimes::new(), Outbox::new());
    measured(&outbox, &times.measured(), "kept", OutboxPolicy::Close);
    wait(10).await;
    outbox.take(ALL, drop);
    outbox.written(Load {
        messages: 1,
        bytes: 6,
    });
    assert_eq!(times.last(), (1, 10.0));
}

#[tokio::test(start_paused = true)]
async fn what_a_policy_or_the_end_drops_is_not_had_and_not_waited_for() {
    let times = FanOutTimes::new();
    let outbox = Outbox::new();
    let own = times.measured();
    measured(&outbox, &own, "replaced", OutboxPolicy::KeepLatest(7));
    say(&outbox, "one");
    measured(&outbox, &own, "dropped", OutboxPolicy::DropOldest);
    assert_eq!(own.copies(), 3);
    measured(&outbox, &own, "replaces", OutboxPolicy::KeepLatest(7));
    assert_eq!(own.copies(), 3, "the one it replaces is gone");
    for text in ["two", "three", "four"] {
        say(&outbox, text);
    }
    assert_eq!(own.copies(), 2, "one and the next had to go");
    // Of the last one a part is out, which stays with whoever writes until the connection is gone.
    let (mut ours, _theirs) = duplex(2);
    assert!(matches!(write(&outbox, &mut ours), WriteEnd::Blocked));
    outbox.end();
    assert_eq!(own.copies(), 1, "the end leaves none");
    drop(own);
    assert_eq!(times.last(), (0, 0.0), "nobody had it");
}

/// Of a real socket, to which whoever sends writes.
#[tokio::test]
async fn what_is_gathered_is_had_when_all_of_it_is_written() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let mut theirs = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (_read, write) = listener.accept().await.unwrap().0.into_split();
    write.writable().await.unwrap();
    let (times, outbox) = (FanOutTimes::new(), Outbox::new());
    outbox.connect(Some(write), None);
    let (first, third) = (times.measured(), times.measured());
    let texts = ["abc", "de", "f"].map(Encoded::text);
    let offers = [
        Offer::Measured(&texts[0], &first),
        Offer::Framed(&texts[1]),
        Offer::Measured(&texts[2], &third),
    ];
    for offer in offers {
        let kept = outbox.send(offer, OutboxPolicy::Close, &WIDE, Hold::Always);
        assert!(kept.expect_err("it is held").outcome.is_queued());
    }
    assert_eq!((first.copies(), third.copies()), (2, 2));
    assert_eq!((first.had_by(), third.had_by()), (0, 0));
    assert_eq!(outbox.write_held().messages, 3);
    assert_eq!((first.copies(), third.copies()), (1, 1));
    assert_eq!((first.had_by(), third.had_by()), (1, 1));
    theirs.read_exact(&mut [0; 12]).await.unwrap();
}

#[test]
fn places_move_up_and_times_stay_with_their_messages() {
    let start = now();
    let at = |milliseconds: u64| start + Duration::from_millis(milliseconds);
    let times = FanOutTimes::new();
    let receipts = [(); 6].map(|()| times.measured());
    let had = || receipts.each_ref().map(|receipt| receipt.had_by());
    let mut marks = Marks::default();
    marks.stall(|| start);
    // The second is as old as the first, for all that can be told.
    for (place, age) in [0, 5, 20, 40, 60, 80].into_iter().enumerate() {
        marks.enter(place, Some(receipts[place].clone()), || at(age));
    }
    assert_eq!(marks.since(), Some(start));
    marks.out(1);
    assert_eq!((marks.since(), had()), (Some(start), [1, 0, 0, 0, 0, 0]));
    // The fourth, between the third and the fifth.
    marks.dropped(2);
    assert_eq!(receipts[3].copies(), 1);
    marks.out(1);
    assert_eq!((marks.since(), had()), (Some(at(20)), [1, 1, 0, 0, 0, 0]));
    marks.dropped(0);
    assert_eq!((marks.since(), had()), (Some(at(60)), [1, 1, 0, 0, 0, 0]));
    marks.cut(1);
    assert_eq!(receipts[5].copies(), 1);
    marks.out(1);
    assert_eq!(had(), [1, 1, 0, 0, 1, 0]);
    marks.enter(0, None, || at(100));
    assert_eq!(marks.since(), Some(at(100)), "nothing stands before it");
    assert!(!marks.is_empty());
    marks.flow();
    assert!(marks.is_empty() && marks.since().is_none());
}
