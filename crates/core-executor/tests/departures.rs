//! A client that leaves while its handler runs is noticed at once, whatever waits unread behind its request.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[allow(dead_code)]
mod support;

use bytes::Bytes;
use core_executor::{BoundListener, CloseReason, ConnectionInfo, RunningServer, RuntimeExecutor};
use core_executor::{Cause, Notice, ServeOptions, serve};
use http::{Request, Response};
use http_body_util::Full;
use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};
use support::{Drops, LONG, child_command, is_child, until};
use tokio::sync::Semaphore;
use tower::service_fn;

const MIB: usize = 1024 * 1024;

/// How a client leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Close,
    HalfClose,
    Reset,
}

const WAYS: [Way; 3] = [Way::Close, Way::HalfClose, Way::Reset];

/// A server whose handlers wait for a permit, and what it says.
struct Scene {
    executor: RuntimeExecutor,
    server: RunningServer,
    permits: Arc<Semaphore>,
    begun: Drops,
    /// Handlers that are over, answered or dropped.
    over: Drops,
    /// One for each handler whose client was told to have left.
    told: mpsc::Receiver<()>,
    reasons: Arc<Mutex<Vec<CloseReason>>>,
}

impl Scene {
    fn open() -> Self {
        let executor = RuntimeExecutor::with_threads(1).unwrap();
        let (permits, begun, over) = (Arc::new(Semaphore::new(0)), Drops::default(), Drops::default());
        let (tell, told) = mpsc::channel();
        let stage = (permits.clone(), begun.clone(), over.clone(), executor.spawner());
        let service = service_fn(move |request: Request<core_executor::RequestBody>| {
            let ((permits, begun, over, spawner), tell) = (stage.clone(), tell.clone());
            let client = request
                .extensions()
                .get::<ConnectionInfo>()
                .unwrap()
                .client_gone
                .clone();
            let watching = async move {
                client.gone().await;
                let _ = tell.send(());
            };
            spawner.spawn_service(watching).unwrap();
            async move {
                drop(begun.guard());
                let _over = over.guard();
                permits.acquire().await.unwrap().forget();
                drop(request);
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"slow"))))
            }
        });
        let reasons = Arc::new(Mutex::new(Vec::new()));
        let sink = reasons.clone();
        let listener = move |notice: &Notice| {
            if let Cause::Closed(closed) = &notice.cause {
                sink.lock().unwrap().push(closed.reason);
            }
        };
        let options = ServeOptions::new("site").state_listener(Some(Arc::new(listener)));
        let listener = BoundListener::bind("127.0.0.1", 0).unwrap();
        let server = serve(listener, service, options, &executor.spawner()).unwrap();
        Self {
            executor,
            server,
            permits,
            begun,
            over,
            told,
            reasons,
        }
    }

    fn addr(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// A client whose handler runs.
    fn busy(&self, head: &str, behind: &[u8]) -> TcpStream {
        let before = self.begun.count();
        let client = ask(self.addr(), head, behind);
        until("the handler runs", || self.begun.count() > before);
        client
    }

    /// The handler was told, and is gone with its connection, of which the last word was said.
    fn notices(&self, what: &str, over: usize) {
        self.told
            .recv_timeout(LONG)
            .unwrap_or_else(|_| panic!("{what}: never told"));
        until(what, || {
            self.over.count() == over && self.reasons.lock().unwrap().len() == over
        });
        assert_eq!(
            self.reasons.lock().unwrap()[over - 1],
            CloseReason::PeerLeft,
            "{what}"
        );
    }
}

const GET: &str = "GET / HTTP/1.1\r\nHost: t\r\n\r\n";

/// What waits behind a request, as many bytes of it as asked for.
#[derive(Debug, Clone, Copy)]
enum Next {
    /// Whole requests, of which the last may be cut.
    Requests,
    /// One head without an end.
    PartOfHead,
}

impl Next {
    fn bytes(self, count: usize) -> Vec<u8> {
        let part = "GET /next HTTP/1.1\r\nX: ".bytes().chain(std::iter::repeat(b'x'));
        match self {
            Self::Requests => GET.bytes().cycle().take(count).collect(),
            Self::PartOfHead => part.take(count).collect(),
        }
    }
}

/// Sends a head and what comes behind it, or as much of it as the kernels take.
fn ask(to: SocketAddr, head: &str, behind: &[u8]) -> TcpStream {
    let mut client = TcpStream::connect(to).unwrap();
    client.set_read_timeout(Some(LONG)).unwrap();
    client
        .set_write_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let _ = client.write_all(&[head.as_bytes(), behind].concat());
    client
}

fn leave(client: TcpStream, way: Way) -> Option<TcpStream> {
    match way {
        Way::Close => None,
        Way::HalfClose => {
            client.shutdown(Shutdown::Write).unwrap();
            Some(client)
        }
        Way::Reset => {
            let now = Some(Duration::ZERO);
            socket2::SockRef::from(&client).set_linger(now).unwrap();
            None
        }
    }
}

#[test]
fn every_way_of_leaving_is_noticed_whatever_waits_behind_the_request() {
    let scene = Scene::open();
    let mut over = 0;
    // Of 40 000 bytes some are unread in the socket.
    for next in [Next::Requests, Next::PartOfHead] {
        for behind in [0, 12, 4096, 40_000] {
            for way in WAYS {
                if matches!(next, Next::PartOfHead) && behind > 16_000 {
                    continue; // Larger than a head may be.
                }
                let client = scene.busy(GET, &next.bytes(behind));
                let _half = leave(client, way);
                over += 1;
                scene.notices(&format!("{way:?} with {behind} bytes behind it, {next:?}"), over);
            }
        }
    }
}

/// A FIN comes behind the bytes, and a window that is full does not let it through. A reset needs no window.
#[test]
fn a_reset_is_noticed_behind_more_bytes_than_the_kernel_takes() {
    let scene = Scene::open();
    let client = scene.busy(GET, &Next::Requests.bytes(MIB));
    leave(client, Way::Reset);
    scene.notices("a reset behind 1 MiB", 1);
}

#[test]
fn bytes_that_come_while_the_handler_runs_hide_nothing() {
    let scene = Scene::open();
    let mut over = 0;
    for way in WAYS {
        let mut client = scene.busy(GET, b"");
        // More at a time, so that the watch has begun when the next ones come.
        for _ in 0..5 {
            client.write_all(GET.as_bytes()).unwrap();
            std::thread::sleep(Duration::from_millis(3));
        }
        let _half = leave(client, way);
        over += 1;
        scene.notices(&format!("{way:?}"), over);
    }
}

/// Hyper does not read a body that nobody wants.
#[test]
fn a_body_that_nobody_reads_hides_nothing() {
    let scene = Scene::open();
    let post = "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 100000\r\n\r\n";
    for (over, way) in (1..).zip(WAYS) {
        let client = scene.busy(post, b"part of it");
        let _half = leave(client, way);
        scene.notices(&format!("{way:?}"), over);
    }
}

#[test]
fn whoever_stays_gets_every_answer() {
    let scene = Scene::open();
    let mut client = scene.busy(GET, b"");
    client.write_all(GET.as_bytes()).unwrap();
    client.write_all(GET.as_bytes()).unwrap();
    // Long enough for the watch, which is given up when the next request begins.
    for round in 1..=3 {
        until("the handler runs", || scene.begun.count() == round);
        std::thread::sleep(Duration::from_millis(5));
        scene.permits.add_permits(1);
        let mut answer = [0; 200];
        let count = client.read(&mut answer).unwrap();
        assert!(answer[..count].ends_with(b"slow"), "{round}");
    }
    assert!(scene.told.try_recv().is_err());
    drop(client);
    scene.told.recv_timeout(LONG).unwrap();
    assert_eq!(scene.executor.metrics().panicked(), 0);
}

#[test]
fn the_end_of_the_server_is_no_departure() {
    let scene = Scene::open();
    let _clients = [scene.busy(GET, b""), scene.busy(GET, GET.as_bytes())];
    std::thread::sleep(Duration::from_millis(5));
    drop(scene.server);
    until("the handlers are dropped", || scene.over.count() == 2);
    assert!(scene.told.recv_timeout(Duration::from_millis(50)).is_err());
    assert_eq!(*scene.reasons.lock().unwrap(), [CloseReason::Cut; 2]);
}

/// Descriptors of this process.
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Milliseconds of processor time this process has used.
fn used() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    // Hundredths of a second wherever Linux runs.
    (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()) * 10
}

fn in_child(test: &str, prelude: &str) {
    let mut child: Command = child_command(test, prelude);
    let output = child.stdin(std::process::Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

/// In a process of its own, where nobody else opens descriptors or uses the processor.
#[test]
fn a_descriptor_more_only_while_bytes_wait_and_no_spinning() {
    let test = "a_descriptor_more_only_while_bytes_wait_and_no_spinning";
    if !is_child(test) {
        return in_child(test, "");
    }
    let scene = Scene::open();
    let quiet: Vec<_> = (0..8).map(|_| scene.busy(GET, b"")).collect();
    let before = descriptors();
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(descriptors(), before, "nothing waits");
    let loud: Vec<_> = [30, 4096, 40_000, MIB]
        .map(|behind| scene.busy(GET, &Next::Requests.bytes(behind)))
        .into();
    until("each is watched", || descriptors() == before + 3 * loud.len());
    let (begin, used_before) = (Instant::now(), used());
    std::thread::sleep(Duration::from_millis(500));
    let used = used() - used_before;
    assert!(used < 50, "{used} ms of {:?}", begin.elapsed());
    assert_eq!(scene.over.count(), 0);
    drop(quiet);
    loud.into_iter()
        .for_each(|client| drop(leave(client, Way::Reset)));
    let rest = before - 2 * 8;
    until("all are gone", || descriptors() == rest);

    let mut stays = scene.busy(GET, GET.as_bytes());
    until("it is watched", || descriptors() == rest + 3);
    scene.permits.add_permits(2);
    let (mut answers, mut buffer) = (0, [0; 400]);
    while answers < 2 {
        let count = stays.read(&mut buffer).unwrap();
        answers += buffer[..count]
            .windows(4)
            .filter(|window| window == b"slow")
            .count();
    }
    until("it is not watched any more", || descriptors() == rest + 2);
}

#[test]
fn without_a_free_descriptor_everything_goes_on() {
    let test = "without_a_free_descriptor_everything_goes_on";
    if !is_child(test) {
        return in_child(test, "ulimit -n 64;");
    }
    let scene = Scene::open();
    let mut clients: Vec<_> = [(); 2].map(|()| ask(scene.addr(), GET.trim_end(), b"")).into();
    until("they are accepted", || scene.server.connections() == 2);
    let mut hoard = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        hoard.push(file);
    }
    // The rest of the heads, and bytes behind them.
    for client in &mut clients {
        client.write_all(format!("\r\n\r\n{GET}").as_bytes()).unwrap();
    }
    until("the handlers run", || scene.begun.count() == 2);
    std::thread::sleep(Duration::from_millis(20));
    scene.permits.add_permits(4);
    for client in &mut clients {
        let mut answer = [0; 12];
        client.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
    }
    drop(hoard);
}
