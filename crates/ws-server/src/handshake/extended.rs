//! The opening handshake on one stream of an HTTP/2 connection: an extended CONNECT (RFC 8441 §4 and §5).

use http::header::HOST;
use http::{HeaderValue, Request, StatusCode, Version};
use hyper::ext::Protocol;

use super::{check_body, check_version, single};
use crate::refusal::Refusal;

/// The protocol's name in `:protocol`.
const WEBSOCKET: &str = "websocket";

/// Checks every rule of an extended CONNECT. There is no key to check: HTTP/2 needs no proof that the server means it.
pub(super) fn check<B>(request: &Request<B>) -> Result<(), Refusal> {
    let headers = request.headers();
    let Some(protocol) = request.extensions().get::<Protocol>() else {
        return Err(Refusal::fixed(
            StatusCode::METHOD_NOT_ALLOWED,
            "a WebSocket handshake is a GET request, or on HTTP/2 a CONNECT with :protocol",
        ));
    };
    if request.version() != Version::HTTP_2 {
        return Err(Refusal::bad_request("an extended CONNECT needs HTTP/2"));
    }
    if !protocol.as_str().eq_ignore_ascii_case(WEBSOCKET) {
        // RFC 8441 §4 leaves the status open; RFC 9220 §3 names this one.
        return Err(Refusal::fixed(
            StatusCode::NOT_IMPLEMENTED,
            "websocket is the only protocol that is spoken",
        ));
    }
    let authority = request
        .uri()
        .authority()
        .ok_or(Refusal::bad_request("missing :authority"))?;
    match single(headers, &HOST)? {
        // RFC 9113 §8.3.1: a Host that differs makes the request malformed.
        Some(host) if host.as_bytes() != authority.as_str().as_bytes() => {
            return Err(Refusal::bad_request("Host and :authority differ"));
        }
        _ => {}
    }
    check_body(headers)?;
    check_version(headers)
}

/// Gives a handshake on HTTP/2 the form it has on HTTP/1.1, so that rules and hooks see one: the authority as `Host`,
/// and a target that begins with the path.
pub(crate) fn normalize<B>(request: &mut Request<B>) {
    let Some(authority) = request.uri().authority() else {
        return;
    };
    if let Ok(host) = HeaderValue::from_str(authority.as_str()) {
        request.headers_mut().insert(HOST, host);
    }
    let target = request.uri().path_and_query().cloned();
    *request.uri_mut() = target.map_or_else(Default::default, Into::into);
}

#[cfg(test)]
mod tests {
    use super::super::{Granted, check as check_with};
    use super::normalize;
    use crate::config::WsConfig;
    use http::{Method, Request, Version};
    use hyper::ext::Protocol;

    /// The example of RFC 8441 §5.1.
    const GOOD: &[(&str, &str)] = &[
        ("sec-websocket-protocol", "chat, superchat"),
        ("sec-websocket-extensions", "permessage-deflate"),
        ("sec-websocket-version", "13"),
        ("origin", "http://www.example.com"),
    ];

    fn request(headers: &[(&str, &str)]) -> Request<()> {
        let mut builder = Request::builder()
            .method(Method::CONNECT)
            .uri("https://server.example.com/chat?room=1")
            .version(Version::HTTP_2)
            .extension(Protocol::from_static("websocket"));
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(()).unwrap()
    }

    fn check(request: &Request<()>) -> Result<Granted, u16> {
        let config = WsConfig {
            subprotocols: vec!["chat".to_owned()],
            ..WsConfig::default()
        };
        check_with(request, &config, false).map_err(|refusal| refusal.status().as_u16())
    }

    #[test]
    fn the_example_of_rfc_8441_section_5_1() {
        let answer = check(&request(GOOD)).unwrap().opening();
        assert_eq!(answer.status(), 200);
        let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap());
        assert_eq!(header("sec-websocket-protocol"), Some("chat"));
        assert!(
            header("sec-websocket-extensions")
                .unwrap()
                .starts_with("permessage-deflate")
        );
        for name in ["sec-websocket-accept", "upgrade", "connection"] {
            assert_eq!(header(name), None);
        }
    }

    #[test]
    fn what_is_refused_and_how() {
        let changed = |change: &dyn Fn(&mut Request<()>)| {
            let mut request = request(GOOD);
            change(&mut request);
            check(&request).map(|_| 200).unwrap_or_else(|status| status)
        };
        type Change<'a> = (&'a str, u16, &'a dyn Fn(&mut Request<()>));
        let rows: &[Change<'_>] = &[
            ("as it is", 200, &|_| {}),
            ("RFC 9110 §9.3.6: a tunnel", 405, &|request| {
                request.extensions_mut().remove::<Protocol>();
            }),
            ("RFC 9220 §3: another protocol", 501, &|request| {
                request
                    .extensions_mut()
                    .insert(Protocol::from_static("connect-udp"));
            }),
            ("another case", 200, &|request| {
                request
                    .extensions_mut()
                    .insert(Protocol::from_static("WebSocket"));
            }),
            ("not HTTP/2", 400, &|request| {
                *request.version_mut() = Version::HTTP_11
            }),
            ("RFC 8441 §4: no :authority", 400, &|request| {
                *request.uri_mut() = "/chat".parse().unwrap();
            }),
            ("RFC 9113 §8.3.1: the same Host", 200, &|request| {
                let host = "server.example.com".parse().unwrap();
                request.headers_mut().insert("host", host);
            }),
            ("RFC 9113 §8.3.1: another Host", 400, &|request| {
                request
                    .headers_mut()
                    .insert("host", "evil.example".parse().unwrap());
            }),
            ("RFC 6455 §4.4: no version", 426, &|request| {
                request.headers_mut().remove("sec-websocket-version");
            }),
            ("RFC 6455 §4.4: another version", 426, &|request| {
                let version = "8".parse().unwrap();
                request.headers_mut().insert("sec-websocket-version", version);
            }),
            ("two versions", 400, &|request| {
                let version = "13".parse().unwrap();
                request.headers_mut().append("sec-websocket-version", version);
            }),
            ("RFC 8441 §5: a key is not looked at", 200, &|request| {
                request
                    .headers_mut()
                    .insert("sec-websocket-key", "x".parse().unwrap());
            }),
            ("a body", 400, &|request| {
                request
                    .headers_mut()
                    .insert("content-length", "5".parse().unwrap());
            }),
            ("a malformed subprotocol", 400, &|request| {
                let offered = "a b".parse().unwrap();
                request.headers_mut().insert("sec-websocket-protocol", offered);
            }),
        ];
        for (what, expected, change) in rows {
            assert_eq!(changed(change), *expected, "{what}");
        }
    }

    #[test]
    fn hooks_see_one_form() {
        let mut request = request(GOOD);
        normalize(&mut request);
        assert_eq!(request.uri(), "/chat?room=1");
        assert_eq!(request.headers()["host"], "server.example.com");
    }
}
