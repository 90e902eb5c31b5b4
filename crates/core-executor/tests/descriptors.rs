//! No descriptors left: the accept loop pauses instead of spinning, and goes on when descriptors come back.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[allow(dead_code)]
mod support;

use bytes::Bytes;
use core_executor::{BoundListener, ConnectionMetrics, RuntimeExecutor, ServeOptions, serve};
use http::Response;
use http_body_util::Full;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ChildStdout;
use std::time::{Duration, Instant};
use support::{LONG, Reaped, child_command, is_child};

const TEST: &str = "a_full_descriptor_table_costs_nothing_and_is_survived";
/// Ticks of `/proc/<pid>/stat` are hundredths of a second wherever Linux runs.
const TICKS_PER_SECOND: u64 = 100;

/// The child: serves with few descriptors and says its counters when a line comes in.
fn serve_with_few_descriptors() {
    let executor = RuntimeExecutor::with_threads(1).unwrap();
    let listener = BoundListener::bind("127.0.0.1", 0).unwrap();
    let metrics = ConnectionMetrics::new("few");
    let options = ServeOptions::new("few")
        .keep_alive(Duration::ZERO)
        .metrics(metrics.clone());
    let service = tower::service_fn(|_| async { Ok(Response::new(Full::new(Bytes::from("served")))) });
    let server = serve(listener, service, options, &executor.spawner()).unwrap();
    println!("says: {}", server.local_addr());
    for _ in std::io::stdin().lines() {
        println!("says: {} {}", metrics.open(), metrics.accept_errors());
    }
}

struct Server {
    child: Reaped,
    output: BufReader<ChildStdout>,
}

impl Server {
    fn start() -> (Self, SocketAddr) {
        let mut child = child_command(TEST, "ulimit -n 64;").spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut server = Self {
            child: Reaped(child),
            output,
        };
        let addr = server.next_line().parse().unwrap();
        (server, addr)
    }

    fn next_line(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(
                self.output.read_line(&mut line).unwrap(),
                0,
                "the child ended early"
            );
            if let Some((_, said)) = line.trim_end().split_once("says: ") {
                return said.to_owned();
            }
        }
    }

    /// Open connections and accept errors.
    fn counters(&mut self) -> (u64, u64) {
        writeln!(self.child.0.stdin.as_mut().unwrap(), "counters?").unwrap();
        let line = self.next_line();
        let (open, errors) = line.split_once(' ').unwrap();
        (open.parse().unwrap(), errors.parse().unwrap())
    }

    fn ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.0.id())).unwrap();
        let after_name = stat.rsplit_once(')').unwrap().1;
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }
}

fn connect(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream
}

fn is_served(mut stream: &TcpStream) {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    let mut begin = [0; 12];
    stream.read_exact(&mut begin).unwrap();
    assert_eq!(&begin, b"HTTP/1.1 200");
}

#[test]
fn a_full_descriptor_table_costs_nothing_and_is_survived() {
    if is_child(TEST) {
        return serve_with_few_descriptors();
    }
    let (mut server, addr) = Server::start();
    let held = take_all(&mut server, addr);
    let (open, errors) = server.counters();
    assert!((30..64).contains(&open), "{open}");

    let before = server.ticks();
    let begin = Instant::now();
    std::thread::sleep(Duration::from_secs(2));
    let used = (server.ticks() - before) as f64 / TICKS_PER_SECOND as f64;
    let share = used / begin.elapsed().as_secs_f64();
    assert!(share < 0.02, "{:.1} % of a core", share * 100.0);
    let (still_open, more_errors) = server.counters();
    assert_eq!(still_open, open);
    assert!(
        more_errors > errors && more_errors < errors + 20,
        "{errors} then {more_errors}"
    );
    is_served(&held[0]);
    drop(held);

    // The ones that were accepted go, and with them those that waited in the kernel's queue.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(support::in_time(Duration::from_millis(500), async || {
        drop(take_all(&mut server, addr));
        let begin = Instant::now();
        is_served(&connect(addr));
        begin.elapsed()
    }));
}

/// Opens connections until none can be accepted any more, and waits for four pauses: by then the worker is done with
/// everything that was accepted before.
fn take_all(server: &mut Server, addr: SocketAddr) -> Vec<TcpStream> {
    support::until("all former ones are gone", || server.counters().0 == 0);
    let errors = server.counters().1;
    let held = (0..80).map(|_| connect(addr)).collect();
    support::until("accepting fails again and again", || {
        server.counters().1 >= errors + 4
    });
    held
}
