//! `GET /ws/poll`: waiting, cursors, and what a reader is told of what it missed.

use crate::support::{Client, Lab, envelopes, hasty, open, poll_target, until};
use longpoll_bridge::LongPollConfig;
use std::time::{Duration, Instant};

#[test]
fn a_poll_waits_and_is_woken_by_a_send() {
    let lab = Lab::start(open());
    let poll = lab.waiting_poll("lp-1", None);
    lab.send("lp-other", "not-for-it");
    assert_eq!(lab.bridge.waiting(), 1);
    lab.send("lp-1", "hello");
    let reply = poll.join().unwrap();
    reply.expect(200, &envelopes(&["hello"]));
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert_eq!(lab.bridge.waiting(), 0);
}

#[test]
fn an_empty_poll_answers_when_its_wait_is_over() {
    let wait = Duration::from_millis(80);
    let lab = Lab::start(LongPollConfig { wait, ..open() });
    let began = Instant::now();
    lab.poll("lp-1").expect(200, "[]");
    assert!(began.elapsed() >= wait, "{:?}", began.elapsed());
    assert_eq!(lab.bridge.waiting(), 0);
}

#[test]
fn without_a_session_id_it_is_the_broadcast_mailbox() {
    let lab = Lab::start(hasty());
    lab.send("broadcast", "a");
    lab.get("/ws/poll").expect(200, &envelopes(&["a"]));
    lab.send("broadcast", "b");
    lab.get("/ws/poll?session_id=").expect(200, &envelopes(&["b"]));
}

#[test]
fn readers_with_their_own_cookies_both_get_everything() {
    let lab = Lab::start(hasty());
    let (ann, bob) = (lab.poll("lp-1").cookie(), lab.poll("lp-1").cookie());
    assert_ne!(ann, bob);
    for text in ["a", "b"] {
        lab.send("lp-1", text);
    }
    lab.poll_as("lp-1", &ann).expect(200, &envelopes(&["a", "b"]));
    lab.send("lp-1", "c");
    lab.poll_as("lp-1", &bob)
        .expect(200, &envelopes(&["a", "b", "c"]));
    let last = lab.poll_as("lp-1", &ann);
    last.expect(200, &envelopes(&["c"]));
    assert_eq!(last.header("set-cookie"), None, "it has one");
    lab.poll("lp-1").expect(200, &envelopes(&["a", "b", "c"]));
}

#[test]
fn the_cookie_is_out_of_reach_for_scripts_and_other_sites() {
    let lab = Lab::start(hasty());
    let reply = lab.poll("lp-1");
    let cookie = reply.header("set-cookie").unwrap();
    assert!(cookie.ends_with("; HttpOnly; SameSite=Lax"), "{cookie}");
}

#[test]
fn clients_without_a_cookie_share_one_cursor() {
    let lab = Lab::start(hasty());
    lab.send("lp-1", "a");
    lab.poll("lp-1").expect(200, &envelopes(&["a"]));
    lab.poll("lp-1").expect(200, "[]");
    lab.send("lp-1", "b");
    lab.poll("lp-1").expect(200, &envelopes(&["b"]));
}

#[test]
fn a_browser_goes_on_where_its_first_answer_ended() {
    let lab = Lab::start(hasty());
    lab.send("lp-1", "a");
    let first = lab.poll("lp-1");
    first.expect(200, &envelopes(&["a"]));
    lab.send("lp-1", "b");
    lab.poll("lp-1").expect(200, &envelopes(&["b"]));
    let cookie = first.cookie();
    lab.poll_as("lp-1", &cookie).expect(200, &envelopes(&["b"]));
    lab.poll_as("lp-1", &cookie).expect(200, "[]");
}

#[test]
fn of_two_that_wait_neither_takes_from_the_other() {
    let lab = Lab::start(open());
    let polls = [lab.waiting_poll("lp-1", None), lab.waiting_poll("lp-1", None)];
    lab.send("lp-1", "a");
    for poll in polls {
        poll.join().unwrap().expect(200, &envelopes(&["a"]));
    }
}

#[test]
fn max_bounds_an_answer_and_the_rest_follows() {
    let lab = Lab::start(LongPollConfig {
        ring_messages: 1000,
        ..hasty()
    });
    for number in 0..300 {
        lab.send("lp-1", &format!("n{number}"));
    }
    let numbers = |range: std::ops::Range<usize>| {
        let texts: Vec<_> = range.map(|number| format!("n{number}")).collect();
        envelopes(&texts.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let target = poll_target("lp-1");
    lab.get(&format!("{target}&max=3")).expect(200, &numbers(0..3));
    lab.get(&target).expect(200, &numbers(3..53));
    lab.get(&format!("{target}&max=0")).expect(200, &numbers(53..54));
    let cookie = "lp_reader=000102030405060708090a0b0c0d0e0f";
    let most = Client::connect(lab.addr()).get(&format!("{target}&max=100000"), &[("cookie", cookie)]);
    most.expect(200, &numbers(0..256));
}

#[test]
fn a_slow_reader_is_told_how_much_it_missed() {
    let lab = Lab::start(LongPollConfig {
        ring_messages: 2,
        ..hasty()
    });
    let cookie = lab.poll("lp-1").cookie();
    for text in ["a", "b", "c", "d", "e"] {
        lab.send("lp-1", text);
    }
    let reply = lab.poll_as("lp-1", &cookie);
    reply.expect(200, &envelopes(&["d", "e"]));
    assert_eq!(reply.header("longpoll-missed"), Some("3"));
    lab.send("lp-1", "f");
    let reply = lab.poll_as("lp-1", &cookie);
    reply.expect(200, &envelopes(&["f"]));
    assert_eq!(reply.header("longpoll-missed"), None);
}

#[test]
fn a_client_that_vanishes_while_it_waits_has_read_nothing() {
    let lab = Lab::start(open());
    lab.send("lp-1", "a");
    let cookie = lab.poll("lp-1").cookie();
    let mut client = Client::connect(lab.addr());
    client.write("GET", &poll_target("lp-1"), &[("cookie", &cookie)], b"");
    until(|| lab.bridge.waiting() == 1);
    drop(client);
    until(|| lab.bridge.waiting() == 0);
    lab.send("lp-1", "b");
    lab.poll_as("lp-1", &cookie).expect(200, &envelopes(&["b"]));
}
