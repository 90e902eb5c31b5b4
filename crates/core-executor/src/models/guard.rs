//! The connection guard within a drain and a cut: accepted, then exactly one last word, said before the end is.

use super::{in_every_order, in_orders_with};
use crate::connection::{ConnectionCounts, SharedListener};
use crate::drain::Drain;
use crate::running_server::Shared;
use crate::spawner::cut_by;
use crate::{Arrival, BoundListener, Cause, CloseReason, ConnectionGuard, ConnectionId, ConnectionMetrics};
use crate::{Listener, Notice, RunningServer};
use loom::future::block_on;
use loom::thread::{JoinHandle, spawn};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

struct Nobody;

impl Listener for Nobody {
    fn local_addr(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 80))
    }

    fn poll_accept(&mut self, _: &mut Context<'_>) -> Poll<io::Result<(Arrival, SocketAddr)>> {
        Poll::Pending
    }
}

impl ConnectionCounts for Nobody {
    fn counts(&self) -> (u64, u64, u64) {
        (0, 0, 0)
    }
}

/// What was said of a connection.
#[derive(Clone, Default)]
struct Words(Arc<Mutex<Vec<String>>>);

impl Words {
    fn guard(&self) -> ConnectionGuard {
        let heard = self.0.clone();
        let listener = move |notice: &Notice| {
            let word = match &notice.cause {
                Cause::Accepted(_) => "accepted".to_owned(),
                Cause::Closed(closed) => format!("{:?}", closed.reason),
                Cause::UpgradedToWebSocket => "upgraded".to_owned(),
            };
            heard.lock().unwrap().push(word);
        };
        let listener = SharedListener {
            listener: Arc::new(listener),
            metrics: ConnectionMetrics::new("model"),
            server: "model",
        };
        let addr = Nobody.local_addr();
        ConnectionGuard::arrived(Some(&listener), ConnectionId::next(), &addr, &addr, || {
            Arc::new(Nobody)
        })
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

fn server() -> (RunningServer, Arc<Shared>) {
    let shared = Arc::new(Shared::new(&BoundListener::from_listener(Nobody)));
    let server = RunningServer {
        shared: shared.clone(),
    };
    (server, shared)
}

/// A connection that is idle until the drain, tracked and cut as real ones are.
fn connection(shared: &Arc<Shared>, words: &Words, executor: &Arc<Drain>) -> JoinHandle<()> {
    let (guard, serving) = (words.guard(), shared.clone());
    let requesting = shared.requesting.token();
    let idle = async move {
        let _requesting = requesting;
        let mut guard = guard;
        guard.accepted(None);
        serving.drain.begun().await;
        guard.closed(match serving.cut.is_cancelled() {
            true => CloseReason::Cut,
            false => CloseReason::ServerStop,
        });
    };
    let tracked = shared
        .connections
        .track_future(cut_by(Some(executor.clone()), idle));
    spawn(move || block_on(tracked))
}

#[test]
fn nobody_sleeps_through_the_drain() {
    in_every_order(|| {
        let drain = Arc::new(Drain::default());
        let waiting = {
            let drain = drain.clone();
            spawn(move || block_on(drain.begun()))
        };
        drain.begin();
        drain.begin();
        assert!(drain.has_begun());
        waiting.join().unwrap();
    });
}

#[test]
fn a_drain_that_was_waited_for_has_heard_every_last_word() {
    in_orders_with(4, || {
        let (words, executor) = (Words::default(), Arc::new(Drain::default()));
        let (server, shared) = server();
        let thread = connection(&shared, &words, &executor);
        block_on(server.requests_answered());
        block_on(shared.connections.wait());
        assert_eq!(words.all(), ["accepted", "ServerStop"]);
        thread.join().unwrap();
    });
}

#[test]
fn who_hears_of_a_server_that_was_dropped_knows_that_it_is_a_cut() {
    in_every_order(|| {
        let (words, executor) = (Words::default(), Arc::new(Drain::default()));
        let (server, shared) = server();
        let thread = connection(&shared, &words, &executor);
        drop(server);
        block_on(shared.connections.wait());
        assert_eq!(words.all(), ["accepted", "Cut"]);
        thread.join().unwrap();
    });
}

#[test]
fn one_last_word_when_the_executor_ends_under_a_drain() {
    in_orders_with(3, || {
        let (words, executor) = (Words::default(), Arc::new(Drain::default()));
        let (server, shared) = server();
        let thread = connection(&shared, &words, &executor);
        let cutting = spawn(move || executor.begin());
        server.begin_drain();
        block_on(shared.connections.wait());
        let said = words.all();
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(
            said[0] == "accepted" && ["ServerStop", "Cut"].contains(&&*said[1]),
            "{said:?}"
        );
        cutting.join().unwrap();
        thread.join().unwrap();
    });
}
