//! What was accepted before the stop arrives, as long as its reader reads.

use std::thread;
use std::time::Duration;

use workspace_tests::example::{Example, Launch};
use workspace_tests::http;
use workspace_tests::raw::{CLOSE, Raw, TEXT, parse_close};

/// Messages that are queued just before the signal, and who is to have them.
struct Load {
    readers: usize,
    messages: usize,
    size: usize,
    /// What a reader waits before each message.
    pause: Duration,
}

impl Load {
    fn new(readers: usize, messages: usize, size: usize) -> Self {
        Self {
            readers,
            messages,
            size,
            pause: Duration::ZERO,
        }
    }

    fn is_slow(&self) -> bool {
        !self.pause.is_zero()
    }

    fn start(&self) -> Example {
        Launch::new("lab")
            .set("WEBSOCKET_OUTBOX_MESSAGES", self.messages + 1)
            .set("WEBSOCKET_OUTBOX_BYTES", (self.messages + 1) * (self.size + 16))
            .set("WEBSOCKET_CLOSE_TIMEOUT", if self.is_slow() { 1 } else { 10 })
            .start()
    }

    /// Nobody reads until the signal is sent, so all that the kernel does not take is in the outboxes.
    fn arrives(&self) {
        let mut lab = self.start();
        let readers: Vec<_> = (0..self.readers)
            .map(|_| {
                let mut reader = Raw::connect(lab.ws(), "/");
                assert_eq!(reader.text(), "welcome");
                reader
            })
            .collect();
        let accepted = http::get(
            lab.http(),
            &format!("/broadcast?size={}&n={}", self.size, self.messages),
        );
        assert_eq!(accepted.json()["sent"], self.messages);
        lab.signal("TERM");
        thread::scope(|scope| {
            for reader in readers {
                scope.spawn(|| self.read(reader));
            }
        });
        assert_eq!(lab.wait().code(), Some(0), "{:?}", lab.all_lines());
        let report = lab.report();
        let closed = report.count(" closed, ");
        // Who is slow may come to its Close when nobody waits for the answer any more.
        let unanswered = report.count(" without the peer's answer");
        assert!(unanswered == 0 || self.is_slow(), "{}", report.line());
        let counts = (closed + unanswered, report.count(" messages undelivered"));
        assert_eq!(counts, (self.readers as u64, 0), "{}", report.line());
    }

    /// Each message whole, then the Close, then the end.
    fn read(&self, mut reader: Raw) {
        for number in 0..self.messages {
            thread::sleep(self.pause);
            let (first, payload) = reader
                .read_frame()
                .unwrap_or_else(|| panic!("message {number} of {} is lost", self.messages));
            assert_eq!((first, payload.len()), (TEXT, self.size), "message {number}");
        }
        let (first, payload) = reader.read_frame().expect("a Close");
        assert_eq!((first, parse_close(&payload).0), (CLOSE, 1001));
        if !self.is_slow() {
            reader.frame(CLOSE, &payload);
            assert!(reader.ends_in_order());
        }
    }
}

#[test]
fn a_thousand_messages_of_a_kilobyte() {
    Load::new(1, 1000, 1000).arrives();
}

#[test]
fn two_hundred_messages_of_64_kib() {
    Load::new(1, 200, 64 << 10).arrives();
}

#[test]
fn a_hundred_messages_of_64_kib_to_twenty_readers() {
    Load::new(20, 100, 64 << 10).arrives();
}

/// It takes longer than the close timeout, within which a way out that stands still is given up.
#[test]
fn a_reader_that_is_slow_and_reads_gets_everything() {
    let load = Load {
        pause: Duration::from_millis(15),
        ..Load::new(1, 200, 64 << 10)
    };
    load.arrives();
}
