//! A process under everything at once for as long as one likes: clients that come and go, broadcasts, readers that do not
//! read, sessions that change their transport. Its memory, descriptors, tasks and sessions stay where they are, and
//! nothing of them is left when the clients have gone.
//!
//! `SOAK_SECONDS=3600` for an hour.

mod load;
mod samples;

use std::time::{Duration, Instant};

use load::Load;
use samples::{Sample, Samples};
use workspace_tests::example::Launch;
use workspace_tests::observe::until;

/// How long it is under load, in seconds.
const SECONDS: u64 = 8;
/// Between two samples: 10 s, or a fortieth of a short time.
const PAUSE: Duration = Duration::from_secs(10);

#[test]
fn under_load_nothing_grows_and_afterwards_nothing_is_left() {
    let seconds = std::env::var("SOAK_SECONDS").map_or(SECONDS, |text| text.parse().expect("a number"));
    let time = Duration::from_secs(seconds);
    let mut lab = Launch::new("lab")
        .set("LAB_QUIET", 1)
        .set("LONGPOLL_SESSION_TTL", 2)
        .set("LONGPOLL_MAX_SESSIONS_PER_ADDRESS", 0)
        .start();
    let before = Sample::of(&lab);
    let load = Load::begin(lab.http(), lab.ws());
    let (began, mut samples) = (Instant::now(), Samples::default());
    while began.elapsed() < time {
        std::thread::sleep(PAUSE.min(time / 40));
        samples.take(&lab, began.elapsed());
    }
    let done = load.end();
    eprintln!("{done:?}");
    assert!(done.has_all(), "each kind of load was there: {done:?}");
    // Asking takes a connection too, which may still be about to close.
    until(
        "what clients leave behind is swept, and descriptors are given back",
        || {
            let now = Sample::of(&lab);
            (now.sessions, now.connections) == (before.sessions, before.connections)
                && now.tasks <= before.tasks
                && now.descriptors <= before.descriptors
        },
    );
    eprintln!("before {before}\nafter  {}", Sample::of(&lab));
    samples.assert_flat();
    assert_eq!(lab.terminate(), Some(0));
    let report = lab.report();
    assert_eq!(report.count(" closed, "), 0, "{}", report.line());
}
