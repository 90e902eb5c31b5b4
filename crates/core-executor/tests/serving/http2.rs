//! HTTP/2: by ALPN and by prior knowledge, on the same service and with the same counts as HTTP/1.

use crate::certificates::{self, Authority, Secure};
use crate::client::Client;
use crate::site::{BIG, Site};
use crate::support::{soon, until};
use bytes::Bytes;
use core_executor::{Cause, CloseReason};
use h2::client::SendRequest;
use h2::{Reason, RecvStream, SendStream};
use http::{Request, Response};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, copy_bidirectional, duplex};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// What every connection begins with (RFC 9113 §3.4).
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// A SETTINGS frame that changes nothing.
pub(crate) const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The next frame's type, flags and payload.
pub(crate) async fn next_frame(client: &mut Client) -> (u8, u8, Vec<u8>) {
    let head = client.raw(9).await;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    (head[3], head[4], client.raw(length as usize).await)
}

/// The fields of a GET (RFC 7541 §6.1 and §6.2.2, static table).
pub(crate) fn get(path: &str) -> Vec<u8> {
    let length = u8::try_from(path.len()).unwrap();
    [&[0x82, 0x86, 0x04, length], path.as_bytes(), &[0x01, 1], b"t"].concat()
}

/// A client of one connection.
pub(crate) struct H2Client {
    pub(crate) requests: SendRequest<Bytes>,
    pub(crate) addr: SocketAddr,
    connection: JoinHandle<Result<(), h2::Error>>,
}

impl H2Client {
    /// With prior knowledge.
    pub(crate) async fn connect(site: &Site) -> Self {
        let stream = soon("a connection", TcpStream::connect(site.addr()))
            .await
            .unwrap();
        let addr = stream.local_addr().unwrap();
        Self::over(stream, addr).await
    }

    /// Between the client and the socket runs a pipe that reads to the server's end: what the client of `h2` left
    /// unread when it went would be answered with a reset, and end the connection with an error at times.
    pub(crate) async fn over(
        mut stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        addr: SocketAddr,
    ) -> Self {
        let (near, mut far) = duplex(64 * 1024);
        tokio::spawn(async move { copy_bidirectional(&mut far, &mut stream).await });
        let (requests, connection) = soon("a handshake", h2::client::handshake(near)).await.unwrap();
        Self {
            requests,
            addr,
            connection: tokio::spawn(connection),
        }
    }

    /// Asks, with a body that is still to be sent or without one.
    pub(crate) async fn ask(
        &mut self,
        path: &str,
        has_body: bool,
    ) -> (h2::client::ResponseFuture, SendStream<Bytes>) {
        let uri = format!("http://localhost{path}");
        let request = Request::get(uri).body(()).unwrap();
        self.requests = soon("room for a stream", self.requests.clone().ready())
            .await
            .unwrap();
        self.requests.send_request(request, !has_body).unwrap()
    }

    pub(crate) async fn text(&mut self, path: &str) -> String {
        let (response, _) = self.ask(path, false).await;
        let response = soon("an answer", response).await.unwrap();
        String::from_utf8(whole(response).await).unwrap()
    }

    /// Says that nothing more comes, and waits for the end.
    pub(crate) async fn leave(self) -> SocketAddr {
        drop(self.requests);
        soon("the end", self.connection).await.unwrap().unwrap();
        self.addr
    }

    /// Waits for the server to end the connection.
    pub(crate) async fn ended(self) -> Result<(), h2::Error> {
        soon("the end", self.connection).await.unwrap()
    }

    /// Goes without a word.
    pub(crate) fn vanish(self) {
        self.connection.abort();
    }
}

pub(crate) async fn whole(response: Response<RecvStream>) -> Vec<u8> {
    let (mut body, mut bytes) = (response.into_body(), Vec::new());
    while let Some(data) = soon("a piece of the body", body.data()).await {
        let data = data.unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        bytes.extend_from_slice(&data);
    }
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn by_alpn_over_tls() {
    let authority = Authority::new();
    let (site, _identity) = certificates::site(&authority.issue("server").config());
    let mut config = authority.client();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let Secure { stream, addr } = Secure::connect(site.addr(), config).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let mut client = H2Client::over(stream, addr).await;
    assert_eq!(client.text("/hello").await, "hello");
    assert!(client.text("/info").await.contains("alpn: Some(\"h2\")"));
    let addr = client.leave().await;
    let closed = site.heard.closed(addr);
    assert_eq!((closed.reason, closed.requests), (CloseReason::Finished, 2));
    match &site.heard.of(addr)[0].cause {
        Cause::Accepted(accepted) => assert_eq!(accepted.tls.as_ref().unwrap().alpn, Some("h2")),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn by_prior_knowledge() {
    let site = Site::open();
    let mut client = H2Client::connect(&site).await;
    assert_eq!(client.text("/hello").await, "hello");
    assert_eq!(client.text("/chunked").await, "abcdef");
    assert_eq!(client.text("/nothing").await, "");
    let addr = client.leave().await;
    let closed = site.heard.closed(addr);
    assert_eq!((closed.reason, closed.requests), (CloseReason::Finished, 3));
    assert!(
        closed.bytes_in > PREFACE.len() as u64 && closed.bytes_out > 0,
        "{closed:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_preface_that_comes_in_pieces() {
    let site = Site::open();
    for pieces in [1, 2, 3, 23] {
        let mut client = site.client().await;
        for piece in PREFACE.chunks(pieces) {
            client.send(piece).await;
            client.stream.readable_soon().await;
        }
        client.send(SETTINGS).await;
        // The server's own SETTINGS come first (RFC 9113 §3.4).
        let head = client.raw(9).await;
        assert_eq!(head[3], 4, "{head:?}");
    }
}

/// Lets what was sent arrive by itself.
trait ReadableSoon {
    async fn readable_soon(&self);
}

impl ReadableSoon for TcpStream {
    async fn readable_soon(&self) {
        let _ = tokio::time::timeout(Duration::from_millis(2), self.readable()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_only_begins_like_it_is_http_1() {
    let site = Site::open();
    for method in ["POST", "PUT", "PATCH", "PRI"] {
        for split in [1, 2, 3] {
            let mut client = site.client().await;
            let request = format!("{method} /hello HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n");
            client.send(&request[..split]).await;
            client.stream.readable_soon().await;
            client.send(&request[split..]).await;
            assert_eq!(client.answer().await.body, "hello", "{method} {split}");
        }
    }
    // Within a connection that is HTTP/1 already, it is a malformed request.
    let mut client: Client = site.idle_client().await;
    client.send(PREFACE).await;
    let status = client.answer().await.status;
    assert!([400, 505].contains(&status), "{status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn many_streams_at_once() {
    let site = Site::open();
    let mut client = H2Client::connect(&site).await;
    let mut answers = Vec::new();
    for _ in 0..50 {
        answers.push(client.ask("/slow", false).await.0);
    }
    until("all handlers run", || site.stage.begun.count() == 50);
    assert_eq!(site.server.requests_in_flight(), 50);
    site.stage.permits.add_permits(50);
    for answer in answers {
        assert_eq!(whole(soon("an answer", answer).await.unwrap()).await, b"slow");
    }
    until("all are counted", || site.server.requests_in_flight() == 0);
    assert_eq!(site.heard.closed(client.leave().await).requests, 50);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn large_bodies_both_ways() {
    let site = Site::open();
    let mut client = H2Client::connect(&site).await;
    assert_eq!(client.text("/big").await.len(), BIG);

    let (response, mut body) = client.ask("/echo", true).await;
    let sent = vec![b'y'; 1024 * 1024];
    let sending = tokio::spawn({
        let sent = sent.clone();
        async move {
            for piece in sent.chunks(10_000) {
                body.reserve_capacity(piece.len());
                let mut rest = piece;
                while !rest.is_empty() {
                    while body.capacity() == 0 {
                        std::future::poll_fn(|cx| body.poll_capacity(cx))
                            .await
                            .unwrap()
                            .unwrap();
                    }
                    let count = body.capacity().min(rest.len());
                    body.send_data(Bytes::copy_from_slice(&rest[..count]), false)
                        .unwrap();
                    rest = &rest[count..];
                }
            }
            body.send_data(Bytes::new(), true).unwrap();
        }
    });
    let answer = whole(soon("an answer", response).await.unwrap()).await;
    assert!(answer == sent, "{} bytes", answer.len());
    sending.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_stream_that_is_reset_drops_its_handler_and_no_other() {
    let site = Site::open();
    let mut client = H2Client::connect(&site).await;
    let (answer, mut stream) = client.ask("/never", true).await;
    until("the handler runs", || site.stage.begun.count() == 1);
    stream.send_reset(Reason::CANCEL);
    until("the handler is gone", || site.stage.handlers_gone.count() == 1);
    assert!(answer.await.is_err());
    until("it is not counted", || site.server.requests_in_flight() == 0);
    assert_eq!(client.text("/hello").await, "hello");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn who_waits_for_the_client_of_a_stream_hears_of_its_reset() {
    let site = Site::open();
    let mut client = H2Client::connect(&site).await;
    let (answer, mut stream) = client.ask("/gone", true).await;
    until("the handler runs", || site.stage.begun.count() == 1);
    assert_eq!(client.text("/hello").await, "hello");
    assert_eq!(site.stage.noticed.count(), 0);
    stream.send_reset(Reason::CANCEL);
    until("it is told", || site.stage.noticed.count() == 1);
    drop(answer);
    assert_eq!(client.text("/hello").await, "hello");
}

/// Whoever runs a handler elsewhere lets it go on for this reason alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_handler_knows_of_the_reset_before_it_is_dropped() {
    let site = Site::open();
    let mut client = H2Client::connect(&site).await;
    let (_answer, mut stream) = client.ask("/knowing", true).await;
    until("the handler runs", || site.stage.begun.count() == 1);
    stream.send_reset(Reason::CANCEL);
    until("the handler is gone", || site.stage.handlers_gone.count() == 1);
    assert_eq!(site.stage.noticed.count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_client_that_goes_takes_its_handlers_along() {
    let site = Site::open();
    let mut client = H2Client::connect(&site).await;
    let (_answer, _stream) = client.ask("/never", false).await;
    until("the handler runs", || site.stage.begun.count() == 1);
    let addr = client.addr;
    client.vanish();
    until("the handler is gone", || site.stage.handlers_gone.count() == 1);
    assert_eq!(site.heard.closed(addr).reason, CloseReason::PeerLeft);
}

/// The end of the bytes within a frame or within the preface is the peer's departure, not a failure of ours.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_peer_that_leaves_within_a_frame() {
    let site = Site::open();
    let authority = Authority::new();
    let (secure_site, _identity) = certificates::site(&authority.issue("server").config());
    for cut in [&SETTINGS[..5], b"\0\0\x08\x06\0\0\0\0\0abc"] {
        let bytes = [PREFACE, SETTINGS, cut].concat();
        let mut client = site.client().await;
        client.send(&bytes).await;
        let addr = client.addr();
        drop(client);
        assert_eq!(site.heard.closed(addr).reason, CloseReason::PeerLeft, "{cut:?}");

        let mut config = authority.client();
        config.alpn_protocols = vec![b"h2".to_vec()];
        for bytes in [&bytes[..], &PREFACE[..20]] {
            let mut client = Secure::connect(secure_site.addr(), config.clone()).await.unwrap();
            client.stream.write_all(bytes).await.unwrap();
            client.stream.shutdown().await.unwrap();
            let reason = secure_site.heard.closed(client.addr).reason;
            assert_eq!(reason, CloseReason::PeerLeft, "{bytes:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_handler_that_panics_ends_its_stream_alone() {
    let site = Site::open();
    let mut client = H2Client::connect(&site).await;
    let (answer, _) = client.ask("/panic", false).await;
    assert!(soon("a reset", answer).await.is_err());
    assert_eq!(client.text("/hello").await, "hello");
    until("it is not counted", || site.server.requests_in_flight() == 0);
}
