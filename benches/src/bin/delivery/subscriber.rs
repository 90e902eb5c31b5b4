//! A session over one kind of transport, which hears what is said to it.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use benches::LoadError;
use tokio::io::{AsyncBufReadExt, AsyncReadExt};

use crate::publisher::Ledger;
use crate::wire::{self, Stream};

/// How a session's messages come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    WebSocket,
    Sse,
    LongPoll,
}

impl Transport {
    pub(crate) const ALL: [Self; 3] = [Self::WebSocket, Self::Sse, Self::LongPoll];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::WebSocket => "WebSocket",
            Self::Sse => "SSE",
            Self::LongPoll => "long-poll",
        }
    }
}

/// An open session that knows the name of its room.
pub(crate) struct Session {
    transport: Transport,
    stream: Stream,
    id: String,
    cursor: String,
    room: String,
}

/// Opens a session, up to where it waits for its first message.
pub(crate) async fn open(
    http: SocketAddr,
    ws: SocketAddr,
    transport: Transport,
) -> Result<Session, LoadError> {
    if transport == Transport::WebSocket {
        let mut stream = wire::websocket(ws, "/").await?;
        let room = marked(&wire::frame(&mut stream).await?)
            .next()
            .unwrap_or_default()
            .to_owned();
        return Ok(Session {
            transport,
            stream,
            id: String::new(),
            cursor: String::new(),
            room,
        });
    }
    let mut stream = wire::connect(http).await?;
    let request = format!("POST /ws/session HTTP/1.1\r\nHost: {http}\r\nContent-Length: 0\r\n\r\n");
    wire::send(&mut stream, &request).await?;
    let hello = answer(&mut stream, "201").await?;
    let id = field(&hello, "\"session\":\"", '"').to_owned();
    let mut session = Session {
        transport,
        stream,
        id,
        cursor: "0".to_owned(),
        room: String::new(),
    };
    let first = session.poll().await?;
    session.room = marked(&first).next().unwrap_or_default().to_owned();
    if transport == Transport::Sse {
        session.ask("events").await?;
        wire::expect_status(&wire::head(&mut session.stream).await?, "200")?;
    }
    Ok(session)
}

impl Session {
    pub(crate) fn room(&self) -> &str {
        &self.room
    }

    /// Hears messages for as long as they come.
    ///
    /// # Errors
    /// A message is not the one that was due, or the connection ends.
    pub(crate) async fn hear(mut self, number: usize, ledger: &Ledger) -> Result<(), LoadError> {
        loop {
            let text = match self.transport {
                Transport::WebSocket => wire::frame(&mut self.stream).await?,
                Transport::Sse => self.event().await?,
                Transport::LongPoll => self.poll().await?,
            };
            let at = Instant::now();
            for said in marked(&text) {
                ledger.heard(number, said, at)?;
            }
        }
    }

    async fn ask(&mut self, what: &str) -> io::Result<()> {
        let (cursor, id) = (&self.cursor, &self.id);
        let request = format!(
            "GET /ws/session/{what}?cursor={cursor} HTTP/1.1\r\nHost: here\r\nLongpoll-Session: {id}\r\n\r\n"
        );
        wire::send(&mut self.stream, &request).await
    }

    async fn poll(&mut self) -> io::Result<String> {
        self.ask("poll").await?;
        let text = answer(&mut self.stream, "200").await?;
        self.cursor = field(&text, "\"cursor\":", ',').to_owned();
        Ok(text)
    }

    async fn event(&mut self) -> io::Result<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(line),
        }
    }
}

/// The body of an answer that tells its length.
async fn answer(stream: &mut Stream, status: &str) -> io::Result<String> {
    let head = wire::head(stream).await?;
    wire::expect_status(&head, status)?;
    let length = field(&head, "content-length: ", '\r').parse();
    let mut body = vec![0; length.map_err(|_| io::ErrorKind::InvalidData)?];
    stream.read_exact(&mut body).await?;
    String::from_utf8(body).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// What stands between `before` and `end`; nothing when it is not there.
fn field<'a>(text: &'a str, before: &str, end: char) -> &'a str {
    let behind = text.split_once(before).map_or("", |(_, behind)| behind);
    behind.split(end).next().unwrap_or_default()
}

/// What stands in angle brackets: names of rooms and numbers of messages.
fn marked(text: &str) -> impl Iterator<Item = &str> {
    text.split('<')
        .skip(1)
        .filter_map(|part| part.split_once('>'))
        .map(|(inside, _)| inside)
}
