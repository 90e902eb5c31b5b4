//! A running bridge with its server, and the client of the tests.

mod client;
mod http;
mod poll;
mod proxy;
mod sse;
mod websocket;

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use core_executor::{BoundListener, RunningServer, RuntimeExecutor, ServeOptions, serve};
use longpoll_bridge::{LongPollBridge, LongPollConfig};
use ws_server::{CloseInfo, Hub, RunningWsServer, Session, StopPlan, WsConfig, WsReport, WsServer};

pub(crate) use self::client::{Body, Client, Event, Kind, Patience, Places};
pub(crate) use self::http::Http;
pub(crate) use self::proxy::Proxy;
pub(crate) use self::sse::Stream;

/// Longest time a test waits for anything; reached by a defect only.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Lab {
    pub(crate) bridge: LongPollBridge,
    _executor: RuntimeExecutor,
    ws: Option<RunningWsServer>,
    http: RunningServer,
    pub(crate) hub: Hub,
    pub(crate) opens: Receiver<Session>,
    pub(crate) closes: Receiver<CloseInfo>,
}

/// No flood limit, because every client of a test has one address.
pub(crate) fn config() -> LongPollConfig {
    LongPollConfig {
        max_sessions_per_address: 0,
        ..LongPollConfig::default()
    }
}

impl Lab {
    pub(crate) fn start(config: LongPollConfig, describe: impl FnOnce(WsServer) -> WsServer) -> Self {
        let ws_config = WsConfig {
            port: 0,
            close_timeout: Duration::from_millis(300),
            ..WsConfig::default()
        };
        Self::with(config, ws_config, describe)
    }

    pub(crate) fn with(
        config: LongPollConfig,
        ws_config: WsConfig,
        describe: impl FnOnce(WsServer) -> WsServer,
    ) -> Self {
        let (opened, opens) = channel();
        let (closed, closes) = channel();
        let server = WsServer::new(ws_config)
            .on_open(move |session| {
                // The test may be over.
                let _ = opened.send(session);
                async {}
            })
            .on_close(move |_, info| {
                let _ = closed.send(info);
                async {}
            });
        let bridge = LongPollBridge::new(config);
        let server = bridge.attach(describe(server));
        let executor = RuntimeExecutor::with_threads(2).unwrap();
        let ws = server.start(&executor.spawner()).unwrap();
        bridge.start(&executor.spawner()).unwrap();
        let listener = BoundListener::bind("127.0.0.1", 0).unwrap();
        let options = ServeOptions::new("bridge");
        let http = serve(listener, bridge.router(), options, &executor.spawner()).unwrap();
        Self {
            hub: ws.hub(),
            bridge,
            _executor: executor,
            ws: Some(ws),
            http,
            opens,
            closes,
        }
    }

    /// Every message comes back.
    pub(crate) fn echo(config: LongPollConfig) -> Self {
        Self::start(config, |server| {
            server
                .on_message(|session, text| async move {
                    session.send_text(text);
                })
                .on_binary(|session, body| async move {
                    session.send_binary(body);
                })
        })
    }

    pub(crate) fn http_addr(&self) -> SocketAddr {
        self.http.local_addr()
    }

    pub(crate) fn ws_addr(&self) -> SocketAddr {
        self.ws.as_ref().and_then(RunningWsServer::local_addr).unwrap()
    }

    pub(crate) fn places(&self) -> Places {
        Places {
            http: self.http_addr(),
            ws: self.ws_addr(),
        }
    }

    pub(crate) fn client(&self, kind: Kind) -> Client {
        Client::open(self.places(), kind)
    }

    pub(crate) fn session(&self) -> Session {
        self.opens.recv_timeout(PATIENCE).unwrap()
    }

    pub(crate) fn close_info(&self) -> CloseInfo {
        self.closes.recv_timeout(PATIENCE).unwrap()
    }

    /// What the application does at its end: polls and streams are answered, then sessions are closed.
    pub(crate) fn stop(&mut self) -> WsReport {
        let ws = self.ws.take().unwrap();
        ws.stop_async();
        self.bridge.begin_drain();
        block_on(ws.stop(StopPlan::within(PATIENCE)))
    }

    pub(crate) fn metric(&self, name: &str) -> f64 {
        let registry = prometheus::Registry::new();
        self.hub.metrics().register(&registry).unwrap();
        self.bridge.metrics().register(&registry).unwrap();
        let families = registry.gather();
        let family = families.iter().find(|family| family.name() == name).unwrap();
        let values = family.get_metric().iter();
        values
            .map(|metric| metric.get_counter().get_value() + metric.get_gauge().get_value())
            .sum()
    }
}

pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, future).await.expect("in time") })
}
