//! The budget of connections: shared by the servers of an executor, kept by upgraded ones, told in one last word; and
//! whose address counts behind a proxy.

use crate::certificates::{Authority, Secure};
use crate::client::Client;
use crate::site::Heard;
use crate::support::{soon, until};
use bytes::Bytes;
use core_executor::{
    BoundListener, BudgetConfig, Cause, CloseReason, ConnectionInfo, ConnectionMetrics, ExecutorConfig,
    IoStream, LimitReached, RunningServer, RuntimeExecutor, ServeOptions, TlsIdentity, serve,
};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tower::service_fn;

/// Two servers on one executor.
struct Pair {
    executor: RuntimeExecutor,
    one: RunningServer,
    other: RunningServer,
    heard: Heard,
    metrics: ConnectionMetrics,
}

fn pair(total: usize, per_address: usize, proxies: &str) -> Pair {
    pair_with(total, per_address, proxies, |options| options)
}

fn pair_with(
    total: usize,
    per_address: usize,
    proxies: &str,
    change_other: impl FnOnce(ServeOptions) -> ServeOptions,
) -> Pair {
    let executor = RuntimeExecutor::new(ExecutorConfig {
        threads: 2,
        connections: BudgetConfig {
            max_connections: Some(total),
            max_per_address: per_address,
            trusted_proxies: proxies.parse().unwrap(),
        },
        ..ExecutorConfig::default()
    })
    .unwrap();
    let (heard, metrics) = (Heard::default(), ConnectionMetrics::new("one"));
    let listen = |options| {
        let listener = BoundListener::bind("127.0.0.1", 0).unwrap();
        let spawner = executor.spawner();
        let kept = spawner.clone();
        let service = service_fn(move |request| answer(request, kept.clone()));
        serve(listener, service, options, &spawner).unwrap()
    };
    let one = listen(
        ServeOptions::new("one")
            .state_listener(Some(Arc::new(heard.listener())))
            .metrics(metrics.clone()),
    );
    let other = listen(change_other(ServeOptions::new("other")));
    Pair {
        executor,
        one,
        other,
        heard,
        metrics,
    }
}

/// Says who asks; `/upgrade` echoes one byte until the peer leaves.
async fn answer(
    mut request: Request<core_executor::RequestBody>,
    spawner: core_executor::Spawner,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let info = request.extensions().get::<ConnectionInfo>().unwrap().clone();
    let mut response = Response::new(Full::new(Bytes::from(info.client_addr.to_string())));
    if request.uri().path() == "/upgrade" {
        let upgrading = hyper::upgrade::on(&mut request);
        spawner
            .spawn_service(async move {
                let (mut stream, _) = IoStream::from_upgraded(upgrading.await.unwrap());
                while let Ok(byte) = stream.read_u8().await {
                    stream.write_u8(byte).await.unwrap();
                }
            })
            .unwrap();
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert("connection", "upgrade".parse().unwrap());
        headers.insert("upgrade", "echo".parse().unwrap());
    }
    Ok(response)
}

async fn from(source: &str, to: SocketAddr) -> Client {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(source.parse().unwrap(), 0)).unwrap();
    Client::from_stream(soon("a connection", socket.connect(to)).await.unwrap())
}

async fn is_served(client: &mut Client) {
    assert_eq!(client.text("/").await, client.addr().to_string());
}

/// The peer says nothing; a server that read first would say nothing either.
async fn is_refused(mut client: Client) {
    let answer = client.answer().await;
    assert_eq!(answer.status, 503);
    for line in [
        "retry-after: 1\r\n",
        "connection: close\r\n",
        "content-type: application/json\r\n",
    ] {
        assert!(answer.head.contains(line), "{}", answer.head);
    }
    assert_eq!(answer.body, r#"{"message":"too many connections"}"#);
    assert_eq!(client.rest().await, b"", "nothing comes behind it");
}

fn taken(pair: &Pair) -> usize {
    pair.executor.spawner().connection_budget().taken()
}

#[tokio::test]
async fn both_servers_share_the_places() {
    let pair = pair(2, 0, "");
    let mut first = Client::connect(pair.one.local_addr()).await;
    let mut second = Client::connect(pair.other.local_addr()).await;
    is_served(&mut first).await;
    is_served(&mut second).await;
    is_refused(Client::connect(pair.one.local_addr()).await).await;
    is_refused(Client::connect(pair.other.local_addr()).await).await;
    assert_eq!(pair.metrics.refused(LimitReached::Total), 1);
    assert_eq!(pair.metrics.accepted(), 1, "a refused one is not among them");
    is_served(&mut first).await;
    drop(second);
    until("its place is back", || taken(&pair) == 1);
    is_served(&mut Client::connect(pair.one.local_addr()).await).await;
}

#[tokio::test]
async fn a_request_that_came_first_does_not_keep_the_answer_from_its_sender() {
    let pair = pair(1, 0, "");
    let mut held = Client::connect(pair.one.local_addr()).await;
    is_served(&mut held).await;
    for _ in 0..20 {
        let mut client = Client::connect(pair.one.local_addr()).await;
        client.get("/").await;
        is_refused(client).await;
    }
}

#[tokio::test]
async fn a_refused_connection_has_one_last_word() {
    let pair = pair(1, 0, "");
    let mut held = Client::connect(pair.one.local_addr()).await;
    is_served(&mut held).await;
    let refused = Client::connect(pair.one.local_addr()).await;
    let peer = refused.addr();
    is_refused(refused).await;
    let closed = pair.heard.closed(peer);
    assert_eq!(closed.reason, CloseReason::LimitRefused);
    assert_eq!((closed.bytes_in, closed.requests), (0, 0));
    assert!(closed.bytes_out > 100);
    let both = pair.heard.of(peer);
    assert!(matches!(both[0].cause, Cause::Accepted(_)));
}

#[tokio::test]
async fn an_upgraded_connection_keeps_its_place_until_it_is_gone() {
    let pair = pair(1, 0, "");
    let mut upgraded = Client::connect(pair.one.local_addr()).await;
    upgraded
        .send("GET /upgrade HTTP/1.1\r\nHost: t\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
        .await;
    assert_eq!(upgraded.answer().await.status, 101);
    upgraded.send("x").await;
    assert_eq!(upgraded.raw(1).await, b"x");
    until("the HTTP server is done with it", || pair.one.connections() == 0);
    is_refused(Client::connect(pair.other.local_addr()).await).await;
    drop(upgraded);
    until("its place is back", || taken(&pair) == 0);
    is_served(&mut Client::connect(pair.other.local_addr()).await).await;
}

#[tokio::test]
async fn one_address_has_its_share_and_others_theirs() {
    let pair = pair(0, 2, "");
    let to = pair.one.local_addr();
    let mut held = Vec::new();
    for source in ["127.0.0.2", "127.0.0.3"] {
        for server in [to, pair.other.local_addr()] {
            let mut client = from(source, server).await;
            is_served(&mut client).await;
            held.push(client);
        }
        is_refused(from(source, to).await).await;
    }
    assert_eq!(pair.metrics.refused(LimitReached::Address), 2);
    assert_eq!(pair.metrics.refused(LimitReached::Total), 0);
    drop(held);
    until("all places are back", || taken(&pair) == 0);
    is_served(&mut from("127.0.0.2", to).await).await;
}

#[tokio::test]
async fn a_server_outside_of_the_budget_answers_when_the_others_are_full() {
    let pair = pair_with(1, 1, "", ServeOptions::outside_budget);
    let mut held = Client::connect(pair.one.local_addr()).await;
    is_served(&mut held).await;
    is_refused(Client::connect(pair.one.local_addr()).await).await;
    let mut outside = Client::connect(pair.other.local_addr()).await;
    is_served(&mut outside).await;
    assert_eq!(taken(&pair), 1);
}

#[tokio::test]
async fn refusals_end_with_the_server() {
    let pair = pair(1, 0, "");
    let mut held = Client::connect(pair.one.local_addr()).await;
    is_served(&mut held).await;
    // These read nothing and never close: the server would wait a while for them.
    let mut idle = Vec::new();
    for _ in 0..10 {
        idle.push(Client::connect(pair.one.local_addr()).await);
    }
    until("all are refused", || {
        pair.metrics.refused(LimitReached::Total) == 10
    });
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    soon("the end", pair.one.drained(deadline)).await;
    until("every last word", || pair.heard.all().len() == 22);
}

#[tokio::test]
async fn only_a_trusted_proxy_is_asked_whom_it_forwards_for() {
    let pair = pair(0, 1, "127.0.0.9, 10.0.0.0/8");
    let ask = "GET / HTTP/1.1\r\nHost: t\r\nX-Forwarded-For: 6.6.6.6, 203.0.113.7, 10.1.1.1\r\n\r\n";
    let mut proxy = from("127.0.0.9", pair.one.local_addr()).await;
    proxy.send(ask).await;
    assert_eq!(proxy.answer().await.body, "203.0.113.7:0");
    proxy
        .send("GET / HTTP/1.1\r\nHost: t\r\nForwarded: for=\"[2001:db8::1]:99\"\r\n\r\n")
        .await;
    assert_eq!(proxy.answer().await.body, "[2001:db8::1]:99");
    proxy
        .send("GET / HTTP/1.1\r\nHost: t\r\nX-Forwarded-For: <script>\r\n\r\n")
        .await;
    assert_eq!(proxy.answer().await.body, proxy.addr().to_string());
    // Exempt from the limit per address.
    is_served(&mut from("127.0.0.9", pair.one.local_addr()).await).await;

    let mut stranger = from("127.0.0.8", pair.one.local_addr()).await;
    stranger.send(ask).await;
    assert_eq!(stranger.answer().await.body, stranger.addr().to_string());
    is_refused(from("127.0.0.8", pair.one.local_addr()).await).await;
}

/// Whoever opens a conversation inside a connection takes a place by hand.
#[tokio::test]
async fn a_place_taken_by_hand_counts_with_the_others() {
    let pair = pair(1, 1, "");
    let budget = pair.executor.spawner().connection_budget();
    assert_eq!(budget.limit(), Some(1));
    let home = IpAddr::from([127, 0, 0, 1]);
    let permit = budget.take(Some(home)).unwrap();
    is_refused(Client::connect(pair.one.local_addr()).await).await;
    let (ours, mut theirs) = tokio::io::duplex(64);
    let stream = IoStream::Boxed(Box::new(ours)).holding(permit);
    assert_eq!(budget.take(None).unwrap_err(), LimitReached::Total);
    drop(stream);
    assert_eq!(theirs.read(&mut [0; 1]).await.unwrap(), 0);
    is_served(&mut Client::connect(pair.one.local_addr()).await).await;
}

/// An answer would cost a handshake, which whoever opens connections in any number would have us pay.
#[tokio::test]
async fn under_tls_a_connection_past_the_limit_is_reset_and_has_its_last_word() {
    let authority = Authority::new();
    let tls = ConnectionMetrics::new("tls");
    let identity = TlsIdentity::load(&authority.issue("server").config(), &tls).unwrap();
    let heard = Heard::default();
    let pair = pair_with(1, 0, "", |options| {
        let listener = Arc::new(heard.listener());
        options
            .tls(Some(identity))
            .metrics(tls.clone())
            .state_listener(Some(listener))
    });
    let to = pair.other.local_addr();
    let mut held = Secure::connect(to, authority.client()).await.unwrap();
    assert_eq!(held.text("/").await.unwrap(), held.addr.to_string());
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let peer = socket.local_addr().unwrap();
    // The reset may be there before the connection is known to be.
    let end = match soon("a connection", socket.connect(to)).await {
        Ok(mut refused) => soon("the end", refused.read(&mut [0])).await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(end.kind(), std::io::ErrorKind::ConnectionReset);
    let closed = heard.closed(peer);
    assert_eq!(closed.reason, CloseReason::LimitRefused);
    assert_eq!((closed.bytes_in, closed.bytes_out, closed.requests), (0, 0, 0));
    assert_eq!(tls.refused(LimitReached::Total), 1);
    assert_eq!(held.text("/").await.unwrap(), held.addr.to_string());
}

/// Reset instead of answered: many that neither read nor leave cannot hold more than a bounded number of sockets here.
#[tokio::test]
async fn refusals_under_way_are_bounded() {
    let pair = pair(1, 0, "");
    let mut held = Client::connect(pair.one.local_addr()).await;
    is_served(&mut held).await;
    let before = descriptors();
    let mut idle = Vec::new();
    for _ in 0..600 {
        idle.push(Client::connect(pair.one.local_addr()).await.stream);
        assert!(descriptors() <= before + idle.len() + 300, "{}", idle.len());
    }
    until("all are refused", || {
        pair.metrics.refused(LimitReached::Total) == 600
    });
    is_served(&mut held).await;
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}
