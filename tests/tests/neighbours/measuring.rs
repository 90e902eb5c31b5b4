//! What well-behaved clients notice of others: their p99 with and without, taken in turns.

use std::fs;
use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use workspace_tests::http;
use workspace_tests::raw::{Raw, TEXT, frame};

/// A baseline below this is the resolution of a shared machine, not of the server; a build without optimisations
/// takes several times as long for the same.
const RESOLUTION: Duration = Duration::from_micros(if cfg!(debug_assertions) { 1000 } else { 250 });
/// Pairs of slices without and with, rounds of each slice, and the pause between rounds.
const PAIRS: usize = 9;
const ROUNDS: usize = 200;
const PAUSE: Duration = Duration::from_micros(300);
/// For the server to be done with who disturbed, so that the next slice without is one.
const SETTLING: Duration = Duration::from_millis(100);

/// Well-behaved clients that send bytes built beforehand and compare nothing but time.
pub(crate) struct Neighbours {
    streams: Vec<TcpStream>,
    request: Vec<u8>,
    /// How each answer begins.
    begin: &'static [u8],
    answer: Vec<u8>,
}

impl Neighbours {
    /// Four sessions, so that every worker has some. `greeting` and `prefix` are what the example adds.
    pub(crate) fn sessions(ws: SocketAddr, path: &str, greeting: bool, prefix: &str) -> Self {
        let streams = (0..4).map(|_| {
            let mut raw = Raw::connect(ws, path);
            if greeting {
                raw.text();
            }
            raw.stream().try_clone().expect("a socket")
        });
        let body = "the neighbour's text";
        Self {
            streams: streams.collect(),
            request: frame(TEXT, body.as_bytes()),
            begin: &[TEXT],
            answer: vec![0; 2 + prefix.len() + body.len()],
        }
    }

    /// Four clients that keep their connection and ask for the same page.
    pub(crate) fn pages(http: SocketAddr, path: &str) -> Self {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {http}\r\n\r\n").into_bytes();
        let streams = (0..4).map(|_| http::connect(http));
        Self {
            streams: streams.collect(),
            begin: b"HTTP/1.1 200",
            answer: vec![0; answer_len(http, &request)],
            request,
        }
    }

    pub(crate) fn p99(&mut self) -> Duration {
        p99((0..ROUNDS).map(|round| self.round(round)).collect())
    }

    /// From request to answer.
    fn round(&mut self, round: usize) -> Duration {
        let index = round % self.streams.len();
        let stream = &mut self.streams[index];
        let began = Instant::now();
        stream.write_all(&self.request).expect("taken");
        stream.read_exact(&mut self.answer).expect("the answer");
        let took = began.elapsed();
        assert!(self.answer.starts_with(self.begin));
        thread::sleep(PAUSE);
        took
    }

    /// Their p99 stays below twice its baseline while `disturb` goes on.
    ///
    /// A slice without and a slice with are taken one right after the other, the order changing from pair to pair, and
    /// only slices of one pair are compared: whatever else this machine does slows both, and what hits one pair alone
    /// does not move the median of them.
    pub(crate) fn hardly_notice(
        &mut self,
        what: &str,
        disturb: impl Fn(&Slice) + Sync,
    ) -> Result<(), String> {
        let pairs: Vec<_> = (0..PAIRS)
            .map(|pair| self.pair(pair % 2 == 0, &disturb))
            .collect();
        hardly_more(what, &pairs)
    }

    /// Their p99 stays below twice that of the `others`, whose server has no such company. Rounds here and there take
    /// turns, so what goes on meanwhile costs both the same, as far as it is not the server here that pays for it.
    pub(crate) fn fare_like(&mut self, others: &mut Self, what: &str) -> Result<(), String> {
        let pair = |_| {
            let times = (0..ROUNDS).map(|round| (others.round(round), self.round(round)));
            let (there, here) = times.unzip();
            (p99(there), p99(here))
        };
        hardly_more(what, &(0..PAIRS).map(pair).collect::<Vec<_>>())
    }

    /// The p99 without and with.
    fn pair(&mut self, is_quiet_first: bool, disturb: &(impl Fn(&Slice) + Sync)) -> (Duration, Duration) {
        if is_quiet_first {
            return (self.p99(), self.disturbed_p99(disturb));
        }
        let disturbed = self.disturbed_p99(disturb);
        (self.p99(), disturbed)
    }

    fn disturbed_p99(&mut self, disturb: &(impl Fn(&Slice) + Sync)) -> Duration {
        let slice = Slice::default();
        let p99 = thread::scope(|scope| {
            scope.spawn(|| disturb(&slice));
            slice.wait_for_begin();
            let p99 = self.p99();
            slice.end();
            p99
        });
        thread::sleep(SETTLING);
        p99
    }
}

/// Requests to each server while [`Neighbours::fare_like`] goes on.
pub(crate) fn fare_like_rounds() -> usize {
    PAIRS * ROUNDS
}

/// A round in which threads of this process waited so long for a processor measures the machine's other work.
const DISTURBED: Duration = Duration::from_millis(1);
/// So often a round is measured again before it counts as it is.
const AGAIN: usize = 20;

/// One round of a measurement within this process, once in which nobody else kept the processors from it.
pub(crate) fn undisturbed(mut round: impl FnMut() -> Duration) -> Duration {
    for _ in 0..AGAIN {
        let before = waited_for_processors();
        let took = round();
        if waited_for_processors().saturating_sub(before) < DISTURBED {
            return took;
        }
    }
    round()
}

/// How long the threads of this process were ready to run and did not, so far; nothing where the kernel does not count.
fn waited_for_processors() -> Duration {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let waited = threads.filter_map(|thread| {
        let counts = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        counts.split(' ').nth(1)?.parse::<u64>().ok()
    });
    Duration::from_nanos(waited.sum())
}

/// What 99 of 100 stay below.
pub(crate) fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() * 99 / 100 - 1]
}

/// The median of the ratios of baseline and disturbed is below two.
fn hardly_more(what: &str, pairs: &[(Duration, Duration)]) -> Result<(), String> {
    let mut ratios: Vec<_> = pairs
        .iter()
        .map(|(quiet, disturbed)| disturbed.as_secs_f64() / quiet.max(&RESOLUTION).as_secs_f64())
        .collect();
    ratios.sort_unstable_by(f64::total_cmp);
    let median = ratios[ratios.len() / 2];
    let measured = format!("{what}: p99 is {median:.2} times its baseline; of {pairs:?}");
    eprintln!("{measured}");
    if median < 2.0 { Ok(()) } else { Err(measured) }
}

/// The page and its head always have the same length, as does the date in it.
fn answer_len(http: SocketAddr, request: &[u8]) -> usize {
    let mut stream = http::connect(http);
    stream.write_all(request).expect("taken");
    let mut counted = Counted { stream, count: 0 };
    http::read_answer(&mut BufReader::new(&mut counted)).expect("an answer");
    counted.count
}

struct Counted {
    stream: TcpStream,
    count: usize,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.stream.read(buffer)?;
        self.count += count;
        Ok(count)
    }
}

/// The time in which somebody disturbs.
#[derive(Default)]
pub(crate) struct Slice {
    has_begun: AtomicBool,
    is_over: AtomicBool,
}

impl Slice {
    /// Everything is prepared.
    pub(crate) fn begin(&self) {
        self.has_begun.store(true, Ordering::Relaxed);
    }

    fn wait_for_begin(&self) {
        while !self.has_begun.load(Ordering::Relaxed) {
            thread::sleep(PAUSE);
        }
    }

    pub(crate) fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// Pauses, and says whether to go on.
    pub(crate) fn goes_on(&self, pause: Duration) -> bool {
        thread::sleep(pause);
        !self.is_over.load(Ordering::Relaxed)
    }
}
