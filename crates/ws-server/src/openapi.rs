//! The opening handshake as OpenAPI describes it. What happens behind it, OpenAPI has no words for.

use serde_json::{Value, json};

pub(crate) fn operation() -> Value {
    json!({
        "summary": "WebSocket",
        "description": "Opens a WebSocket session (RFC 6455 §4.1): wants `Upgrade`, `Connection`, `Sec-WebSocket-Key` and \
            `Sec-WebSocket-Version: 13`. What is said on it is not HTTP.",
        "responses": {
            "101": { "description": "The session is open." },
            "400": refusal("The handshake is malformed."),
            "401": refusal("What the `authorize` hook may answer; other statuses are up to it."),
            "403": refusal("A page of another host, or not authorized."),
            "426": refusal("The request does not ask for WebSocket version 13."),
            "503": refusal("The server is stopping or full."),
        }
    })
}

fn refusal(description: &str) -> Value {
    json!({
        "description": description,
        "content": { "application/json": { "schema": {
            "type": "object",
            "required": ["error"],
            "properties": { "error": { "type": "string" } }
        } } }
    })
}
