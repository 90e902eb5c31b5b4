//! Why connections are refused, as metrics name it.

use crate::LimitReached;

/// Why a connection was refused, ended or held up before its peer wanted. The `reason` of
/// `*_connections_refused_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefusedFor {
    /// `total`: as many connections as there may be ([`LimitReached::Total`]).
    Total,
    /// `address`: as many from its address as there may be ([`LimitReached::Address`]).
    Address,
    /// `first_byte_timeout`: it said nothing for [`first_byte_timeout`](crate::ConnectionLimits::first_byte_timeout).
    FirstByteTimeout,
    /// `head_timeout`: a head took longer than [`head_timeout`](crate::ConnectionLimits::head_timeout).
    HeadTimeout,
    /// `body_stall`: a body stopped for [`body_stall_timeout`](crate::ConnectionLimits::body_stall_timeout); on HTTP/2,
    /// where the connection goes on, each such request.
    BodyStall,
    /// `idle`: no next request came for [`keep_alive`](crate::ConnectionLimits::keep_alive).
    Idle,
    /// `write_stall`: nothing was taken for [`write_stall_timeout`](crate::ConnectionLimits::write_stall_timeout).
    WriteStall,
    /// `head_size`: more than [`max_head_size`](crate::ConnectionLimits::max_head_size); on HTTP/2, where the
    /// connection goes on, each such request of up to twice the limit.
    HeadSize,
    /// `headers`: more than [`max_headers`](crate::ConnectionLimits::max_headers); on HTTP/2, where the connection goes
    /// on, each such request.
    HeaderCount,
    /// `malformed`: not HTTP, or a version or coding of it that is not spoken here; on HTTP/2 also a flood.
    Malformed,
    /// `pipelined`: not refused, but not read for a while, which is counted once for a connection, at
    /// [`max_pipelined_requests`](crate::ConnectionLimits::max_pipelined_requests).
    Pipelined,
}

impl RefusedFor {
    /// Every reason there is.
    pub const ALL: &[Self] = &[
        Self::Total,
        Self::Address,
        Self::FirstByteTimeout,
        Self::HeadTimeout,
        Self::BodyStall,
        Self::Idle,
        Self::WriteStall,
        Self::HeadSize,
        Self::HeaderCount,
        Self::Malformed,
        Self::Pipelined,
    ];

    /// The value of the label `reason`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::Address => "address",
            Self::FirstByteTimeout => "first_byte_timeout",
            Self::HeadTimeout => "head_timeout",
            Self::BodyStall => "body_stall",
            Self::Idle => "idle",
            Self::WriteStall => "write_stall",
            Self::HeadSize => "head_size",
            Self::HeaderCount => "headers",
            Self::Malformed => "malformed",
            Self::Pipelined => "pipelined",
        }
    }
}

impl From<LimitReached> for RefusedFor {
    fn from(limit: LimitReached) -> Self {
        match limit {
            LimitReached::Total => Self::Total,
            LimitReached::Address => Self::Address,
        }
    }
}
