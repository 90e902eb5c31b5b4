//! What would hold an end up delays it to its deadline at most, and is in the report: a reader that never reads, workers
//! and a blocking lane that are taken, a hook without an end. Handlers without one are in `stops`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use attached_runtime::{
    App, AppConfig, AttachedRuntime, ExecutorConfig, HookOutcome, RuntimeExecutor, ShutdownReport, WsConfig,
    WsServer,
};
use axum::routing::get;
use core_executor::TaskOptions;
use workspace_tests::example::Launch;
use workspace_tests::http;
use workspace_tests::observe::until;
use workspace_tests::raw::{CLOSE, Raw, TEXT};

use crate::{alone, best_of_three};

const DEADLINE: Duration = Duration::from_secs(2);
/// What an end at its deadline may take beyond it.
const BEYOND: Duration = Duration::from_millis(100);

fn in_time(what: &str, took: Duration) -> Result<(), String> {
    let measured = format!("{what}: {took:?}");
    eprintln!("{measured}");
    if took <= DEADLINE + BEYOND {
        Ok(())
    } else {
        Err(measured)
    }
}

/// A thread that is held until the test lets go of it.
struct Held {
    entered: Arc<AtomicUsize>,
    release: Mutex<Option<Sender<()>>>,
    gate: Arc<Mutex<Receiver<()>>>,
}

impl Held {
    fn new() -> Self {
        let (release, gate) = channel();
        Self {
            entered: Arc::default(),
            release: Mutex::new(Some(release)),
            gate: Arc::new(Mutex::new(gate)),
        }
    }

    /// Something that blocks whatever thread calls it.
    fn block(&self) -> impl Fn() + Clone + Send + Sync + 'static {
        let (entered, gate) = (self.entered.clone(), self.gate.clone());
        move || {
            entered.fetch_add(1, Ordering::SeqCst);
            // Whoever has the lock waits for the release, the others for the lock.
            let _ = gate.lock().map(|gate| gate.recv());
        }
    }

    fn until_held(&self, threads: usize) {
        until("the threads are held", || {
            self.entered.load(Ordering::SeqCst) == threads
        });
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.release.lock().expect("nothing panics here").take();
    }
}

fn executor() -> RuntimeExecutor {
    let config = ExecutorConfig {
        threads: 2,
        blocking_threads: 1,
        shutdown_deadline: DEADLINE,
        ..ExecutorConfig::default()
    };
    RuntimeExecutor::new(config).expect("threads can be had")
}

fn app() -> App {
    App::new(AppConfig {
        port: 0,
        hook_timeout: Duration::from_secs(60),
        ..AppConfig::default()
    })
}

fn ws() -> WsServer {
    WsServer::new(WsConfig {
        port: 0,
        close_timeout: Duration::from_millis(500),
        ..WsConfig::default()
    })
}

fn start(app: App, ws: WsServer, executor: RuntimeExecutor) -> AttachedRuntime {
    let runtime = AttachedRuntime::builder(app, ws).announce(false).start(executor);
    runtime.expect("free ports")
}

fn end(runtime: AttachedRuntime) -> (ShutdownReport, Duration) {
    let waiting = tokio::runtime::Builder::new_current_thread().build();
    let began = Instant::now();
    let report = waiting.expect("a runtime").block_on(runtime.finalize_shutdown());
    let took = began.elapsed();
    eprintln!("{}", report.as_ref().expect("it ends"));
    (report.expect("it ends"), took)
}

#[test]
fn a_reader_that_never_reads() {
    const MESSAGES: u64 = 200;
    const SIZE: usize = 64 << 10;
    let _alone = alone();
    best_of_three(|| {
        let mut lab = Launch::new("lab")
            .set("WEBSOCKET_OUTBOX_BYTES", 64 << 20)
            .set("WEBSOCKET_CLOSE_TIMEOUT", 1)
            .set("SHUTDOWN_DEADLINE", DEADLINE.as_secs())
            .start();
        let mut reader = Raw::connect(lab.ws(), "/");
        assert_eq!(reader.text(), "welcome");
        let path = format!("/broadcast?size={SIZE}&n={MESSAGES}");
        assert_eq!(http::get(lab.http(), &path).json()["sent"], MESSAGES);
        let began = Instant::now();
        lab.signal("TERM");
        assert_eq!(lab.wait().code(), Some(2));
        let took = began.elapsed();
        let report = lab.report();
        assert_eq!(report.count(" closed, "), 0, "{}", report.line());
        assert!(
            report.line().contains("0 left before, 1 cut"),
            "{}",
            report.line()
        );
        let undelivered = report.count(" messages undelivered");
        let mut delivered = 0;
        while let Some((first, payload)) = reader.read_frame() {
            assert_eq!((first, payload.len()), (TEXT, SIZE), "no Close: {CLOSE:#x}");
            delivered += 1;
        }
        assert_eq!(delivered + undelivered, MESSAGES, "each is one or the other");
        in_time("the end with a reader that never reads", took)
    });
}

/// Every worker is held by a handler that blocks without saying so, a request's and a session's.
#[test]
fn workers_that_are_all_held() {
    let _alone = alone();
    best_of_three(|| {
        let held = Held::new();
        let (in_request, in_session) = (held.block(), held.block());
        let blocks = move || {
            in_request();
            async { "never" }
        };
        let app = app().route_without_timeout("/blocks", get(blocks));
        let ws = ws().on_message(move |_, _| {
            in_session();
            async {}
        });
        let runtime = start(app, ws, executor());
        let addresses = runtime.addresses();
        let (http, ws) = (
            addresses.http.expect("it is served"),
            addresses.ws.expect("it is served"),
        );
        let mut session = Raw::connect(ws, "/");
        session.frame(TEXT, b"block");
        held.until_held(1);
        // A connection may be dealt to the worker that is held: one of several is not.
        let asking: Vec<_> = (0..8)
            .map(|_| {
                let mut asking = http::connect(http);
                std::io::Write::write_all(&mut asking, b"GET /blocks HTTP/1.1\r\nHost: t\r\n\r\n")
                    .expect("sent");
                asking
            })
            .collect();
        held.until_held(2);
        let (report, took) = end(runtime);
        assert_eq!(report.executor.stuck_workers, 2, "{report}");
        assert_eq!((report.websocket.cut_off, report.code()), (1, 2), "{report}");
        assert!(report.requests_cut >= 1, "{report}");
        drop((asking, held));
        in_time("the end with every worker held", took)
    });
}

/// The lane for what blocks has one thread and that is taken, so no hook can run. Sessions get their Close all the same.
#[test]
fn a_blocking_lane_that_is_taken() {
    let _alone = alone();
    best_of_three(|| {
        let held = Held::new();
        let executor = executor();
        let block = held.block();
        let blocking = executor
            .spawner()
            .spawn_blocking(TaskOptions::named("blocks"), block);
        held.until_held(1);
        let app = app().on_shutdown(|| async {});
        let runtime = start(app, ws(), executor);
        let closing = closed_by(&runtime);
        let (report, took) = end(runtime);
        assert_eq!(closing.join().expect("a Close"), 1001);
        assert_eq!(report.executor.stuck_blocking, 1, "{report}");
        assert_eq!(
            (report.websocket.sessions, report.websocket.cut_off),
            (1, 0),
            "{report}"
        );
        let outcomes: Vec<_> = report.hooks.iter().map(|hook| hook.outcome).collect();
        assert_eq!(outcomes, [HookOutcome::Cut, HookOutcome::Cut], "{report}");
        assert_eq!(report.code(), 2, "{report}");
        drop((blocking, held));
        in_time("the end with a blocking lane that is taken", took)
    });
}

#[test]
fn a_hook_without_an_end() {
    let _alone = alone();
    best_of_three(|| {
        let app = app().on_shutdown(std::future::pending::<()>);
        let runtime = start(app, ws(), executor());
        let closing = closed_by(&runtime);
        let (report, took) = end(runtime);
        assert_eq!(
            closing.join().expect("a Close"),
            1001,
            "half of the time is left for sessions"
        );
        let outcomes: Vec<_> = report.hooks.iter().map(|hook| hook.outcome).collect();
        assert_eq!(outcomes, [HookOutcome::Cut, HookOutcome::Cut], "{report}");
        // Whichever its thread has come to when it is looked at.
        let cut = report.executor.cut_tasks + report.executor.stuck_blocking;
        assert_eq!((cut, report.failed_hooks(), report.code()), (1, 2, 2), "{report}");
        in_time("the end with a hook without one", took)
    });
}

/// A session that answers its Close: with which code it was said.
fn closed_by(runtime: &AttachedRuntime) -> thread::JoinHandle<u16> {
    let mut session = Raw::connect(runtime.addresses().ws.expect("it is served"), "/");
    thread::spawn(move || {
        let (code, _) = session.closed();
        session.frame(CLOSE, &code.to_be_bytes());
        code
    })
}
