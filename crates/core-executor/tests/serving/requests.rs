//! Requests: kept alive, limited in time, pipelined, refused when they are no HTTP.

use crate::site::Site;
use crate::support::{soon, until};
use core_executor::ConnectionLimits;
use std::time::Duration;
use tokio::time::Instant;

const LIMIT: Duration = Duration::from_millis(300);
const SLACK: Duration = Duration::from_millis(1000);

fn impatient() -> Site {
    let limits = ConnectionLimits {
        first_byte_timeout: LIMIT,
        head_timeout: LIMIT,
        keep_alive: LIMIT,
        ..ConnectionLimits::default()
    };
    Site::with(|options| options.limits(limits))
}

fn about(limit: Duration, took: Duration) {
    assert!(
        took >= limit - Duration::from_millis(20) && took < limit + SLACK,
        "{took:?}"
    );
}

#[tokio::test]
async fn a_connection_is_kept_and_closed_when_idle_for_the_limit() {
    let site = impatient();
    let mut client = site.idle_client().await;
    assert_eq!(client.text("/hello").await, "hello");
    let begin = Instant::now();
    assert!(client.rest().await.is_empty());
    about(LIMIT, begin.elapsed());
    assert_eq!(site.metrics.accepted(), 1);
    until("the gauge falls", || site.metrics.open() == 0);
}

#[tokio::test]
async fn half_a_head_is_closed_at_the_limit() {
    let site = impatient();
    let mut client = site.client().await;
    let begin = Instant::now();
    client.send("GET /hello HTTP/1.1\r\nHo").await;
    client.rest().await;
    about(LIMIT, begin.elapsed());
}

#[tokio::test]
async fn a_silent_connection_is_closed_at_the_limit() {
    let site = impatient();
    let begin = Instant::now();
    site.client().await.rest().await;
    about(LIMIT, begin.elapsed());
}

#[tokio::test]
async fn bytes_now_and_then_do_not_move_the_limit() {
    let site = impatient();
    let mut client = site.client().await;
    let begin = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_millis(30));
    let dribble = async {
        use tokio::io::AsyncWriteExt;
        while client.stream.write_all(b"G").await.is_ok() {
            ticks.tick().await;
        }
    };
    soon("the cut", dribble).await;
    about(LIMIT, begin.elapsed());
}

#[tokio::test]
async fn the_limit_is_not_for_handlers_and_bodies() {
    let site = impatient();
    let mut client = site.busy_client("/slow").await;
    let mut other = site.client().await;
    other
        .send("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\nab")
        .await;
    tokio::time::sleep(LIMIT * 2).await;
    site.stage.permits.add_permits(1);
    assert_eq!(client.answer().await.body, "slow");
    other.send("cd").await;
    assert_eq!(other.answer().await.body, "abcd");
}

#[tokio::test]
async fn without_a_limit_a_connection_stays() {
    let site = Site::with(|options| options.keep_alive(Duration::ZERO));
    let mut client = site.client().await;
    tokio::time::sleep(LIMIT * 2).await;
    assert_eq!(client.text("/hello").await, "hello");
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let site = Site::open();
    let mut client = site.client().await;
    let paths = ["/slow", "/hello", "/stream", "/nowhere", "/slow", "/info"];
    let requests: Vec<_> = paths
        .map(|path| format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n"))
        .into();
    client.send(requests.concat()).await;
    site.stage.permits.add_permits(2);
    assert_eq!(client.answer().await.body, "slow");
    assert_eq!(client.answer().await.body, "hello");
    assert_eq!(client.answer().await.body, "abcdef");
    assert_eq!(client.answer().await.status, 404);
    assert_eq!(client.answer().await.body, "slow");
    assert!(client.answer().await.body.starts_with("ConnectionInfo"));
}

#[tokio::test]
async fn an_answer_does_not_wait_for_half_a_request_behind_it() {
    let site = Site::open();
    let mut client = site.client().await;
    client.send("GET /hello HTTP/1.1\r\nHost: t\r\n\r\nGET /he").await;
    assert_eq!(client.answer().await.body, "hello");
    client.send("llo HTTP/1.1\r\nHost: t\r\n\r\n").await;
    assert_eq!(client.answer().await.body, "hello");
}

#[tokio::test]
async fn an_answer_is_not_lost_when_bytes_follow_the_last_request() {
    let site = Site::open();
    let mut client = site.client().await;
    client
        .send("GET /hello HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\nGET /he")
        .await;
    assert_eq!(client.answer().await.body, "hello");
    client.rest().await;
}

#[tokio::test]
async fn every_request_knows_its_connection() {
    let site = Site::open();
    let (mut one, mut two) = (site.client().await, site.client().await);
    let (first, again, other) = (
        one.text("/info").await,
        one.text("/info").await,
        two.text("/info").await,
    );
    assert_eq!(first, again);
    assert_ne!(first, other);
    let heard = site.heard.of(one.addr());
    let expected = format!(
        "ConnectionInfo {{ id: {:?}, remote_addr: {}, client_addr: {}, local_addr: {}, tls: None, \
         client_gone: ClientGone {{ is_gone: false }} }}",
        heard[0].id,
        one.addr(),
        one.addr(),
        site.addr()
    );
    assert_eq!(first, expected);
}

#[tokio::test]
async fn the_local_address_is_the_one_the_client_came_to() {
    let site = Site::on("0.0.0.0", 1, |options| options);
    let port = site.addr().port();
    let mut client = crate::client::Client::connect(([127, 0, 0, 1], port).into()).await;
    let info = client.text("/info").await;
    assert!(
        info.contains(&format!("local_addr: 127.0.0.1:{port}, tls: None")),
        "{info}"
    );
    let notice = &site.heard.of(client.addr())[0];
    let core_executor::Cause::Accepted(accepted) = &notice.cause else {
        panic!("{notice:?}")
    };
    assert_eq!(accepted.local_addr, ([127, 0, 0, 1], port).into());
    assert_eq!(accepted.server, "site");
}

#[tokio::test]
async fn what_is_no_http_gets_400_and_what_is_too_long_431() {
    let site = Site::open();
    let mut client = site.client().await;
    client.send("\u{16}\u{3}\u{1} hello\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 400);
    assert!(client.rest().await.is_empty());
    let mut client = site.client().await;
    client
        .send(format!("GET / HTTP/1.1\r\nA: {}", "a".repeat(128 * 1024)))
        .await;
    assert_eq!(client.answer().await.status, 431);
}

#[tokio::test]
async fn a_panic_ends_its_connection_and_no_other() {
    let site = Site::on("127.0.0.1", 1, |options| options);
    let mut other = site.idle_client().await;
    let mut client = site.client().await;
    client.get("/panic").await;
    assert!(client.rest().await.is_empty());
    assert_eq!(other.text("/hello").await, "hello");
    until("it is counted", || site.executor.metrics().panicked() == 1);
    until("nothing is under way", || site.server.requests_in_flight() == 0);
}

#[tokio::test]
async fn requests_that_come_bit_by_bit_beside_a_handler_are_answered_in_order() {
    let site = Site::open();
    let mut client = site.busy_client("/slow").await;
    let next = "\r\nGET /hello HTTP/1.1\r\nHost: t\r\n\r\nPOST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\nabcd";
    for byte in next.bytes() {
        client.send([byte]).await;
    }
    assert_eq!(site.server.requests_in_flight(), 1);
    site.stage.permits.add_permits(1);
    let answers = [
        client.answer().await.body,
        client.answer().await.body,
        client.answer().await.body,
    ];
    assert_eq!(answers, ["slow", "hello", "abcd"]);
}

#[tokio::test]
async fn a_peer_that_leaves_cancels_its_handler() {
    let site = Site::open();
    let client = site.busy_client("/never").await;
    assert_eq!(
        (site.server.requests_in_flight(), site.server.connections()),
        (1, 1)
    );
    drop(client);
    until("the handler is gone", || site.stage.handlers_gone.count() == 1);
    until("nothing is left", || {
        site.server.requests_in_flight() == 0 && site.server.connections() == 0
    });
}
