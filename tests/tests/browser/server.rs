//! The server behind the proxy: HTTP, WebSocket and bridge on one port. It writes down what it is sent.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use attached_runtime::{
    App, AppConfig, AttachedRuntime, LongPollBridge, LongPollConfig, RuntimeExecutor, Session, WsConfig,
    WsServer,
};
use axum::response::Html;

/// What the sessions of the server have come to.
#[derive(Debug, Default, Clone)]
pub(crate) struct Record {
    pub(crate) opens: usize,
    /// The codes of those that ended.
    pub(crate) closes: Vec<u16>,
    /// The texts of all sessions in the order in which handlers had them.
    pub(crate) texts: Vec<String>,
    sessions: Vec<Session>,
}

/// A running server.
pub(crate) struct Server {
    runtime: Option<AttachedRuntime>,
    record: Arc<Mutex<Record>>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let record = Arc::new(Mutex::new(Record::default()));
        let app = App::new(AppConfig {
            port: 0,
            ..AppConfig::default()
        })
        .route(
            "/",
            axum::routing::get(|| async { Html(include_str!("page.html")) }),
        );
        // A page asks many small things when it polls.
        let bridge = LongPollBridge::new(LongPollConfig {
            wait: Duration::from_secs(5),
            ..LongPollConfig::default()
        });
        let runtime = AttachedRuntime::builder(app, describe(&record))
            .one_port("/ws")
            .long_polling(bridge)
            .start(RuntimeExecutor::with_threads(2).expect("threads can be started"))
            .expect("it starts");
        Self {
            runtime: Some(runtime),
            record,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        let addresses = self.runtime.as_ref().map(AttachedRuntime::addresses);
        addresses
            .and_then(|addresses| addresses.http)
            .expect("it serves HTTP")
    }

    /// Stops as a process does that is told to: sessions get their Close, polls and streams their answer.
    pub(crate) fn stop(&mut self) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        if let (Ok(runtime), Some(running)) = (runtime, self.runtime.take()) {
            drop(runtime.block_on(running.finalize_shutdown()).expect("it ends"));
        }
    }

    /// Says something of its own accord, in the newest session.
    pub(crate) fn say(&self, text: &str) {
        let record = self.record();
        let session = record.sessions.last().expect("there was a session");
        session.send_text(text);
    }

    pub(crate) fn record(&self) -> Record {
        self.record.lock().expect("no handler panics").clone()
    }
}

/// Every text comes back as it is, every binary message too; a few texts ask for something else.
fn describe(record: &Arc<Mutex<Record>>) -> WsServer {
    let (opened, heard, closed) = (record.clone(), record.clone(), record.clone());
    let note = |record: &Mutex<Record>, write: &dyn Fn(&mut Record)| {
        write(&mut record.lock().expect("no handler panics"));
    };
    WsServer::new(WsConfig {
        port: 0,
        ..WsConfig::default()
    })
    .on_open(move |session| {
        note(&opened, &|record| {
            record.opens += 1;
            record.sessions.push(session.clone());
        });
        async {}
    })
    .on_message(move |session, text| {
        note(&heard, &|record| record.texts.push(text.to_string()));
        async move {
            match text.split_once(' ') {
                Some(("end", reason)) => {
                    session.close(1001, reason);
                }
                _ => {
                    session.send_text(text);
                }
            }
        }
    })
    .on_binary(|session, body| async move {
        session.send_binary(body);
    })
    .on_close(move |_, closed_by| {
        note(&closed, &|record| record.closes.push(closed_by.code));
        async {}
    })
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}
