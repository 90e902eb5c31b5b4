//! The loads: echo, room, idle, handshakes, and a page over HTTP, alone or beside echoes.

mod beside;
mod echo;
mod handshakes;
mod idle;
mod plaintext;
mod room;

pub use beside::beside;
pub use echo::echo;
pub use handshakes::handshakes;
pub use idle::{Idle, idle};
pub use plaintext::plaintext;
pub use room::room;

use std::net::SocketAddr;
use std::time::Duration;

use crate::client::LoadError;
use crate::frames::Template;
use crate::process::Process;

/// What all loads have in common.
#[derive(Debug, Clone)]
pub struct Load {
    /// Where the server listens.
    pub address: SocketAddr,
    /// The path of its WebSocket.
    pub path: String,
    /// The server, when it runs on this machine: its CPU time and memory are read.
    pub server: Option<Process>,
    /// Connections.
    pub connections: usize,
    /// Payload bytes of a message.
    pub size: usize,
    /// Messages a sender has under way.
    pub in_flight: usize,
    /// Length of the measured window.
    pub window: Duration,
    /// Time under load before it.
    pub warm_up: Duration,
    /// Offer permessage-deflate and send compressed JSON.
    pub is_deflated: bool,
    /// Binary instead of text messages.
    pub is_binary: bool,
    /// Stop after about this many messages instead of a time, and send nothing that is not answered: for runs
    /// under an instruction counter.
    pub messages: Option<u64>,
}

impl Load {
    fn template(&self) -> Result<Template, LoadError> {
        Ok(if self.is_deflated {
            Template::deflated(self.size)?
        } else {
            Template::plain(self.size, self.is_binary)
        })
    }
}
