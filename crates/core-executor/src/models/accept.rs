//! The accept loop and its connections against the stop: every connection that comes is served or closed, and whoever
//! waited for the drain finds all of it done.

use super::in_many_orders;
use crate::accept::accept_loop;
use crate::connection::SharedListener;
use crate::gate::Rules;
use crate::running_server::Shared;
use crate::serving::Server;
use crate::{Arrival, BoundListener, Cause, ConnectionId, ConnectionLimits, ConnectionMetrics};
use crate::{Listener, Notice, RequestBody, RunningServer, RuntimeExecutor, TrustedProxies};
use http::{Request, Response};
use http_body_util::Full;
use shuttle::future::block_on;
use shuttle::thread::{self, JoinHandle};
use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::Instant;

/// A port that is no socket.
#[derive(Clone, Default)]
struct Port(Arc<Mutex<Queue>>);

#[derive(Default)]
struct Queue {
    waiting: VecDeque<DuplexStream>,
    accepting: Option<Waker>,
    is_closed: bool,
}

impl Port {
    fn connect(&self) -> DuplexStream {
        let (ours, theirs) = tokio::io::duplex(4096);
        let mut queue = self.0.lock().unwrap();
        if queue.is_closed {
            return ours;
        }
        queue.waiting.push_back(theirs);
        let waker = queue.accepting.take();
        drop(queue);
        if let Some(waker) = waker {
            waker.wake();
        }
        ours
    }
}

impl Listener for Port {
    fn local_addr(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 80))
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Arrival, SocketAddr)>> {
        let mut queue = self.0.lock().unwrap();
        let Some(stream) = queue.waiting.pop_front() else {
            queue.accepting = Some(cx.waker().clone());
            return Poll::Pending;
        };
        Poll::Ready(Ok((Arrival::Boxed(Box::new(stream)), self.local_addr())))
    }
}

/// The port is closed with the listener: who waits there and who comes later is told so.
struct Closing(Port);

impl Listener for Closing {
    fn local_addr(&self) -> SocketAddr {
        self.0.local_addr()
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Arrival, SocketAddr)>> {
        self.0.poll_accept(cx)
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        let closed = Queue {
            is_closed: true,
            ..Queue::default()
        };
        let was = std::mem::replace(&mut *self.0.0.lock().unwrap(), closed);
        drop(was);
    }
}

/// What was said of each connection.
type Words = Arc<Mutex<HashMap<ConnectionId, Vec<&'static str>>>>;

fn listened(metrics: &ConnectionMetrics) -> (SharedListener, Words) {
    let words = Words::default();
    let heard = words.clone();
    let listener = move |notice: &Notice| {
        let word = match notice.cause {
            Cause::Accepted(_) => "accepted",
            Cause::Closed(_) => "closed",
            Cause::UpgradedToWebSocket => "upgraded",
        };
        heard.lock().unwrap().entry(notice.id).or_default().push(word);
    };
    let listener = SharedListener {
        listener: Arc::new(listener),
        metrics: metrics.clone(),
        server: "model",
    };
    (listener, words)
}

/// A server as `serve` makes it, with a thread for every task.
fn serve(port: Port, executor: &RuntimeExecutor) -> (RunningServer, Words, JoinHandle<()>) {
    static METRICS: OnceLock<ConnectionMetrics> = OnceLock::new();
    let metrics = METRICS.get_or_init(|| ConnectionMetrics::new("model")).clone();
    let listener = BoundListener::from_listener(Closing(port));
    let shared = Arc::new(Shared::new(&listener));
    let (states, words) = listened(&metrics);
    let server = Server {
        shared: shared.clone(),
        listener: Some(states),
        rules: Arc::new(Rules::new(ConnectionLimits::default(), metrics.clone())),
        metrics: metrics.clone(),
        proxies: TrustedProxies::default(),
        tls: None,
        carrying: None,
        spawner: executor.spawner(),
    };
    let hello = tower::service_fn(|_: Request<RequestBody>| async {
        shuttle::future::yield_now().await;
        Ok::<_, Infallible>(Response::new(Full::from("hello")))
    });
    let deal = move |arrival: Arrival, from: SocketAddr| {
        let connection = server.clone().connection(arrival, from, None, hello);
        let tracked = server.shared.connections.track_future(connection);
        thread::spawn(move || block_on(tracked));
    };
    let accepting = accept_loop("model", listener, shared.stop_accepting.clone(), metrics, deal);
    let accepting = shared.accepting.track_future(accepting);
    let accepting = thread::spawn(move || block_on(accepting));
    (RunningServer { shared }, words, accepting)
}

/// Connects, asks, and reads to the end.
fn client(port: &Port) -> JoinHandle<String> {
    let port = port.clone();
    thread::spawn(move || {
        let mut stream = port.connect();
        block_on(async {
            let mut answer = String::new();
            // It may be closed before it has asked.
            let request = b"GET / HTTP/1.1\r\nHost: model\r\nConnection: close\r\n\r\n";
            if stream.write_all(request).await.is_ok() {
                let _ = stream.read_to_string(&mut answer).await;
            }
            answer
        })
    })
}

/// A server, its port, and what is known of them.
struct Stage {
    port: Port,
    server: RunningServer,
    words: Words,
    accepting: JoinHandle<()>,
    /// A deadline that has come, from before the clock of the timers began.
    passed: Instant,
}

/// Plays it in many orders. Nobody drives the timers: they can be made, and only those that are over ring.
fn staged_in_many_orders(play: impl Fn(Stage) + Send + Sync + 'static) {
    in_many_orders(move || {
        let passed = Instant::now().checked_sub(Duration::from_secs(3600));
        let time = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let _timers = time.enter();
        let executor = RuntimeExecutor::on_current().unwrap();
        let port = Port::default();
        let (server, words, accepting) = serve(port.clone(), &executor);
        play(Stage {
            port,
            server,
            words,
            accepting,
            passed: passed.expect("the clock has begun before"),
        });
    });
}

#[test]
fn a_request_is_answered_or_cut_and_never_both() {
    staged_in_many_orders(|stage| {
        let clients = [client(&stage.port), client(&stage.port)];
        stage.server.begin_drain();
        let drained = block_on(stage.server.drained(stage.passed));
        let came = stage.words.lock().unwrap().len();
        stage.accepting.join().unwrap();
        let answers = clients.map(|client| client.join().unwrap());
        let served = answers.iter().filter(|answer| answer.ends_with("hello")).count();
        assert!(
            drained.answered + drained.cut <= came as u64,
            "{drained:?} of {came}"
        );
        assert!(
            drained.answered <= served as u64,
            "{drained:?}, {served} were served"
        );
        for words in stage.words.lock().unwrap().values() {
            assert_eq!(words[..], ["accepted", "closed"]);
        }
    });
}

#[test]
fn whoever_comes_while_the_server_stops_is_served_or_closed() {
    staged_in_many_orders(|stage| {
        let clients = [client(&stage.port), client(&stage.port)];
        let deadline = Instant::now() + Duration::from_secs(3600);
        let drained = block_on(stage.server.drained(deadline));
        let said = stage.words.lock().unwrap().clone();
        assert_eq!(drained.cut, 0);
        assert_eq!(stage.server.connections(), 0);
        for words in said.values() {
            assert_eq!(words[..], ["accepted", "closed"]);
        }
        stage.accepting.join().unwrap();
        let answers = clients.map(|client| client.join().unwrap());
        let served = answers.iter().filter(|answer| answer.ends_with("hello")).count();
        let silent = answers.iter().filter(|answer| answer.is_empty()).count();
        assert_eq!(served + silent, 2, "half an answer: {answers:?}");
        assert_eq!(stage.server.shared.totals.answered(), served as u64);
        assert_eq!(
            stage.words.lock().unwrap().len(),
            said.len(),
            "nobody comes after the drain"
        );
        assert!(served <= said.len());
    });
}
