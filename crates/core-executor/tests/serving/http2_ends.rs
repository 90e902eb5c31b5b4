//! How HTTP/2 connections end when the server does: answers are given, nobody is waited for in vain.

use crate::client::Client;
use crate::http2::{H2Client, PREFACE, SETTINGS, frame, get, next_frame, whole};
use crate::site::Site;
use crate::support::{in_time, soon, until};
use core_executor::CloseReason;
use std::time::Duration;
use tokio::time::Instant;

fn far() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_drain_gives_the_answers_under_way_and_says_goaway() {
    let site = Site::open();
    let mut client = H2Client::connect(&site).await;
    let (slow, _) = client.ask("/slow", false).await;
    until("the handler runs", || site.stage.begun.count() == 1);
    site.server.begin_drain();
    site.stage.permits.add_permits(1);
    let drained = site.server.drained(far()).await;
    assert_eq!((drained.answered, drained.cut), (1, 0));
    assert_eq!(whole(soon("an answer", slow).await.unwrap()).await, b"slow");
    let addr = client.addr;
    assert!(client.ended().await.is_ok(), "GOAWAY without an error");
    assert_eq!(site.heard.closed(addr).reason, CloseReason::ServerStop);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn without_keep_alive_a_connection_of_http2_goes_on_until_the_drain() {
    let site = Site::open();
    let mut client = H2Client::connect(&site).await;
    site.server.end_keep_alive();
    for _ in 0..2 {
        assert_eq!(client.text("/hello").await, "hello");
    }
    site.server.begin_drain();
    assert!(client.ended().await.is_ok(), "GOAWAY without an error");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn idle_connections_do_not_delay_a_stop() {
    in_time(Duration::from_millis(250), async || {
        let site = Site::open();
        let mut polite = H2Client::connect(&site).await;
        assert_eq!(polite.text("/hello").await, "hello");
        // One that never answers the ping behind GOAWAY, one without SETTINGS, one with half a preface.
        let mut rude = Vec::new();
        for bytes in [&[PREFACE, SETTINGS].concat()[..], PREFACE, &PREFACE[..20]] {
            let mut client: Client = site.client().await;
            client.send(bytes).await;
            rude.push(client);
        }
        until("all arrived and nothing is owed", || {
            site.server.connections() == 4 && site.server.requests_in_flight() == 0
        });
        let begin = Instant::now();
        let drained = site.server.drained(far()).await;
        let took = begin.elapsed();
        assert_eq!((drained.answered, drained.cut), (0, 0));
        for client in &rude {
            assert_eq!(site.heard.closed(client.addr()).reason, CloseReason::ServerStop);
        }
        took
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_is_not_answered_at_the_deadline_is_cut_and_counted() {
    let site = Site::open();
    let mut client = H2Client::connect(&site).await;
    let (_never, _) = client.ask("/never", false).await;
    // Much more than its window has room for, and it is not read.
    let (big, _) = client.ask("/big", false).await;
    let _unread = soon("an answer", big).await.unwrap();
    until("both handlers ran", || site.stage.begun.count() == 2);
    let drained = site
        .server
        .drained(Instant::now() + Duration::from_millis(200))
        .await;
    assert_eq!((drained.answered, drained.cut), (0, 2));
    assert_eq!(site.heard.closed(client.addr).reason, CloseReason::Cut);
    until("the handlers are gone", || site.stage.handlers_gone.count() == 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_request_that_comes_while_the_goaway_is_under_way_is_answered() {
    const DATA: u8 = 0;
    const PING: u8 = 6;
    let site = Site::open();
    let mut client = site.client().await;
    let slow = frame(1, 5, 1, &get("/slow"));
    client.send([PREFACE, SETTINGS, &slow].concat()).await;
    until("the handler runs", || site.stage.begun.count() == 1);
    site.server.begin_drain();
    // It has read nothing, so it knows of no GOAWAY.
    client.send(frame(1, 5, 3, &get("/hello"))).await;
    let mut said = Vec::new();
    while said.len() < 2 {
        match next_frame(&mut client).await {
            (PING, 0, payload) => client.send(frame(PING, 1, 0, &payload)).await,
            (DATA, _, payload) if !payload.is_empty() => {
                said.push(payload);
                site.stage.permits.add_permits(1);
            }
            _ => {}
        }
    }
    assert_eq!(said, [b"hello".to_vec(), b"slow".to_vec()]);
    assert_eq!(site.server.drained(far()).await.cut, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_answer_that_is_the_last_thing_to_do_counts() {
    const PING: u8 = 6;
    const GOAWAY: u8 = 7;
    let site = Site::open();
    let mut client = site.client().await;
    let slow = frame(1, 5, 1, &get("/slow"));
    client.send([PREFACE, SETTINGS, &slow].concat()).await;
    until("the handler runs", || site.stage.begun.count() == 1);
    site.server.begin_drain();
    // Behind the answer to the ping comes the GOAWAY that names the last stream (RFC 9113 §6.8).
    let mut goaways = 0;
    while goaways < 2 {
        match next_frame(&mut client).await {
            (PING, 0, payload) => client.send(frame(PING, 1, 0, &payload)).await,
            (GOAWAY, ..) => goaways += 1,
            _ => {}
        }
    }
    site.stage.permits.add_permits(1);
    let drained = site.server.drained(far()).await;
    assert_eq!((drained.answered, drained.cut), (1, 0));
}
