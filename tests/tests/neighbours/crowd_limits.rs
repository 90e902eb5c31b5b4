//! A crowd of slow connections of every kind: each is gone when its limit is reached, and not before.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;
use workspace_tests::PATIENCE;
use workspace_tests::descriptors::want_descriptors;
use workspace_tests::example::Launch;

use crate::{alone, best_of_three};

const CROWD: usize = 2000;
/// How far from its limit a connection may end.
const EARLY: Duration = Duration::from_millis(200);
const LATE: Duration = Duration::from_secs(1);

/// A way to be slow.
#[derive(Debug, Clone, Copy)]
struct Slowness {
    name: &'static str,
    /// What is said at first.
    begin: &'static [u8],
    /// More bytes follow, one at a time, for as long as they are taken.
    trickles: bool,
    /// An answer comes before the clock starts.
    is_answered: bool,
    /// Seconds until the server ends it.
    limit: u64,
    /// What it says then.
    status: Option<u16>,
}

const KINDS: [Slowness; 4] = [
    Slowness {
        name: "silence",
        begin: b"",
        trickles: false,
        is_answered: false,
        limit: 2,
        status: None,
    },
    Slowness {
        name: "slow head",
        begin: b"GET /status HTTP/1.1\r\nHost: t\r\nX-Slow: ",
        trickles: true,
        is_answered: false,
        limit: 3,
        status: Some(408),
    },
    Slowness {
        name: "stalled body",
        begin: b"POST /ws/send HTTP/1.1\r\nHost: t\r\nContent-Length: 1000\r\n\r\n{\"type\":",
        trickles: false,
        is_answered: false,
        limit: 2,
        status: Some(408),
    },
    Slowness {
        name: "idle after an answer",
        begin: b"GET /status HTTP/1.1\r\nHost: t\r\n\r\n",
        trickles: false,
        is_answered: true,
        limit: 3,
        status: None,
    },
];

#[test]
fn each_slow_connection_is_gone_at_its_limit() {
    let _alone = alone();
    want_descriptors(CROWD + 200);
    let lab = Launch::new("lab")
        .set("LAB_QUIET", 1)
        .set("SERVER_FIRST_BYTE_TIMEOUT", 2)
        .set("SERVER_HEAD_TIMEOUT", 3)
        .set("SERVER_BODY_STALL_TIMEOUT", 2)
        .set("SERVER_SESSION_TIMEOUT_SEC", 3)
        .start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a thread can be had");
    best_of_three(|| {
        let wrong = runtime.block_on(misjudged(lab.http()));
        match wrong.len() {
            0 => Ok(()),
            count => Err(format!("{count} of {CROWD}, for example {}", wrong[0])),
        }
    });
}

/// What was wrong about those that did not end as they must.
async fn misjudged(http: SocketAddr) -> Vec<String> {
    let mut crowd = JoinSet::new();
    for index in 0..CROWD {
        let kind = KINDS[index % KINDS.len()];
        crowd.spawn(async move {
            // One bound on all of it: a byte that is taken must not renew it.
            let end = timeout(PATIENCE, is_slow(http, kind)).await;
            end.unwrap_or_else(|_| Err(format!("{}: still there after {PATIENCE:?}", kind.name)))
        });
    }
    let ends = crowd.join_all().await;
    ends.into_iter().filter_map(Result::err).collect()
}

async fn is_slow(http: SocketAddr, kind: Slowness) -> Result<(), String> {
    let mut earliest = Instant::now();
    let mut stream = TcpStream::connect(http)
        .await
        .map_err(|error| error.to_string())?;
    stream
        .write_all(kind.begin)
        .await
        .map_err(|error| error.to_string())?;
    let mut buffer = [0; 4096];
    if kind.is_answered {
        let asked = Instant::now();
        let count = stream.read(&mut buffer).await.unwrap_or(0);
        earliest = asked;
        if !buffer[..count].starts_with(b"HTTP/1.1 200") {
            return Err(format!("{}: no answer", kind.name));
        }
    }
    let (latest, mut status) = (Instant::now(), None);
    loop {
        tokio::select! {
            read = stream.read(&mut buffer) => match read {
                Ok(count) if count > 0 => status = status.or(status_of(&buffer[..count])),
                _ => break,
            },
            () = tokio::time::sleep(Duration::from_millis(250)), if kind.trickles => {
                // One that is refused already is read to its end.
                let _ = stream.write_all(b"x").await;
            }
        }
    }
    // The server's clock began somewhere between the two: on a busy machine they lie apart.
    let (most, least) = (earliest.elapsed(), latest.elapsed());
    let limit = Duration::from_secs(kind.limit);
    let is_right = most > limit - EARLY && least < limit + LATE && status == kind.status;
    let told = || format!("{}: gone after {least:?} to {most:?} with {status:?}", kind.name);
    is_right.then_some(()).ok_or_else(told)
}

fn status_of(answer: &[u8]) -> Option<u16> {
    std::str::from_utf8(answer.get(9..12)?).ok()?.parse().ok()
}
