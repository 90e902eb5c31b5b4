//! SSE and POST.

use std::io;
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use super::client::{Body, Event, Transport};
use super::http::{Http, Reply, read_head, read_more};
use super::poll::{close, closed, message, named, opened, send};

pub(crate) struct Sse {
    stream: Stream,
    sends: Http,
}

impl Sse {
    pub(super) fn attach(
        addr: SocketAddr,
        session: Option<(&str, u64)>,
    ) -> io::Result<(Box<dyn Transport>, String)> {
        let id = opened(addr, session)?;
        let cursor = session.map_or(0, |(_, cursor)| cursor);
        let http = named(addr, &id).header("Last-Event-ID", cursor.to_string());
        let (reply, stream) = Stream::begin(http)?;
        if reply.status != 200 {
            return Err(io::Error::other(format!("{}", reply.status)));
        }
        assert_eq!(reply.header("content-type"), Some("text/event-stream"));
        let sends = named(addr, &id);
        Ok((Box::new(Self { stream, sends }), id))
    }
}

impl Transport for Sse {
    fn read(&mut self, _cursor: u64) -> io::Result<Vec<Event>> {
        Ok(vec![self.stream.next()?])
    }

    fn write(&mut self, messages: &[(u64, Body)], cursor: u64) -> io::Result<Vec<Event>> {
        send(&mut self.sends, messages, cursor)
    }

    fn close(&mut self, code: u16, reason: &str) -> io::Result<()> {
        close(&mut self.sends, code, reason)
    }
}

/// An event stream in chunks.
pub(crate) struct Stream {
    socket: TcpStream,
    unread: Vec<u8>,
    /// What was in the chunks and is no whole event yet.
    text: String,
}

impl Stream {
    pub(crate) fn begin(http: Http) -> io::Result<(Reply, Self)> {
        Self::begin_at(http, "/ws/session/events")
    }

    pub(crate) fn begin_at(mut http: Http, target: &str) -> io::Result<(Reply, Self)> {
        let mut socket = http.begin("GET", target, b"")?;
        let mut unread = Vec::new();
        let reply = read_head(&mut socket, &mut unread)?;
        let text = String::new();
        Ok((reply, Self { socket, unread, text }))
    }

    pub(crate) fn next(&mut self) -> io::Result<Event> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let event: String = self.text.drain(..end + 2).collect();
                return Ok(read_event(&event));
            }
            let chunk = self.chunk()?;
            if chunk.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.text.push_str(&chunk);
        }
    }

    /// Whether the stream has its orderly end.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.text.is_empty() && self.chunk().is_ok_and(|chunk| chunk.is_empty())
    }

    fn chunk(&mut self) -> io::Result<String> {
        let end = loop {
            if let Some(at) = self.unread.windows(2).position(|window| window == b"\r\n") {
                break at;
            }
            read_more(&mut self.socket, &mut self.unread)?;
        };
        let size = std::str::from_utf8(&self.unread[..end]).ok();
        let length = size
            .and_then(|size| usize::from_str_radix(size, 16).ok())
            .ok_or(io::ErrorKind::InvalidData)?;
        while self.unread.len() < end + 2 + length + 2 {
            read_more(&mut self.socket, &mut self.unread)?;
        }
        let chunk = self.unread[end + 2..end + 2 + length].to_vec();
        self.unread.drain(..end + 2 + length + 2);
        String::from_utf8(chunk).map_err(|_| io::ErrorKind::InvalidData.into())
    }
}

fn read_event(text: &str) -> Event {
    let field = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    };
    let data: Value = serde_json::from_str(field("data").unwrap()).unwrap();
    let number = |name: &str| data[name].as_u64().unwrap();
    match field("event") {
        None => {
            assert_eq!(field("id").unwrap(), data["seq"].to_string());
            message(&data)
        }
        Some("hello") => Event::Hello {
            cursor: number("cursor"),
            received: number("received"),
        },
        Some("gap") => {
            assert_eq!(field("id").unwrap(), data["cursor"].to_string());
            Event::Gap {
                lost: number("lost"),
                cursor: number("cursor"),
            }
        }
        Some("heartbeat") => Event::Heartbeat,
        Some("close") => closed(&data),
        Some("replaced") => Event::Replaced,
        Some(other) => panic!("no such event: {other}"),
    }
}
