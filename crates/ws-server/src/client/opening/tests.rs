//! What is asked, and each wrong answer.

use super::{Opening, head_len};
use crate::client::target::Target;
use crate::client::{ClientConfig, ClientError};
use http::HeaderMap;

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const GOOD: &[(&str, &str)] = &[
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
];

fn config(subprotocols: &[&str], headers: &[(&'static str, &str)]) -> ClientConfig {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, value.parse().unwrap());
    }
    ClientConfig {
        headers: map,
        subprotocols: subprotocols.iter().map(|name| (*name).to_owned()).collect(),
        ..ClientConfig::default()
    }
}

fn opening(config: &ClientConfig) -> Result<Opening, ClientError> {
    let target = Target::parse("ws://server.example.com/chat?room=1").unwrap();
    Opening::with_key(&target, config, KEY)
}

fn head(first: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut head = format!("{first}\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    (head + "\r\n").into_bytes()
}

/// `GOOD` with other values of one header.
fn with(name: &str, values: &[&'static str]) -> Vec<u8> {
    let others = GOOD.iter().copied().filter(|(known, _)| *known != name);
    let headers: Vec<_> = others.chain(values.iter().map(|value| (name, *value))).collect();
    head("HTTP/1.1 101 Switching Protocols", &headers)
}

/// The rule that an answer breaks; empty when it breaks none.
fn rule(offered: &[&str], head: &[u8]) -> String {
    match opening(&config(offered, &[])).unwrap().check(head) {
        Ok(_) => String::new(),
        Err(ClientError::BadAnswer { rule }) => rule.to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_request_has_what_rfc_6455_section_4_1_asks_for() {
    let config = config(
        &["chat.v2", "chat"],
        &[
            ("origin", "https://a.example"),
            ("cookie", "a=1"),
            ("cookie", "b=2"),
        ],
    );
    let opening = opening(&config).unwrap();
    let request = str::from_utf8(opening.request()).unwrap();
    assert_eq!(
        request,
        "GET /chat?room=1 HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: chat.v2, chat\r\norigin: https://a.example\r\ncookie: a=1\r\ncookie: b=2\r\n\r\n"
    );
}

#[test]
fn every_handshake_has_a_key_of_its_own() {
    let target = Target::parse("ws://a.example/").unwrap();
    let request = || Opening::new(&target, &ClientConfig::default()).unwrap().request;
    assert_ne!(request(), request());
}

#[test]
fn headers_and_subprotocols_that_cannot_be_sent() {
    for name in [
        "host",
        "connection",
        "sec-websocket-key",
        "sec-websocket-extensions",
        "transfer-encoding",
    ] {
        let refused = opening(&config(&[], &[(name, "x")])).unwrap_err();
        assert!(
            matches!(refused, ClientError::ReservedHeader { name: found } if found == name),
            "{name}"
        );
    }
    for names in [&[""][..], &["a b"], &["a,b"], &["a\r\nX: y"], &["ü"], &["a", "a"]] {
        let refused = opening(&config(names, &[])).unwrap_err();
        assert!(matches!(refused, ClientError::BadSubprotocol { .. }), "{names:?}");
    }
}

/// RFC 6455 §4.1, what the client checks 1 to 6.
#[test]
fn each_header_of_the_answer_missing_wrong_or_doubled() {
    let accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
    let upgrade = "its Upgrade header is not websocket";
    let connection = "its Connection header does not say upgrade";
    let key = "its Sec-WebSocket-Accept does not belong to our key";
    let twice = "a header that may stand once stands there twice";
    let extension = "it has an extension that was not offered";
    let subprotocol = "it has a subprotocol that was not offered";
    let body = "it has a body";
    let rows: &[(&str, &[&'static str], &str)] = &[
        ("Upgrade", &["WebSocket"], ""),
        ("Upgrade", &[], upgrade),
        ("Upgrade", &["h2c"], upgrade),
        ("Upgrade", &["websocket, h2c"], upgrade),
        ("Upgrade", &["websocket", "websocket"], twice),
        ("Connection", &["keep-alive, upgrade"], ""),
        ("Connection", &["keep-alive", "UPGRADE"], ""),
        ("Connection", &[], connection),
        ("Connection", &["close"], connection),
        ("Connection", &["upgraded"], connection),
        ("Sec-WebSocket-Accept", &[], key),
        ("Sec-WebSocket-Accept", &[""], key),
        ("Sec-WebSocket-Accept", &[KEY], key),
        ("Sec-WebSocket-Accept", &["S3PPLMBITXAQ9KYGZZHZRBK+XOO="], key),
        ("Sec-WebSocket-Accept", &[accept, accept], twice),
        ("Sec-WebSocket-Extensions", &["permessage-deflate"], extension),
        ("Sec-WebSocket-Extensions", &["x-unknown; a=1"], extension),
        ("Sec-WebSocket-Protocol", &["chat"], ""),
        ("Sec-WebSocket-Protocol", &["Chat"], subprotocol),
        ("Sec-WebSocket-Protocol", &["other"], subprotocol),
        ("Sec-WebSocket-Protocol", &["chat, superchat"], subprotocol),
        ("Sec-WebSocket-Protocol", &[""], subprotocol),
        ("Sec-WebSocket-Protocol", &["chat", "chat"], twice),
        ("Content-Length", &["0"], ""),
        ("Content-Length", &["5"], body),
        ("Transfer-Encoding", &["chunked"], body),
        ("X-Other", &["a", "b"], ""),
    ];
    for (name, values, expected) in rows {
        assert_eq!(
            rule(&["superchat", "chat"], &with(name, values)),
            *expected,
            "{name}: {values:?}"
        );
    }
    assert_eq!(rule(&[], &with("Sec-WebSocket-Protocol", &["chat"])), subprotocol);
}

/// RFC 6455 §9.1, RFC 7692 §5.1 and §7.1.
#[test]
fn compression_is_offered_when_asked_for_and_the_answer_has_to_fit() {
    let offering = ClientConfig {
        enable_deflate: true,
        ..ClientConfig::default()
    };
    let opening = opening(&offering).unwrap();
    let request = str::from_utf8(opening.request()).unwrap();
    let offer = "\r\nSec-WebSocket-Extensions: \
                 permessage-deflate; client_no_context_takeover; client_max_window_bits\r\n";
    assert!(request.contains(offer), "{request}");
    let name = "Sec-WebSocket-Extensions";
    let deflate = |values: &[&'static str]| opening.check(&with(name, values)).map(|agreed| agreed.deflate);
    assert_eq!(deflate(&[]).unwrap(), None, "declined");
    let windows = deflate(&["permessage-deflate; client_max_window_bits=10; server_max_window_bits=9"]);
    let negotiated = windows.unwrap().unwrap();
    assert_eq!(
        (negotiated.outgoing.window_bits, negotiated.incoming.window_bits),
        (10, 9)
    );
    assert!(!negotiated.outgoing.context_takeover && negotiated.incoming.context_takeover);
    let bad: [&[&'static str]; 10] = [
        &["x-unknown"],
        &["permessage-deflate, permessage-deflate"],
        &["permessage-deflate", "permessage-deflate"],
        &["permessage-deflate, x-unknown"],
        &["permessage-deflate; unknown"],
        &["permessage-deflate; client_max_window_bits"],
        &["permessage-deflate; server_max_window_bits=7"],
        &["permessage-deflate; server_max_window_bits=16"],
        &["permessage-deflate; server_no_context_takeover=1"],
        &["permessage-deflate;"],
    ];
    for values in bad {
        assert_eq!(
            deflate(values).unwrap_err().to_string(),
            "the server's answer to the handshake is wrong: its extensions do not fit the offer",
            "{values:?}"
        );
    }
}

#[test]
fn the_subprotocol_is_the_one_that_was_taken() {
    let opening = opening(&config(&["superchat", "chat"], &[])).unwrap();
    let agreed = opening.check(&with("Sec-WebSocket-Protocol", &["chat"])).unwrap();
    assert_eq!(agreed.subprotocol.as_deref(), Some("chat"));
    let agreed = opening.check(&with("X-Other", &["1"])).unwrap();
    assert_eq!(agreed.subprotocol, None, "a server need not take one");
    assert_eq!(agreed.headers["x-other"], "1");
}

#[test]
fn another_status_is_a_refusal_whatever_else_it_says() {
    for (line, status) in [
        ("HTTP/1.1 403 Forbidden", 403),
        ("HTTP/1.1 200 OK", 200),
        ("HTTP/1.1 302 Found", 302),
    ] {
        let opening = opening(&config(&[], &[])).unwrap();
        let refused = opening.check(&head(line, &[GOOD, &[("Location", "/x")]].concat()));
        match refused {
            Err(ClientError::Refused {
                status: found,
                headers,
            }) => {
                assert_eq!(
                    (found.as_u16(), &headers["location"]),
                    (status, &"/x".parse().unwrap())
                );
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn heads_that_are_none() {
    let good = with("X-Other", &["1"]);
    let text = String::from_utf8(good.clone()).unwrap();
    assert_eq!(rule(&[], &good), "");
    for (from, to) in [
        ("HTTP/1.1 101", "HTTP/1.0 101"),
        ("HTTP/1.1 101", "HTTP/1.1 1x1"),
        ("HTTP/1.1 101", "HTTP/1.1  101"),
        ("Upgrade: ", "Upgrade : "),
        ("X-Other: 1\r\n", "X-Other: 1\n"),
        ("X-Other: 1\r\n", "X-Other: 1\r\n folded\r\n"),
        ("X-Other: 1\r\n", "X Other: 1\r\n"),
        ("X-Other: 1\r\n", "no colon\r\n"),
        ("X-Other: 1", "X-Other: 1\0"),
    ] {
        let broken = text.replacen(from, to, 1);
        assert_ne!(broken, text);
        assert_ne!(rule(&[], broken.as_bytes()), "", "{to:?}");
    }
    let crowd = "X: y\r\n".repeat(200);
    assert_ne!(
        rule(&[], text.replace("X-Other: 1\r\n", &crowd).as_bytes()),
        "",
        "too many headers"
    );
}

#[test]
fn the_head_ends_with_the_first_empty_line_however_it_is_cut() {
    let mut bytes = with("X-Other", &["1"]);
    let length = bytes.len();
    bytes.extend_from_slice(b"\x81\x02hi\r\n\r\n");
    for cut in 0..bytes.len() {
        let early = head_len(&bytes[..cut], 0).unwrap();
        assert_eq!(early, (cut >= length).then_some(length), "{cut}");
        if early.is_none() {
            assert_eq!(head_len(&bytes, cut).unwrap(), Some(length), "{cut}");
        }
    }
    for bad in [
        &b"SSH-2.0-x\r\n"[..],
        b"HTTP/1.0",
        b"http/1.1 ",
        b"\r\n",
        b"HTTP/2",
    ] {
        assert!(head_len(bad, 0).is_err(), "{bad:?}");
    }
}
