//! From compressed payload bytes to those of the message (RFC 7692 §7.2.2), as they come.

use std::cell::RefCell;

use flate2::{Decompress, FlushDecompress, Status};

use super::Direction;
use crate::codec::Violation;

/// Bytes inflated at a time.
const CHUNK: usize = 16 * 1024;
/// Decompressors a thread keeps for the next message.
const POOL: usize = 4;
/// What the sender cut off the end (RFC 7692 §7.2.1), and one more empty block: after a whole message both are
/// read without a trace, after one that breaks off they are not.
const TAIL: [u8; 9] = [0, 0, 0xff, 0xff, 0, 0, 0, 0xff, 0xff];

const BAD_DATA: Violation = Violation::not_utf8("compressed data is broken");

thread_local! {
    static CHUNKS: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    #[allow(clippy::vec_box, reason = "sessions take them in their boxes")]
    static IDLE: RefCell<Vec<Box<Decompress>>> = const { RefCell::new(Vec::new()) };
}

/// Inflates the messages of one peer. Between messages it holds a decompressor only when they may refer to each
/// other; otherwise one is borrowed from the thread for the time of a message.
#[derive(Debug)]
pub(crate) struct Inflater {
    keeps_context: bool,
    /// Boxed, because most sessions hold none at any one time.
    state: Option<Box<Decompress>>,
}

impl Inflater {
    pub(crate) fn new(direction: Direction) -> Self {
        Self {
            keeps_context: direction.context_takeover,
            state: None,
        }
    }

    /// Inflates the next bytes of a message into `sink`, which is given at most `room` bytes: one more is a message
    /// that is too big.
    pub(crate) fn push(
        &mut self,
        piece: &[u8],
        room: u64,
        mut sink: impl FnMut(&[u8]) -> Result<(), Violation>,
    ) -> Result<(), Violation> {
        let state = self.state.get_or_insert_with(borrowed);
        with_chunk(|chunk| {
            let (mut rest, mut room) = (piece, room);
            loop {
                // One byte past the room shows that there is more.
                let window = usize::try_from(room).map_or(CHUNK, |room| room.saturating_add(1).min(CHUNK));
                let step = step(state, rest, &mut chunk[..window]);
                rest = &rest[step.used..];
                sink(&chunk[..usize::try_from(room).map_or(step.made, |room| room.min(step.made))])?;
                room = room.checked_sub(step.made as u64).ok_or(Violation::TOO_BIG)?;
                if step.is_broken || (step.is_idle() && !rest.is_empty()) {
                    return Err(BAD_DATA);
                }
                // A full window may have left something behind in the decompressor.
                if rest.is_empty() && step.made < window {
                    return Ok(());
                }
            }
        })
    }

    /// The message is over. `is_blank`: it had no payload at all, which some senders make of an empty message.
    pub(crate) fn finish(&mut self, is_blank: bool) -> Result<(), Violation> {
        if let Some(state) = self.state.as_mut().filter(|_| !is_blank) {
            let mut rest = &TAIL[..];
            while !rest.is_empty() {
                let step = step(state, rest, &mut [0]);
                if step.is_broken || step.made > 0 || step.used == 0 {
                    return Err(BAD_DATA);
                }
                rest = &rest[step.used..];
            }
        }
        if let Some(state) = self.state.take_if(|_| !self.keeps_context) {
            give_back(state);
        }
        Ok(())
    }
}

/// What inflating once came to.
struct Step {
    used: usize,
    made: usize,
    is_broken: bool,
}

impl Step {
    /// Neither read nor made anything.
    fn is_idle(&self) -> bool {
        self.used == 0 && self.made == 0
    }
}

/// Inflates once. What was made before a fault is given too, so that it does not matter how the data is cut.
fn step(state: &mut Decompress, input: &[u8], output: &mut [u8]) -> Step {
    let (read, written) = (state.total_in(), state.total_out());
    let status = state.decompress(input, output, FlushDecompress::Sync);
    let step = Step {
        used: (state.total_in() - read) as usize,
        made: (state.total_out() - written) as usize,
        is_broken: status.is_err(),
    };
    if matches!(status, Ok(Status::StreamEnd)) {
        // A final block inside a message is allowed; blocks may follow it (RFC 7692 §7.2.3.4).
        state.reset(false);
    }
    step
}

fn with_chunk<T>(work: impl FnOnce(&mut [u8]) -> T) -> T {
    CHUNKS.with_borrow_mut(|chunk| {
        chunk.resize(CHUNK, 0);
        work(chunk)
    })
}

fn borrowed() -> Box<Decompress> {
    IDLE.with_borrow_mut(Vec::pop)
        .unwrap_or_else(|| Box::new(Decompress::new(false)))
}

fn give_back(mut state: Box<Decompress>) {
    IDLE.with_borrow_mut(|idle| {
        if idle.len() < POOL {
            state.reset(false);
            idle.push(state);
        }
    });
}

#[cfg(test)]
#[path = "inflater/tests.rs"]
mod tests;
