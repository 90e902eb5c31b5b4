//! The Origin rule (RFC 6455 §10.2): absent, same host, or listed; everything else is somebody else's page.

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, StatusCode};

use crate::refusal::Refusal;

const FOREIGN: Refusal = Refusal::fixed(StatusCode::FORBIDDEN, "origin not allowed");

/// Checks the `Origin` header of a request against its `Host` and the list of allowed origins.
pub(crate) fn check_origin(headers: &HeaderMap, allowed: &[String]) -> Result<(), Refusal> {
    let mut origins = headers.get_all(ORIGIN).iter();
    let Some(origin) = origins.next() else {
        return Ok(());
    };
    if origins.next().is_some() {
        return Err(Refusal::bad_request("more than one Origin header"));
    }
    let origin = origin.to_str().map_err(|_| FOREIGN)?;
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let is_same_host = || match (host_of_origin(origin), host.and_then(host_without_port)) {
        (Some(theirs), Some(ours)) => theirs.eq_ignore_ascii_case(ours),
        _ => false,
    };
    let is_listed = || allowed.iter().any(|entry| allows(entry, origin));
    if is_same_host() || is_listed() {
        Ok(())
    } else {
        Err(FOREIGN)
    }
}

/// `*` allows all, an entry with a scheme one origin, a bare host name any scheme and port of that host.
fn allows(entry: &str, origin: &str) -> bool {
    if entry == "*" {
        return true;
    }
    if entry.contains("://") {
        return entry.trim_end_matches('/').eq_ignore_ascii_case(origin);
    }
    host_of_origin(origin).is_some_and(|host| host.eq_ignore_ascii_case(entry))
}

/// The host of `scheme://host[:port]`; nothing for `null` and whatever has more parts than that.
fn host_of_origin(origin: &str) -> Option<&str> {
    let (scheme, authority) = origin.split_once("://")?;
    let is_scheme = scheme
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    if scheme.is_empty() || !is_scheme {
        return None;
    }
    host_without_port(authority)
}

/// The host of `host[:port]`, an IPv6 address with its brackets.
fn host_without_port(authority: &str) -> Option<&str> {
    if authority.contains(['/', '@', '?', '#', '\\']) {
        return None;
    }
    let end = match authority.starts_with('[') {
        true => authority.find(']')? + 1,
        false => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at(end);
    let is_port = port.is_empty()
        || port
            .strip_prefix(':')
            .is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    (is_port && !host.is_empty()).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::check_origin;
    use http::{HeaderMap, HeaderValue, StatusCode};

    fn status(host: &str, origins: &[&'static str], allowed: &[&str]) -> Option<StatusCode> {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_str(host).unwrap());
        for origin in origins {
            headers.append("origin", HeaderValue::from_static(origin));
        }
        let allowed: Vec<String> = allowed.iter().map(|entry| (*entry).to_owned()).collect();
        check_origin(&headers, &allowed)
            .err()
            .map(|refusal| refusal.status())
    }

    #[test]
    fn absent_or_same_host_at_any_port_is_allowed() {
        for (host, origins) in [
            ("a.example", &[][..]),
            ("a.example", &["https://a.example"]),
            ("a.example:9090", &["http://a.example:8080"]),
            ("A.Example:9090", &["http://a.eXample"]),
            ("[::1]:9090", &["http://[::1]:8080"]),
            ("127.0.0.1:1", &["http://127.0.0.1"]),
        ] {
            assert_eq!(status(host, origins, &[]), None, "{host} {origins:?}");
        }
    }

    #[test]
    fn anything_else_is_forbidden_unless_listed() {
        for origin in [
            "https://evil.example",
            "https://a.example.evil.example",
            "https://evil.example/a.example",
            "https://a.example@evil.example",
            "https://evil.example#a.example",
            "https://a.example:port",
            "https://a.example:80:80",
            "null",
            "",
            "a.example",
            "://a.example",
            "https://",
            "https://[a.example",
        ] {
            assert_eq!(
                status("a.example", &[origin], &[]),
                Some(StatusCode::FORBIDDEN),
                "{origin}"
            );
        }
        let origin = &["https://app.example:8443"];
        for (entry, allowed) in [
            ("https://app.example:8443", true),
            ("HTTPS://APP.example:8443/", true),
            ("app.example", true),
            ("*", true),
            ("https://app.example", false),
            ("http://app.example:8443", false),
            ("example", false),
        ] {
            assert_eq!(
                status("a.example", origin, &[entry]).is_none(),
                allowed,
                "{entry}"
            );
        }
        assert_eq!(status("a.example", &["null"], &["*"]), None);
    }

    #[test]
    fn two_origins_are_a_bad_request() {
        let two = &["https://a.example", "https://a.example"];
        assert_eq!(status("a.example", two, &["*"]), Some(StatusCode::BAD_REQUEST));
    }
}
