//! The drain: what is idle goes at once, what is under way is finished, what does not finish is cut.

use crate::client::Client;
use crate::site::{BIG, Site};
use crate::support::{in_time, soon, until};
use core_executor::{BoundListener, Drained};
use std::time::Duration;
use tokio::time::Instant;

const AT_ONCE: Duration = Duration::from_millis(250);
const FAR: Duration = Duration::from_secs(15);
const SHORT: Duration = Duration::from_millis(100);

async fn drained(site: &Site, deadline: Duration) -> (u64, u64) {
    let Drained { answered, cut, .. } = site.server.drained(Instant::now() + deadline).await;
    if cut > 0 {
        // On a machine with other work what is cut may go a moment later.
        until("what was cut is gone", || site.server.connections() == 0);
    }
    assert_eq!(site.server.connections(), 0);
    assert_eq!(site.server.requests_in_flight(), 0);
    (answered, cut)
}

/// An answer counts a moment after its reader has it.
fn all_counted_but(site: &Site, requests: u64) {
    until("what was answered is counted", || {
        site.server.requests_in_flight() == requests
    });
}

async fn drained_at_once(site: &Site) -> Duration {
    all_counted_but(site, 0);
    let begin = Instant::now();
    assert_eq!(drained(site, FAR).await, (0, 0));
    begin.elapsed()
}

#[tokio::test]
async fn nothing_to_drain_takes_no_time() {
    in_time(AT_ONCE, async || {
        let site = Site::open();
        let took = drained_at_once(&site).await;
        assert!(
            std::net::TcpStream::connect(site.addr()).is_err(),
            "the port is closed"
        );
        took
    })
    .await;
}

#[tokio::test]
async fn idle_silent_and_half_headed_connections_are_closed_at_once() {
    in_time(AT_ONCE, async || {
        let site = Site::open();
        let mut idle = site.idle_client().await;
        let mut silent = site.client().await;
        let mut half = site.client().await;
        half.send("GET /hello HTTP/1.1\r\nHo").await;
        let mut half_again = site.idle_client().await;
        half_again.send("GET /hello HTTP/1.1\r\nHo").await;
        until("all are there", || site.server.connections() == 4);
        let took = drained_at_once(&site).await;
        for client in [&mut idle, &mut silent, &mut half, &mut half_again] {
            assert!(client.rest().await.is_empty());
        }
        took
    })
    .await;
}

#[tokio::test]
async fn a_request_in_flight_is_answered_and_counted() {
    let site = Site::open();
    let mut client = site.busy_client("/slow").await;
    let mut idle = site.idle_client().await;
    all_counted_but(&site, 1);
    site.server.begin_drain();
    site.server.begin_drain();
    assert!(idle.rest().await.is_empty());
    assert_eq!(site.server.requests_in_flight(), 1);
    site.stage.permits.add_permits(1);
    let answer = client.answer().await;
    assert_eq!(answer.body, "slow");
    assert!(answer.head.contains("connection: close"), "{}", answer.head);
    assert!(client.rest().await.is_empty());
    assert_eq!(drained(&site, FAR).await, (1, 0));
    assert_eq!(drained(&site, FAR).await, (1, 0), "asked again it says the same");
}

#[tokio::test]
async fn a_body_half_sent_may_be_finished() {
    let site = Site::open();
    let mut client = site.client().await;
    client
        .send("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\nab")
        .await;
    until("the handler runs", || site.stage.begun.count() == 1);
    site.server.begin_drain();
    client.send("cd").await;
    assert_eq!(client.answer().await.body, "abcd");
    assert_eq!(drained(&site, FAR).await, (1, 0));
}

#[tokio::test]
async fn what_never_ends_is_cut_at_the_deadline_and_counted() {
    in_time(SHORT * 2, async || {
        let site = Site::open();
        let mut never = site.busy_client("/never").await;
        let mut endless = site.busy_client("/endless").await;
        let mut half = site.client().await;
        half.send("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\nab")
            .await;
        until("three are under way", || site.server.requests_in_flight() == 3);
        let begin = Instant::now();
        assert_eq!(drained(&site, SHORT).await, (0, 3));
        let took = begin.elapsed();
        assert!(took >= SHORT, "{took:?}");
        for client in [&mut never, &mut endless, &mut half] {
            client.rest().await;
        }
        until("the handlers are gone", || site.stage.handlers_gone.count() == 3);
        assert_eq!(
            drained(&site, SHORT).await,
            (0, 3),
            "asked again it says the same"
        );
        took
    })
    .await;
}

#[tokio::test]
async fn a_deadline_in_the_past_cuts_at_once() {
    let site = Site::open();
    let _client = site.busy_client("/never").await;
    assert_eq!(drained(&site, Duration::ZERO).await, (0, 1));
}

#[tokio::test]
async fn a_slow_reader_gets_everything_if_it_reads_before_the_deadline() {
    let site = Site::open();
    let mut client = site.busy_client("/big").await;
    client.raw(1024).await;
    site.server.begin_drain();
    until("only this one is left", || site.server.connections() == 1);
    let (outcome, received) = tokio::join!(drained(&site, FAR), async {
        tokio::time::sleep(SHORT * 3).await;
        client.rest().await.len()
    });
    assert_eq!(outcome, (1, 0));
    assert!(received + 1024 > BIG, "{received}");
}

#[tokio::test]
async fn a_reader_that_is_too_slow_is_cut_and_counted() {
    let site = Site::open();
    let mut client = site.busy_client("/big").await;
    client.raw(1024).await;
    until("the answer is handed over", || {
        site.stage.handlers_gone.count() == 1
    });
    assert_eq!(drained(&site, SHORT).await, (0, 1));
    assert!(client.rest().await.len() < BIG);
}

#[tokio::test]
async fn pipelined_requests_behind_the_current_one_are_not_begun() {
    for _ in 0..20 {
        let site = Site::on("127.0.0.1", 1, |options| options);
        let mut client = site.client().await;
        let requests = ["/slow", "/hello"].map(|path| format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n"));
        client.send(requests.concat()).await;
        until("the handler runs", || site.stage.begun.count() == 1);
        // And waits: the one worker has time for somebody else. Else it might have its permit before the drain is seen.
        let turn = site.executor.spawner().spawn(async {}).unwrap();
        soon("a turn", turn).await.unwrap();
        site.server.begin_drain();
        site.stage.permits.add_permits(1);
        assert_eq!(client.answer().await.body, "slow");
        assert!(client.rest().await.is_empty());
        assert_eq!(drained(&site, FAR).await, (1, 0));
        assert_eq!(site.stage.begun.count(), 1);
    }
}

#[tokio::test]
async fn a_request_that_has_arrived_when_the_drain_begins_is_answered() {
    for _ in 0..20 {
        let site = Site::on("127.0.0.1", 1, |options| options);
        let mut client = site.idle_client().await;
        // While its only worker is blocked, the request arrives and the drain begins.
        let _blocked = site.busy_client("/block").await;
        client.get("/hello").await;
        site.server.begin_drain();
        site.stage.gate.open();
        assert_eq!(client.answer().await.body, "hello");
        assert!(client.rest().await.is_empty());
        assert_eq!(drained(&site, FAR).await, (2, 0));
    }
}

#[tokio::test]
async fn a_closed_listener_refuses_and_open_connections_go_on() {
    let site = Site::open();
    let mut client = site.idle_client().await;
    site.server.close_listener();
    site.server.close_listener();
    until("the port is closed", || {
        std::net::TcpStream::connect(site.addr()).is_err()
    });
    assert_eq!(client.text("/hello").await, "hello");
    all_counted_but(&site, 0);
    assert_eq!(drained(&site, FAR).await, (0, 0));
}

#[tokio::test]
async fn a_wait_that_is_given_up_can_be_taken_up_again() {
    let site = Site::open();
    let mut client = site.busy_client("/slow").await;
    let far = Instant::now() + FAR;
    assert!(
        tokio::time::timeout(SHORT, site.server.drained(far))
            .await
            .is_err()
    );
    site.stage.permits.add_permits(1);
    assert_eq!(client.answer().await.body, "slow");
    assert_eq!(drained(&site, FAR).await, (1, 0));
}

#[tokio::test]
async fn a_blocked_worker_does_not_hold_the_drain_past_its_deadline() {
    in_time(SHORT * 2, async || {
        let site = Site::on("127.0.0.1", 1, |options| options);
        let _client = site.busy_client("/block").await;
        let begin = Instant::now();
        let report = site.server.drained(Instant::now() + SHORT).await;
        assert_eq!((report.answered, report.cut), (0, 1));
        site.stage.gate.open();
        begin.elapsed()
    })
    .await;
}

#[tokio::test]
async fn a_blocked_worker_does_not_keep_the_port_open() {
    let site = Site::on("127.0.0.1", 1, |options| options);
    let _client = site.busy_client("/block").await;
    site.server.close_listener();
    let addr = site.addr();
    assert!(std::net::TcpStream::connect(addr).is_err(), "nobody listens");
    drop(BoundListener::bind("127.0.0.1", addr.port()).expect("the port is free for the next process"));
    site.stage.gate.open();
}

#[tokio::test]
async fn dropping_the_server_cuts_at_once() {
    let site = Site::open();
    let mut busy = site.busy_client("/never").await;
    let mut idle = site.idle_client().await;
    let addr = site.addr();
    drop(site.server);
    assert!(busy.rest().await.is_empty());
    assert!(idle.rest().await.is_empty());
    until("the port is closed", || {
        std::net::TcpStream::connect(addr).is_err()
    });
    until("the gauge falls", || site.metrics.open() == 0);
    assert!(site.executor.stop_and_wait(FAR).await.is_clean());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_served_once_drained() {
    for _ in 0..20 {
        let site = Site::open();
        let addr = site.addr();
        let knocking = tokio::spawn(async move {
            let mut answered = 0;
            while let Ok(stream) = tokio::net::TcpStream::connect(addr).await {
                drop(stream);
                answered += usize::from(knock(addr).await);
            }
            answered
        });
        until("somebody is served", || site.stage.begun.count() > 2);
        soon("drained", site.server.drained(Instant::now() + FAR)).await;
        let begun = site.stage.begun.count();
        let answered = soon("the end of the knocking", knocking).await.unwrap();
        assert_eq!(site.stage.begun.count(), begun, "served after the drain");
        assert_eq!(answered, begun, "a request was begun and its answer lost");
        assert_eq!(site.server.connections(), 0);
    }
}

async fn knock(addr: std::net::SocketAddr) -> bool {
    use tokio::io::AsyncWriteExt;
    let Ok(mut stream) = tokio::net::TcpStream::connect(addr).await else {
        return false;
    };
    let request = b"GET /hello HTTP/1.1\r\nHost: t\r\n\r\n";
    if stream.write_all(request).await.is_err() {
        return false;
    }
    Client::from_stream(stream).try_answer().await.is_some()
}
