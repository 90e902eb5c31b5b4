//! The endpoints as OpenAPI describes them.

mod lossless;

use serde_json::{Value, json};

/// A mailbox: one given by the server, a room's, or a name of a client's; empty means `broadcast`.
const MAILBOX: &str = r"^(lps_[0-9a-f]{32}|room:[ -~]{1,123}|(?!lps_|room:)[A-Za-z0-9._:@-]{0,128})$";

pub(crate) fn paths() -> Value {
    let mut paths = lossless::paths();
    paths["/ws/poll"] = json!({ "get": poll() });
    paths["/ws/send"] = json!({ "post": send() });
    paths["/ws/client.js"] = json!({ "get": text("The browser client", "text/javascript") });
    paths["/ws/client.d.ts"] = json!({ "get": text("The types of the browser client", "text/plain") });
    paths
}

fn poll() -> Value {
    json!({
        "summary": "Take part in reading a mailbox",
        "description": "Answers at once when there are messages the reader has not seen, else as soon as one comes, \
            else with an empty array. A cookie tells readers apart.",
        "parameters": [
            {
                "name": "session_id", "in": "query",
                "description": "The mailbox; none or an empty one is `broadcast`.",
                "schema": { "type": "string", "pattern": MAILBOX }
            },
            {
                "name": "max", "in": "query",
                "description": "Most messages in the answer, brought to between 1 and 256.",
                "schema": { "type": "integer", "minimum": 0, "default": 50 }
            }
        ],
        "responses": {
            "200": {
                "description": "The messages, oldest first.",
                "headers": {
                    "longpoll-missed": {
                        "description": "How many messages came and went unseen; absent when none did.",
                        "schema": { "type": "integer", "minimum": 1 }
                    }
                },
                "content": { "application/json": { "schema": { "type": "array", "items": envelope() } } }
            },
            "400": error("A malformed mailbox or `max`."),
            "401": error("What the `authorize` hook may answer; other statuses are up to it."),
            "403": error("A page of another host, or a mailbox named by the client while those are not served."),
            "404": error("A mailbox of the server's that it does not know."),
            "503": error("Too many mailboxes or waiting polls, or not running.")
        }
    })
}

fn send() -> Value {
    let mut body = envelope();
    body["properties"]["session_id"] = json!({
        "type": "string", "pattern": MAILBOX,
        "description": "The mailbox; else the one of the room, else `broadcast`."
    });
    json!({
        "summary": "Send a message to a mailbox or a room",
        "description": "A message to a room also reaches its WebSocket members. The type of the content is not looked at.",
        "requestBody": { "required": true, "content": { "application/json": { "schema": body } } },
        "responses": {
            "202": {
                "description": "It is queued.",
                "content": { "application/json": { "schema": {
                    "type": "object",
                    "required": ["session_id", "status"],
                    "properties": { "session_id": { "type": "string" }, "status": { "const": "queued" } }
                } } }
            },
            "400": error("No JSON object, no `type`, a field of the wrong type, a malformed mailbox."),
            "401": error("What the `authorize` hook may answer; other statuses are up to it."),
            "403": error("A page of another host, or a mailbox named by the client while those are not served."),
            "404": error("A mailbox of the server's that it does not know."),
            "408": error("The body did not come in time."),
            "413": error("The body fits into no mailbox."),
            "500": error("A handler failed."),
            "503": error("Too many mailboxes, or not running.")
        }
    })
}

fn text(summary: &str, content_type: &str) -> Value {
    json!({
        "summary": summary,
        "responses": {
            "200": {
                "description": "The text.",
                "headers": { "etag": { "schema": { "type": "string" } } },
                "content": { content_type: { "schema": { "type": "string" } } }
            },
            "304": { "description": "It is the one that the client has." }
        }
    })
}

fn envelope() -> Value {
    json!({
        "type": "object",
        "required": ["type"],
        "properties": {
            "id": { "type": "string" },
            "kind": { "type": "string" },
            "payload": { "type": ["object", "null"] },
            "room": { "type": "string", "pattern": "^[ -~]{0,123}$" },
            "ts": { "type": "string" },
            "type": { "type": "string", "minLength": 1 }
        }
    })
}

/// The application in front has refusals of its own, so the body is one of two forms.
fn error(description: &str) -> Value {
    let text = json!({ "type": "string" });
    json!({
        "description": description,
        "content": { "application/json": { "schema": {
            "type": "object",
            "properties": { "error": text, "message": text }
        } } }
    })
}
