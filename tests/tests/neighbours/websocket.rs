//! What sessions notice of their neighbours, and how soon one that reads nothing is gone.

use std::time::{Duration, Instant};

use workspace_tests::descriptors::want_descriptors;
use workspace_tests::example::{Example, Launch};
use workspace_tests::raw::{BINARY, PING, Raw, TEXT, frame};

use crate::measuring::Neighbours;
use crate::{alone, best_of_three};

fn bench_server(settings: &[(&str, &str)]) -> Example {
    settings
        .iter()
        .fold(Launch::new("bench_server"), |launch, (key, value)| {
            launch.set(key, value)
        })
        .start()
}

#[test]
fn a_ping_flood_is_not_felt() {
    let _alone = alone();
    let server = bench_server(&[]);
    let ws = server.ws();
    let flood = frame(PING, b"").repeat(2000);
    best_of_three(|| {
        let mut neighbours = Neighbours::sessions(ws, "/echo", false, "");
        neighbours.hardly_notice("ping flood", |slice| {
            slice.begin();
            // Each is refused soon, and the next one comes.
            while slice.goes_on(Duration::from_millis(10)) {
                Raw::connect(ws, "/echo").send(&flood);
            }
        })
    });
}

#[test]
fn slow_readers_are_not_felt() {
    let _alone = alone();
    for policy in ["close", "drop-oldest"] {
        let server = bench_server(&[
            ("WEBSOCKET_OUTBOX_POLICY", policy),
            ("WEBSOCKET_OUTBOX_MESSAGES", "64"),
        ]);
        let ws = server.ws();
        best_of_three(|| {
            let mut neighbours = Neighbours::sessions(ws, "/echo", false, "");
            let slow: Vec<Raw> = (0..10).map(|_| Raw::connect(ws, "/room")).collect();
            let message = frame(BINARY, &[7; 32_768]);
            let outcome = neighbours.hardly_notice(policy, |slice| {
                let mut publisher = Raw::connect(ws, "/room");
                slice.begin();
                while slice.goes_on(Duration::from_millis(4)) {
                    publisher.send(&message);
                    publisher.read_frame().expect("it is a member itself");
                }
            });
            drop(slow);
            outcome
        });
    }
}

#[test]
fn a_large_room_is_not_felt() {
    let _alone = alone();
    want_descriptors(2000);
    let server = bench_server(&[]);
    let ws = server.ws();
    // Members that read nothing take no time of this machine; their sockets hold all they are sent.
    let members: Vec<Raw> = (0..1000).map(|_| Raw::connect(ws, "/room")).collect();
    best_of_three(|| {
        let mut neighbours = Neighbours::sessions(ws, "/echo", false, "");
        let message = frame(TEXT, &[b'x'; 64]);
        neighbours.hardly_notice("a room of 1000", |slice| {
            let mut publisher = Raw::connect(ws, "/room");
            slice.begin();
            while slice.goes_on(Duration::from_millis(100)) {
                publisher.send(&message);
                publisher.read_frame().expect("it is a member itself");
            }
        })
    });
    drop(members);
}

#[test]
fn handlers_that_wait_are_not_felt() {
    let _alone = alone();
    let lab = Launch::new("lab").set("LAB_QUIET", 1).start();
    let ws = lab.ws();
    best_of_three(|| {
        let mut neighbours = Neighbours::sessions(ws, "/", true, "echo: ");
        neighbours.hardly_notice("waiting handlers", |slice| {
            let waiting: Vec<Raw> = (0..200)
                .map(|_| {
                    let mut raw = Raw::connect(ws, "/");
                    raw.frame(TEXT, br#"{"type":"sleep","payload":{"ms":600000}}"#);
                    raw.frame(TEXT, b"and this one waits for it");
                    raw
                })
                .collect();
            slice.begin();
            while slice.goes_on(Duration::from_millis(5)) {}
            drop(waiting);
        })
    });
}

#[test]
fn a_reader_that_stops_is_gone_within_the_stall_limit() {
    let _alone = alone();
    let limit = Duration::from_secs(2);
    best_of_three(|| {
        let mut lab = Launch::new("lab")
            .set("WEBSOCKET_WRITE_STALL_TIMEOUT", limit.as_secs())
            .set("WEBSOCKET_CLOSE_TIMEOUT", 60)
            .set("WEBSOCKET_PING_INTERVAL", 0)
            .start();
        let mut stopped = Raw::connect(lab.ws(), "/");
        stopped.text();
        stopped.frame(TEXT, br#"{"type":"burst","payload":{"n":1,"size":16000000}}"#);
        let began = Instant::now();
        let line = lab.close_line(1);
        let took = began.elapsed();
        assert_eq!(line.by, "slow");
        // The limit counts from the last byte the sockets took.
        if took > limit - Duration::from_millis(100) && took < limit + Duration::from_secs(1) {
            return Ok(());
        }
        Err(format!("gone after {took:?}"))
    });
}
