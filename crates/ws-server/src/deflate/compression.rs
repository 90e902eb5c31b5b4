//! From messages to compressed frames (RFC 7692 §7.2.1): once for all who share a window size, or in a session's
//! own context.

use std::cell::RefCell;
use std::fmt;
use std::sync::OnceLock;

use bytes::Bytes;
use flate2::{Compress, FlushCompress};

use super::{DeflateConfig, Direction, MAX_WINDOW_BITS, MIN_OUR_WINDOW_BITS};
use crate::codec::compressed_frame;
use crate::encoded::Encoded;

/// Window sizes we compress with.
const WINDOWS: usize = (MAX_WINDOW_BITS - MIN_OUR_WINDOW_BITS + 1) as usize;
/// Every compressed message ends so, and it is cut off (RFC 7692 §7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
/// A thread's scratch memory that is longer than this is given back.
const KEPT_SCRATCH: usize = 256 * 1024;

thread_local! {
    static SCRATCH: RefCell<Scratch> = const { RefCell::new(Scratch::new()) };
}

/// What one thread compresses with.
struct Scratch {
    /// One compressor for each window size that was needed, with its level.
    compressors: [Option<(u8, Compress)>; WINDOWS],
    output: Vec<u8>,
}

impl Scratch {
    const fn new() -> Self {
        Self {
            compressors: [const { None }; WINDOWS],
            output: Vec::new(),
        }
    }
}

/// The compressed frames of one message, one for each window size somebody asked for.
#[derive(Default)]
pub(crate) struct SharedEncodings(OnceLock<Box<[OnceLock<Option<Bytes>>; WINDOWS]>>);

impl fmt::Debug for SharedEncodings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SharedEncodings")
    }
}

/// How the messages of one session are compressed.
#[derive(Debug)]
pub(crate) struct Compression {
    window_bits: u8,
    level: u8,
    min_length: usize,
    /// Whether messages may refer to earlier ones.
    keeps_context: bool,
    /// What they may refer to, from the first compressed message on.
    context: Option<Box<Compress>>,
}

impl Compression {
    /// `None` when the peer wants a window that is too small for our compressor: sending uncompressed is always
    /// allowed (RFC 7692 §6).
    pub(crate) fn new(direction: Direction, config: &DeflateConfig) -> Option<Self> {
        let Direction {
            context_takeover,
            window_bits,
        } = direction;
        if window_bits < MIN_OUR_WINDOW_BITS {
            return None;
        }
        let level = config.level.clamp(1, 9);
        Some(Self {
            window_bits,
            level,
            min_length: config.min_length.max(1),
            keeps_context: context_takeover,
            context: None,
        })
    }

    /// The frame to send. With a context of its own the frame must be sent, and in the order of the calls.
    pub(crate) fn frame(&mut self, message: &Encoded) -> Bytes {
        let body = message.body_bytes();
        if body.len() < self.min_length || !message.may_be_compressed() {
            return message.frame().clone();
        }
        if self.keeps_context {
            self.frame_in_context(message)
        } else {
            self.shared_frame(message)
                .unwrap_or_else(|| message.frame().clone())
        }
    }

    fn frame_in_context(&mut self, message: &Encoded) -> Bytes {
        let (level, window_bits) = (self.level, self.window_bits);
        let context = self
            .context
            .get_or_insert_with(|| Box::new(compressor(level, window_bits)));
        SCRATCH.with_borrow_mut(|Scratch { output, .. }| {
            compress(context, message.body_bytes(), output);
            let frame = framed(message, output);
            trim(output);
            frame
        })
    }

    fn shared_frame(&self, message: &Encoded) -> Option<Bytes> {
        let build = || one_shot(message, self.level, self.window_bits);
        match message.encodings() {
            None => build(),
            Some(SharedEncodings(table)) => {
                let table = table.get_or_init(Box::default);
                table[index(self.window_bits)].get_or_init(build).clone()
            }
        }
    }
}

fn index(window_bits: u8) -> usize {
    usize::from(window_bits - MIN_OUR_WINDOW_BITS)
}

fn compressor(level: u8, window_bits: u8) -> Compress {
    Compress::new_with_window_bits(flate2::Compression::new(level.into()), false, window_bits)
}

/// Compresses without a context; `None` when that does not make the message shorter.
fn one_shot(message: &Encoded, level: u8, window_bits: u8) -> Option<Bytes> {
    SCRATCH.with_borrow_mut(|scratch| {
        let Scratch { compressors, output } = scratch;
        let slot = &mut compressors[index(window_bits)];
        let state = match slot {
            Some((known, state)) if *known == level => {
                state.reset();
                state
            }
            slot => &mut slot.insert((level, compressor(level, window_bits))).1,
        };
        let body = message.body_bytes();
        compress(state, body, output);
        let is_shorter = output.len() < body.len() + TAIL.len();
        let frame = is_shorter.then(|| framed(message, output));
        trim(output);
        frame
    })
}

/// Compresses `body` into `output`, up to and with an empty stored block.
fn compress(state: &mut Compress, body: &[u8], output: &mut Vec<u8>) {
    output.clear();
    let begin = state.total_in();
    loop {
        let used = (state.total_in() - begin) as usize;
        output.reserve((body.len() - used).clamp(64, 64 * 1024));
        state
            .compress_vec(&body[used..], output, FlushCompress::Sync)
            .expect("a compressor that is never finished takes every input");
        // Room that is left says that everything is out (zlib's manual on Z_SYNC_FLUSH).
        if output.len() < output.capacity() {
            return;
        }
    }
}

fn framed(message: &Encoded, output: &[u8]) -> Bytes {
    let payload = output.strip_suffix(&TAIL).unwrap_or(output);
    compressed_frame(message.is_text(), payload)
}

/// One long message must not leave its memory with the thread.
fn trim(output: &mut Vec<u8>) {
    if output.capacity() > KEPT_SCRATCH {
        *output = Vec::new();
    }
}

#[cfg(test)]
#[path = "compression/tests.rs"]
mod tests;
