//! The listener itself: many threads, panics, absence, closures and types.

use crate::site::Site;
use crate::support::{soon, until};
use core_executor::{Cause, CloseReason, ConnectionStateListener, Notice};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test]
async fn accepted_first_and_one_last_word_on_many_threads() {
    let site = Arc::new(Site::on("127.0.0.1", 4, |options| options));
    let ways = ["leave", "ask", "busy", "reset", "garbage", "upgrade"];
    let clients: Vec<_> = (0..240)
        .map(|number| {
            let site = site.clone();
            tokio::spawn(async move { live(&site, ways[number % ways.len()]).await })
        })
        .collect();
    for client in clients {
        soon("a client", client).await.unwrap();
    }
    until("every last word", || site.heard.all().len() == 480);
    site.server.drained(Instant::now() + Duration::from_secs(5)).await;
    let mut words: HashMap<_, Vec<Notice>> = HashMap::new();
    for notice in site.heard.all() {
        words.entry(notice.id).or_default().push(notice);
    }
    assert_eq!(words.len(), 240);
    let mut upgraded = 0;
    for notices in words.values() {
        assert_eq!(notices.len(), 2, "{notices:?}");
        assert!(matches!(notices[0].cause, Cause::Accepted(_)), "{notices:?}");
        assert!(!matches!(notices[1].cause, Cause::Accepted(_)), "{notices:?}");
        assert_eq!(notices[0].remote_addr, notices[1].remote_addr);
        upgraded += usize::from(matches!(notices[1].cause, Cause::UpgradedToWebSocket));
    }
    assert_eq!(upgraded, 40);
    assert_eq!((site.metrics.accepted(), site.metrics.open()), (240, 0));
}

async fn live(site: &Site, way: &str) {
    let mut client = site.client().await;
    match way {
        "ask" => drop(client.text("/hello").await),
        "busy" => {
            client.get("/never").await;
            let peer = client.addr();
            while site.heard.of(peer).is_empty() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        "reset" => client.reset(),
        "garbage" => {
            client.send("\0\0\0\0\r\n\r\n").await;
            client.rest().await;
        }
        "upgrade" => {
            client
                .send("GET /upgrade HTTP/1.1\r\nHost: t\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nhi")
                .await;
            client.answer().await;
            assert_eq!(client.raw(2).await, b"hi");
        }
        _ => {}
    }
}

struct Panics(AtomicUsize);

impl ConnectionStateListener for Panics {
    fn state_changed(&self, _: &Notice) {
        self.0.fetch_add(1, Ordering::SeqCst);
        panic!("on purpose");
    }
}

#[tokio::test]
async fn a_listener_that_panics_is_counted_and_the_server_goes_on() {
    let listener = Arc::new(Panics(AtomicUsize::new(0)));
    let given = listener.clone();
    let site = Site::on("127.0.0.1", 1, |options| options.state_listener(Some(given)));
    for round in 1..=3 {
        drop(site.idle_client().await);
        until("both words", || listener.0.load(Ordering::SeqCst) == 2 * round);
    }
    // The last word while a handler's panic is under way.
    let mut client = site.client().await;
    client.get("/panic").await;
    assert!(client.rest().await.is_empty());
    until("all panics are counted", || site.metrics.listener_panics() == 8);
    assert_eq!(site.idle_client().await.text("/hello").await, "hello");
    assert_eq!(site.executor.metrics().panicked(), 1);
}

#[tokio::test]
async fn without_a_listener_everything_works_and_nobody_hears() {
    let site = Site::with(|options| options.state_listener(None));
    let mut client = site.idle_client().await;
    assert_eq!(client.text("/hello").await, "hello");
    drop(client);
    until("it is gone", || site.server.connections() == 0);
    assert_eq!(site.metrics.accepted(), 1);
    assert!(site.heard.all().is_empty());
}

#[tokio::test]
async fn the_listener_hears_of_the_end_before_the_drain_returns() {
    let mut all_gone = 0;
    for _ in 0..20 {
        let site = Site::open();
        let clients = [site.idle_client().await, site.busy_client("/never").await];
        site.server
            .drained(Instant::now() + Duration::from_millis(1))
            .await;
        if site.server.connections() == 0 {
            all_gone += 1;
            assert!(
                clients
                    .iter()
                    .all(|client| site.heard.of(client.addr()).len() == 2)
            );
        }
        assert_eq!(
            site.heard.closed(clients[0].addr()).reason,
            CloseReason::ServerStop
        );
        assert_eq!(site.heard.closed(clients[1].addr()).reason, CloseReason::Cut);
    }
    assert!(all_gone > 5, "{all_gone}");
}
