//! Requests inside TLS: what handler and listener are told, client certificates, and the ends of a connection.

use crate::certificates::{Authority, Secure, site};
use crate::site::Site;
use core_executor::{Accepted, Cause, ClientAuth, CloseReason, TlsFacts, TlsVersion};
use rustls::version::{TLS12, TLS13};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn accepted(site: &Site, peer: SocketAddr) -> Accepted {
    match &site.heard.of(peer)[0].cause {
        Cause::Accepted(accepted) => accepted.clone(),
        other => panic!("{other:?}"),
    }
}

fn facts(site: &Site, peer: SocketAddr) -> TlsFacts {
    (*accepted(site, peer).tls.expect("facts of TLS")).clone()
}

#[tokio::test]
async fn a_request_and_its_listener_know_what_the_handshake_found_out() {
    let authority = Authority::new();
    let (site, _identity) = site(&authority.issue("server").config());
    for (version, expected) in [(&TLS12, TlsVersion::Tls12), (&TLS13, TlsVersion::Tls13)] {
        let mut config = authority.client_of(&[version], None);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let mut client = Secure::connect(site.addr(), config).await.unwrap();
        assert_eq!(client.text("/hello").await.unwrap(), "hello");
        let info = client.text("/info").await.unwrap();
        let facts = facts(&site, client.addr);
        assert_eq!(facts.version, expected);
        assert_eq!(facts.alpn, Some("http/1.1"));
        assert_eq!(facts.server_name.as_deref(), Some("localhost"));
        assert_eq!(facts.client_certificate, None);
        assert!(facts.cipher.starts_with("TLS"), "{}", facts.cipher);
        assert!(info.contains(&format!("{facts:?}")), "{info}");
        client.stream.shutdown().await.unwrap();
        let closed = site.heard.closed(client.addr);
        assert_eq!((closed.reason, closed.requests), (CloseReason::Finished, 2));
        assert!(closed.bytes_in > 0 && closed.bytes_out > 0, "{closed:?}");
    }
    assert_eq!(site.metrics.tls_handshakes(), 2);
    assert_eq!(site.metrics.tls_handshake_failures(), 0);
}

#[tokio::test]
async fn a_client_without_alpn_speaks_http_1() {
    let authority = Authority::new();
    let (site, _identity) = site(&authority.issue("server").config());
    let mut client = Secure::connect(site.addr(), authority.client()).await.unwrap();
    assert_eq!(client.text("/hello").await.unwrap(), "hello");
    assert_eq!(facts(&site, client.addr).alpn, None);
}

#[tokio::test]
async fn a_client_that_closes_without_saying_so_has_ended_like_any_other() {
    let authority = Authority::new();
    let (site, _identity) = site(&authority.issue("server").config());
    let mut client = Secure::connect(site.addr(), authority.client()).await.unwrap();
    assert_eq!(client.text("/hello").await.unwrap(), "hello");
    let addr = client.addr;
    // The socket is dropped under TLS: no `close_notify` is sent.
    drop(client.stream.into_inner());
    assert_eq!(site.heard.closed(addr).reason, CloseReason::Finished);
}

#[tokio::test]
async fn required_client_certificates() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let config = authority
        .issue("server")
        .config()
        .client_auth(ClientAuth::required(authority.ca_file()));
    let (site, _identity) = site(&config);
    let (friend, foe) = (authority.issue("friend"), stranger.issue("foe"));

    let config = authority.client_of(&[&TLS13], Some(&friend));
    let mut client = Secure::connect(site.addr(), config).await.unwrap();
    assert_eq!(client.text("/hello").await.unwrap(), "hello");
    let shown = facts(&site, client.addr).client_certificate;
    assert_eq!(shown.as_deref(), Some(&*friend.der));

    for own in [None, Some(&foe)] {
        let config = authority.client_of(&[&TLS13], own);
        // TLS 1.3: the client is done before the server has looked at its certificate, and hears of it when it reads.
        let mut client = Secure::connect(site.addr(), config).await.unwrap();
        assert!(client.text("/hello").await.is_err());
        assert_eq!(site.heard.closed(client.addr).reason, CloseReason::TlsFailed);
        assert_eq!(accepted(&site, client.addr).tls, None);
    }
    assert_eq!(site.metrics.tls_handshake_failures(), 2);
}

#[tokio::test]
async fn optional_client_certificates() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let config = authority
        .issue("server")
        .config()
        .client_auth(ClientAuth::optional(authority.ca_file()));
    let (site, _identity) = site(&config);
    let (friend, foe) = (authority.issue("friend"), stranger.issue("foe"));
    for (own, is_fine) in [(None, true), (Some(&friend), true), (Some(&foe), false)] {
        let config = authority.client_of(&[&TLS13], own);
        let mut client = Secure::connect(site.addr(), config).await.unwrap();
        assert_eq!(client.text("/hello").await.is_ok(), is_fine);
        if is_fine {
            let shown = facts(&site, client.addr).client_certificate;
            assert_eq!(shown.as_deref(), own.map(|own| &*own.der).map(<[u8]>::as_ref));
        }
    }
}

#[tokio::test]
async fn a_drain_ends_an_idle_connection_with_a_close_notify() {
    let authority = Authority::new();
    let (site, _identity) = site(&authority.issue("server").config());
    let mut client = Secure::connect(site.addr(), authority.client()).await.unwrap();
    assert_eq!(client.text("/hello").await.unwrap(), "hello");
    site.server.begin_drain();
    // Without `close_notify` reading would fail: rustls tells an end from a cut.
    assert_eq!(client.stream.read(&mut [0; 16]).await.unwrap(), 0);
    assert_eq!(site.heard.closed(client.addr).reason, CloseReason::ServerStop);
}
