//! Policies for clients that leave while their handler runs, over HTTP/2: by a reset of the stream, and by the loss of
//! the connection.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::stage::{SOON, Stage, app, gone, patient, start};
use common::{PATIENCE, Server, eventually, metric};
use core_executor::ConnectionLimits;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, SendStream};
use http::{Method, Request};
use http_app::AppConfig;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

/// How a client leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// The stream alone is reset.
    Stream,
    /// The connection ends with a FIN.
    Close,
    /// The connection is reset.
    Reset,
}

/// Every way, with so many bytes of a body behind the request that the handler does not read.
fn ways() -> impl Iterator<Item = (Way, usize)> {
    let ways = [Way::Stream, Way::Close, Way::Reset].into_iter();
    ways.flat_map(|way| [0, 12, 4096].map(|behind| (way, behind)))
}

/// One connection; its own task goes on beside the test.
struct Connection {
    runtime: Runtime,
    requests: SendRequest<Bytes>,
    task: JoinHandle<Result<(), h2::Error>>,
    /// The same socket, for options.
    socket: Option<std::net::TcpStream>,
}

/// One request under way.
struct Asked {
    answer: ResponseFuture,
    body: SendStream<Bytes>,
}

async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("in time")
}

impl Connection {
    fn open(to: SocketAddr) -> Self {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build().unwrap();
        let socket = std::net::TcpStream::connect(to).unwrap();
        let stream = socket.try_clone().unwrap();
        stream.set_nonblocking(true).unwrap();
        let (requests, task) = runtime.block_on(async {
            let handshake = h2::client::handshake(TcpStream::from_std(stream).unwrap());
            let (requests, connection) = soon(handshake).await.unwrap();
            (requests, tokio::spawn(connection))
        });
        Self {
            runtime,
            requests,
            task,
            socket: Some(socket),
        }
    }

    /// Asks, and leaves the body of the request open behind its first bytes.
    fn ask(&mut self, method: Method, path: &str, behind: usize) -> Asked {
        self.runtime.block_on(async {
            let request = Request::builder()
                .method(method)
                .uri(format!("http://test{path}"));
            let mut requests = soon(self.requests.clone().ready()).await.unwrap();
            let (answer, mut body) = requests.send_request(request.body(()).unwrap(), false).unwrap();
            if behind > 0 {
                body.send_data(vec![b'x'; behind].into(), false).unwrap();
            }
            Asked { answer, body }
        })
    }

    /// Asks, and the handler runs.
    fn busy(&mut self, stage: &Stage, path: &str, behind: usize) -> Asked {
        let before = stage.counts()[0];
        let asked = self.ask(Method::GET, path, behind);
        eventually("the handler runs", || stage.counts()[0] > before);
        asked
    }

    fn answer(&self, asked: Asked) -> (u16, String) {
        self.runtime.block_on(async {
            let answer = soon(asked.answer).await.unwrap();
            let (status, mut body) = (answer.status().as_u16(), answer.into_body());
            let mut text = Vec::new();
            while let Some(data) = soon(body.data()).await {
                text.extend_from_slice(&data.unwrap());
            }
            (status, String::from_utf8(text).unwrap())
        })
    }

    fn leave(&mut self, mut asked: Asked, way: Way) {
        match way {
            Way::Stream => asked.body.send_reset(Reason::CANCEL),
            Way::Close | Way::Reset => {
                let socket = self.socket.take().unwrap();
                let at_once = (way == Way::Reset).then_some(Duration::ZERO);
                socket2::SockRef::from(&socket).set_linger(at_once).unwrap();
                drop(socket);
                self.task.abort();
            }
        }
    }
}

#[test]
fn cancel_drops_the_handler_at_once_and_is_the_default() {
    let (server, stage) = start();
    let all = ["/default", "/cancel"].into_iter();
    let all = all.flat_map(|path| ways().map(move |(way, behind)| (path, way, behind)));
    for (dropped, (path, way, behind)) in (1..).zip(all) {
        let mut client = Connection::open(server.app.local_addr());
        let asked = client.busy(&stage, path, behind);
        client.leave(asked, way);
        eventually("the handler is dropped", || stage.counts()[3] == dropped);
        eventually("it is counted", || gone(&server, "cancel") == dropped as f64);
    }
    assert_eq!(stage.counts()[2], 0);
}

#[test]
fn notify_tells_the_handler_which_goes_on() {
    let (server, stage) = start();
    for (round, (way, behind)) in (1..).zip(ways()) {
        let mut client = Connection::open(server.app.local_addr());
        let asked = client.busy(&stage, "/notify", behind);
        client.leave(asked, way);
        eventually("the handler is told", || stage.counts()[1] == round);
        eventually("it goes on alone", || {
            server.app.metrics().handlers_without_client() == 1
        });
        stage.permits.add_permits(1);
        eventually("the handler returns", || {
            stage.counts() == [round, round, round, 0]
        });
        eventually("it is counted", || gone(&server, "notify") == round as f64);
    }
    assert!(server.close().is_clean());
}

#[test]
fn ignore_runs_to_its_end_and_hears_nothing() {
    let (server, stage) = start();
    for (round, (way, behind)) in (1..).zip(ways()) {
        let mut client = Connection::open(server.app.local_addr());
        let asked = client.busy(&stage, "/ignore", behind);
        client.leave(asked, way);
        eventually("the departure is noticed", || {
            gone(&server, "ignore") == round as f64
        });
        eventually("it goes on alone", || {
            server.app.metrics().handlers_without_client() == 1
        });
        stage.permits.add_permits(1);
        eventually("the handler returns", || stage.counts() == [round, 0, round, 0]);
        eventually("nobody is alone", || {
            server.app.metrics().handlers_without_client() == 0
        });
    }
}

#[test]
fn grace_survives_a_return_in_time() {
    let (server, stage) = start();
    for (round, (way, behind)) in (1..).zip(ways()) {
        let mut client = Connection::open(server.app.local_addr());
        let asked = client.busy(&stage, "/grace", behind);
        client.leave(asked, way);
        eventually("the handler is told", || stage.counts()[1] == round);
        stage.permits.add_permits(1);
        eventually("the handler returns", || {
            stage.counts() == [round, round, round, 0]
        });
        eventually("it is counted", || gone(&server, "grace") == round as f64);
    }
}

#[test]
fn grace_ends_a_handler_that_takes_longer() {
    let (server, stage) = start();
    for (round, (way, behind)) in (1..).zip(ways()) {
        let mut client = Connection::open(server.app.local_addr());
        let asked = client.busy(&stage, "/short-grace", behind);
        // Time that passes while the client is there is none of its grace.
        std::thread::sleep(SOON * 2);
        let left = Instant::now();
        client.leave(asked, way);
        eventually("the handler is dropped", || {
            stage.counts() == [round, round, 0, round]
        });
        assert!(left.elapsed() >= SOON, "{:?}", left.elapsed());
    }
}

/// A stream that is reset says nothing about the others; the loss of the connection is about all of them.
#[test]
fn each_stream_has_a_departure_of_its_own() {
    let (server, stage) = start();
    let mut client = Connection::open(server.app.local_addr());
    let paths = ["/cancel", "/notify", "/ignore", "/grace"];
    let mut asked: Vec<_> = paths.map(|path| client.busy(&stage, path, 0)).into();
    let first = client.busy(&stage, "/cancel", 0);
    client.leave(first, Way::Stream);
    eventually("its handler is dropped", || stage.counts() == [5, 0, 0, 1]);
    // The connection answers, so whatever the reset brought about has come about.
    let echo = client.ask(Method::GET, "/echo/there", 0);
    assert_eq!(client.answer(echo), (200, "there".to_owned()));
    assert_eq!(stage.counts(), [5, 0, 0, 1]);
    stage.permits.add_permits(1);
    eventually("one returns", || stage.counts()[2] == 1);
    let last = asked.pop().unwrap();
    client.leave(last, Way::Close);
    // All but the one that has its answer.
    eventually("all have left", || {
        ["cancel", "notify", "ignore", "grace"].map(|policy| gone(&server, policy)) == [1.0; 4]
    });
    stage.permits.add_permits(3);
    eventually("nobody is alone", || {
        server.app.metrics().handlers_without_client() == 0
    });
    assert!(server.close().is_clean());
}

#[test]
fn a_client_that_stays_gets_its_answer() {
    let (server, stage) = start();
    let mut client = Connection::open(server.app.local_addr());
    for path in ["/notify", "/ignore", "/grace", "/short-grace"] {
        stage.permits.add_permits(1);
        let asked = client.ask(Method::GET, path, 0);
        assert_eq!(client.answer(asked), (200, "slow".to_owned()), "{path}");
    }
    assert_eq!(stage.counts(), [4, 0, 4, 0]);
    let all = ["cancel", "notify", "ignore", "grace"].map(|policy| gone(&server, policy));
    assert_eq!(all, [0.0; 4]);
}

/// The body is read on a task of its own, and whoever reads it does not mind its end.
#[test]
fn a_body_that_stops_ends_a_detached_handler_too() {
    let stage = Stage::new();
    let limits = ConnectionLimits {
        body_stall_timeout: SOON * 4,
        ..ConnectionLimits::default()
    };
    let server = Server::start(app(AppConfig { limits, ..patient() }, &stage));
    let mut client = Connection::open(server.app.local_addr());
    let asked = client.ask(Method::POST, "/upload", 12);
    let (status, text) = client.answer(asked);
    assert_eq!(
        (status, text.as_str()),
        (408, r#"{"message":"request body not received in time"}"#)
    );
    eventually("the handler is dropped", || stage.counts() == [1, 0, 0, 1]);
    let counted = metric_of_connections(&server);
    assert_eq!(counted, 1.0);
}

fn metric_of_connections(server: &Server) -> f64 {
    metric(
        &server.app.metrics(),
        r#"http_connections_refused_total{reason="body_stall"}"#,
    )
}
