//! What an honest HTTP client notices of connections that say nothing, or next to nothing.

use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use workspace_tests::descriptors::want_descriptors;
use workspace_tests::example::Launch;
use workspace_tests::http;

use crate::measuring::{Neighbours, Slice};
use crate::{alone, best_of_three};

const CROWD: usize = 2000;
/// What those of each kind say at first; a third of the crowd each.
const BEGINNINGS: [&[u8]; 3] = [
    b"",
    b"GET /status HTTP/1.1\r\nHost: t\r\nX-Slow: ",
    b"POST /ws/send HTTP/1.1\r\nHost: t\r\nContent-Length: 100000\r\n\r\n",
];

/// Two servers of the same kind on the same machine, the crowd at one of them. Its p99 must not tell which, and as both
/// share the machine, the processor time the crowd costs is bounded beside.
#[test]
fn a_crowd_of_slow_connections_is_not_felt() {
    let _alone = alone();
    want_descriptors(CROWD + 200);
    let lab = || Launch::new("lab").set("LAB_QUIET", 1).start();
    let (crowded, quiet) = (lab(), lab());
    best_of_three(|| {
        let mut neighbours = Neighbours::pages(crowded.http(), "/status");
        let mut others = Neighbours::pages(quiet.http(), "/status");
        let crowd: Vec<_> = (0..CROWD)
            .map(|index| (index % 3, begun(crowded.http(), index % 3)))
            .collect();
        let slice = Slice::default();
        thread::scope(|scope| {
            scope.spawn(|| trickle(&crowd, &slice));
            let costs = || (crowded.cpu_time(), quiet.cpu_time(), Instant::now());
            let before = costs();
            let outcome = neighbours.fare_like(&mut others, "slow heads, slow bodies and silence");
            let after = costs();
            slice.end();
            let more = (after.0 - before.0).saturating_sub(after.1 - before.1);
            let share = more.as_secs_f64() / (after.2 - before.2).as_secs_f64();
            eprintln!("the crowd costs {:.1} % of a core", share * 100.0);
            outcome.and_then(|()| match share < 0.1 {
                true => Ok(()),
                false => Err(format!("the crowd costs {:.1} % of a core", share * 100.0)),
            })
        })
    });
}

fn begun(http: std::net::SocketAddr, kind: usize) -> TcpStream {
    let mut stream = http::connect(http);
    stream.write_all(BEGINNINGS[kind]).expect("taken");
    stream
}

/// A byte each for those that are slow, all in turn within some seconds: often enough to outlive a limit on silence.
fn trickle(crowd: &[(usize, TcpStream)], slice: &Slice) {
    let slow = crowd
        .iter()
        .filter(|(kind, _)| *kind > 0)
        .map(|(_, stream)| stream);
    for mut stream in slow.cycle() {
        // One that has reached a limit is gone; the others go on.
        let _ = stream.write_all(b"x");
        if !slice.goes_on(Duration::from_millis(2)) {
            return;
        }
    }
}
