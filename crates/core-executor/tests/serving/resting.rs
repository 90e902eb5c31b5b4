//! Connections that rest: while an answer takes long, before the first byte, and after a while without requests. Nobody
//! who asks can tell.

use crate::certificates::{Authority, Secure, site};
use crate::client::Client;
use crate::site::Site;
use crate::support::until;
use core_executor::CloseReason;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

/// Longer than a connection waits for the next request before it rests.
const REST: Duration = Duration::from_millis(1300);

/// A client whose request, with these header lines, waits on a connection that rests.
async fn waiting(site: &Site, head: &str) -> Client {
    let mut client = site.client().await;
    let before = site.stage.begun.count();
    client.send(format!("{head}\r\nHost: t\r\n\r\n")).await;
    until("the handler runs", || site.stage.begun.count() > before);
    client
}

#[tokio::test]
async fn an_answer_after_a_rest_is_as_any_other_and_the_connection_goes_on() {
    let site = Site::open();
    let mut client = site.idle_client().await;
    client.get("/slow").await;
    site.stage.permits.add_permits(1);
    let usual = client.answer().await;
    for _ in 0..3 {
        let before = site.stage.begun.count();
        client.get("/resting/slow").await;
        until("the handler runs", || site.stage.begun.count() > before);
        site.stage.permits.add_permits(1);
        let answer = client.answer().await;
        let without_date = |head: &str| -> Vec<String> {
            let lines = head.lines().filter(|line| !line.starts_with("date:"));
            lines.map(str::to_owned).collect()
        };
        assert_eq!((answer.status, answer.body.as_str()), (200, "slow"));
        assert_eq!(without_date(&answer.head), without_date(&usual.head));
        assert_eq!(client.text("/hello").await, "hello");
    }
    let addr = client.addr();
    drop(client);
    let closed = site.heard.closed(addr);
    assert_eq!((closed.reason, closed.requests), (CloseReason::Finished, 8));
}

#[tokio::test]
async fn what_the_request_said_of_its_answer_holds_after_a_rest() {
    let site = Site::open();
    for (head, kept, body) in [
        ("GET /resting/slow HTTP/1.1\r\nConnection: close", false, "slow"),
        ("GET /resting/slow HTTP/1.0", false, "slow"),
        (
            "GET /resting/slow HTTP/1.0\r\nConnection: keep-alive",
            true,
            "slow",
        ),
        ("POST /resting/slow HTTP/1.1\r\nContent-Length: 0", true, "slow"),
    ] {
        let mut client = waiting(&site, head).await;
        site.stage.permits.add_permits(1);
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.body.as_str()), (200, body), "{head}");
        let version = &head.lines().next().unwrap()[head.find("HTTP").unwrap()..];
        assert!(
            answer.head.starts_with(&version.to_lowercase()),
            "{}",
            answer.head
        );
        if kept {
            assert_eq!(client.text("/hello").await, "hello", "{head}");
        } else {
            assert!(client.rest().await.is_empty(), "{head}");
        }
    }
    let mut client = waiting(&site, "HEAD /resting/slow HTTP/1.1\r\nConnection: close").await;
    site.stage.permits.add_permits(1);
    let answer = String::from_utf8(client.rest().await).unwrap();
    assert!(
        answer.contains("content-length: 4") && answer.ends_with("\r\n\r\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn requests_behind_a_rest_wait_for_their_turn() {
    let site = Site::open();
    let mut client = waiting(&site, "GET /resting/slow HTTP/1.1").await;
    client.get("/hello").await;
    client.get("/resting/slow").await;
    // Half a head as well.
    client.send("GET /hello HTT").await;
    site.stage.permits.add_permits(2);
    for body in ["slow", "hello", "slow"] {
        assert_eq!(client.answer().await.body, body);
    }
    client.send("P/1.1\r\nHost: t\r\n\r\n").await;
    assert_eq!(client.answer().await.body, "hello");
}

#[tokio::test]
async fn a_client_that_leaves_during_a_rest_is_noticed_at_once() {
    let site = Site::open();
    let client = waiting(&site, "GET /resting/knowing HTTP/1.1").await;
    let addr = client.addr();
    drop(client);
    until("the handler is dropped", || site.stage.noticed.count() == 1);
    assert_eq!(site.heard.closed(addr).reason, CloseReason::PeerLeft);
    let client = waiting(&site, "GET /resting/knowing HTTP/1.1").await;
    let addr = client.addr();
    client.reset();
    until("the handler is dropped", || site.stage.noticed.count() == 2);
    assert_eq!(site.heard.closed(addr).reason, CloseReason::PeerLeft);
    assert_eq!(site.server.requests_in_flight(), 0);
}

#[tokio::test]
async fn a_stop_waits_for_an_answer_behind_a_rest() {
    let site = Site::open();
    let mut client = waiting(&site, "GET /resting/slow HTTP/1.1").await;
    let (mut idle, mut silent) = (site.idle_client().await, site.client().await);
    tokio::time::sleep(REST).await;
    site.server.begin_drain();
    assert!(idle.rest().await.is_empty() && silent.rest().await.is_empty());
    assert_eq!(site.server.requests_in_flight(), 1);
    site.stage.permits.add_permits(1);
    let answer = client.answer().await;
    assert!(answer.head.contains("connection: close"), "{}", answer.head);
    assert!(client.rest().await.is_empty());
    let drained = site
        .server
        .drained(Instant::now() + Duration::from_secs(20))
        .await;
    assert_eq!((drained.answered, drained.cut), (1, 0));
}

#[tokio::test]
async fn so_does_one_that_is_asked_for_before_the_rest() {
    let site = Site::open();
    let mut client = site.busy_client("/slow/resting/slow").await;
    site.server.begin_drain();
    site.stage.permits.add_permits(1);
    until("it rests", || site.stage.rested.count() == 1);
    site.stage.permits.add_permits(1);
    let answer = client.answer().await;
    assert!(answer.head.contains("connection: close"), "{}", answer.head);
    assert!(client.rest().await.is_empty());
}

#[tokio::test]
async fn the_deadline_of_a_stop_cuts_what_rests() {
    let site = Site::open();
    let client = waiting(&site, "GET /resting/never HTTP/1.1").await;
    let drained = site
        .server
        .drained(Instant::now() + Duration::from_millis(50))
        .await;
    assert_eq!(drained.cut, 1);
    assert_eq!(site.heard.closed(client.addr()).reason, CloseReason::Cut);
    until("the handler is dropped", || site.stage.handlers_gone.count() == 1);
}

#[tokio::test]
async fn what_cannot_rest_is_served_all_the_same() {
    let site = Site::open();
    let mut client = site.client().await;
    client
        .send("POST /resting/after/echo HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\nab")
        .await;
    until("the handler runs", || site.stage.begun.count() == 1);
    client.send("cd").await;
    assert_eq!(client.answer().await.status, 200);
    for (path, body) in [("/resting/hello", "hello"), ("/resting/stream", "abcdef")] {
        assert_eq!(client.text(path).await, body);
    }
    // What an earlier request said does not hold for the next one.
    client
        .send("HEAD /resting/hello HTTP/1.1\r\nHost: t\r\n\r\nGET /slow HTTP/1.1\r\nHost: t\r\n\r\n")
        .await;
    until("the last handler runs", || site.stage.begun.count() == 5);
    site.stage.permits.add_permits(1);
    let answers = String::from_utf8(client.raw(1).await).unwrap();
    assert_eq!(answers, "H");
    client
        .send("GET /hello HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
        .await;
    let answers = String::from_utf8(client.rest().await).unwrap();
    assert!(
        answers.contains("\r\n\r\nslow") && answers.ends_with("hello"),
        "{answers}"
    );
}

#[tokio::test]
async fn a_panic_behind_a_rest_ends_the_connection_alone() {
    let site = Site::open();
    let mut client = waiting(&site, "GET /resting/panic-slow HTTP/1.1").await;
    site.stage.permits.add_permits(1);
    assert!(client.rest().await.is_empty());
    assert_eq!(site.idle_client().await.text("/hello").await, "hello");
}

#[tokio::test]
async fn after_a_while_without_requests_the_next_one_is_answered() {
    let site = Site::open();
    let (mut silent, mut idle) = (site.client().await, site.idle_client().await);
    tokio::time::sleep(REST).await;
    assert_eq!(
        (silent.text("/hello").await, idle.text("/hello").await).0,
        "hello"
    );
    tokio::time::sleep(REST).await;
    // In pieces, and several at once.
    idle.send("GET /hel").await;
    tokio::task::yield_now().await;
    idle.send("lo HTTP/1.1\r\nHost: t\r\n\r\nPOST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\na")
        .await;
    idle.send("bc").await;
    assert_eq!(
        (idle.answer().await.body, idle.answer().await.body),
        ("hello".into(), "abc".into())
    );
    let addr = idle.addr();
    drop(idle);
    let closed = site.heard.closed(addr);
    assert_eq!((closed.reason, closed.requests), (CloseReason::Finished, 4));
    let mut upgraded = silent;
    tokio::time::sleep(REST).await;
    upgraded
        .send("GET /upgrade HTTP/1.1\r\nHost: t\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
        .await;
    assert_eq!(upgraded.answer().await.status, 101);
    upgraded.send("said").await;
    assert_eq!(upgraded.raw(4).await, b"said");
}

#[tokio::test]
async fn so_it_is_under_tls() {
    let authority = Authority::new();
    let (site, _identity) = site(&authority.issue("server").config());
    let mut client = Secure::connect(site.addr(), authority.client()).await.unwrap();
    tokio::time::sleep(REST).await;
    assert_eq!(client.text("/hello").await.unwrap(), "hello");
    tokio::time::sleep(REST).await;
    site.stage.permits.add_permits(1);
    assert_eq!(client.text("/resting/slow").await.unwrap(), "slow");
    client.stream.shutdown().await.unwrap();
    assert_eq!(site.heard.closed(client.addr).reason, CloseReason::Finished);
}
