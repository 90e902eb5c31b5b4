//! Upgrades: the stream comes back with every byte, and the connection's last word is said.

use crate::client::Client;
use crate::site::Site;
use crate::support::{in_time, until};
use core_executor::{Cause, CloseReason};
use std::time::Duration;
use tokio::time::Instant;

const FAR: Duration = Duration::from_secs(15);

fn request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
}

async fn echoes(client: &mut Client, text: &str) {
    client.send(text).await;
    assert_eq!(client.raw(text.len()).await, text.as_bytes());
}

#[tokio::test]
async fn bytes_right_behind_the_request_are_not_lost() {
    let site = Site::open();
    let mut client = site.client().await;
    client.send(request("/upgrade") + "early").await;
    assert_eq!(client.answer().await.status, 101);
    assert_eq!(client.raw(5).await, b"early");
    echoes(&mut client, "later").await;
    assert!(matches!(
        site.heard.last_word(client.addr()),
        Cause::UpgradedToWebSocket
    ));
}

#[tokio::test]
async fn an_upgrade_after_other_requests_on_the_same_connection() {
    let site = Site::open();
    let mut client = site.idle_client().await;
    client
        .send(format!(
            "GET /hello HTTP/1.1\r\nHost: t\r\n\r\n{}",
            request("/upgrade")
        ))
        .await;
    assert_eq!(client.answer().await.body, "hello");
    assert_eq!(client.answer().await.status, 101);
    echoes(&mut client, "later").await;
    assert!(matches!(
        site.heard.last_word(client.addr()),
        Cause::UpgradedToWebSocket
    ));
}

#[tokio::test]
async fn an_upgraded_connection_has_left_the_server() {
    let site = Site::open();
    let mut client = site.client().await;
    client.send(request("/upgrade")).await;
    assert_eq!(client.answer().await.status, 101);
    until("it has left", || {
        site.server.connections() == 0 && site.metrics.open() == 0
    });
    in_time(Duration::from_millis(250), async || {
        let begin = Instant::now();
        let report = site.server.drained(Instant::now() + FAR).await;
        assert_eq!((report.answered, report.cut), (0, 0));
        begin.elapsed()
    })
    .await;
    drop(site.server);
    echoes(&mut client, "still here").await;
    drop(client);
    let all = site.heard.all();
    assert_eq!(all.len(), 2, "nothing is heard after the last word: {all:?}");
}

#[tokio::test]
async fn an_upgrade_under_way_when_the_drain_begins_is_finished() {
    let site = Site::open();
    let mut client = site.client().await;
    client.send(request("/upgrade-slow") + "early").await;
    until("the handler runs", || site.stage.begun.count() == 1);
    site.server.begin_drain();
    site.stage.permits.add_permits(1);
    assert_eq!(client.answer().await.status, 101);
    assert_eq!(client.raw(5).await, b"early");
    let report = site.server.drained(Instant::now() + FAR).await;
    assert_eq!((report.answered, report.cut), (1, 0));
    assert!(matches!(
        site.heard.last_word(client.addr()),
        Cause::UpgradedToWebSocket
    ));
}

#[tokio::test]
async fn a_peer_that_leaves_before_the_upgrade_was_never_upgraded() {
    let site = Site::open();
    let mut client = site.client().await;
    client.send(request("/upgrade-slow")).await;
    until("the handler runs", || site.stage.begun.count() == 1);
    let peer = client.addr();
    drop(client);
    assert_eq!(site.heard.closed(peer).reason, CloseReason::PeerLeft);
    site.stage.permits.add_permits(1);
}

#[tokio::test]
async fn an_upgrade_nobody_asked_for_is_none() {
    let site = Site::open();
    let mut client = site.client().await;
    client.get("/upgrade-lost").await;
    client.rest().await;
    assert_eq!(site.heard.closed(client.addr()).reason, CloseReason::Finished);
}

#[tokio::test]
async fn an_upgraded_stream_that_nobody_takes_is_closed() {
    let site = Site::open();
    let mut client = site.client().await;
    client.send(request("/upgrade-lost")).await;
    assert_eq!(client.answer().await.status, 101);
    assert!(client.rest().await.is_empty());
    assert!(matches!(
        site.heard.last_word(client.addr()),
        Cause::UpgradedToWebSocket
    ));
}

#[tokio::test]
async fn without_keep_alive_each_answer_is_the_last_one_and_an_upgrade_is_none() {
    let site = Site::open();
    let mut kept = site.idle_client().await;
    site.server.end_keep_alive();
    site.server.end_keep_alive();
    kept.get("/hello").await;
    let answer = kept.answer().await;
    assert_eq!(answer.body, "hello");
    assert!(
        answer.head.to_ascii_lowercase().contains("connection: close"),
        "{}",
        answer.head
    );
    assert!(kept.rest().await.is_empty());
    let mut upgraded = site.client().await;
    upgraded.send(request("/upgrade")).await;
    let answer = upgraded.answer().await;
    assert_eq!(answer.status, 101, "the port is open");
    assert!(
        !answer.head.to_ascii_lowercase().contains("close"),
        "{}",
        answer.head
    );
    echoes(&mut upgraded, "later").await;
}
