//! A WebSocket client that blocks.

use super::PATIENCE;
use std::net::{SocketAddr, TcpStream};
use tungstenite::protocol::{Message, WebSocket};

pub(crate) struct Member {
    socket: WebSocket<TcpStream>,
}

impl Member {
    pub(crate) fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (socket, _) = tungstenite::client(format!("ws://{addr}/"), stream).unwrap();
        Self { socket }
    }

    pub(crate) fn say(&mut self, text: &str) {
        self.socket.send(Message::text(text)).unwrap();
    }

    /// The next text message.
    pub(crate) fn hear(&mut self) -> String {
        match self.socket.read().expect("a message in time") {
            Message::Text(text) => text.to_string(),
            other => panic!("expected a text, got {other:?}"),
        }
    }
}
