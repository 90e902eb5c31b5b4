//! The steps of a client of HTTP/2, and how it finds the answers.

use workspace_tests::http2::{self, CANCEL, END_STREAM, OPEN};
use workspace_tests::raw::{TEXT, frame};

use crate::client::Client;
use crate::script::{Flood, Http2Step};

/// Frames of a flood: more than any limit on them.
const MUCH: usize = 500;
/// The index of `:status: 200` in the static table (RFC 7541, appendix A), as a whole field.
const STATUS_200: u8 = 0x88;

impl Client {
    pub(crate) async fn http2(&mut self, step: Http2Step) {
        match step {
            Http2Step::Get(count) => {
                let requests = (0..count).map(|_| self.request("GET", "/", END_STREAM));
                let requests: Vec<u8> = requests.collect::<Vec<_>>().concat();
                self.send(&requests).await;
            }
            Http2Step::Post => {
                let mut request = self.request("POST", "/post", OPEN);
                request.extend(http2::data(self.stream_of_last(), b"hello", END_STREAM));
                self.send(&request).await;
            }
            Http2Step::Slow => {
                let request = self.request("GET", "/slow", END_STREAM);
                self.send(&request).await;
            }
            Http2Step::Never(behind) => {
                let mut request = self.request("GET", "/never", OPEN);
                if behind > 0 {
                    let body = vec![b'x'; behind.into()];
                    request.extend(http2::data(self.stream_of_last(), &body, OPEN));
                }
                self.say_http2(&request).await;
            }
            Http2Step::Panic => {
                let request = self.request("GET", "/panic", END_STREAM);
                self.send(&request).await;
            }
            Http2Step::HalfBody => {
                let request = self.request("POST", "/post", OPEN);
                self.say_http2(&request).await;
            }
            Http2Step::Session => self.session().await,
            Http2Step::Reset => {
                let stream = self.stream_of_last();
                self.awaited.remove(&stream);
                if stream > 0 {
                    self.send(&http2::reset(stream, CANCEL)).await;
                }
            }
            Http2Step::GoAway => self.say_http2(&http2::goaway()).await,
            Http2Step::HalfFrame => {
                self.say_http2(&http2::get(self.next_stream, "/", END_STREAM)[..20])
                    .await
            }
            // DATA of no stream (RFC 9113 §6.1).
            Http2Step::Fault => self.say_http2(&http2::data(0, b"x", OPEN)).await,
            Http2Step::Flood(flood) => self.flood(flood).await,
            Http2Step::Read => self.read_owed().await,
        }
    }

    /// A request on a stream of its own, whose answer is awaited.
    fn request(&mut self, method: &str, path: &str, flags: u8) -> Vec<u8> {
        let stream = self.begin_stream();
        http2::request(stream, method, path, &[], flags)
    }

    fn begin_stream(&mut self) -> u32 {
        let stream = self.next_stream;
        self.next_stream += 2;
        self.life.heads += 1;
        self.awaited.insert(stream);
        stream
    }

    /// 0 where there was none.
    fn stream_of_last(&self) -> u32 {
        self.next_stream.saturating_sub(2)
    }

    /// Sends what leaves nobody to know which answers come.
    async fn say_http2(&mut self, bytes: &[u8]) {
        self.send(bytes).await;
        self.owed = None;
    }

    async fn session(&mut self) {
        let stream = self.begin_stream();
        self.send(&http2::connect_websocket(stream, "/ws")).await;
        self.read_owed().await;
        // A session answers what it likes.
        self.say_http2(&http2::data(stream, &frame(TEXT, b"hello"), OPEN))
            .await;
    }

    async fn flood(&mut self, flood: Flood) {
        let bytes = match flood {
            Flood::Resets => {
                let requests = (0..MUCH).map(|_| {
                    let request = self.request("GET", "/never", END_STREAM);
                    [request, http2::reset(self.stream_of_last(), CANCEL)].concat()
                });
                requests.collect::<Vec<_>>().concat()
            }
            Flood::Fields => {
                let begin = http2::frame(1, 0, self.begin_stream(), b"\x00\x01a\x01b");
                let more = http2::frame(9, 0, self.stream_of_last(), b"\x00\x01a\x01b");
                [begin, more.repeat(MUCH)].concat()
            }
            Flood::Pings => http2::ping().repeat(MUCH),
            Flood::Settings => http2::frame(4, 0, 0, &[]).repeat(MUCH),
        };
        self.say_http2(&bytes).await;
    }

    /// Finds the answers that are complete in what has come.
    pub(crate) fn find_http2_answers(&mut self, received: &[u8]) {
        self.tail.extend_from_slice(received);
        while let [a, b, c, kind, _flags, d, e, f, g, rest @ ..] = &self.tail[..] {
            let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
            let stream = u32::from_be_bytes([*d, *e, *f, *g]);
            let Some(payload) = rest.get(..length) else {
                return;
            };
            match kind {
                // HEADERS; only an answer has them here.
                1 => {
                    self.awaited.remove(&stream);
                    self.life.answers += 1;
                    self.life.successes += u64::from(payload.first() == Some(&STATUS_200));
                }
                // RST_STREAM.
                3 => drop(self.awaited.remove(&stream)),
                _ => {}
            }
            self.tail.drain(..9 + length);
        }
    }
}
