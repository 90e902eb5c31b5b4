//! Attacks on the WebSocket side of a real process: each gets its exact answer, costs a bounded amount of memory, is
//! counted under one bounded label, and hurts nobody else.

mod bombs;
mod content;
mod fragments;
mod frames;
mod handshakes;
mod scene;
mod slow;
mod vanished;
