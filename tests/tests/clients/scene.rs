//! Both servers on ports of their own, WebSocket on the app's port too, and what they hear.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use attached_runtime::{
    Accepted, App, AppConfig, AttachedRuntime, Cause, ExecutorConfig, Notice, RuntimeExecutor, TlsConfig,
    WsConfig, WsServer,
};
use axum::body::Bytes;
use axum::extract::State;
use axum::response::Html;
use axum::routing::{get, post};
use http::Version;
use workspace_tests::certificate::Pinned;

/// What the tests' own routes and listeners tell.
#[derive(Clone)]
struct Voice {
    /// The port of the WebSocket server, known once it is bound.
    ws: Arc<Mutex<Option<SocketAddr>>>,
    reports: Sender<(Version, String)>,
}

/// The servers, and what is heard of them.
pub(crate) struct Scene {
    runtime: AttachedRuntime,
    /// What pages have to say, and over which version of HTTP they say it.
    pub(crate) reports: Receiver<(Version, String)>,
    notices: Arc<Mutex<Vec<Notice>>>,
    /// The certificate of both servers, where they speak TLS.
    pub(crate) certificate: Option<Pinned>,
    directory: tempfile::TempDir,
}

impl Scene {
    pub(crate) fn plain() -> Self {
        Self::open(None)
    }

    pub(crate) fn secure() -> Self {
        Self::open(Some(Pinned::new()))
    }

    fn open(certificate: Option<Pinned>) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let tls = certificate.as_ref().map(|pinned| {
            let [cert, key] = ["server.pem", "server.key"].map(|name| directory.path().join(name));
            std::fs::write(&cert, &pinned.certificate).expect("the directory is ours");
            std::fs::write(&key, &pinned.key).expect("the directory is ours");
            TlsConfig::new(cert, key)
        });
        let (reports, reported) = channel();
        let notices = Arc::new(Mutex::new(Vec::new()));
        let listener = || {
            let notices = notices.clone();
            move |notice: &Notice| notices.lock().expect("no panic").push(notice.clone())
        };
        let voice = Voice {
            ws: Arc::default(),
            reports,
        };
        let config = AppConfig {
            port: 0,
            tls: tls.clone(),
            ..AppConfig::default()
        };
        let app = App::with_state(config, voice.clone())
            .connection_state_listener(listener())
            .route("/", get(|version: Version| async move { format!("{version:?}") }))
            .route("/echo", post(|body: Bytes| async { body }))
            .route("/page", get(page))
            .route("/report", post(report));
        let config = WsConfig {
            port: 0,
            tls,
            ..WsConfig::default()
        };
        let ws = WsServer::new(config)
            .connection_state_listener(listener())
            .on_message(|session, text| async move {
                session.send_text(format!("{} {text}", session.path()));
            });
        let executor = RuntimeExecutor::new(ExecutorConfig {
            threads: 2,
            ..ExecutorConfig::default()
        });
        let runtime = AttachedRuntime::builder(app, ws)
            .websocket_on("/ws")
            .announce(false)
            .start(executor.expect("threads can be had"))
            .expect("free ports");
        *voice.ws.lock().expect("no panic") = runtime.addresses().ws;
        Self {
            runtime,
            reports: reported,
            notices,
            certificate,
            directory,
        }
    }

    pub(crate) fn http(&self) -> SocketAddr {
        self.runtime.addresses().http.expect("HTTP is served")
    }

    pub(crate) fn ws(&self) -> SocketAddr {
        self.runtime.addresses().ws.expect("WebSocket is served")
    }

    /// A file beside the certificates.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.directory.path().join(name);
        std::fs::write(&path, text).expect("the directory is ours");
        path.to_str().expect("a name in UTF-8").to_owned()
    }

    /// How many connections of the server of this name were upgraded, of those that were accepted.
    pub(crate) fn upgraded(&self, server: &str) -> usize {
        let notices = self.notices.lock().expect("no panic");
        let is_of = |accepted: &Accepted| accepted.server == server;
        let ids = notices.iter().filter_map(|notice| match &notice.cause {
            Cause::Accepted(accepted) if is_of(accepted) => Some(notice.id),
            _ => None,
        });
        let ids: Vec<_> = ids.collect();
        let is_upgrade = |notice: &&Notice| matches!(notice.cause, Cause::UpgradedToWebSocket);
        notices
            .iter()
            .filter(is_upgrade)
            .filter(|notice| ids.contains(&notice.id))
            .count()
    }
}

/// Talks over two sessions, one on each port, and reports what it heard.
async fn page(State(voice): State<Voice>) -> Html<String> {
    let port = voice.ws.lock().expect("no panic").expect("it is bound").port();
    Html(include_str!("page.html").replace("OWN_PORT", &port.to_string()))
}

async fn report(State(voice): State<Voice>, version: Version, text: String) {
    let _ = voice.reports.send((version, text));
}
