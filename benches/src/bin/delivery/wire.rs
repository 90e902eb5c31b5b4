//! The bytes: handshakes, frames and answers, no more of them than is needed here.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;

pub(crate) type Stream = BufStream<TcpStream>;

/// First byte of a whole text message (RFC 6455 §5.2).
const TEXT: u8 = 0x81;

pub(crate) async fn connect(to: SocketAddr) -> io::Result<Stream> {
    let stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(BufStream::new(stream))
}

/// A plain WebSocket, behind its handshake.
pub(crate) async fn websocket(to: SocketAddr, path: &str) -> io::Result<Stream> {
    let mut stream = connect(to).await?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {to}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    send(&mut stream, &request).await?;
    expect_status(&head(&mut stream).await?, "101")?;
    Ok(stream)
}

pub(crate) async fn send(stream: &mut Stream, text: impl AsRef<[u8]>) -> io::Result<()> {
    stream.write_all(text.as_ref()).await?;
    stream.flush().await
}

/// The head of an answer.
pub(crate) async fn head(stream: &mut Stream) -> io::Result<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(head)
}

pub(crate) fn expect_status(head: &str, status: &str) -> io::Result<()> {
    match head.split(' ').nth(1) {
        Some(got) if got == status => Ok(()),
        _ => Err(io::Error::other(head.to_owned())),
    }
}

/// The next frame of a server, which is one short text message or a control frame.
pub(crate) async fn frame(stream: &mut Stream) -> io::Result<String> {
    let mut start = [0; 2];
    stream.read_exact(&mut start).await?;
    let length = usize::from(start[1]);
    if length > 125 || start[0] == 0x88 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).await?;
    match start[0] {
        TEXT => String::from_utf8(payload).map_err(|_| io::ErrorKind::InvalidData.into()),
        _ => Ok(String::new()),
    }
}

/// A client's short text message, masked with zeros.
pub(crate) fn text_frame(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).ok().filter(|length| *length < 126);
    let length = length.expect("the publisher's texts are short");
    [&[TEXT, 0x80 | length, 0, 0, 0, 0], text.as_bytes()].concat()
}
