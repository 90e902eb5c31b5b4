//! A WebSocket client over a blocking socket.

use crate::{PATIENCE, http};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use tungstenite::protocol::CloseFrame;
use tungstenite::{Message, WebSocket};

/// A connected client.
pub struct Client {
    socket: WebSocket<TcpStream>,
}

impl Client {
    /// Connects and shakes hands.
    pub fn connect(address: SocketAddr, path: &str) -> Self {
        let stream = http::connect(address);
        let (socket, _) = tungstenite::client(format!("ws://{address}{path}"), stream)
            .expect("the server accepts the handshake");
        Self { socket }
    }

    /// Sends a text.
    pub fn send(&mut self, text: &str) {
        self.socket
            .send(Message::text(text))
            .expect("the text can be sent");
    }

    /// Sends a binary message.
    pub fn send_binary(&mut self, body: &[u8]) {
        self.socket
            .send(Message::binary(body.to_vec()))
            .expect("the message can be sent");
    }

    /// The next message that is no ping or pong.
    pub fn message(&mut self) -> Message {
        loop {
            match self.socket.read().expect("a message comes") {
                Message::Ping(_) | Message::Pong(_) => {}
                message => return message,
            }
        }
    }

    /// The next message, which is a text.
    pub fn text(&mut self) -> String {
        match self.message() {
            Message::Text(text) => text.to_string(),
            other => panic!("expected a text, got {other:?}"),
        }
    }

    /// Whether nothing comes within this time.
    pub fn is_silent_for(&mut self, time: Duration) -> bool {
        self.socket
            .get_ref()
            .set_read_timeout(Some(time))
            .expect("a positive limit");
        let silent = self.socket.read().is_err();
        self.socket
            .get_ref()
            .set_read_timeout(Some(PATIENCE))
            .expect("a positive limit");
        silent
    }

    /// Reads until the server's Close, answers it, and gives its code and reason.
    pub fn closed(&mut self) -> (u16, String) {
        loop {
            match self.socket.read() {
                Ok(Message::Close(Some(CloseFrame { code, reason }))) => {
                    // The answer is written by reading on.
                    while self.socket.read().is_ok() {}
                    return (code.into(), reason.to_string());
                }
                Ok(Message::Close(None)) => return (1005, String::new()),
                Ok(_) => {}
                Err(error) => panic!("the connection ended without a Close: {error}"),
            }
        }
    }

    /// Says Close and waits for the server's answer.
    pub fn close(mut self, code: u16, reason: &str) {
        let frame = CloseFrame {
            code: code.into(),
            reason: reason.to_owned().into(),
        };
        self.socket.close(Some(frame)).expect("the Close can be sent");
        while self.socket.read().is_ok() {}
    }

    /// The bare socket.
    pub fn stream(&self) -> &TcpStream {
        self.socket.get_ref()
    }
}
