//! Handshakes that fail or stall: each connection has its two words, its limit, and nobody else waits for it.

use crate::certificates::{Authority, Secure, site};
use crate::client::Client;
use crate::support::{in_time, until};
use core_executor::{Cause, CloseReason};
use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The first flight of a TLS client.
fn client_hello(authority: &Authority) -> Vec<u8> {
    let name = ServerName::try_from("localhost").unwrap();
    let mut connection = ClientConnection::new(Arc::new(authority.client()), name).unwrap();
    let mut hello = Vec::new();
    connection.write_tls(&mut hello).unwrap();
    assert!(hello.len() > 100, "{} bytes", hello.len());
    hello
}

/// What a client sends before it falls silent.
fn stages(authority: &Authority) -> Vec<Vec<u8>> {
    let hello = client_hello(authority);
    [0, 1, 3, 5, 50, hello.len() - 1, hello.len()]
        .map(|length| hello[..length].to_vec())
        .into()
}

#[tokio::test]
async fn a_handshake_that_stalls_at_any_stage_ends_at_its_limit() {
    let authority = Authority::new();
    let limit = Duration::from_secs(1);
    let mut config = authority.issue("server").config();
    config.handshake_timeout = limit;
    let (site, _identity) = site(&config);
    let begin = Instant::now();
    let mut clients = Vec::new();
    for stage in stages(&authority) {
        let mut client = site.client().await;
        client.send(&stage).await;
        clients.push((client, stage));
    }
    for (client, stage) in &mut clients {
        // An end, not a reset: that would be an error here.
        let mut answer = Vec::new();
        client.stream.read_to_end(&mut answer).await.unwrap();
        let took = begin.elapsed();
        assert!(took >= limit, "{} bytes: after {took:?}", stage.len());
        assert!(took < 2 * limit, "{} bytes: after {took:?}", stage.len());
        let closed = site.heard.closed(client.addr());
        assert_eq!(closed.reason, CloseReason::TlsTimeout, "{} bytes", stage.len());
        assert_eq!((closed.requests, closed.bytes_in), (0, 0));
        assert!(closed.duration >= limit, "{closed:?}");
    }
    assert_eq!(site.metrics.tls_handshake_failures(), clients.len() as u64);
}

#[tokio::test]
async fn handshakes_under_way_do_not_delay_a_stop() {
    let authority = Authority::new();
    in_time(Duration::from_millis(250), async || {
        let (site, _identity) = site(&authority.issue("server").config());
        let mut clients = Vec::new();
        for stage in stages(&authority) {
            let mut client = site.client().await;
            client.send(&stage).await;
            clients.push(client);
        }
        let mut honest = Secure::connect(site.addr(), authority.client()).await.unwrap();
        assert_eq!(honest.text("/hello").await.unwrap(), "hello");
        let begin = Instant::now();
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        let drained = site.server.drained(deadline).await;
        let took = begin.elapsed();
        assert_eq!(drained.cut, 0);
        for client in &clients {
            assert_eq!(site.heard.closed(client.addr()).reason, CloseReason::ServerStop);
        }
        took
    })
    .await;
}

#[tokio::test]
async fn hundreds_of_stalled_handshakes_delay_nobody() {
    let authority = Authority::new();
    let (site, _identity) = site(&authority.issue("server").config());
    let stages = stages(&authority);
    let mut stalled = Vec::new();
    for stage in stages.iter().cycle().take(500) {
        let mut client = site.client().await;
        client.send(stage).await;
        stalled.push(client);
    }
    until("all arrived", || site.metrics.open() as usize == stalled.len());
    in_time(Duration::from_millis(100), async || {
        let begin = Instant::now();
        let mut honest = Secure::connect(site.addr(), authority.client()).await.unwrap();
        assert_eq!(honest.text("/hello").await.unwrap(), "hello");
        begin.elapsed()
    })
    .await;
    assert_eq!(site.metrics.tls_handshake_failures(), 0);
}

#[tokio::test]
async fn what_is_not_tls_is_refused_and_counted() {
    let authority = Authority::new();
    let (site, _identity) = site(&authority.issue("server").config());
    let rows: [&[u8]; 6] = [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
        b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10",
        b"\x00\x00\x00\x00\x00\x00\x00\x00",
        b"\x17\x03\x03\x00\x01\x00",
    ];
    for row in rows {
        let mut client = site.client().await;
        client.send(row).await;
        // An alert at most (RFC 8446 §6: content type 21), and no reset.
        let mut answer = Vec::new();
        client.stream.read_to_end(&mut answer).await.unwrap();
        assert!(
            answer.is_empty() || answer.first() == Some(&21),
            "{row:?}: {answer:?}"
        );
        let addr = client.addr();
        drop(client);
        let closed = site.heard.closed(addr);
        assert_eq!(closed.reason, CloseReason::TlsFailed, "{row:?}");
        match &site.heard.of(addr)[0].cause {
            Cause::Accepted(accepted) => assert_eq!(accepted.tls, None),
            other => panic!("{other:?}"),
        }
    }
    // A large request is read, so that the alert is not lost to a reset.
    let mut client = site.client().await;
    client.send(vec![b'G'; 32 * 1024]).await;
    let mut answer = Vec::new();
    client.stream.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer.first(), Some(&21));
    assert_eq!(site.metrics.tls_handshake_failures(), 7);
    assert_eq!(site.metrics.tls_handshakes(), 0);
}

#[tokio::test]
async fn a_peer_that_leaves_within_the_handshake() {
    let authority = Authority::new();
    let (site, _identity) = site(&authority.issue("server").config());
    for stage in stages(&authority) {
        for is_reset in [false, true] {
            let mut client = site.client().await;
            client.send(&stage).await;
            let addr = client.addr();
            match is_reset {
                true => client.reset(),
                false => drop(client),
            }
            let reason = site.heard.closed(addr).reason;
            assert_eq!(reason, CloseReason::TlsFailed, "{} bytes", stage.len());
        }
    }
}

#[tokio::test]
async fn a_server_that_is_dropped_says_a_last_word_for_each_handshake() {
    let authority = Authority::new();
    let (site, _identity) = site(&authority.issue("server").config());
    let mut clients: Vec<Client> = Vec::new();
    for stage in stages(&authority) {
        let mut client = site.client().await;
        client.send(&stage).await;
        clients.push(client);
    }
    until("all arrived", || site.metrics.open() as usize == clients.len());
    let heard = site.heard.clone();
    drop(site);
    for client in &clients {
        let reason = heard.closed(client.addr()).reason;
        assert!(
            matches!(reason, CloseReason::ServerStop | CloseReason::Cut),
            "{reason:?}"
        );
    }
}

#[tokio::test]
async fn a_peer_behind_tls_that_leaves_with_bytes_unread_is_noticed() {
    let authority = Authority::new();
    let (site, _identity) = site(&authority.issue("server").config());
    let mut client = Secure::connect(site.addr(), authority.client()).await.unwrap();
    let request = "GET /never HTTP/1.1\r\nHost: t\r\n\r\nGET /hello HTTP/1.1\r\nHost: t\r\n\r\n";
    client.stream.write_all(request.as_bytes()).await.unwrap();
    until("the handler runs", || site.stage.begun.count() == 1);
    let addr = client.addr;
    drop(client);
    until("the handler is gone", || site.stage.handlers_gone.count() == 1);
    assert_eq!(site.heard.closed(addr).reason, CloseReason::PeerLeft);
}
