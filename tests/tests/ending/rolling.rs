//! A rolling restart of two processes behind nginx: nobody's request fails, and every client comes back.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use core_executor::RuntimeExecutor;
use workspace_tests::PATIENCE;
use workspace_tests::descriptors::want_descriptors;
use workspace_tests::example::{Example, Launch};
use workspace_tests::http;
use workspace_tests::observe::{skipped, until};
use ws_server::client::{Incoming, LosslessClient, LosslessConfig};

/// `ROLLING_CLIENTS=2000` for as many as the issue asks for.
const CLIENTS: usize = 200;
/// Threads that ask for pages all the time.
const READERS: usize = 4;
/// An address of each process, so that no connection of this machine's takes its port while it is away.
const HOSTS: [&str; 2] = ["127.0.0.2", "127.0.0.3"];

fn nginx() -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin";
    let mut places = std::env::split_paths(&path).map(|place| place.join("nginx"));
    places.find(|place| place.is_file())
}

/// nginx before two addresses, killed when dropped.
struct Proxy {
    child: Child,
    front: SocketAddr,
    _home: tempfile::TempDir,
}

impl Proxy {
    fn start(nginx: &Path, processes: [SocketAddr; 2]) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let front = TcpListener::bind("127.0.0.4:0").and_then(|socket| socket.local_addr());
        let front = front.expect("a free port");
        let form = Path::new(env!("CARGO_MANIFEST_DIR")).join("nginx/rolling.conf.in");
        let text = fs::read_to_string(form)
            .expect("it is there")
            .replace("@HOME@", home.path().to_str().expect("UTF-8"))
            .replace("@FIRST@", &processes[0].to_string())
            .replace("@SECOND@", &processes[1].to_string())
            .replace("@NGINX@", &front.to_string());
        let file = home.path().join("nginx.conf");
        fs::write(&file, text).expect("the directory is ours");
        let log = home.path().join("error.log");
        let child = Command::new(nginx)
            .arg("-p")
            .arg(home.path())
            .arg("-e")
            .arg(log)
            .arg("-c")
            .arg(file)
            .stdin(Stdio::null())
            .spawn()
            .expect("nginx starts");
        let proxy = Self {
            child,
            front,
            _home: home,
        };
        until("nginx serves", || TcpStream::connect(front).is_ok());
        proxy
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process on this host, on the port it had before.
fn process(host: &str, port: u16, clients: usize) -> Example {
    Launch::new("one_port")
        .set("SERVER_HOST", host)
        .set("SERVER_PORT", port)
        .set("SERVER_TRUSTED_PROXIES", "127.0.0.0/8")
        .set("SHUTDOWN_READY_DELAY", 1)
        .set("SHUTDOWN_RETRY_WINDOW", 1 + clients / 1000)
        .set("LONGPOLL_MAX_SESSIONS_PER_ADDRESS", 0)
        .start()
}

/// What became of a client.
enum Told {
    /// It has a session, and hears what is said there.
    Joined,
    /// The text that everybody is sent at the end. So often it was told that its session is a new one.
    Last { reopened: usize },
}

/// A client of the Rust library, from its beginning to the last text.
async fn follow(mut client: LosslessClient, told: Sender<Told>) {
    let mut reopened = 0;
    loop {
        let news = match client.receive().await {
            Ok(Some(Incoming::Message(message))) => match message.into_text() {
                Ok(text) if text.contains("\"last\"") => Told::Last { reopened },
                Ok(text) if text.contains("\"first\"") => Told::Joined,
                _ => continue,
            },
            Ok(Some(Incoming::Reopened { .. })) => {
                reopened += 1;
                continue;
            }
            Ok(Some(_)) => continue,
            other => panic!("a client was given up: {other:?}"),
        };
        let is_last = matches!(news, Told::Last { .. });
        let _ = told.send(news);
        if is_last {
            return;
        }
    }
}

/// Says something to everybody in the room of each process.
fn say(processes: &[Example; 2], what: &str) {
    for process in processes {
        let note = format!(r#"{{"type":"{what}","room":"general"}}"#);
        assert_eq!(http::post(process.http(), "/ws/send", &note).status, 202);
    }
}

fn sessions(processes: &[Example; 2]) -> usize {
    let of = |process: &Example| process.metric("ws_connections_active") as usize;
    processes.iter().map(of).sum()
}

/// What so many clients tell next.
fn hear(told: &Receiver<Told>, count: usize) -> Vec<Told> {
    let next = |_| told.recv_timeout(PATIENCE).expect("everybody hears of it");
    (0..count).map(next).collect()
}

/// Asks for the page on connections of its own until it is over. A page that does not come whole is a panic.
fn read_pages(front: SocketAddr, is_over: &AtomicBool, pages: &AtomicU64) {
    while !is_over.load(Ordering::Relaxed) {
        let answer = http::get(front, "/");
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        assert_eq!(answer.text(), "HTTP and WebSocket on one port");
        pages.fetch_add(1, Ordering::Relaxed);
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn two_processes_behind_nginx_are_restarted_and_nobody_notices() {
    let Some(nginx) = nginx() else {
        skipped("there is no nginx, so no rolling restart behind it was seen");
        return;
    };
    let count = std::env::var("ROLLING_CLIENTS").map_or(CLIENTS, |count| count.parse().expect("a number"));
    want_descriptors(2 * count + 500);
    let mut processes = HOSTS.map(|host| process(host, 0, count));
    let proxy = Proxy::start(&nginx, [processes[0].http(), processes[1].http()]);
    let executor = RuntimeExecutor::with_threads(2).expect("threads can be had");
    let (tell, told) = channel();
    for _ in 0..count {
        let url = format!("ws://{}/ws", proxy.front);
        let client = LosslessClient::open(&url, &LosslessConfig::default(), &executor.spawner());
        let following = follow(client.expect("a lawful address"), tell.clone());
        executor.spawner().post(following).expect("it runs");
    }
    drop(tell);
    until("every client has a session", || sessions(&processes) == count);
    say(&processes, "first");
    let joined = hear(&told, count);
    assert!(joined.iter().all(|news| matches!(news, Told::Joined)));

    let (is_over, pages) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS)
            .map(|_| scope.spawn(|| read_pages(proxy.front, &is_over, &pages)))
            .collect();
        for (process, host) in processes.iter_mut().zip(HOSTS) {
            let port = process.http().port();
            assert_eq!(process.terminate(), Some(0), "{:?}", process.all_lines());
            *process = self::process(host, port, count);
        }
        until("every client is back", || sessions(&processes) == count);
        is_over.store(true, Ordering::Relaxed);
        for reader in readers {
            reader.join().expect("every page came");
        }
    });
    say(&processes, "last");
    let mut comebacks = Vec::new();
    for news in hear(&told, count) {
        let Told::Last { reopened } = news else {
            panic!("somebody heard the first text again");
        };
        comebacks.push(reopened);
    }
    eprintln!(
        "{count} clients came back {} times; {} pages, none failed",
        comebacks.iter().sum::<usize>(),
        pages.into_inner()
    );
    assert!(
        comebacks.iter().all(|reopened| *reopened >= 1),
        "each is told that its session is a new one: {comebacks:?}"
    );
}
