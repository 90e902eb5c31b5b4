//! The counters move, each for its reason.

use crate::support::{Lab, hasty};
use longpoll_bridge::LongPollConfig;

#[test]
fn every_number_moves() {
    let lab = Lab::start(LongPollConfig {
        ring_messages: 2,
        ..hasty()
    });
    let all = || {
        [
            "ws_lp_sessions_total",
            "ws_lp_sessions_active",
            "ws_lp_polls_total",
            "ws_lp_messages_enqueued_total",
            "ws_lp_messages_drained_total",
            "ws_lp_messages_buffered",
            "ws_lp_messages_kept",
            "ws_lp_messages_overwritten_total",
            "ws_lp_messages_missed_total",
        ]
        .map(|name| lab.metric(name))
    };
    assert_eq!(all(), [0; 9]);
    lab.send("lp-1", "a");
    assert_eq!(all(), [1, 1, 0, 1, 0, 1, 1, 0, 0]);
    let first = lab.poll("lp-1");
    assert_eq!(all(), [1, 1, 1, 1, 1, 0, 1, 0, 0]);
    for text in ["b", "c", "d"] {
        lab.send("lp-1", text);
    }
    assert_eq!(
        all(),
        [1, 1, 1, 4, 1, 2, 2, 1, 0],
        "a was read and went, b went unread"
    );
    lab.poll("lp-1");
    assert_eq!(all(), [1, 1, 2, 4, 3, 0, 2, 1, 1]);
    lab.poll_as("lp-1", &first.cookie());
    assert_eq!(
        all(),
        [1, 1, 3, 4, 3, 0, 2, 1, 2],
        "a second reader misses b too, and drains nothing anew"
    );
    lab.poll("lp-2");
    assert_eq!(all(), [2, 2, 4, 4, 3, 0, 2, 1, 2]);
}
