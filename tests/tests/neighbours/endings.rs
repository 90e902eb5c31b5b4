//! How soon a process with a crowd of idle sessions is gone after SIGTERM, and that it forgets nobody.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use workspace_tests::crowd::{Idle, answer_all};
use workspace_tests::descriptors::want_descriptors;
use workspace_tests::example::Launch;

use crate::{alone, best_of_three};

/// `IDLE_SESSIONS=10000` for as many as the bound is stated for; wants a build with optimisations.
const SESSIONS: usize = 3000;
/// Sessions in a second. A build without optimisations runs the same code some times slower.
const RATE: f64 = if cfg!(debug_assertions) { 2_000.0 } else { 10_000.0 };

fn sessions() -> usize {
    std::env::var("IDLE_SESSIONS").map_or(SESSIONS, |count| count.parse().expect("a number"))
}

/// Each session of the lab's event lines: how often it was opened, and how often closed with 1001.
fn opens_and_closes(lines: &[String]) -> HashMap<&str, (usize, usize)> {
    let mut sessions = HashMap::<_, (usize, usize)>::new();
    for line in lines {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["EV", _, "ws_open", session, ..] => sessions.entry(session).or_default().0 += 1,
            ["EV", _, "ws_close", session, "code=1001", ..] => sessions.entry(session).or_default().1 += 1,
            ["EV", _, "ws_close", ..] => panic!("closed otherwise: {line}"),
            _ => {}
        }
    }
    sessions
}

fn end_of(count: usize) -> Duration {
    let mut lab = Launch::new("lab").set("SHUTDOWN_BATCH", 0).start();
    let mut idle: Vec<_> = (0..count).map(|_| Idle::greeted(lab.ws())).collect();
    let began = Instant::now();
    lab.signal("TERM");
    answer_all(&mut idle);
    let status = lab.wait();
    let took = began.elapsed();
    assert_eq!(status.code(), Some(0));
    assert!(idle.iter().all(|session| session.close().0 == 1001));
    let report = lab.report();
    assert_eq!(report.count(" closed, "), count as u64, "{}", report.line());
    let lines = lab.all_lines();
    let sessions = opens_and_closes(&lines);
    assert_eq!(sessions.len(), count);
    assert!(sessions.values().all(|counts| *counts == (1, 1)), "{sessions:?}");
    took
}

#[test]
fn each_of_a_crowd_of_idle_sessions_is_closed_in_time() {
    let _alone = alone();
    let count = sessions();
    want_descriptors(count + 500);
    let bound = Duration::from_secs_f64(count as f64 / RATE);
    best_of_three(|| {
        let took = end_of(count);
        let measured = format!("{count} idle sessions: the process is gone {took:?} after SIGTERM");
        eprintln!("{measured}");
        if took <= bound { Ok(()) } else { Err(measured) }
    });
}
