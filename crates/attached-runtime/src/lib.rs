//! HTTP, WebSocket and long-polling as one application with one life.
