//! The log leads from a request to what it published, and to each session that was given it.

use std::io::Write;
use std::sync::{Arc, Mutex};

use attached_runtime::{App, AppConfig, AttachedRuntime, RuntimeExecutor, WsConfig, WsServer};
use axum::routing::post;
use tracing_subscriber::filter::LevelFilter;
use workspace_tests::http;
use workspace_tests::ws::Client;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("nobody panics").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_delivery_names_the_publication_and_the_request_it_comes_from() {
    let log = Log::default();
    let to = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_ansi(false)
        .with_writer(move || to.clone())
        .init();
    let sessions: Arc<Mutex<Vec<u64>>> = Arc::default();
    let seated = Arc::clone(&sessions);
    let ws = WsServer::new(WsConfig {
        port: 0,
        ..WsConfig::default()
    })
    .on_open(move |session| {
        session.join("general").expect("a lawful name");
        seated.lock().expect("nobody panics").push(session.id().get());
        session.send_text("joined");
        async {}
    });
    let hub = ws.hub();
    let say = move || {
        let hub = hub.clone();
        async move {
            let published = hub
                .broadcast_text_to_room("general", "hi")
                .await
                .expect("a lawful name");
            published.delivered.to_string()
        }
    };
    let app = App::new(AppConfig {
        port: 0,
        ..AppConfig::default()
    });
    let app = app.route("/say", post(say)).tracing();
    let executor = RuntimeExecutor::with_threads(2).expect("threads");
    let runtime = AttachedRuntime::start(app, ws, executor).expect("it starts");
    let addresses = runtime.addresses();
    // One after the other, so that they are seated in this order.
    let members = [(); 2].map(|()| {
        let mut member = Client::connect(addresses.ws.expect("a port"), "/");
        assert_eq!(member.text(), "joined");
        member
    });
    let answer = http::post(addresses.http.expect("a port"), "/say", "");
    assert_eq!(answer.text(), "2");
    // Written before the handler went on, and so before its answer.
    let text = String::from_utf8(log.0.lock().expect("nobody panics").clone()).expect("text");
    let deliveries: Vec<&str> = text.lines().filter(|line| line.contains(": delivery ")).collect();
    assert_eq!(deliveries.len(), 2, "{text}");
    for (delivery, session) in deliveries
        .iter()
        .zip(sessions.lock().expect("nobody panics").iter())
    {
        for part in [
            "TRACE request{method=\"POST\" path=\"/say\"}:publish{room=\"general\" bytes=4}: ws_server::publish: ",
            &format!("delivery session={session} outcome=Queued"),
        ] {
            assert!(delivery.contains(part), "{part} is not in {delivery}");
        }
    }
    for mut member in members {
        assert_eq!(member.text(), "hi");
    }
}
