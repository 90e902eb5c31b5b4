//! The endpoints of the lossless form as OpenAPI describes them.

use serde_json::{Value, json};

use super::error;

pub(super) fn paths() -> Value {
    json!({
        "/ws/session": { "post": open() },
        "/ws/session/poll": { "get": poll() },
        "/ws/session/events": { "get": events() },
        "/ws/session/send": { "post": send() },
        "/ws/session/close": { "post": close() }
    })
}

fn open() -> Value {
    json!({
        "summary": "Open a session",
        "description": "It goes on over WebSocket, SSE or polls, whichever the client comes with; docs/wire-protocol.md.",
        "responses": {
            "201": { "description": "Its id and where counting begins.", "content": json_of(&hello()) },
            "401": error("What the `authorize` hook may answer; other statuses are up to it."),
            "403": error("A page of another host."),
            "429": error("Too many sessions from this address."),
            "500": error("A handler failed."),
            "503": error("Too many sessions, not attached, or not running.")
        }
    })
}

fn poll() -> Value {
    json!({
        "summary": "Wait for the messages of a session",
        "description": "Acknowledges up to the cursor and answers with what comes after it, at once or as soon as there is \
            something, else with no messages.",
        "parameters": [
            session_header(false),
            session_query(),
            cursor_query(),
            request_query(),
            {
                "name": "max", "in": "query",
                "description": "Most messages in the answer, brought to between 1 and 256.",
                "schema": { "type": "integer", "minimum": 0, "default": 50 }
            }
        ],
        "responses": refusals(json!({
            "200": {
                "description": "The messages, oldest first, and the cursor to ask with next.",
                "content": json_of(&json!({
                    "type": "object",
                    "required": ["messages", "cursor", "received"],
                    "properties": {
                        "messages": { "type": "array", "items": message() },
                        "cursor": number(),
                        "received": number(),
                        "gap": { "type": "object", "properties": { "lost": number(), "cursor": number() } },
                        "close": farewell()
                    }
                }))
            }
        }))
    })
}

fn events() -> Value {
    json!({
        "summary": "Stream the messages of a session",
        "description": "Server-sent events: hello, messages with their numbers as ids, gap, heartbeat, close, replaced.",
        "parameters": [
            session_header(false),
            session_query(),
            cursor_query(),
            request_query(),
            {
                "name": "Last-Event-ID", "in": "header",
                "description": "The cursor; wins over that of the query.",
                "schema": { "type": "string" }
            }
        ],
        "responses": refusals(json!({
            "200": {
                "description": "The stream.",
                "content": { "text/event-stream": { "schema": { "type": "string" } } }
            }
        }))
    })
}

fn send() -> Value {
    let mut responses = refusals(json!({
        "200": {
            "description": "The messages up to this number are handled.",
            "content": json_of(&json!({
                "type": "object", "required": ["received"], "properties": { "received": number() }
            }))
        }
    }));
    responses["408"] = error("The body did not come in time.");
    responses["413"] = error("The body or a message is too large.");
    json!({
        "summary": "Send messages to a session and acknowledge",
        "description": "Numbered messages in a row; those that were had before are dropped.",
        "parameters": [session_header(true)],
        "requestBody": { "required": true, "content": json_of(&json!({
            "type": "object",
            "properties": {
                "messages": { "type": "array", "items": message() },
                "cursor": { "type": ["integer", "null"], "minimum": 0 }
            }
        })) },
        "responses": responses
    })
}

fn close() -> Value {
    let mut responses = refusals(json!({
        "200": {
            "description": "It has ended.",
            "content": json_of(&json!({ "type": "object", "properties": { "closed": { "const": true } } }))
        }
    }));
    responses["408"] = error("The body did not come in time.");
    responses["413"] = error("The body is too large.");
    json!({
        "summary": "End a session",
        "parameters": [session_header(true)],
        "requestBody": { "required": false, "content": json_of(&json!({
            "type": "object",
            "properties": {
                "code": { "type": "integer", "default": 1000 },
                "reason": { "type": "string", "maxLength": 123 }
            }
        })) },
        "responses": responses
    })
}

/// What every request for an open session may be answered with beside these.
fn refusals(mut responses: Value) -> Value {
    for (status, description) in [
        (
            "400",
            "A malformed id, cursor, `max` or body, or a cursor from the future.",
        ),
        (
            "401",
            "What the `authorize` hook may answer; other statuses are up to it.",
        ),
        ("403", "A page of another host."),
        ("404", "An id that was not given, or is bound to something else."),
        (
            "409",
            "The request comes late: another transport has the session, or numbers do not follow.",
        ),
        ("410", "The session has ended."),
        ("503", "Too many waiting requests, not attached, or not running."),
    ] {
        responses[status] = error(description);
    }
    responses
}

fn session_header(required: bool) -> Value {
    json!({
        "name": "Longpoll-Session", "in": "header", "required": required,
        "description": "The id of the session.",
        "schema": id()
    })
}

fn session_query() -> Value {
    json!({
        "name": "session_id", "in": "query",
        "description": "The id, for clients that can set no header.",
        "schema": id()
    })
}

fn cursor_query() -> Value {
    json!({
        "name": "cursor", "in": "query",
        "description": "Number of the last message the client has handled.",
        "schema": { "type": "integer", "minimum": 0, "default": 0 }
    })
}

fn request_query() -> Value {
    json!({
        "name": "request", "in": "query",
        "description": "A number that grows from request to request for messages of the session, so that one that came \
            twice is known for one.",
        "schema": { "type": "integer", "minimum": 1 }
    })
}

fn id() -> Value {
    json!({ "type": "string", "pattern": "^lps_[0-9a-f]{32}$" })
}

fn number() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

fn message() -> Value {
    json!({
        "type": "object",
        "required": ["seq"],
        "properties": {
            "seq": { "type": "integer", "minimum": 1 },
            "text": { "type": "string" },
            "base64": { "type": "string" }
        }
    })
}

fn farewell() -> Value {
    json!({
        "type": "object",
        "required": ["code", "reason"],
        "properties": { "code": number(), "reason": { "type": "string" }, "retry": number() }
    })
}

fn hello() -> Value {
    json!({
        "type": "object",
        "required": ["session", "cursor", "received"],
        "properties": {
            "session": id(),
            "cursor": number(),
            "received": number(),
            "resume_ms": number(),
            "wait_ms": number(),
            "heartbeat_ms": number(),
            "max_message_bytes": number()
        }
    })
}

fn json_of(schema: &Value) -> Value {
    json!({ "application/json": { "schema": schema } })
}
