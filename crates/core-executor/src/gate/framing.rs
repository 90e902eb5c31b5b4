//! Follows the requests of a connection byte by byte, without I/O and without a clock: where each one begins and ends,
//! and which one is refused.

use super::Refusal;
use super::chunks::Chunks;
use super::head::{BodyEnd, Head, HeadParser};
use crate::ConnectionLimits;

/// How large the parts of a request may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Bytes of a head, and of a trailer section.
    pub(crate) head: usize,
    /// Fields of a head, and of a trailer section.
    pub(crate) headers: usize,
}

impl From<&ConnectionLimits> for Bounds {
    fn from(limits: &ConnectionLimits) -> Self {
        Self {
            head: limits.head_bound(),
            headers: limits.headers_bound(),
        }
    }
}

/// What the bytes at hand are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The first so many are a whole head.
    Head(usize),
    /// The first so many belong to a body, or to the protocol after a switch.
    Body(usize),
    /// They are the beginning of a head: give them again with more behind them.
    Partial,
    /// They stand behind a request that may switch protocols: wait for its answer.
    Undecided,
}

/// What the next byte belongs to.
#[derive(Debug, Clone, Copy)]
enum Place {
    Head(HeadParser),
    Length(u64),
    Chunked(Chunks),
    Undecided,
    Switched,
}

/// Follows one connection.
#[derive(Debug)]
pub(crate) struct Framing {
    place: Place,
    /// The request that is being read may switch protocols.
    may_switch: bool,
}

impl Framing {
    pub(crate) fn new() -> Self {
        Self {
            place: Place::Head(HeadParser::default()),
            may_switch: false,
        }
    }

    /// Within a body: some of it is missing.
    pub(crate) fn is_in_body(&self) -> bool {
        matches!(self.place, Place::Length(_) | Place::Chunked(_))
    }

    /// Behind a request that may switch protocols.
    pub(crate) fn is_undecided(&self) -> bool {
        matches!(self.place, Place::Undecided)
    }

    /// Every byte belongs to another protocol.
    pub(crate) fn is_switched(&self) -> bool {
        matches!(self.place, Place::Switched)
    }

    /// Whether these bytes, which [`Step::Partial`] was said of, are more than empty lines before a head.
    pub(crate) fn has_begun(&self, bytes: &[u8]) -> bool {
        matches!(&self.place, Place::Head(parser) if parser.has_begun(bytes))
    }

    /// The request was answered: by switching protocols, or not, and then another request may follow.
    pub(crate) fn decide(&mut self, switched: bool) {
        if self.is_undecided() {
            self.may_switch = false;
            self.place = match switched {
                true => Place::Switched,
                false => Place::Head(HeadParser::default()),
            };
        }
    }

    /// What the bytes at hand, which are not none, are.
    ///
    /// # Errors
    /// The request they belong to is refused; nothing may be asked after that.
    pub(crate) fn step(&mut self, bytes: &[u8], bounds: &Bounds) -> Result<Step, Refusal> {
        match &mut self.place {
            Place::Head(parser) => match parser.parse(bytes, bounds)? {
                Some(head) => Ok(self.begin_body(head)),
                None => Ok(Step::Partial),
            },
            Place::Length(left) => {
                let now = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= now as u64;
                if *left == 0 {
                    self.end_request();
                }
                Ok(Step::Body(now))
            }
            Place::Chunked(chunks) => {
                let now = chunks.take(bytes, bounds)?;
                if chunks.is_over() {
                    self.end_request();
                }
                Ok(Step::Body(now))
            }
            Place::Undecided => Ok(Step::Undecided),
            Place::Switched => Ok(Step::Body(bytes.len())),
        }
    }

    fn begin_body(&mut self, head: Head) -> Step {
        self.may_switch = head.may_switch;
        match head.body {
            BodyEnd::Length(0) => self.end_request(),
            BodyEnd::Length(length) => self.place = Place::Length(length),
            BodyEnd::Chunked => self.place = Place::Chunked(Chunks::new()),
        }
        Step::Head(head.length)
    }

    fn end_request(&mut self) {
        self.place = match self.may_switch {
            true => Place::Undecided,
            false => Place::Head(HeadParser::default()),
        };
    }
}
