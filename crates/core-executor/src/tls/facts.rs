//! What a TLS handshake found out.

use bytes::Bytes;
use rustls::{ProtocolVersion, ServerConnection};
use std::fmt;

/// Protocols we speak inside TLS, the preferred one first (ALPN, RFC 7301).
pub(super) const PROTOCOLS: [&str; 2] = [HTTP2, "http/1.1"];

/// HTTP/2 over TLS (RFC 9113 §3.2).
const HTTP2: &str = "h2";

/// What a TLS handshake found out about a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsFacts {
    /// The version that was agreed on.
    pub version: TlsVersion,
    /// The cipher suite, by its name in the IANA registry.
    pub cipher: &'static str,
    /// The protocol that was agreed on by ALPN (RFC 7301): `h2` or `http/1.1`; nothing when the client offered none.
    pub alpn: Option<&'static str>,
    /// The host name the client asked for (SNI, RFC 6066 §3): a valid DNS name, but the client's word.
    pub server_name: Option<Box<str>>,
    /// The client's certificate in DER, where [`ClientAuth`](crate::ClientAuth) asked for one and it was verified.
    pub client_certificate: Option<Bytes>,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

impl fmt::Display for TlsVersion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Tls12 => "TLS 1.2",
            Self::Tls13 => "TLS 1.3",
        })
    }
}

impl TlsFacts {
    pub(crate) fn is_http2(&self) -> bool {
        self.alpn == Some(HTTP2)
    }

    /// Of a handshake that is complete.
    pub(super) fn of(connection: &ServerConnection) -> Self {
        let agreed = connection.alpn_protocol();
        let end_entity = connection.peer_certificates().and_then(<[_]>::first);
        Self {
            version: match connection.protocol_version() {
                Some(ProtocolVersion::TLSv1_2) => TlsVersion::Tls12,
                _ => TlsVersion::Tls13,
            },
            cipher: connection
                .negotiated_cipher_suite()
                .and_then(|suite| suite.suite().as_str())
                .unwrap_or("unknown"),
            alpn: PROTOCOLS
                .into_iter()
                .find(|protocol| Some(protocol.as_bytes()) == agreed),
            server_name: connection.server_name().map(Into::into),
            client_certificate: end_entity.map(|certificate| Bytes::copy_from_slice(certificate)),
        }
    }
}
