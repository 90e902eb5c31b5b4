//! Beginning and end: the start, the sweep, the drain.

use crate::support::{Lab, block_on, envelopes, hasty, open, until};
use core_executor::RuntimeExecutor;
use longpoll_bridge::{BridgeError, LongPollBridge, LongPollConfig};
use std::time::{Duration, Instant};
use ws_server::{WsConfig, WsServer};

#[test]
fn settings_out_of_range_are_a_start_error() {
    let executor = RuntimeExecutor::with_threads(1).unwrap();
    let bridge = LongPollBridge::new(LongPollConfig {
        wait: Duration::from_secs(30),
        ..open()
    });
    let error = bridge.start(&executor.spawner()).unwrap_err();
    assert!(
        matches!(error, BridgeError::Setting { field: "wait", .. }),
        "{error}"
    );
    assert_eq!(
        error.to_string(),
        "long-polling bridge: `wait` must be less than 30 seconds"
    );
}

#[test]
fn a_start_after_the_end_is_an_error() {
    let executor = RuntimeExecutor::with_threads(1).unwrap();
    let spawner = executor.spawner();
    block_on(executor.stop_and_wait(Duration::from_secs(5)));
    let bridge = LongPollBridge::new(open());
    assert!(matches!(bridge.start(&spawner), Err(BridgeError::Executor(_))));
}

#[test]
fn a_bridge_serves_one_server() {
    let lab = Lab::start(hasty());
    let other = lab.bridge.attach(WsServer::new(WsConfig {
        port: 0,
        ..WsConfig::default()
    }));
    let other = other.start(&lab.executor.spawner()).unwrap();
    lab.poll("room:r").expect(200, "[]");
    block_on(async {
        other
            .hub()
            .broadcast_text_to_room("r", "of the other")
            .await
            .unwrap();
        lab.hub().broadcast_text_to_room("r", "x").await.unwrap();
    });
    let expected = r#"[{"payload":{"text":"x"},"room":"r","type":"text"}]"#;
    lab.poll("room:r").expect(200, expected);
}

#[test]
fn an_unused_mailbox_is_swept_with_what_is_in_it() {
    let session_ttl = Duration::from_millis(40);
    let lab = Lab::start(LongPollConfig {
        session_ttl,
        ..hasty()
    });
    for number in 0..50 {
        lab.send(&format!("lp-{number}"), "a");
    }
    until(|| lab.bridge.mailboxes() == 0);
    until(|| lab.metric("ws_lp_sessions_active") == 0);
    assert_eq!(lab.metric("ws_lp_sessions_total"), 50);
    assert_eq!(lab.metric("ws_lp_messages_expired_total"), 50);
    assert_eq!(
        (
            lab.metric("ws_lp_messages_buffered"),
            lab.metric("ws_lp_messages_kept")
        ),
        (0, 0)
    );
    lab.poll("lp-1").expect(200, "[]");
    assert_eq!(lab.metric("ws_lp_sessions_total"), 51);
}

#[test]
fn a_mailbox_with_a_waiting_poll_is_not_swept() {
    let session_ttl = Duration::from_millis(10);
    let lab = Lab::start(LongPollConfig {
        session_ttl,
        ..open()
    });
    let poll = lab.waiting_poll("lp-kept", None);
    // Each of these is made later and swept: the sweeper has looked at the kept one too.
    for number in 0..3 {
        lab.send(&format!("lp-{number}"), "a");
        until(|| lab.bridge.mailboxes() == 1);
    }
    lab.send("lp-kept", "a");
    poll.join().unwrap().expect(200, &envelopes(&["a"]));
    until(|| lab.bridge.mailboxes() == 0);
}

#[test]
fn a_drain_answers_twenty_waiting_polls_at_once() {
    let lab = Lab::start(open());
    let polls: Vec<_> = (0..20)
        .map(|number| lab.waiting_poll(&format!("lp-{}", number % 7), None))
        .collect();
    assert_eq!(
        (lab.bridge.waiting(), lab.metric("ws_lp_polls_waiting")),
        (20, 20)
    );
    let began = Instant::now();
    assert_eq!(lab.bridge.begin_drain(), 20);
    for poll in polls {
        poll.join().unwrap().expect(200, "[]");
    }
    lab.poll("lp-1").expect(200, "[]");
    assert!(
        began.elapsed() < lab.bridge.config().wait / 2,
        "{:?}",
        began.elapsed()
    );
    assert_eq!((lab.bridge.waiting(), lab.bridge.begin_drain()), (0, 0));
    lab.send("lp-1", "last");
    lab.poll("lp-1").expect(200, &envelopes(&["last"]));
}
