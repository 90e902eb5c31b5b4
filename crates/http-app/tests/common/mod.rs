//! A running application and a client of raw bytes, for every test of this crate.
#![allow(dead_code, reason = "each test binary uses its share")]

pub(crate) mod log;
pub(crate) mod stage;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use core_executor::RuntimeExecutor;
use http_app::{App, AppConfig, AppReport, HttpMetrics, RunningApp};

/// Longest time a test waits for anything; reached by a defect only.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn config() -> AppConfig {
    AppConfig {
        port: 0,
        ..AppConfig::default()
    }
}

/// Runs async code of the test itself, off the application's threads.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, future).await.expect("in time") })
}

pub(crate) struct Server {
    pub(crate) app: RunningApp,
    pub(crate) executor: RuntimeExecutor,
}

impl Server {
    pub(crate) fn start<S: Clone + Send + Sync + 'static>(app: App<S>) -> Self {
        let executor = RuntimeExecutor::with_threads(2).unwrap();
        let app = app.listen(&executor.spawner()).unwrap();
        Self { app, executor }
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.app.local_addr())
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.client().get(path)
    }

    pub(crate) fn close(self) -> AppReport {
        let Self { app, executor } = self;
        let report = block_on(app.close());
        drop(executor);
        report
    }
}

/// One connection.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    read: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self {
            stream,
            read: Vec::new(),
        }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.stream.write_all(bytes.as_ref()).unwrap();
        self
    }

    pub(crate) fn get(&mut self, path: &str) -> Reply {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"))
            .reply()
    }

    pub(crate) fn finish_sending(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// The next answer; panics when the connection ends first.
    pub(crate) fn reply(&mut self) -> Reply {
        self.next_reply(true)
    }

    /// The answer to a HEAD request: lengths are told, no body follows.
    pub(crate) fn reply_without_body(&mut self) -> Reply {
        self.next_reply(false)
    }

    /// The next answer, to a HEAD request when `is_head`.
    pub(crate) fn reply_without_body_if(&mut self, is_head: bool) -> Reply {
        self.next_reply(!is_head)
    }

    fn next_reply(&mut self, with_body: bool) -> Reply {
        let end = loop {
            match self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                Some(end) => break end + 4,
                None => assert!(self.read_more() > 0, "closed before an answer: {:?}", self.text()),
            }
        };
        let head = String::from_utf8(self.read.drain(..end).collect()).unwrap();
        let mut reply = Reply {
            head,
            body: Vec::new(),
        };
        if with_body {
            reply.body = match reply.header("content-length") {
                Some(length) => self.take(length.parse().unwrap()),
                None if reply.header("transfer-encoding").is_some() => self.take_chunks(),
                None => Vec::new(),
            };
        }
        reply
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        while self.read.len() < length {
            assert!(self.read_more() > 0, "closed inside a body: {:?}", self.text());
        }
        self.read.drain(..length).collect()
    }

    fn take_chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let size = usize::from_str_radix(&self.take_line(), 16).unwrap();
            body.extend(self.take(size));
            assert_eq!(self.take_line(), "");
            if size == 0 {
                return body;
            }
        }
    }

    fn take_line(&mut self) -> String {
        loop {
            if let Some(end) = self.read.windows(2).position(|window| window == b"\r\n") {
                let line = self.read.drain(..end + 2).collect::<Vec<_>>();
                return String::from_utf8(line[..end].to_vec()).unwrap();
            }
            assert!(self.read_more() > 0, "closed inside a chunk");
        }
    }

    /// Everything up to the end of the connection.
    pub(crate) fn rest(&mut self) -> String {
        while self.read_more() > 0 {}
        self.text()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.read).into_owned()
    }

    fn read_more(&mut self) -> usize {
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Ok(count) => {
                self.read.extend_from_slice(&buffer[..count]);
                count
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            Err(error) if error.kind() == ErrorKind::Interrupted => self.read_more(),
            Err(error) => panic!("nothing to read: {error}"),
        }
    }
}

/// One answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        let mut found = fields.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.trim())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        assert_eq!(self.header("content-type"), Some("application/json"));
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Checks that it is an error of ours: JSON with a `message`, at most 200 bytes.
    pub(crate) fn assert_error(&self, status: u16) {
        assert_eq!(self.status(), status, "{self:?}");
        assert!(self.body.len() <= 200, "{self:?}");
        assert!(self.json()["message"].is_string(), "{self:?}");
    }
}

/// Waits until `condition` holds; an event that nothing announces can only be looked for.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let patience = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < patience, "still not: {what}");
        std::thread::yield_now();
    }
}

/// One number of the metrics page.
pub(crate) fn metric(metrics: &HttpMetrics, line: &str) -> f64 {
    let registry = prometheus::Registry::new();
    metrics.register(&registry).unwrap();
    let page = prometheus::TextEncoder::new()
        .encode_to_string(&registry.gather())
        .unwrap();
    let found = page
        .lines()
        .find_map(|candidate| candidate.strip_prefix(line)?.strip_prefix(' '));
    found
        .unwrap_or_else(|| panic!("no {line} in {page}"))
        .parse()
        .unwrap()
}
