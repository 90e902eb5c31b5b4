//! SIGTERM and SIGINT, sent to a real process: the first asks, the second means now.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[allow(dead_code)]
mod support;

use core_executor::{RuntimeExecutor, StopCause, listen_for_signals};
use std::io::{BufRead, BufReader, Lines};
use std::process::{ChildStdout, Command};
use support::{Reaped, child_command, is_child, soon};

/// The child: says on standard output what it hears, and ends when it heard both.
async fn play(executor: RuntimeExecutor) {
    listen_for_signals(&executor.spawner()).unwrap();
    let (handle, signal) = (executor.shutdown_handle(), executor.shutdown_signal());
    println!("heard: nothing");
    soon("the first signal", signal.requested()).await;
    println!("heard: {:?} now={}", handle.cause(), handle.is_requested_now());
    soon("the second signal", signal.requested_now()).await;
    println!("heard: {:?} now={}", handle.cause(), handle.is_requested_now());
}

struct Actor {
    child: Reaped,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Actor {
    fn start(test: &str) -> Self {
        let mut child = child_command(test, "").spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self {
            child: Reaped(child),
            lines,
        }
    }

    /// What follows the mark in the next line that has it: the test harness of the child prints lines of its own.
    fn hears(&mut self) -> String {
        let lines = self.lines.by_ref().map(|line| line.unwrap());
        let mut marked = lines.filter_map(|line| line.split_once("heard: ").map(|(_, rest)| rest.to_owned()));
        marked.next().expect("the child ended early")
    }

    fn send(&self, signal: &str) {
        let kill = format!("kill -{signal} {}", self.child.0.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }
}

fn two_signals(test: &str, first: &str, second: &str) {
    let mut actor = Actor::start(test);
    assert_eq!(actor.hears(), "nothing");
    actor.send(first);
    let cause = Some(StopCause::Signal(if first == "TERM" {
        "SIGTERM"
    } else {
        "SIGINT"
    }));
    assert_eq!(actor.hears(), format!("{cause:?} now=false"));
    actor.send(second);
    assert_eq!(actor.hears(), format!("{cause:?} now=true"));
    assert!(actor.child.0.wait().unwrap().success());
}

#[test]
fn sigterm_then_sigterm() {
    let test = "sigterm_then_sigterm";
    if !is_child(test) {
        return two_signals(test, "TERM", "TERM");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(play(RuntimeExecutor::with_threads(1).unwrap()));
}

#[test]
fn sigint_then_sigterm_on_a_runtime_that_is_not_ours() {
    let test = "sigint_then_sigterm_on_a_runtime_that_is_not_ours";
    if !is_child(test) {
        return two_signals(test, "INT", "TERM");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async { play(RuntimeExecutor::on_current().unwrap()).await });
}

#[test]
fn a_blocked_worker_does_not_hold_a_signal_up() {
    let test = "a_blocked_worker_does_not_hold_a_signal_up";
    if !is_child(test) {
        return two_signals(test, "TERM", "INT");
    }
    let executor = RuntimeExecutor::with_threads(1).unwrap();
    executor
        .spawner()
        .post(async { std::thread::sleep(support::LONG * 2) })
        .unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(play(executor));
}

#[tokio::test]
async fn nobody_listens_after_the_end() {
    let executor = RuntimeExecutor::with_threads(1).unwrap();
    let spawner = executor.spawner();
    executor.stop_and_wait(std::time::Duration::from_secs(5)).await;
    assert!(listen_for_signals(&spawner).is_err());
}
