//! What a connection does, at random.

use proptest::collection::vec;
use proptest::prelude::*;

/// One thing a client of HTTP/1 does on its connection, whatever it did before.
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

/// One thing a client of HTTP/2 does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Http2Step {
    /// So many requests at once.
    Get(u8),
    /// A request with a body.
    Post,
    /// A request whose handler takes some milliseconds.
    Slow,
    /// A request whose handler never returns, and bytes of a body that it does not read.
    Never(u16),
    /// A request whose handler panics.
    Panic,
    /// A body without its end.
    HalfBody,
    /// An extended CONNECT for WebSocket (RFC 8441), and a text on it.
    Session,
    /// Resets the stream of the last request.
    Reset,
    /// Says that nothing more comes.
    GoAway,
    /// A frame without its end.
    HalfFrame,
    /// What no client may send.
    Fault,
    Flood(Flood),
    /// Reads what it is owed.
    Read,
}

/// Much of something that costs a client little.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flood {
    /// Requests that are reset at once (CVE-2023-44487).
    Resets,
    /// Fields without an end (CVE-2024-27316).
    Fields,
    Pings,
    Settings,
}

/// What a client says once its connection is there.
#[derive(Debug, Clone)]
pub(crate) enum Talk {
    Http1(Vec<Step>),
    Http2(Vec<Http2Step>),
    /// So many bytes of the preface of HTTP/2 and no more.
    PartOfPreface(u8),
}

/// What a client does first on a port that speaks TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handshake {
    /// Shakes hands.
    Done(Offer),
    /// Trusts no certificate, and goes.
    Distrusts,
    /// Sends this share of its first flight, in percent, and no more.
    Stalls(u8),
    /// Speaks plaintext.
    Plaintext,
}

/// The protocol it offers by ALPN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offer {
    Nothing,
    /// What it speaks.
    Own,
    /// The version that it does not speak.
    Other,
    /// One that nobody speaks.
    Unknown,
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
    /// Skipped where the port speaks no TLS.
    pub(crate) handshake: Handshake,
    pub(crate) talk: Talk,
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
    pub(crate) is_tls: bool,
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
    (vec(script(), size), stop, limit, any::<bool>()).prop_map(|(scripts, stop, limit, is_tls)| Batch {
        scripts,
        stop,
        is_tls,
        limit,
    })
}

fn script() -> impl Strategy<Value = Script> {
    let end = prop_oneof![
        3 => Just(End::Close),
        2 => Just(End::HalfClose),
        2 => Just(End::Reset),
        1 => Just(End::Stay),
    ];
    let to_ws = prop::bool::weighted(0.25);
    (to_ws, handshake(), talk(), end).prop_map(|(to_ws, handshake, talk, end)| Script {
        to_ws,
        handshake,
        talk,
        end,
    })
}

fn handshake() -> impl Strategy<Value = Handshake> {
    prop_oneof![
        2 => Just(Handshake::Done(Offer::Nothing)),
        8 => Just(Handshake::Done(Offer::Own)),
        1 => Just(Handshake::Done(Offer::Other)),
        1 => Just(Handshake::Done(Offer::Unknown)),
        1 => Just(Handshake::Distrusts),
        1 => prop_oneof![Just(0), Just(100), 0..=100_u8].prop_map(Handshake::Stalls),
        1 => Just(Handshake::Plaintext),
    ]
}

fn talk() -> impl Strategy<Value = Talk> {
    prop_oneof![
        18 => vec(step(), 0..7).prop_map(Talk::Http1),
        4 => vec(step(), 0..5).prop_map(|steps| {
            Talk::Http1([Step::Upgrade].into_iter().chain(steps).collect())
        }),
        12 => vec(http2_step(), 0..7).prop_map(Talk::Http2),
        1 => (1..24_u8).prop_map(Talk::PartOfPreface),
    ]
}

fn http2_step() -> impl Strategy<Value = Http2Step> {
    let flood = prop_oneof![
        Just(Flood::Resets),
        Just(Flood::Fields),
        Just(Flood::Pings),
        Just(Flood::Settings),
    ];
    prop_oneof![
        8 => (1..6_u8).prop_map(Http2Step::Get),
        2 => Just(Http2Step::Post),
        2 => Just(Http2Step::Slow),
        2 => prop_oneof![Just(0), Just(12), Just(4096)].prop_map(Http2Step::Never),
        1 => Just(Http2Step::Panic),
        1 => Just(Http2Step::HalfBody),
        4 => Just(Http2Step::Session),
        4 => Just(Http2Step::Reset),
        1 => Just(Http2Step::GoAway),
        1 => Just(Http2Step::HalfFrame),
        1 => Just(Http2Step::Fault),
        1 => flood.prop_map(Http2Step::Flood),
        6 => Just(Http2Step::Read),
    ]
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
