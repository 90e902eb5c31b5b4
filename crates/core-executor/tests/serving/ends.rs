//! Every way a connection can end, and the one last word the listener hears of it.

use crate::client::Client;
use crate::site::Site;
use crate::support::until;
use core_executor::{CloseReason, Closed, ConnectionLimits};
use std::time::Duration;
use tokio::time::Instant;

const SHORT: Duration = Duration::from_millis(100);
const FAR: Duration = Duration::from_secs(15);

/// The last word, which must agree with what the client sent and received.
fn heard(site: &Site, client: &Client) -> (CloseReason, u64) {
    let closed = site.heard.closed(client.addr());
    assert_eq!(
        (closed.bytes_in, closed.bytes_out),
        (client.sent, client.received),
        "{closed:?}"
    );
    (closed.reason, closed.requests)
}

async fn after_leaving(site: &Site, client: Client) -> Closed {
    let peer = client.addr();
    drop(client);
    site.heard.closed(peer)
}

fn summary(closed: &Closed) -> (CloseReason, u64) {
    (closed.reason, closed.requests)
}

#[tokio::test]
async fn the_client_closes_idle() {
    let site = Site::open();
    let mut client = site.idle_client().await;
    client.text("/hello").await;
    let (sent, received) = (client.sent, client.received);
    tokio::time::sleep(SHORT).await;
    let closed = after_leaving(&site, client).await;
    assert_eq!(summary(&closed), (CloseReason::Finished, 2));
    assert_eq!((closed.bytes_in, closed.bytes_out), (sent, received));
    assert!(
        closed.duration >= SHORT && closed.duration < FAR,
        "{:?}",
        closed.duration
    );
}

#[tokio::test]
async fn the_client_closes_without_a_word() {
    let site = Site::open();
    let client = site.client().await;
    assert_eq!(
        summary(&after_leaving(&site, client).await),
        (CloseReason::Finished, 0)
    );
}

#[tokio::test]
async fn the_client_wanted_one_answer_only() {
    let site = Site::open();
    let mut client = site.client().await;
    client
        .send("GET /hello HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
        .await;
    client.rest().await;
    assert_eq!(heard(&site, &client), (CloseReason::Finished, 1));
    let mut client = site.client().await;
    client.send("GET /hello HTTP/1.0\r\n\r\n").await;
    client.rest().await;
    assert_eq!(heard(&site, &client), (CloseReason::Finished, 1));
}

#[tokio::test]
async fn the_client_closes_during_the_handler() {
    let site = Site::open();
    let client = site.busy_client("/never").await;
    let sent = client.sent;
    let closed = after_leaving(&site, client).await;
    assert_eq!(summary(&closed), (CloseReason::PeerLeft, 1));
    assert_eq!((closed.bytes_in, closed.bytes_out), (sent, 0));
}

#[tokio::test]
async fn the_client_closes_behind_what_it_sent_beside_the_handler() {
    let site = Site::open();
    for pieces in [
        &["\r\n"][..],
        &["GET /hello HT"],
        &["GET /hello HT", "TP/1.1\r\nHost: t\r\n\r\n"],
        &["GET /hello HTTP/1.1\r\nHost: t\r\n\r\n", "GET /hel"],
        &[
            "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\n",
            "ab",
        ],
    ] {
        let mut client = site.busy_client("/never").await;
        for piece in pieces {
            client.send(piece).await;
        }
        let closed = after_leaving(&site, client).await;
        assert_eq!(summary(&closed), (CloseReason::PeerLeft, 1), "{pieces:?}");
    }
}

#[tokio::test]
async fn the_client_closes_within_a_head_a_body_and_an_answer() {
    let site = Site::open();
    let mut client = site.client().await;
    client.send("GET /hello HT").await;
    assert_eq!(
        summary(&after_leaving(&site, client).await),
        (CloseReason::PeerLeft, 0)
    );
    let mut client = site.client().await;
    client
        .send("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\nab")
        .await;
    until("the handler runs", || site.stage.begun.count() == 1);
    assert_eq!(
        summary(&after_leaving(&site, client).await),
        (CloseReason::PeerLeft, 1)
    );
    for path in ["/big", "/endless"] {
        let mut client = site.busy_client(path).await;
        client.raw(10).await;
        assert_eq!(
            summary(&after_leaving(&site, client).await),
            (CloseReason::PeerLeft, 1),
            "{path}"
        );
    }
}

#[tokio::test]
async fn the_client_resets() {
    let site = Site::open();
    let silent = site.client().await;
    let idle = site.idle_client().await;
    let busy = site.busy_client("/never").await;
    let mut reading = site.busy_client("/big").await;
    reading.raw(10).await;
    for (client, requests) in [(silent, 0), (idle, 1), (busy, 1), (reading, 1)] {
        let peer = client.addr();
        until("it is accepted", || !site.heard.of(peer).is_empty());
        client.reset();
        assert_eq!(
            summary(&site.heard.closed(peer)),
            (CloseReason::PeerLeft, requests)
        );
    }
}

#[tokio::test]
async fn the_client_speaks_no_http() {
    let site = Site::open();
    let mut client = site.client().await;
    client.send("garbage\r\n\r\n").await;
    client.rest().await;
    assert_eq!(heard(&site, &client), (CloseReason::BadRequest, 0));
    let mut client = site.idle_client().await;
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    client.rest().await;
    assert_eq!(site.heard.closed(client.addr()).reason, CloseReason::BadRequest);
}

#[tokio::test]
async fn the_client_is_idle_too_long() {
    let limits = ConnectionLimits {
        first_byte_timeout: SHORT,
        head_timeout: SHORT,
        keep_alive: SHORT,
        ..ConnectionLimits::default()
    };
    let site = Site::with(|options| options.limits(limits));
    let mut silent = site.client().await;
    silent.rest().await;
    assert_eq!(heard(&site, &silent), (CloseReason::Idle, 0));
    let mut idle = site.idle_client().await;
    idle.rest().await;
    assert_eq!(heard(&site, &idle), (CloseReason::Idle, 1));
    let mut half = site.client().await;
    half.send("GET / HT").await;
    half.rest().await;
    assert_eq!(heard(&site, &half), (CloseReason::HeadTimeout, 0));
}

#[tokio::test]
async fn the_service_fails() {
    let site = Site::open();
    for path in ["/panic", "/broken"] {
        let mut client = site.client().await;
        client.get(path).await;
        client.rest().await;
        assert_eq!(heard(&site, &client), (CloseReason::Error, 1), "{path}");
    }
}

#[tokio::test]
async fn the_server_drains() {
    let site = Site::open();
    let mut silent = site.client().await;
    let mut idle = site.idle_client().await;
    let mut half = site.client().await;
    half.send("GET / HT").await;
    let mut slow = site.busy_client("/slow").await;
    let mut never = site.busy_client("/never").await;
    let mut unread = site.busy_client("/big").await;
    unread.raw(10).await;
    until("all are there", || site.server.connections() == 6);
    site.server.begin_drain();
    site.stage.permits.add_permits(1);
    slow.answer().await;
    site.server.drained(Instant::now() + SHORT).await;
    for client in [
        &mut silent,
        &mut idle,
        &mut half,
        &mut slow,
        &mut never,
        &mut unread,
    ] {
        client.rest().await;
    }
    assert_eq!(heard(&site, &silent), (CloseReason::ServerStop, 0));
    assert_eq!(heard(&site, &idle), (CloseReason::ServerStop, 1));
    assert_eq!(site.heard.closed(half.addr()).reason, CloseReason::ServerStop);
    assert_eq!(heard(&site, &slow), (CloseReason::ServerStop, 1));
    assert_eq!(heard(&site, &never), (CloseReason::Cut, 1));
    assert_eq!(site.heard.closed(unread.addr()).reason, CloseReason::Cut);
}

#[tokio::test]
async fn the_server_is_dropped() {
    let site = Site::open();
    let mut idle = site.idle_client().await;
    let mut busy = site.busy_client("/never").await;
    drop(site.server);
    idle.rest().await;
    busy.rest().await;
    assert_eq!(
        summary(&site.heard.closed(idle.addr())),
        (CloseReason::ServerStop, 1)
    );
    assert_eq!(summary(&site.heard.closed(busy.addr())), (CloseReason::Cut, 1));
}

#[tokio::test]
async fn the_executor_ends_under_the_server() {
    for by_dropping in [true, false] {
        let site = Site::open();
        let mut idle = site.idle_client().await;
        let mut busy = site.busy_client("/never").await;
        let handle = site.executor.shutdown_handle();
        match by_dropping {
            true => drop(site.executor),
            false => assert!(site.executor.stop_and_wait(FAR).await.is_clean()),
        }
        crate::support::soon("ended", handle.ended()).await;
        for client in [&mut idle, &mut busy] {
            assert_eq!(
                site.heard.of(client.addr()).len(),
                2,
                "the end was told before the last word"
            );
            assert_eq!(summary(&site.heard.closed(client.addr())), (CloseReason::Cut, 1));
            assert!(client.rest().await.is_empty());
        }
        assert!(std::net::TcpStream::connect(site.server.local_addr()).is_err());
    }
}
