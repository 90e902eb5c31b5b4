//! The rules of the envelope, one row each.

use super::JsonMessage;
use proptest::prelude::*;

const DEPTH: usize = 32;

fn written(text: &str) -> Option<String> {
    JsonMessage::parse(text, DEPTH).map(|message| message.to_text())
}

#[test]
fn every_key_is_read_and_written_in_order() {
    let text = r#"{"ts":"t","type":"chat","room":"r","payload":{"b":1,"a":[2]},"kind":"k","id":"i"}"#;
    let expected = r#"{"id":"i","kind":"k","payload":{"b":1,"a":[2]},"room":"r","ts":"t","type":"chat"}"#;
    assert_eq!(written(text).as_deref(), Some(expected));
}

#[test]
fn empty_keys_are_left_out_and_kind_defaults_to_event() {
    let expected = r#"{"kind":"event","payload":{},"type":"x"}"#;
    for text in [
        r#"{"type":"x"}"#,
        r#" {"type":"x","id":"","kind":"","room":"","ts":""} "#,
        r#"{"type":"x","payload":null}"#,
        r#"{"type":"x","payload":"text"}"#,
        r#"{"type":"x","payload":[1]}"#,
        r#"{"type":"x","payload":7}"#,
        r#"{"type":"x","other":{"deep":[1]},"other":2}"#,
    ] {
        assert_eq!(written(text).as_deref(), Some(expected), "{text}");
    }
}

#[test]
fn what_is_no_envelope_is_a_raw_message() {
    for text in [
        "",
        "hello",
        "42",
        "null",
        "[1]",
        r#""type""#,
        "{}",
        "{",
        r#"{"type":""}"#,
        r#"{"type":null}"#,
        r#"{"type":1}"#,
        r#"{"payload":{}}"#,
        r#"{"type":"x","id":1}"#,
        r#"{"type":"x","kind":null}"#,
        r#"{"type":"x","ts":1.5}"#,
        r#"{"type":"x","room":[]}"#,
        r#"{"type":"x"} trailing"#,
        r#"{"type":"x","payload":{bad}}"#,
        "{\"type\":\"\\ud800\"}",
    ] {
        assert_eq!(written(text), None, "{text}");
    }
}

#[test]
fn a_doubled_key_of_the_envelope_is_refused() {
    for key in ["id", "kind", "room", "ts", "type"] {
        let text = format!(r#"{{"type":"x","{key}":"a","{key}":"b"}}"#);
        assert_eq!(written(&text), None, "{key}");
    }
    assert_eq!(written(r#"{"type":"x","payload":{},"payload":{}}"#), None);
    assert_eq!(
        written(r#"{"type":"x","ty\u0070e":"y"}"#),
        None,
        "an escaped key is the same key"
    );
    assert!(
        written(r#"{"type":"x","payload":{"a":1,"a":2}}"#).is_some(),
        "a payload's keys are its own"
    );
}

#[test]
fn numbers_and_nesting_of_the_payload_survive() {
    let payload =
        r#"{"big":18446744073709551616,"neg":-0.0,"exp":1e400,"s":"\u00e9\"}","n":[[{"z":1,"a":null}]]}"#;
    let text = format!(r#"{{"type":"x","payload":{payload}}}"#);
    let message = JsonMessage::parse(&text, DEPTH).unwrap();
    assert_eq!(message.payload.get(), payload);
}

#[test]
fn depth_is_counted_outside_of_strings_only() {
    let nested = |depth: usize| {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        format!(r#"{{"type":"x","payload":{{"a":{open}{close}}}}}"#)
    };
    assert!(
        JsonMessage::parse(&nested(DEPTH - 2), DEPTH).is_some(),
        "exactly at the limit"
    );
    assert!(
        JsonMessage::parse(&nested(DEPTH - 1), DEPTH).is_none(),
        "one over it"
    );
    assert!(JsonMessage::parse(&nested(100_000), DEPTH).is_none());
    let text = format!(r#"{{"type":"x","payload":{{"s":"{}\"{{"}}}}"#, "[".repeat(100));
    assert!(
        JsonMessage::parse(&text, DEPTH).is_some(),
        "brackets in a string are text"
    );
}

#[test]
fn without_a_depth_limit_deep_payloads_do_not_hurt() {
    let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
    let text = format!(r#"{{"type":"x","payload":{{"a":{open}{close}}},"y":{open}{close}}}"#);
    let _either = JsonMessage::parse(&text, 0);
}

#[test]
fn a_new_message_needs_an_object() {
    assert!(JsonMessage::new("x", &serde_json::json!({"a": 1})).is_ok());
    assert!(JsonMessage::new("x", &[1, 2]).is_err());
    let message = JsonMessage::empty("x").with_room("r").with_id("1").with_kind("k");
    assert_eq!(
        message.to_text(),
        r#"{"id":"1","kind":"k","payload":{},"room":"r","type":"x"}"#
    );
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_fail(text in "[\\[\\]{}\",:a-z0-9\\\\ ]{0,80}") {
        let _either = JsonMessage::parse(&text, DEPTH);
    }

    #[test]
    fn what_is_written_is_read_back(id in ".*", room in ".*", value in any::<i64>()) {
        let message = JsonMessage::new("t", &serde_json::json!({"value": value})).unwrap()
            .with_id(id).with_room(room).with_kind("k");
        prop_assert_eq!(JsonMessage::parse(&message.to_text(), DEPTH), Some(message));
    }
}
