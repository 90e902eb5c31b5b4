//! The same messages over plain HTTP: numbered rings, cursors and polls that wait.
//!
//! Where a network lets no WebSocket through, a page polls. The bridge hears what the sessions of a
//! [`WsServer`](ws_server::WsServer) say and what the server broadcasts, keeps it in mailboxes, and hands in what
//! pages send. It hands out a plain [`axum::Router`], so it fits any HTTP server.
//!
//! ```
//! use core_executor::{BoundListener, RuntimeExecutor, ServeOptions, serve};
//! use longpoll_bridge::{LongPollBridge, LongPollConfig};
//! use ws_server::{WsConfig, WsServer};
//!
//! let executor = RuntimeExecutor::with_threads(1)?;
//! let spawner = executor.spawner();
//!
//! let bridge = LongPollBridge::new(LongPollConfig::default()).open_mailboxes(true);
//! let ws = bridge.attach(WsServer::new(WsConfig { port: 0, ..WsConfig::default() }));
//! let _ws = ws.start(&spawner)?;
//! bridge.start(&spawner)?;
//!
//! let listener = BoundListener::bind("127.0.0.1", 0)?;
//! let http = serve(listener, bridge.router(), ServeOptions::new("http"), &spawner)?;
//!
//! # let addr = http.local_addr();
//! # let ask = |head: &str, body: &str| -> std::io::Result<String> {
//! #     use std::io::{Read, Write};
//! #     let mut stream = std::net::TcpStream::connect(addr)?;
//! #     let length = body.len();
//! #     write!(stream, "{head} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")?;
//! #     let mut answer = String::new();
//! #     stream.read_to_string(&mut answer)?;
//! #     Ok(answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
//! # };
//! let sent = ask("POST /ws/send", r#"{"session_id":"lp-ann","type":"hello","payload":{"n":1}}"#)?;
//! assert_eq!(sent, r#"{"session_id":"lp-ann","status":"queued"}"#);
//!
//! let polled = ask("GET /ws/poll?session_id=lp-ann", "")?;
//! assert_eq!(polled, r#"[{"kind":"event","payload":{"n":1},"type":"hello"}]"#);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Two forms
//!
//! The **lossless form**, under `/ws/session`, carries sessions as WebSocket does: the same callbacks, rooms and order,
//! messages with numbers that are sent again until they are acknowledged, over polls or SSE and back to WebSocket.
//! `docs/wire-protocol.md` is its description. The **plain form** is that of old pages, and is what follows.
//!
//! # Endpoints
//!
//! **`GET /ws/poll`** takes `session_id` (absent or empty: `broadcast`) and `max` (default 50, brought to between 1
//! and 256). It answers with a JSON array of envelopes, at once when there are some, else as soon as one comes, else
//! with `[]` after [`LongPollConfig::wait`].
//!
//! **`POST /ws/send`** takes a JSON object: an envelope, and optionally `session_id`. The target is the
//! `session_id`, else `room:<room>`, else `broadcast`. A `room:` target also reaches the WebSocket members of the
//! room, the relays and the typed handler, which is given a session of kind `Detached`; any other target is a queue.
//! It answers 202.
//!
//! Both pass the Origin rule and the `authorize` hook of the WebSocket server. Errors are `{"error":text}`:
//!
//! | status | when |
//! |---|---|
//! | 400 | a malformed id, `max` or body |
//! | 403 | a page of another host; a mailbox named by the client while those are not served |
//! | 404 | an id in the form the server gives them (`lps_` and 32 hexadecimal digits) that it does not know |
//! | 408 | the body did not come within [`LongPollConfig::request_limit`] |
//! | 413 | a body longer than [`LongPollConfig::ring_bytes`] |
//! | 500 | the typed handler panicked |
//! | 503 | too many mailboxes or waiting polls; not attached; not running; a handler took too long |
//! | any | what the `authorize` hook says |
//!
//! # Mailboxes and cursors
//!
//! A mailbox is a ring of numbered messages, bounded by [`ring_messages`](LongPollConfig::ring_messages) and
//! [`ring_bytes`](LongPollConfig::ring_bytes). It begins with its first poll or send (what sessions say and what is
//! broadcast makes none), and is removed when there was neither for [`session_ttl`](LongPollConfig::session_ttl).
//! Names chosen by clients, `broadcast` and `room:…` among them, are served only with
//! [`open_mailboxes`](LongPollConfig::open_mailboxes).
//!
//! Reading takes nothing away. Each reader has a cursor for each mailbox, told apart by a cookie that the first
//! answer sets; readers with cookies all get everything, from the oldest message that is kept. Clients without a
//! cookie share one cursor. A reader that comes too late for some messages is told how many in the header
//! `longpoll-missed`. A cursor moves when an answer is written: an answer lost on its way is lost in this plain
//! form.
//!
//! # The browser client
//!
//! **`GET /ws/client.js`** is an ES module for pages, `GET /ws/client.d.ts` its types: one conversation over WebSocket,
//! SSE or polls, whichever gets through (`docs/wire-protocol.md`). Anybody may have them.
//!
//! # End
//!
//! [`LongPollBridge::begin_drain`] answers whatever waits and ends the streams. The sweeper ends with the executor's
//! shutdown signal.

mod bridge;
pub use bridge::LongPollBridge;

mod config;
mod error;
mod metrics;
pub use config::LongPollConfig;
pub use error::BridgeError;
pub use metrics::LongPollMetrics;

mod channel;
mod mailboxes;
mod readers;
mod ring;
mod sweeper;
mod waiters;

mod browser_client;
mod cookie;
mod lossless;
mod openapi;
mod poll;
mod posted;
mod refusal;
mod relay;
mod resolver;
mod routes;
mod send;
