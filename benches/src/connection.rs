//! One connection of the load client: handshake, frames in, frames out, on a socket that never blocks.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::Instant;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use socket2::SockRef;

use crate::client::LoadError;
use crate::frames;

/// The key of RFC 6455's own example, and what it must be answered with.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &[u8] = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; \
                     server_no_context_takeover\r\n";
const LONGEST_HEAD: usize = 8192;

/// A whole message that arrived.
#[derive(Debug)]
pub struct Received<'a> {
    /// FIN, RSV bits and opcode as on the wire.
    pub first_byte: u8,
    /// The payload as on the wire.
    pub payload: &'a [u8],
    /// When the bytes were read.
    pub at: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Shaking,
    Open,
    Closed,
}

/// What a read brought, besides messages.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct News {
    /// The handshake is done.
    pub(crate) is_opened: bool,
    /// The peer said Close, or the stream ended.
    pub(crate) is_over: bool,
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    state: State,
    is_deflated: bool,
    /// The unfinished frame or head at the end of the last read.
    rest: Vec<u8>,
    out: Vec<u8>,
    written: usize,
    /// When it was begun.
    pub since: Instant,
}

impl Connection {
    pub(crate) fn begin(
        registry: &Registry,
        token: Token,
        address: SocketAddr,
        path: &str,
        offers_deflate: bool,
    ) -> io::Result<Self> {
        let since = Instant::now();
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        // A reset instead of TIME_WAIT: a run of handshakes would use up the ports.
        SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO))?;
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        let offer = if offers_deflate { OFFER } else { "" };
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{offer}\r\n"
        );
        Ok(Self {
            stream,
            state: State::Shaking,
            is_deflated: offers_deflate,
            rest: Vec::new(),
            out: head.into_bytes(),
            written: 0,
            since,
        })
    }

    /// Whether messages can be sent and received.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// The frames that will be sent at the next flush.
    pub fn outgoing(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Writes what the socket takes; the rest follows when it takes more.
    pub(crate) fn flush(&mut self) -> Result<(), LoadError> {
        while self.written < self.out.len() {
            match self.stream.write(&self.out[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if is_patience(&error) => return Ok(()),
                Err(error) => return Err(LoadError::Io(error)),
            }
        }
        self.out.clear();
        self.written = 0;
        if self.out.capacity() > 64 * 1024 && self.state == State::Open {
            self.out = Vec::new();
        }
        Ok(())
    }

    /// Reads all there is and hands whole messages on.
    pub(crate) fn read(
        &mut self,
        buffer: &mut [u8],
        mut message: impl FnMut(&mut Vec<u8>, &Received<'_>) -> Result<(), LoadError>,
    ) -> Result<News, LoadError> {
        let mut news = News::default();
        loop {
            let kept = self.rest.len();
            buffer[..kept].copy_from_slice(&self.rest);
            let room = buffer.len();
            let count = match self.stream.read(&mut buffer[kept..]) {
                Ok(0) => {
                    news.is_over = true;
                    return Ok(news);
                }
                Ok(count) => count,
                Err(error) if is_patience(&error) => return Ok(news),
                Err(error) => return Err(LoadError::Io(error)),
            };
            let at = Instant::now();
            let filled = &buffer[..kept + count];
            let mut used = 0;
            if self.state == State::Shaking {
                used = self.take_head(filled)?;
                news.is_opened = used > 0;
            }
            while self.state != State::Shaking
                && let Some((first_byte, header, length)) = header(&filled[used..])
                && filled.len() - used >= header + length
            {
                let payload = &filled[used + header..used + header + length];
                used += header + length;
                let received = Received {
                    first_byte,
                    payload,
                    at,
                };
                match first_byte & 0x0f {
                    0x8 => {
                        self.state = State::Closed;
                        news.is_over = true;
                        return Ok(news);
                    }
                    0x9 => self.out.extend_from_slice(&frames::pong(payload)),
                    0xa => {}
                    _ => message(&mut self.out, &received)?,
                }
            }
            self.rest.clear();
            self.rest.extend_from_slice(&filled[used..]);
            if self.rest.is_empty() && self.rest.capacity() > 4096 {
                self.rest = Vec::new();
            }
            // A short read has emptied the socket; the next edge wakes us.
            if kept + count < room {
                return Ok(news);
            }
        }
    }

    /// Checks the answer to the handshake once it is whole. Returns its length, 0 while it is not.
    fn take_head(&mut self, filled: &[u8]) -> Result<usize, LoadError> {
        let Some(end) = find(filled, b"\r\n\r\n") else {
            return if filled.len() > LONGEST_HEAD {
                Err(LoadError::Handshake("an endless head".to_owned()))
            } else {
                Ok(0)
            };
        };
        let head = &filled[..end];
        let has_deflate = find(&head.to_ascii_lowercase(), b"permessage-deflate").is_some();
        let is_right = head.starts_with(b"HTTP/1.1 101") && find(head, ACCEPT).is_some();
        if !is_right || has_deflate != self.is_deflated {
            return Err(LoadError::Handshake(String::from_utf8_lossy(head).into_owned()));
        }
        self.state = State::Open;
        Ok(end + 4)
    }

    /// Says Close.
    pub(crate) fn say_close(&mut self) {
        self.out.extend_from_slice(&frames::close());
    }
}

fn is_patience(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected
    )
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

/// First byte, header length and payload length of the frame `bytes` begin with, when the header is whole.
fn header(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    Some(match second {
        126 => (
            first,
            4,
            usize::from(u16::from_be_bytes(*bytes.get(2..4)?.as_array()?)),
        ),
        127 => {
            let length = u64::from_be_bytes(*bytes.get(2..10)?.as_array()?);
            (first, 10, usize::try_from(length).unwrap_or(usize::MAX / 2))
        }
        length => (first, 2, usize::from(length)),
    })
}

#[cfg(test)]
mod tests {
    use super::header;

    #[test]
    fn headers_of_all_three_lengths_are_read_once_they_are_whole() {
        assert_eq!(header(&[0x81, 5]), Some((0x81, 2, 5)));
        assert_eq!(header(&[0x82, 126, 1, 0]), Some((0x82, 4, 256)));
        assert_eq!(
            header(&[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
            Some((0x82, 10, 65536))
        );
        for part in [&[0x81][..], &[0x81, 126, 1], &[0x81, 127, 0, 0, 0]] {
            assert_eq!(header(part), None);
        }
    }
}
