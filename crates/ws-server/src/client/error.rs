//! Why a client could not connect, send or go on.

use std::io;
use std::time::Duration;

use core_executor::ExecutorError;
use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};

/// What can go wrong with a client's connection. `Display` tells this level only, `source()` the rest.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The address is no WebSocket address (RFC 6455 §3).
    #[error("the WebSocket address cannot be used: {rule}")]
    BadUrl {
        /// What is wrong with it. The address itself is left out: it may hold credentials.
        rule: &'static str,
    },
    /// `wss://` was asked for. [`WsClient::connect_over`](super::WsClient::connect_over) takes a stream that is
    /// encrypted already.
    #[error("wss:// needs a stream that is encrypted already, this client opens plain TCP alone")]
    TlsNotSupported,
    /// A header of [`ClientConfig::headers`](super::ClientConfig::headers) belongs to the handshake itself.
    #[error("the header {name} belongs to the handshake")]
    ReservedHeader {
        /// The header's name.
        name: http::HeaderName,
    },
    /// A name of [`ClientConfig::subprotocols`](super::ClientConfig::subprotocols) is no token (RFC 9110 §5.6.2) or
    /// stands there twice.
    #[error("the subprotocol {name:?} cannot be offered")]
    BadSubprotocol {
        /// The name.
        name: String,
    },
    /// No TCP connection came about: no such host, nobody listening, no route.
    #[error("no connection to {address}")]
    Connect {
        /// Host and port.
        address: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Connection and handshake were not done within
    /// [`ClientConfig::handshake_timeout`](super::ClientConfig::handshake_timeout).
    #[error("the handshake was not done within {limit:?}")]
    HandshakeTimeout {
        /// The limit.
        limit: Duration,
    },
    /// The server answered the handshake with another status than 101. Redirects are not followed.
    #[error("the server refused the handshake with status {status}")]
    Refused {
        /// The status of the answer.
        status: StatusCode,
        /// Its headers. Not to be logged unescaped: the server chooses them.
        headers: Box<HeaderMap>,
    },
    /// The head of the server's answer is longer than
    /// [`ClientConfig::max_head_size`](super::ClientConfig::max_head_size).
    #[error("the head of the server's answer is over {limit} bytes")]
    HeadTooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// The server's answer to the handshake breaks a rule of RFC 6455 §4.1, so the connection was given up.
    #[error("the server's answer to the handshake is wrong: {rule}")]
    BadAnswer {
        /// The rule.
        rule: &'static str,
    },
    /// The server broke a rule of RFC 6455 or a limit of ours.
    #[error("the server broke the protocol: {rule} (close code {code})")]
    Protocol {
        /// The close code it was sent.
        code: u16,
        /// The rule.
        rule: &'static str,
    },
    /// The connection ended or failed without a Close.
    #[error("the connection was lost")]
    Lost(#[source] io::Error),
    /// No byte came for [`ClientConfig::pong_timeout`](super::ClientConfig::pong_timeout) after a ping.
    #[error("the server did not answer a ping within {limit:?}")]
    NoPong {
        /// The limit.
        limit: Duration,
    },
    /// The server took no byte for [`ClientConfig::write_stall_timeout`](super::ClientConfig::write_stall_timeout).
    #[error("the server took nothing for {limit:?}")]
    Stalled {
        /// The limit.
        limit: Duration,
    },
    /// The connection is closed, or closes: nothing can be sent any more.
    #[error("the connection is closed")]
    Closed,
    /// What may wait to be sent is at its limit.
    #[error("too much waits to be sent")]
    Full,
    /// Only text and binary messages can be sent; control frames belong to the connection.
    #[error("only text and binary messages can be sent")]
    NotAMessage,
    /// The code may not stand in a Close frame (RFC 6455 §7.4).
    #[error("the close code {code} may not be sent")]
    BadCloseCode {
        /// The code.
        code: u16,
    },
    /// The executor takes no task.
    #[error("the executor takes no task for the connection")]
    Executor(#[source] ExecutorError),
    /// The executor ended, and the connection's task with it.
    #[error("the executor ended")]
    ExecutorEnded,
}

impl ClientError {
    /// Whether the same attempt may succeed later. What only another address, configuration or server can mend is
    /// not temporary; of refusals, the statuses 408, 425, 429 and all from 500 on are.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Connect { .. }
            | Self::HandshakeTimeout { .. }
            | Self::Lost(_)
            | Self::NoPong { .. }
            | Self::Stalled { .. }
            | Self::Closed
            | Self::Full => true,
            Self::Refused { status, .. } => {
                status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429)
            }
            Self::BadUrl { .. }
            | Self::TlsNotSupported
            | Self::ReservedHeader { .. }
            | Self::BadSubprotocol { .. }
            | Self::HeadTooLong { .. }
            | Self::BadAnswer { .. }
            | Self::Protocol { .. }
            | Self::NotAMessage
            | Self::BadCloseCode { .. }
            | Self::Executor(_)
            | Self::ExecutorEnded => false,
        }
    }

    /// When the server that refused asks to be tried again: its `Retry-After`, if that is a number of seconds
    /// (RFC 9110 §10.2.3).
    pub fn retry_after(&self) -> Option<Duration> {
        let Self::Refused { headers, .. } = self else {
            return None;
        };
        let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
        Some(Duration::from_secs(seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::ClientError;
    use http::{HeaderMap, HeaderValue, StatusCode};
    use std::error::Error;
    use std::io;
    use std::time::Duration;

    fn refused(status: u16, retry: &'static str) -> ClientError {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", HeaderValue::from_static(retry));
        ClientError::Refused {
            status: StatusCode::from_u16(status).unwrap(),
            headers: Box::new(headers),
        }
    }

    #[test]
    fn what_can_be_tried_again_and_when() {
        for (status, expected) in [(400, false), (403, false), (408, true), (429, true), (503, true)] {
            assert_eq!(refused(status, "7").is_temporary(), expected, "{status}");
        }
        assert_eq!(refused(503, "7").retry_after(), Some(Duration::from_secs(7)));
        assert_eq!(refused(503, "Fri, 31 Dec 1999 23:59:59 GMT").retry_after(), None);
        assert!(!ClientError::TlsNotSupported.is_temporary());
        assert_eq!(ClientError::Closed.retry_after(), None);
    }

    #[test]
    fn each_level_tells_its_own() {
        let error = ClientError::Lost(io::Error::other("the cause"));
        assert_eq!(error.to_string(), "the connection was lost");
        assert_eq!(error.source().unwrap().to_string(), "the cause");
    }
}
