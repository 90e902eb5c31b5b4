//! Clients that are not ours, and protocols one inside the other: curl, Chromium, and WebSocket over HTTP/2 over TLS, on
//! one port and on the port of the WebSocket server.
//!
//! curl is the one in `PATH`, Chromium the one that the variable `BROWSER` names or one of the usual names in `PATH`.
//! Without it a test says `SKIPPED` and passes.

mod browser;
mod curl;
mod scene;
mod websocket;
