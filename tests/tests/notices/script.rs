//! What a connection does, at random.

use proptest::collection::vec;
use proptest::prelude::*;

/// One thing a client does on its connection, whatever it did before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// A request that is answered at once.
    Get,
    /// Several in one write.
    Pipelined(u8),
    /// A request with a body.
    Post,
    /// A request whose handler takes some milliseconds.
    Slow,
    /// A request whose handler never returns, and bytes behind it.
    Never(u16),
    /// A request whose handler panics.
    Panic,
    /// A head without its end.
    HalfHead,
    /// A body without its end.
    HalfBody,
    /// What is no HTTP.
    Garbage,
    /// An upgrade that must be refused.
    BadUpgrade,
    /// An upgrade to WebSocket.
    Upgrade,
    /// A WebSocket text frame.
    Frame,
    /// Reads what it is owed.
    Read,
}

/// How a client ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Close,
    /// Closes its side and reads to the end.
    HalfClose,
    Reset,
    /// Stays until the server ends the connection.
    Stay,
}

/// One connection.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    /// To the WebSocket port instead of the HTTP port.
    pub(crate) to_ws: bool,
    pub(crate) steps: Vec<Step>,
    pub(crate) end: End,
}

impl Script {
    pub(crate) fn stays(&self) -> bool {
        self.end == End::Stay
    }
}

/// How the server of a batch ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Drained, after all clients that leave by themselves.
    Last,
    /// Drained with a short deadline when this share of them has left, in percent.
    Drain { after: u8 },
    /// Dropped.
    Drop { after: u8 },
    /// Its executor is dropped under it.
    Executor { after: u8 },
}

/// Connections that share a server.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    pub(crate) scripts: Vec<Script>,
    pub(crate) stop: Stop,
    /// Connections at once.
    pub(crate) limit: Option<usize>,
}

pub(crate) fn batch(size: usize) -> impl Strategy<Value = Batch> {
    let stop = prop_oneof![
        3 => Just(Stop::Last),
        1 => (0..100_u8).prop_map(|after| Stop::Drain { after }),
        1 => (0..100_u8).prop_map(|after| Stop::Drop { after }),
        1 => (0..100_u8).prop_map(|after| Stop::Executor { after }),
    ];
    let limit = prop_oneof![4 => Just(None), 1 => (1..40_usize).prop_map(Some)];
    (vec(script(), size), stop, limit).prop_map(|(scripts, stop, limit)| Batch { scripts, stop, limit })
}

fn script() -> impl Strategy<Value = Script> {
    let end = prop_oneof![
        3 => Just(End::Close),
        2 => Just(End::HalfClose),
        2 => Just(End::Reset),
        1 => Just(End::Stay),
    ];
    (prop::bool::weighted(0.25), vec(step(), 0..7), end).prop_map(|(to_ws, steps, end)| Script {
        to_ws,
        steps,
        end,
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Get),
        2 => (2..6_u8).prop_map(Step::Pipelined),
        2 => Just(Step::Post),
        2 => Just(Step::Slow),
        2 => prop_oneof![Just(0), Just(12), Just(4096), any::<u16>()].prop_map(Step::Never),
        1 => Just(Step::Panic),
        1 => Just(Step::HalfHead),
        1 => Just(Step::HalfBody),
        1 => Just(Step::Garbage),
        1 => Just(Step::BadUpgrade),
        4 => Just(Step::Upgrade),
        3 => Just(Step::Frame),
        5 => Just(Step::Read),
    ]
}
