//! WebSocket under the subprotocol.

use std::io;
use std::net::{SocketAddr, TcpStream};

use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest;
use tungstenite::protocol::frame::CloseFrame;
use tungstenite::protocol::{Message, WebSocket as Socket};

use super::PATIENCE;
use super::client::{Body, Event, Transport};

const MARK: char = '\u{1e}';

pub(crate) struct WebSocket {
    socket: Socket<TcpStream>,
    /// Number of the server's next message.
    next: u64,
    /// Read before it was asked for.
    first: Vec<Event>,
}

impl WebSocket {
    pub(super) fn attach(
        addr: SocketAddr,
        session: Option<(&str, u64)>,
    ) -> io::Result<(Box<dyn Transport>, String)> {
        let mut request = format!("ws://{addr}/").into_client_request().unwrap();
        let subprotocol = "lossless.v1".parse().unwrap();
        request
            .headers_mut()
            .insert("sec-websocket-protocol", subprotocol);
        let stream = TcpStream::connect(addr)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let (socket, _) =
            tungstenite::client(request, stream).map_err(|error| io::Error::other(error.to_string()))?;
        let mut this = Self {
            socket,
            next: 0,
            first: Vec::new(),
        };
        let first = match session {
            None => json!({"open": {}}),
            Some((id, cursor)) => json!({"resume": {"session": id, "cursor": cursor}}),
        };
        this.control(&first)?;
        let hello = this.read_envelope()?;
        let Some(hello) = hello.get("hello") else {
            return Err(io::Error::other(hello.to_string()));
        };
        let number = |name: &str| hello[name].as_u64().unwrap();
        this.next = number("cursor") + 1;
        this.first.push(Event::Hello {
            cursor: number("cursor"),
            received: number("received"),
        });
        let id = hello["session"].as_str().unwrap().to_owned();
        Ok((Box::new(this), id))
    }

    fn control(&mut self, envelope: &Value) -> io::Result<()> {
        self.send(Message::text(format!("{MARK}{envelope}")))
    }

    fn send(&mut self, message: Message) -> io::Result<()> {
        self.socket.send(message).map_err(broken)
    }

    fn read_envelope(&mut self) -> io::Result<Value> {
        match self.socket.read().map_err(broken)? {
            Message::Text(text) => Ok(serde_json::from_str(text.strip_prefix(MARK).unwrap()).unwrap()),
            other => panic!("expected an envelope: {other:?}"),
        }
    }

    fn message(&mut self, body: Body) -> Event {
        self.next += 1;
        Event::Message(self.next - 1, body)
    }

    fn envelope(&mut self, text: &str) -> Event {
        let value: Value = serde_json::from_str(text).unwrap();
        if let Some(received) = value.get("ack") {
            return Event::Received(received.as_u64().unwrap());
        }
        let gap = value.get("gap").unwrap_or_else(|| panic!("{value}"));
        let number = |name: &str| gap[name].as_u64().unwrap();
        self.next = number("cursor") + 1;
        Event::Gap {
            lost: number("lost"),
            cursor: number("cursor"),
        }
    }
}

fn broken(error: tungstenite::Error) -> io::Error {
    io::Error::other(error.to_string())
}

impl Transport for WebSocket {
    fn read(&mut self, _cursor: u64) -> io::Result<Vec<Event>> {
        if !self.first.is_empty() {
            return Ok(std::mem::take(&mut self.first));
        }
        let event = match self.socket.read().map_err(broken)? {
            Message::Text(text) => match text.strip_prefix(MARK) {
                None => self.message(Body::Text(text.to_string())),
                Some(rest) if rest.starts_with(MARK) => self.message(Body::Text(rest.to_owned())),
                Some(rest) => self.envelope(rest),
            },
            Message::Binary(body) => self.message(Body::Binary(body.to_vec())),
            Message::Close(Some(frame)) => {
                // tungstenite has queued the answer.
                let _ = self.socket.flush();
                match u16::from(frame.code) {
                    4409 => Event::Replaced,
                    code => Event::Closed {
                        code,
                        reason: frame.reason.to_string(),
                    },
                }
            }
            Message::Ping(_) | Message::Pong(_) => Event::Heartbeat,
            other => panic!("{other:?}"),
        };
        Ok(vec![event])
    }

    fn write(&mut self, messages: &[(u64, Body)], cursor: u64) -> io::Result<Vec<Event>> {
        for (_, body) in messages {
            self.send(match body {
                Body::Text(text) if text.starts_with(MARK) => Message::text(format!("{MARK}{text}")),
                Body::Text(text) => Message::text(text.clone()),
                Body::Binary(body) => Message::binary(body.clone()),
            })?;
        }
        self.control(&json!({"ack": cursor}))?;
        Ok(Vec::new())
    }

    fn close(&mut self, code: u16, reason: &str) -> io::Result<()> {
        let frame = CloseFrame {
            code: code.into(),
            reason: reason.to_owned().into(),
        };
        self.socket.close(Some(frame)).map_err(broken)
    }
}
