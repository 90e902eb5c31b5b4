//! The end: every session gets its Close, one `on_close`, and nobody is waited for past the deadline.

mod support;

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::HeaderMap;
use support::{
    PATIENCE, Record, TestServer, block_on, close_of, config, connect, echo, eventually, frame, handshake,
    metric, read_close, read_frame, say, tcp, text_of,
};
use tokio::sync::watch;
use ws_server::{ClosedBy, Hub, Peer, StopPlan, TransportKind, WsServer};

#[test]
fn every_session_gets_1001_and_one_on_close() {
    let (server, record) = Record::watch(echo(config()));
    let server = TestServer::start(server);
    let hub = server.hub.clone();
    let clients: Vec<_> = (0..200)
        .map(|_| {
            let mut client = server.connect("/");
            std::thread::spawn(move || close_of(&mut client))
        })
        .collect();
    let report = server.stop_within(Duration::from_secs(10));
    for client in clients {
        assert_eq!(client.join().unwrap(), (1001, String::new()));
    }
    assert_eq!(
        (report.sessions, report.closed_cleanly, report.cut_off),
        (200, 200, 0)
    );
    assert_eq!(record.counts(), (200, 200));
    assert_eq!((hub.sessions(), metric(&hub, "ws_connections_active")), (0, 0.0));
}

#[test]
fn what_is_queued_goes_out_before_the_close_and_clients_are_asked_back_spread_out() {
    let server = TestServer::start(WsServer::new(config()));
    let mut clients: Vec<_> = (0..4).map(|_| server.raw()).collect();
    eventually("all are open", || server.hub.sessions() == 4);
    for number in 0..100 {
        block_on(server.hub.broadcast_text(format!("{number}"))).unwrap();
    }
    let TestServer {
        running, executor, ..
    } = server;
    let stopping = std::thread::spawn(move || {
        block_on(async {
            let plan = StopPlan {
                code: 1012,
                retry_window: Duration::from_secs(4),
                ..StopPlan::within(Duration::from_secs(10))
            };
            let report = running.stop(plan).await;
            drop(executor);
            report
        })
    });
    let mut reasons = Vec::new();
    for client in &mut clients {
        for number in 0..100 {
            assert_eq!(read_frame(client), Some((0x81, number.to_string().into_bytes())));
        }
        let (code, reason) = read_close(client);
        assert_eq!(code, 1012);
        reasons.push(reason);
        client.write_all(&frame(0x88, &[3, 0xf4])).unwrap();
    }
    reasons.sort();
    assert_eq!(reasons, ["retry=0", "retry=1000", "retry=2000", "retry=3000"]);
    let report = stopping.join().unwrap();
    assert_eq!((report.closed_cleanly, report.undelivered_messages), (4, 0));
}

#[test]
fn the_walk_is_paced() {
    let server = TestServer::start(WsServer::new(config()));
    let clients: Vec<_> = (0..20).map(|_| server.connect("/")).collect();
    let closers: Vec<_> = clients
        .into_iter()
        .map(|mut client| std::thread::spawn(move || close_of(&mut client)))
        .collect();
    let start = Instant::now();
    let plan = StopPlan {
        batch_per_second: 100,
        ..StopPlan::within(Duration::from_secs(10))
    };
    let TestServer {
        running, executor, ..
    } = server;
    let report = block_on(running.stop(plan));
    assert!(
        start.elapsed() >= Duration::from_millis(190),
        "20 sessions at 100 a second"
    );
    assert_eq!(report.closed_cleanly, 20);
    closers
        .into_iter()
        .for_each(|closer| assert_eq!(closer.join().unwrap().0, 1001));
    drop(executor);
}

#[test]
fn a_peer_that_never_answers_is_not_waited_for_past_the_close_limit() {
    let (server, record) = Record::watch(echo(config()));
    let server = TestServer::start(server);
    let mut silent = server.raw();
    let start = Instant::now();
    let report = server.stop_within(Duration::from_secs(15));
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "the close limit, not the deadline"
    );
    assert_eq!((report.sessions, report.unanswered), (1, 1));
    assert_eq!(read_close(&mut silent).0, 1001);
    assert_eq!(record.close(), (1001, ClosedBy::Shutdown));
}

#[test]
fn a_running_handler_may_finish_and_its_answer_arrives() {
    let (release, released) = watch::channel(false);
    let (entered, entering) = channel();
    let server = WsServer::new(config()).on_message(move |session, _| {
        entered.send(()).unwrap();
        let mut released = released.clone();
        async move {
            released.wait_for(|released| *released).await.unwrap();
            session.send_text("answer");
        }
    });
    let server = TestServer::start(server);
    let hub = server.hub.clone();
    let mut client = server.connect("/");
    say(&mut client, "question");
    entering.recv_timeout(PATIENCE).unwrap();
    let stopping = std::thread::spawn(move || server.stop_within(Duration::from_secs(15)));
    eventually("the stop has begun", || hub.is_stopping());
    release.send(true).unwrap();
    assert_eq!(text_of(&mut client), "answer");
    assert_eq!(close_of(&mut client).0, 1001);
    assert_eq!(stopping.join().unwrap().closed_cleanly, 1);
}

#[test]
fn a_handler_that_never_ends_is_given_up_before_the_deadline_and_its_client_gets_its_close() {
    let (server, record) = Record::watch(WsServer::new(config()).on_message(|session, _| async move {
        session.send_text("running");
        std::future::pending::<()>().await;
    }));
    let server = TestServer::start(server);
    let mut client = server.connect("/");
    say(&mut client, "x");
    assert_eq!(text_of(&mut client), "running");
    let closing = std::thread::spawn(move || close_of(&mut client));
    let start = Instant::now();
    let report = server.stop_within(Duration::from_secs(1));
    assert!(
        start.elapsed() >= Duration::from_millis(600),
        "the handler has its time"
    );
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(closing.join().unwrap().0, 1001);
    assert_eq!(
        (report.sessions, report.closed_cleanly, report.cut_handlers),
        (1, 1, 1)
    );
    assert_eq!(record.counts(), (1, 1));
}

/// Says, when it is dropped, that the callback that holds it is over.
struct Says(Sender<&'static str>);

impl Drop for Says {
    fn drop(&mut self) {
        let _ = self.0.send("on_open is over");
    }
}

/// A server whose `on_open` waits to be released, and what its callbacks say.
fn opening_slowly(released: &watch::Receiver<bool>) -> (WsServer, Receiver<&'static str>) {
    let (says, said) = channel();
    let (opening, closing, released) = (says.clone(), says, released.clone());
    let server = WsServer::new(config())
        .on_open(move |_| {
            let (says, mut released) = (Says(opening.clone()), released.clone());
            async move {
                let _ = says.0.send("on_open");
                let _ = released.wait_for(|released| *released).await;
            }
        })
        .on_close(move |_, info| {
            let is_cut = (info.code, info.by) == (1006, ClosedBy::Shutdown);
            let _ = closing.send(if is_cut {
                "on_close"
            } else {
                "on_close with another cause"
            });
            async {}
        });
    (server, said)
}

#[test]
fn a_session_that_is_cut_while_it_opens_hears_of_its_end_when_on_open_was_dropped() {
    let (_release, released) = watch::channel(false);
    let (server, said) = opening_slowly(&released);
    let server = TestServer::start(server);
    let hub = server.hub.clone();
    let mut client = tcp(server.addr);
    client.write_all(&handshake("/", &[])).unwrap();
    assert_eq!(said.recv_timeout(PATIENCE), Ok("on_open"));
    let report = server.stop_within(Duration::from_millis(300));
    assert_eq!((report.sessions, report.cut_off), (1, 1));
    assert_eq!(said.recv_timeout(PATIENCE), Ok("on_open is over"));
    assert_eq!(said.recv_timeout(PATIENCE), Ok("on_close"));
    eventually("it is forgotten", || hub.sessions() == 0);
    assert_eq!(said.try_recv().ok(), None);
}

#[test]
fn a_session_that_is_cut_while_it_opens_hears_of_its_end_when_on_open_has_ended() {
    let (release, released) = watch::channel(false);
    let (server, said) = opening_slowly(&released);
    let server = TestServer::start(server);
    let hub = server.hub.clone();
    let opener = hub.clone();
    let opening = std::thread::spawn(move || {
        let peer = Peer::new(None, "/", &HeaderMap::new());
        block_on(opener.open_session(peer, TransportKind::LongPoll)).map(drop)
    });
    assert_eq!(said.recv_timeout(PATIENCE), Ok("on_open"));
    let report = server.stop_within(Duration::from_millis(300));
    assert_eq!((report.sessions, report.cut_off), (1, 1));
    assert_eq!(said.try_recv().ok(), None, "on_open still runs");
    release.send(true).unwrap();
    assert!(opening.join().unwrap().is_err(), "nobody can use it any more");
    assert_eq!(said.recv_timeout(PATIENCE), Ok("on_open is over"));
    assert_eq!(said.recv_timeout(PATIENCE), Ok("on_close"));
    assert_eq!((hub.sessions(), said.try_recv().ok()), (0, None));
}

#[test]
fn blocked_workers_do_not_hold_the_stop_past_its_deadline() {
    let release = Arc::new(AtomicBool::new(false));
    let (blocker, entered) = (release.clone(), Arc::new(AtomicUsize::new(0)));
    let entering = entered.clone();
    let server = WsServer::new(config()).on_message(move |_, _| {
        let (blocker, entering) = (blocker.clone(), entering.clone());
        async move {
            entering.fetch_add(1, Ordering::SeqCst);
            while !blocker.load(Ordering::SeqCst) {
                std::thread::park_timeout(Duration::from_millis(5));
            }
        }
    });
    let (server, record) = Record::watch(server);
    let TestServer {
        executor,
        running,
        hub,
        addr,
    } = TestServer::start(server);
    // Connections are dealt out in turn, so two block both workers.
    let mut clients: Vec<_> = (0..2).map(|_| connect(addr, "/")).collect();
    clients.iter_mut().for_each(|client| say(client, "block"));
    eventually("both workers are blocked", || entered.load(Ordering::SeqCst) == 2);
    let start = Instant::now();
    let report = block_on(running.stop(StopPlan::within(Duration::from_millis(500))));
    let took = start.elapsed();
    assert!(
        took >= Duration::from_millis(500) && took < Duration::from_secs(5),
        "{took:?}"
    );
    assert_eq!((report.sessions, report.cut_off), (2, 2));
    assert_eq!(
        record.counts(),
        (2, 2),
        "on_close was called although the tasks did not answer"
    );
    assert_eq!(hub.sessions(), 0);
    let ended = block_on(executor.stop_and_wait(Duration::ZERO));
    release.store(true, Ordering::SeqCst);
    assert_eq!(ended.stuck_workers, 2);
    let mut held_by: Vec<_> = ended.unfinished.iter().map(|one| &*one.what).collect();
    held_by.dedup();
    assert!(
        held_by.len() == 2 && held_by.iter().all(|what| what.starts_with("session ")),
        "{held_by:?}"
    );
}

#[test]
fn an_on_open_that_blocks_its_worker_does_not_hold_the_stop_and_keeps_on_close_back_until_it_returns() {
    let (release, released) = channel::<()>();
    let (released, (says, said)) = (Mutex::new(released), channel());
    let closing = says.clone();
    let server = WsServer::new(config())
        .on_open(move |_| {
            let _ = says.send("on_open");
            let _ = released.lock().unwrap().recv();
            let _ = says.send("on_open is over");
            async {}
        })
        .on_close(move |_, _| {
            let _ = closing.send("on_close");
            async {}
        });
    let TestServer {
        executor,
        running,
        hub,
        addr,
    } = TestServer::start(server);
    let mut client = tcp(addr);
    client.write_all(&handshake("/", &[])).unwrap();
    assert_eq!(said.recv_timeout(PATIENCE), Ok("on_open"));
    let report = block_on(running.stop(StopPlan::within(Duration::from_millis(300))));
    assert_eq!((report.sessions, report.cut_off), (1, 1));
    assert_eq!(metric(&hub, "ws_connections_active"), 0.0);
    let ended = block_on(executor.stop_and_wait(Duration::ZERO));
    assert_eq!(ended.stuck_workers, 1);
    assert_eq!(said.try_recv().ok(), None, "on_open still runs");
    release.send(()).unwrap();
    assert_eq!(said.recv_timeout(PATIENCE), Ok("on_open is over"));
    assert_eq!(said.recv_timeout(PATIENCE), Ok("on_close"));
    eventually("it is forgotten", || hub.sessions() == 0);
    assert_eq!(said.try_recv().ok(), None);
}

#[test]
fn dropping_a_running_server_closes_its_sessions() {
    let (server, record) = Record::watch(echo(config()));
    let TestServer {
        executor,
        running,
        addr,
        ..
    } = TestServer::start(server);
    let mut client = connect(addr, "/");
    drop(running);
    assert_eq!(close_of(&mut client).0, 1001);
    assert_eq!(record.close(), (1001, ClosedBy::Shutdown));
    drop(executor);
}

#[test]
fn an_executor_that_ends_first_still_gets_every_on_close() {
    let (server, record) = Record::watch(echo(config()));
    let TestServer {
        executor,
        running,
        addr,
        hub,
    } = TestServer::start(server);
    let clients: Vec<_> = (0..10).map(|_| connect(addr, "/")).collect();
    block_on(executor.stop_and_wait(Duration::from_millis(100)));
    eventually("every session ended", || record.counts() == (10, 10));
    assert_eq!(hub.sessions(), 0);
    let report = block_on(running.stop(StopPlan::within(Duration::from_secs(5))));
    assert_eq!(report.closed_cleanly, 0);
    drop(clients);
}

#[test]
fn the_hub_lets_go_of_the_callbacks_at_the_end() {
    let probe = Arc::new(());
    let captured = probe.clone();
    let server = WsServer::new(config());
    let hub = server.hub();
    let in_callback = hub.clone();
    let server = server.on_message(move |_, _| {
        let _both = (&captured, &in_callback);
        async {}
    });
    let server = TestServer::start(server);
    drop(server.connect("/"));
    assert_eq!(Arc::strong_count(&probe), 2);
    server.stop_within(Duration::from_secs(5));
    eventually("the callback is dropped", || Arc::strong_count(&probe) == 1);
    let refused = block_on(open(&hub));
    assert_eq!(refused, Some(503), "an ended server opens nothing");
}

async fn open(hub: &Hub) -> Option<u16> {
    let peer = Peer::new(None, "/", &HeaderMap::new());
    hub.open_session(peer, TransportKind::LongPoll)
        .await
        .err()
        .map(|refusal| refusal.status().as_u16())
}
