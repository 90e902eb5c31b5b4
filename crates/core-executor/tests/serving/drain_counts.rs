//! Which answers a drain counts: those whose bytes have left, whatever their form.

use crate::site::Site;
use crate::support::until;
use std::time::Duration;
use tokio::time::Instant;

const FAR: Duration = Duration::from_secs(15);

/// Sends `request`, drains, lets the handler go on where it waits, and says (answered, cut).
async fn drained_with(request: &str) -> (u64, u64) {
    let site = Site::open();
    let mut client = site.client().await;
    // The first byte of the body comes after the drain has begun, so the answer does as well.
    client.send(request).await;
    client.send("Content-Length: 1\r\n\r\n").await;
    until("it is under way", || site.server.requests_in_flight() == 1);
    site.server.begin_drain();
    site.stage.permits.add_permits(1);
    client.send("x").await;
    client.rest().await;
    let report = site.server.drained(Instant::now() + FAR).await;
    (report.answered, report.cut)
}

fn post(path: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: t\r\n")
}

#[tokio::test]
async fn an_answer_with_a_body() {
    assert_eq!(drained_with(&post("/after/slow")).await, (1, 0));
}

#[tokio::test]
async fn an_answer_whose_body_is_shorter_than_its_stream_knows() {
    assert_eq!(drained_with(&post("/after/stream")).await, (1, 0));
}

#[tokio::test]
async fn an_answer_without_a_body() {
    assert_eq!(drained_with(&post("/after/nothing")).await, (1, 0));
}

#[tokio::test]
async fn an_answer_to_head() {
    assert_eq!(
        drained_with("HEAD /after/slow HTTP/1.1\r\nHost: t\r\n").await,
        (1, 0)
    );
}

#[tokio::test]
async fn an_answer_of_unknown_length() {
    assert_eq!(drained_with(&post("/after/chunked")).await, (1, 0));
    assert_eq!(
        drained_with("POST /after/chunked HTTP/1.0\r\nHost: t\r\n").await,
        (1, 0)
    );
}

#[tokio::test]
async fn not_an_answer_that_breaks_off() {
    assert_eq!(drained_with(&post("/after/broken")).await, (0, 0));
}

#[tokio::test]
async fn not_an_answer_that_never_comes() {
    assert_eq!(drained_with(&post("/after/panic")).await, (0, 0));
}
