//! Offers of RFC 7692 §7.1 and what is answered.

use http::{HeaderMap, HeaderValue};

use super::super::{DeflateConfig, Direction, Negotiated};
use super::{accept_answer, answer};
use crate::deflate::extensions::Malformed;

fn headers(values: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append("sec-websocket-extensions", HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn answered(offer: &str, config: &DeflateConfig) -> Option<String> {
    let (_, header) = answer(&headers(&[offer]), config).unwrap()?;
    Some(
        header
            .strip_prefix("permessage-deflate")
            .unwrap()
            .replace("; ", ";"),
    )
}

const SHARED: &str = ";server_no_context_takeover;client_no_context_takeover";

#[test]
fn without_context_takeover_both_sides_are_told_so() {
    let config = DeflateConfig::default();
    for (offer, window) in [
        ("permessage-deflate", ""),
        ("permessage-deflate; client_max_window_bits", ""),
        ("permessage-deflate; client_max_window_bits=8", ""),
        ("permessage-deflate; server_no_context_takeover", ""),
        ("permessage-deflate; client_no_context_takeover", ""),
        (
            "permessage-deflate; server_max_window_bits=15",
            ";server_max_window_bits=15",
        ),
        (
            "permessage-deflate; server_max_window_bits=9",
            ";server_max_window_bits=9",
        ),
        (
            "permessage-deflate; server_max_window_bits=\"10\"",
            ";server_max_window_bits=10",
        ),
        // RFC 7692 §5.1: the first offer that can be honoured counts.
        (
            "x-other, permessage-deflate; server_max_window_bits=8, permessage-deflate",
            "",
        ),
        (
            "permessage-deflate; what, permessage-deflate; server_max_window_bits=12, permessage-deflate",
            ";server_max_window_bits=12",
        ),
    ] {
        assert_eq!(
            answered(offer, &config),
            Some(format!("{SHARED}{window}")),
            "{offer}"
        );
    }
}

#[test]
fn offers_that_cannot_be_honoured_are_declined() {
    for params in [
        "server_max_window_bits=8",
        "server_max_window_bits=7",
        "server_max_window_bits=16",
        "server_max_window_bits=09",
        "server_max_window_bits=+9",
        "server_max_window_bits=x",
        "server_max_window_bits",
        "client_max_window_bits=7",
        "client_max_window_bits=16",
        "client_max_window_bits=015",
        "server_no_context_takeover=1",
        "client_no_context_takeover=true",
        "unknown",
        "unknown=1",
        "Server_no_context_takeover",
        "server_no_context_takeover; server_no_context_takeover",
        "server_max_window_bits=10; server_max_window_bits=10",
        "client_max_window_bits; client_max_window_bits=10",
    ] {
        let offer = format!("permessage-deflate; {params}");
        assert_eq!(answered(&offer, &DeflateConfig::default()), None, "{params}");
    }
    for offer in ["", "permessage-bzip2", "x-webkit-deflate-frame"] {
        assert_eq!(answered(offer, &DeflateConfig::default()), None, "{offer}");
    }
    let malformed = answer(&headers(&["permessage-deflate;"]), &DeflateConfig::default());
    assert_eq!(malformed, Err(Malformed));
}

#[test]
fn context_takeover_where_both_want_it_and_the_memory_is_there() {
    let config = DeflateConfig {
        context_takeover: true,
        ..DeflateConfig::default()
    };
    let rows = [
        ("permessage-deflate", ""),
        (
            "permessage-deflate; server_no_context_takeover",
            ";server_no_context_takeover",
        ),
        (
            "permessage-deflate; client_no_context_takeover",
            ";client_no_context_takeover",
        ),
        (
            "permessage-deflate; server_max_window_bits=9",
            ";server_max_window_bits=9",
        ),
    ];
    for (offer, expected) in rows {
        assert_eq!(answered(offer, &config).as_deref(), Some(expected), "{offer}");
    }
    let less = |session_memory| DeflateConfig {
        session_memory,
        ..config
    };
    assert_eq!(
        answered("permessage-deflate", &less(100_000)).as_deref(),
        Some(";server_no_context_takeover")
    );
    assert_eq!(
        answered("permessage-deflate", &less(1000)).as_deref(),
        Some(SHARED)
    );
}

#[test]
fn a_smaller_window_of_ours_is_said_unasked() {
    let config = DeflateConfig {
        window_bits: 11,
        ..DeflateConfig::default()
    };
    for offer in [
        "permessage-deflate",
        "permessage-deflate; server_max_window_bits=13",
    ] {
        let expected = format!("{SHARED};server_max_window_bits=11");
        assert_eq!(answered(offer, &config), Some(expected), "{offer}");
    }
}

/// What one side says, the other understands: incoming of the one is outgoing of the other.
#[test]
fn the_client_reads_the_answer() {
    let config = DeflateConfig::default();
    let (server, header) = answer(&headers(&[super::OFFER]), &config).unwrap().unwrap();
    let client = accept_answer(&headers(&[&header])).unwrap().unwrap();
    assert_eq!(
        (client.outgoing, client.incoming),
        (server.incoming, server.outgoing)
    );
    assert_eq!(accept_answer(&headers(&[])), Ok(None));
    let small = "permessage-deflate; client_max_window_bits=8; server_max_window_bits=8";
    let direction = |context_takeover| Direction {
        context_takeover,
        window_bits: 8,
    };
    let expected = Negotiated {
        outgoing: direction(false),
        incoming: direction(true),
    };
    assert_eq!(accept_answer(&headers(&[small])), Ok(Some(expected)));
}

#[test]
fn an_answer_that_was_not_asked_for_fails_the_connection() {
    for value in [
        "permessage-bzip2",
        "permessage-deflate, permessage-deflate",
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate; client_max_window_bits=7",
        "permessage-deflate; unknown",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate;",
    ] {
        assert_eq!(accept_answer(&headers(&[value])), Err(Malformed), "{value}");
    }
}
