//! What an honest HTTP client notices of connections that say nothing, or next to nothing.

use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use workspace_tests::descriptors::want_descriptors;
use workspace_tests::example::Launch;
use workspace_tests::http;
use workspace_tests::observe::until;

use crate::measuring::{Neighbours, Slice, fare_like_rounds};
use crate::{alone, best_of_three};

const CROWD: usize = 2000;
/// What those of each kind say at first; a third of the crowd each.
const BEGINNINGS: [&[u8]; 3] = [
    b"",
    b"GET /status HTTP/1.1\r\nHost: t\r\nX-Slow: ",
    b"POST /ws/send HTTP/1.1\r\nHost: t\r\nContent-Length: 100000\r\n\r\n",
];

/// What a byte of a slow connection may cost, in requests of an honest one: 0.3 to 0.8 as measured. A cost for each of the
/// crowd would be hundreds.
const REQUESTS_A_BYTE: f64 = 3.0;

/// Two servers of the same kind on the same machine, the crowd at one of them. Its p99 must not tell which. Both share the
/// machine, so what the crowd costs is bounded beside: by what honest requests cost on the same machine.
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
        // Accepting them is not what is measured.
        until("the crowd is there", || {
            crowded.metric("http_connections_open") as usize == CROWD + 4
        });
        let slice = Slice::default();
        thread::scope(|scope| {
            let trickle = scope.spawn(|| trickle(&crowd, &slice));
            let costs = || (crowded.cpu_time(), quiet.cpu_time());
            let before = costs();
            let outcome = neighbours.fare_like(&mut others, "slow heads, slow bodies and silence");
            let after = costs();
            slice.end();
            let bytes = trickle.join().expect("it ends");
            let (here, there) = (after.0 - before.0, after.1 - before.1);
            let byte = here.saturating_sub(there).as_secs_f64() / f64::from(bytes);
            let requests = byte * fare_like_rounds() as f64 / there.as_secs_f64();
            let measured = format!("each of {bytes} slow bytes costs {requests:.2} requests");
            eprintln!("{measured}: {here:?} with the crowd, {there:?} without");
            match requests < REQUESTS_A_BYTE {
                true => outcome,
                false => Err(measured),
            }
        })
    });
}

fn begun(http: std::net::SocketAddr, kind: usize) -> TcpStream {
    let mut stream = http::connect(http);
    stream.write_all(BEGINNINGS[kind]).expect("taken");
    stream
}

/// A byte each for those that are slow, all in turn within some seconds: often enough to outlive a limit on silence.
/// Says how many it were.
fn trickle(crowd: &[(usize, TcpStream)], slice: &Slice) -> u32 {
    let slow = crowd
        .iter()
        .filter(|(kind, _)| *kind > 0)
        .map(|(_, stream)| stream);
    for (bytes, mut stream) in (1..).zip(slow.cycle()) {
        // One that has reached a limit is gone; the others go on.
        let _ = stream.write_all(b"x");
        if !slice.goes_on(Duration::from_millis(2)) {
            return bytes;
        }
    }
    unreachable!("the crowd has slow ones, and they are asked in turn for ever")
}
