//! The end: in order, once, and in time.

use crate::support::{Dropped, app, block_on, executor, executor_with, finalize, ws, ws_addr};
use attached_runtime::{
    App, AppConfig, AttachedRuntime, CloseInfo, HookOutcome, Phase, RuntimeError, Session, StopCause,
};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use workspace_tests::ws::Client;

#[test]
fn the_order_of_the_end_is_hook_then_sessions_then_executor() {
    let order = Arc::new(Mutex::new(Vec::new()));
    let note = |word: &'static str| {
        let order = order.clone();
        move || order.lock().unwrap().push(word)
    };
    let (hook, close, task) = (note("hook"), note("on_close"), note("executor"));
    struct Last<F: FnMut()>(F);
    impl<F: FnMut()> Drop for Last<F> {
        fn drop(&mut self) {
            (self.0)();
        }
    }
    let executor = executor();
    let signal = executor.shutdown_signal();
    let spawner = executor.spawner();
    let app = app().on_shutdown(move || async move { hook() });
    let ws = ws().on_close(move |_: Session, _: CloseInfo| {
        close();
        async {}
    });
    let runtime = AttachedRuntime::start(app, ws, executor).expect("it starts");
    let last = Last(task);
    spawner
        .spawn_service(async move {
            let _last = last;
            signal.requested().await;
            std::future::pending::<()>().await;
        })
        .expect("it runs");
    let mut phases = runtime.phases();
    let watching = std::thread::spawn(move || {
        block_on(async move {
            let mut seen = vec![*phases.borrow_and_update()];
            while phases.changed().await.is_ok() {
                seen.push(*phases.borrow_and_update());
            }
            seen
        })
    });
    let mut client = Client::connect(ws_addr(&runtime), "/");
    let closing = std::thread::spawn(move || client.closed());
    assert!(finalize(runtime).is_clean());
    assert_eq!(closing.join().expect("closed").0, 1001);
    assert_eq!(*order.lock().unwrap(), ["hook", "on_close", "executor"]);
    let seen = watching.join().expect("watched");
    assert!(
        seen.is_sorted() && seen.last() == Some(&Phase::Stopped),
        "{seen:?}"
    );
}

#[test]
fn after_the_end_no_task_of_ours_runs() {
    let gone = Arc::new(AtomicBool::new(false));
    let flag = Dropped(gone.clone());
    let executor = executor_with(Duration::from_millis(300));
    let spawner = executor.spawner();
    let runtime = AttachedRuntime::start(app(), ws(), executor).expect("it starts");
    spawner
        .post(async move {
            let _flag = flag;
            std::future::pending::<()>().await;
        })
        .expect("it runs");
    let report = finalize(runtime);
    assert!(gone.load(Ordering::SeqCst));
    assert_eq!((report.executor.cut_tasks, report.code()), (1, 2), "{report}");
    assert!(spawner.post(async {}).is_err(), "nothing new runs either");
}

#[test]
fn a_callback_that_blocks_its_thread_cannot_hold_the_end_up() {
    let executor = executor_with(Duration::from_secs(1));
    let (release, held) = std::sync::mpsc::channel::<()>();
    let held = Mutex::new(held);
    let blocked = Arc::new(AtomicBool::new(false));
    let entered = blocked.clone();
    let server = ws().on_message(move |_, _| {
        entered.store(true, Ordering::SeqCst);
        let _ = held.lock().unwrap().recv();
        async {}
    });
    let runtime = AttachedRuntime::start(app(), server, executor).expect("it starts");
    let mut client = Client::connect(ws_addr(&runtime), "/");
    client.send("block");
    while !blocked.load(Ordering::SeqCst) {
        std::thread::yield_now();
    }
    let began = Instant::now();
    let report = finalize(runtime);
    let took = began.elapsed();
    // How much longer at the most is measured among the neighbours.
    assert!(took < Duration::from_secs(5), "took {took:?}");
    assert_eq!(report.executor.stuck_workers, 1, "{report}");
    assert_eq!((report.websocket.cut_off, report.code()), (1, 2), "{report}");
    drop(release);
}

#[test]
fn run_inside_async_code_is_refused_and_asks_for_the_end() {
    block_on(async {
        let runtime = AttachedRuntime::start(app(), ws(), executor()).expect("it starts");
        let handle = runtime.handle();
        let error = runtime.run().expect_err("it would block the thread");
        assert!(matches!(error, RuntimeError::InsideAsync), "{error:?}");
        handle.ended().await;
        assert_eq!(handle.cause(), Some(StopCause::Dropped));
    });
}

#[test]
fn run_blocks_until_a_handle_asks() {
    let runtime = AttachedRuntime::builder(app(), ws())
        .signals(false)
        .announce(false)
        .start(executor());
    let runtime = runtime.expect("it starts");
    let handle = runtime.handle();
    let asking = std::thread::spawn(move || handle.request_stop());
    let report = runtime.run().expect("it ends");
    asking.join().expect("no panic");
    assert!(report.is_clean(), "{report}");
}

#[test]
fn dropping_asks_detaches_and_the_end_still_comes() {
    let times: Vec<_> = (0..3).map(|_| dropped()).collect();
    // The best of three: a machine with other work may be late now and then.
    assert!(
        times.iter().any(|took| *took < Duration::from_millis(100)),
        "{times:?}"
    );
}

/// How long a drop takes whose session is still to be closed.
fn dropped() -> Duration {
    let closes = Arc::new(AtomicUsize::new(0));
    let counted = closes.clone();
    let server = ws().on_close(move |_, _| {
        counted.fetch_add(1, Ordering::SeqCst);
        async {}
    });
    let runtime = AttachedRuntime::start(app(), server, executor()).expect("it starts");
    let handle = runtime.handle();
    let mut client = Client::connect(ws_addr(&runtime), "/");
    let began = Instant::now();
    drop(runtime);
    let took = began.elapsed();
    assert_eq!(client.closed().0, 1001);
    block_on(handle.ended());
    assert_eq!(closes.load(Ordering::SeqCst), 1);
    assert_eq!(handle.cause(), Some(StopCause::Dropped));
    took
}

#[test]
fn any_number_may_wait_for_the_end() {
    let runtime = AttachedRuntime::start(app(), ws(), executor()).expect("it starts");
    let waiting: Vec<_> = (0..20)
        .map(|_| {
            let handle = runtime.handle();
            std::thread::spawn(move || {
                block_on(handle.ended());
                handle.is_ended()
            })
        })
        .collect();
    assert!(!runtime.handle().is_ended());
    assert!(finalize(runtime).is_clean());
    assert!(waiting.into_iter().all(|thread| thread.join().expect("no panic")));
}

#[test]
fn a_hook_that_fails_is_told_and_changes_nothing_else() {
    let config = AppConfig {
        port: 0,
        hook_timeout: Duration::from_secs(1),
        ..AppConfig::default()
    };
    let last = Arc::new(AtomicBool::new(false));
    let flag = last.clone();
    let app = App::new(config)
        // Without the backtrace that a panic prints, which may take longer than a hook may.
        .on_shutdown(|| async { std::panic::resume_unwind(Box::new("the first hook")) })
        .on_shutdown(std::future::pending::<()>)
        .on_shutdown(move || async move { flag.store(true, Ordering::SeqCst) });
    let runtime = AttachedRuntime::start(app, ws(), executor()).expect("it starts");
    let mut client = Client::connect(ws_addr(&runtime), "/");
    let closing = std::thread::spawn(move || client.closed());
    let report = finalize(runtime);
    assert_eq!(
        closing.join().expect("closed").0,
        1001,
        "sessions end all the same"
    );
    assert!(last.load(Ordering::SeqCst), "the hooks behind it run");
    let outcomes: Vec<_> = report.hooks.iter().map(|hook| hook.outcome).collect();
    // The last one is our own, which asks the WebSocket server to stop.
    let expected = [
        HookOutcome::Panicked,
        HookOutcome::TimedOut,
        HookOutcome::Completed,
        HookOutcome::Completed,
    ];
    assert_eq!((outcomes.as_slice(), report.failed_hooks()), (&expected[..], 2));
    assert!(
        report.to_string().contains("hooks 2 completed, 2 failed"),
        "{report}"
    );
    assert_eq!(report.code(), 0, "{report}");
}
