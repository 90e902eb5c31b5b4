//! The opening handshake as a table.

use super::{Granted, check as check_with, is_key};
use crate::config::WsConfig;
use crate::refusal::Refusal;
use http::{Request, Version};

const GOOD: &[(&str, &str)] = &[
    ("host", "server.example.com"),
    ("upgrade", "websocket"),
    ("connection", "Upgrade"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("sec-websocket-version", "13"),
];

fn request(headers: &[(&str, &str)]) -> Request<()> {
    let mut builder = Request::get("/chat").version(Version::HTTP_11);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(()).unwrap()
}

fn check(request: &Request<()>) -> Result<Granted, Refusal> {
    check_with(request, &WsConfig::default(), false)
}

fn status(request: &Request<()>) -> u16 {
    check(request).map_or_else(|refusal| refusal.status().as_u16(), |_| 101)
}

fn with(name: &str, values: &[&str]) -> Request<()> {
    let mut headers: Vec<_> = GOOD.iter().copied().filter(|(known, _)| *known != name).collect();
    headers.extend(values.iter().map(|value| (name, *value)));
    request(&headers)
}

#[test]
fn the_example_of_rfc_6455_section_1_3() {
    assert_eq!(
        check(&request(GOOD)).unwrap().accept.as_deref(),
        Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    );
}

#[test]
fn each_header_missing_wrong_or_doubled() {
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    let rows: &[(&str, &[&str], u16)] = &[
        ("host", &[], 400),
        ("host", &[""], 400),
        ("host", &["a", "a"], 400),
        ("upgrade", &[], 426),
        ("upgrade", &["h2c"], 426),
        ("upgrade", &["h2c, WebSocket"], 101),
        ("upgrade", &["websocket", "websocket"], 400),
        ("connection", &["upgrade, Upgrade"], 400),
        ("connection", &[], 400),
        ("connection", &["close"], 400),
        ("connection", &["keep-alive, upgrade"], 101),
        ("connection", &["keep-alive", "UPGRADE"], 101),
        ("connection", &["upgraded"], 400),
        ("sec-websocket-version", &[], 426),
        ("sec-websocket-version", &["8"], 426),
        ("sec-websocket-version", &["13, 8"], 426),
        ("sec-websocket-version", &["13", "13"], 400),
        ("sec-websocket-key", &[], 400),
        ("sec-websocket-key", &[""], 400),
        ("sec-websocket-key", &[key, key], 400),
        ("sec-websocket-key", &["dGhlIHNhbXBsZSBub25j"], 400),
        ("sec-websocket-key", &["dGhlIHNhbXBsZSBub25jZQ"], 400),
        ("sec-websocket-key", &["dGhlIHNhbXBsZSBub25jZTE="], 400),
        ("content-length", &["0"], 101),
        ("content-length", &["5"], 400),
        ("transfer-encoding", &["chunked"], 400),
        ("sec-websocket-protocol", &["chat"], 101),
    ];
    for (name, values, expected) in rows {
        assert_eq!(status(&with(name, values)), *expected, "{name}: {values:?}");
    }
}

#[test]
fn only_get_and_only_http_1_1() {
    for (method, expected) in [("POST", 405), ("HEAD", 405), ("CONNECT", 405), ("GET", 101)] {
        let mut request = request(GOOD);
        *request.method_mut() = method.parse().unwrap();
        assert_eq!(status(&request), expected, "{method}");
    }
    for version in [
        Version::HTTP_09,
        Version::HTTP_10,
        Version::HTTP_2,
        Version::HTTP_3,
    ] {
        let mut request = request(GOOD);
        *request.version_mut() = version;
        assert_eq!(status(&request), 400, "{version:?}");
    }
}

#[test]
fn a_key_is_16_bytes() {
    assert!(is_key(b"AAAAAAAAAAAAAAAAAAAAAA=="));
    assert!(!is_key(b"AAAAAAAAAAAAAAAAAAAA=A=="));
    assert!(!is_key(b"AAAAAAAAAAAAAAAAAAAAA-=="));
}

/// RFC 6455 §4.2.2 item 5: one of those offered, or none.
#[test]
fn the_first_offered_subprotocol_that_is_spoken() {
    type Row<'a> = (&'a [&'a str], &'a [&'a str], Result<Option<&'a str>, u16>);
    let rows: &[Row<'_>] = &[
        (&["chat"], &[], Ok(None)),
        (&["chat"], &["chat"], Ok(Some("chat"))),
        (&["chat"], &["superchat"], Ok(None)),
        (
            &["chat", "superchat"],
            &["superchat, chat"],
            Ok(Some("superchat")),
        ),
        (&["chat"], &["a", "b , chat"], Ok(Some("chat"))),
        (&["chat"], &["Chat"], Ok(None)),
        (&["chat"], &["chat, chat"], Err(400)),
        (&["chat"], &["ch at"], Err(400)),
        (&["chat"], &["chat;q=1"], Err(400)),
    ];
    for (spoken, offered, expected) in rows {
        let config = WsConfig {
            subprotocols: spoken.iter().map(|name| (*name).to_owned()).collect(),
            ..WsConfig::default()
        };
        let granted = check_with(&with("sec-websocket-protocol", offered), &config, false);
        let answer = granted.as_ref().ok().map(Granted::opening);
        let header = answer.and_then(|answer| answer.headers().get("sec-websocket-protocol").cloned());
        let chosen = granted
            .map(|granted| granted.subprotocol)
            .map_err(|refusal| refusal.status().as_u16());
        assert_eq!(
            chosen.as_ref().map(Option::as_deref),
            expected.as_ref().copied(),
            "{offered:?}"
        );
        assert_eq!(
            header.as_ref().and_then(|header| header.to_str().ok()),
            expected.ok().flatten()
        );
    }
}

/// RFC 7692 §5.1 and RFC 6455 §9.1.
#[test]
fn extensions_are_answered_declined_or_malformed() {
    let answer = |value: &str, enable_deflate| {
        let config = WsConfig {
            enable_deflate,
            ..WsConfig::default()
        };
        let granted = check_with(&with("sec-websocket-extensions", &[value]), &config, false)
            .map_err(|refusal| refusal.status().as_u16())?;
        let header = granted
            .opening()
            .headers()
            .get("sec-websocket-extensions")
            .cloned();
        assert_eq!(header.is_some(), granted.negotiated().is_some());
        Ok(header.map(|header| header.to_str().unwrap().to_owned()))
    };
    let shared = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    assert_eq!(answer("permessage-deflate", true), Ok(Some(shared.to_owned())));
    assert_eq!(answer("permessage-deflate", false), Ok(None));
    assert_eq!(
        answer("permessage-deflate; server_max_window_bits=8", true),
        Ok(None)
    );
    assert_eq!(answer("permessage-deflate; =", true), Err(400));
}
