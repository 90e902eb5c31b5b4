//! A running bridge beside its WebSocket server, and what tests ask of it.

mod http;
mod websocket;

use core_executor::{BoundListener, RunningServer, RuntimeExecutor, ServeOptions, serve};
use longpoll_bridge::{LongPollBridge, LongPollConfig};
use prometheus::Registry;
use std::net::SocketAddr;
use std::sync::mpsc::Receiver;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use ws_server::{Hub, RunningWsServer, StopPlan, WsConfig, WsServer};

pub(crate) use self::http::{Client, Reply};
pub(crate) use self::websocket::Member;

/// Longest time a test waits for anything; reached by a defect only.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Open mailboxes, and a wait that no test sits out.
pub(crate) fn open() -> LongPollConfig {
    LongPollConfig {
        open_mailboxes: true,
        ..LongPollConfig::default()
    }
}

/// Open mailboxes, and polls that do not wait.
pub(crate) fn hasty() -> LongPollConfig {
    LongPollConfig {
        wait: Duration::ZERO,
        ..open()
    }
}

pub(crate) struct Lab {
    pub(crate) bridge: LongPollBridge,
    pub(crate) executor: RuntimeExecutor,
    /// `None` once stopped.
    ws: Option<RunningWsServer>,
    http: RunningServer,
    hub: Hub,
    registry: Registry,
}

impl Lab {
    pub(crate) fn start(config: LongPollConfig) -> Self {
        Self::with(config, |server| server)
    }

    /// A bridge whose server was described further.
    pub(crate) fn with(config: LongPollConfig, describe: impl FnOnce(WsServer) -> WsServer) -> Self {
        let ws_config = WsConfig {
            port: 0,
            ..WsConfig::default()
        };
        let bridge = LongPollBridge::new(config);
        let server = bridge.attach(describe(WsServer::new(ws_config)));
        let executor = RuntimeExecutor::with_threads(2).unwrap();
        let ws = server.start(&executor.spawner()).unwrap();
        bridge.start(&executor.spawner()).unwrap();
        let registry = Registry::new();
        bridge.metrics().register(&registry).unwrap();
        let http = serve_router(&bridge, &executor);
        Self {
            hub: ws.hub(),
            bridge,
            executor,
            ws: Some(ws),
            http,
            registry,
        }
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.hub
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.http.local_addr()
    }

    /// A WebSocket session.
    pub(crate) fn member(&self) -> Member {
        Member::connect(
            self.ws
                .as_ref()
                .and_then(RunningWsServer::local_addr)
                .expect("it listens"),
        )
    }

    pub(crate) fn get(&self, target: &str) -> Reply {
        Client::connect(self.addr()).get(target, &[])
    }

    pub(crate) fn poll(&self, mailbox: &str) -> Reply {
        self.get(&poll_target(mailbox))
    }

    pub(crate) fn poll_as(&self, mailbox: &str, cookie: &str) -> Reply {
        Client::connect(self.addr()).get(&poll_target(mailbox), &[("cookie", cookie)])
    }

    /// A poll that is expected to wait, on a thread of its own; returns once it waits.
    pub(crate) fn waiting_poll(&self, mailbox: &str, cookie: Option<&str>) -> JoinHandle<Reply> {
        let before = self.bridge.waiting();
        let (addr, target) = (self.addr(), poll_target(mailbox));
        let cookie = cookie.map(str::to_owned);
        let poll = std::thread::spawn(move || {
            let headers: Vec<_> = cookie.iter().map(|cookie| ("cookie", cookie.as_str())).collect();
            Client::connect(addr).get(&target, &headers)
        });
        until(|| self.bridge.waiting() > before);
        poll
    }

    pub(crate) fn post(&self, body: &str) -> Reply {
        Client::connect(self.addr()).post("/ws/send", &[], body.as_bytes())
    }

    /// Sends `{"type":text}` to a mailbox.
    pub(crate) fn send(&self, mailbox: &str, text: &str) {
        let reply = self.post(&format!(r#"{{"session_id":"{mailbox}","type":"{text}"}}"#));
        assert_eq!(reply.status, 202, "{}", reply.body);
    }

    /// The value of a counter or gauge without labels.
    pub(crate) fn metric(&self, name: &str) -> i64 {
        let families = self.registry.gather();
        let family = families
            .iter()
            .find(|family| family.name() == name)
            .expect("there is such a metric");
        let metric = &family.get_metric()[0];
        let value = metric.get_counter().get_value() + metric.get_gauge().get_value();
        value as i64
    }

    /// Requests refused for this reason.
    pub(crate) fn refused(&self, reason: &str) -> u64 {
        let families = self.registry.gather();
        let family = families
            .iter()
            .find(|family| family.name() == "ws_lp_refused_total")
            .unwrap();
        let metric = family
            .get_metric()
            .iter()
            .find(|metric| metric.get_label()[0].value() == reason);
        metric.expect("there is such a reason").get_counter().get_value() as u64
    }

    pub(crate) fn stop_websocket(&mut self) {
        let ws = self.ws.take().expect("it was not stopped yet");
        block_on(ws.stop(StopPlan::within(PATIENCE)));
    }
}

/// At the root, and below a prefix.
pub(crate) fn serve_router(bridge: &LongPollBridge, executor: &RuntimeExecutor) -> RunningServer {
    let listener = BoundListener::bind("127.0.0.1", 0).unwrap();
    serve(
        listener,
        bridge.router().nest("/below", bridge.router()),
        ServeOptions::new("bridge"),
        &executor.spawner(),
    )
    .unwrap()
}

pub(crate) fn poll_target(mailbox: &str) -> String {
    format!("/ws/poll?session_id={mailbox}")
}

/// What `{"type":text}` looks like to a poller.
pub(crate) fn envelope(text: &str) -> String {
    format!(r#"{{"kind":"event","payload":{{}},"type":"{text}"}}"#)
}

/// The answer to a poll that finds these.
pub(crate) fn envelopes(texts: &[&str]) -> String {
    let all: Vec<_> = texts.iter().map(|text| envelope(text)).collect();
    format!("[{}]", all.join(","))
}

pub(crate) fn until(mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// What a handler told the test.
pub(crate) fn told<T>(from: &Receiver<T>) -> T {
    from.recv_timeout(PATIENCE).expect("a handler was called in time")
}

/// Runs async code of the test itself, off the servers' threads.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, future).await.expect("in time") })
}
