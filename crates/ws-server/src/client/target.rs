//! Where a client connects to: the parts of a WebSocket address (RFC 6455 §3).

use http::Uri;

use super::error::ClientError;

/// The parts of a `ws://` or `wss://` address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) is_tls: bool,
    /// A name or an address, without the brackets of IPv6.
    pub(super) host: String,
    pub(super) port: u16,
    /// What stands in the `Host` header: without the port when it is the scheme's own.
    pub(super) host_header: String,
    /// Path and query.
    pub(super) resource: String,
}

impl Target {
    pub(super) fn parse(url: &str) -> Result<Self, ClientError> {
        if url.contains('#') {
            return Err(bad("it has a fragment"));
        }
        let uri: Uri = url.parse().map_err(|_| bad("it cannot be read"))?;
        let is_tls = match uri.scheme_str() {
            Some(scheme) if scheme.eq_ignore_ascii_case("ws") => false,
            Some(scheme) if scheme.eq_ignore_ascii_case("wss") => true,
            _ => return Err(bad("its scheme is neither ws nor wss")),
        };
        let authority = uri.authority().ok_or(bad("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(bad("it has credentials, which belong in an Authorization header"));
        }
        let bare = authority.host();
        if bare.is_empty() {
            return Err(bad("it has no host"));
        }
        let own_port = if is_tls { 443 } else { 80 };
        let port = match authority.as_str()[bare.len()..].strip_prefix(':') {
            Some(digits) => digits.parse().map_err(|_| bad("its port is no port"))?,
            None => own_port,
        };
        let host_header = if port == own_port {
            bare.to_owned()
        } else {
            format!("{bare}:{port}")
        };
        let resource = match (uri.path(), uri.query()) {
            (path, None) => path.to_owned(),
            ("", Some(query)) => format!("/?{query}"),
            (path, Some(query)) => format!("{path}?{query}"),
        };
        Ok(Self {
            is_tls,
            host: bare.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port,
            host_header,
            resource: if resource.is_empty() {
                "/".to_owned()
            } else {
                resource
            },
        })
    }
}

const fn bad(rule: &'static str) -> ClientError {
    ClientError::BadUrl { rule }
}

#[cfg(test)]
mod tests {
    use super::Target;

    #[test]
    fn the_parts_of_an_address() {
        let rows = [
            ("ws://example.com", "example.com", 80, "example.com", "/"),
            ("ws://example.com:80/a", "example.com", 80, "example.com", "/a"),
            (
                "ws://example.com:443/",
                "example.com",
                443,
                "example.com:443",
                "/",
            ),
            (
                "wss://example.com/a%20b",
                "example.com",
                443,
                "example.com",
                "/a%20b",
            ),
            (
                "WS://localhost:9090/chat?room=1&x",
                "localhost",
                9090,
                "localhost:9090",
                "/chat?room=1&x",
            ),
            ("ws://[::1]:9090?x=1", "::1", 9090, "[::1]:9090", "/?x=1"),
        ];
        for (url, host, port, host_header, resource) in rows {
            let target = Target::parse(url).unwrap();
            assert_eq!(target.is_tls, url.starts_with("wss"), "{url}");
            assert_eq!(
                (
                    target.host.as_str(),
                    target.port,
                    target.host_header.as_str(),
                    target.resource.as_str()
                ),
                (host, port, host_header, resource),
                "{url}"
            );
        }
    }

    #[test]
    fn what_is_no_websocket_address() {
        for url in [
            "",
            "example.com",
            "/path",
            "http://example.com/",
            "ws:///path",
            "ws://",
            "ws://a b/",
            "ws://user:secret@example.com/",
            "ws://example.com/#part",
            "ws://example.com:70000/",
            "ws://example.com:/",
            "ws://example.com:x/",
            "ws://:80/",
            "ws://h/\r\nX: y",
        ] {
            let refused = Target::parse(url).unwrap_err().to_string();
            assert!(
                refused.starts_with("the WebSocket address cannot be used: "),
                "{url}: {refused}"
            );
            assert!(!refused.contains("secret"), "{refused}");
        }
    }
}
