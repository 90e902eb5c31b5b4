//! From an address to a connection that has shaken hands, within one limit of time.

use bytes::BytesMut;
use core_executor::IoStream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::config::ClientConfig;
use super::error::ClientError;
use super::opening::{Agreed, Opening, head_len};
use crate::config::or_unlimited;

/// Bytes read by one call while the head is not whole.
const PIECE: usize = 4096;

/// How to come to a stream.
#[derive(Debug)]
pub(super) enum Road {
    /// Open one.
    Tcp { host: String, port: u16 },
    /// It is there.
    Open(IoStream),
}

/// A connection that has shaken hands.
#[derive(Debug)]
pub(super) struct Established {
    pub(super) stream: IoStream,
    /// Frames that came right behind the handshake.
    pub(super) early: BytesMut,
    pub(super) agreed: Agreed,
}

pub(super) async fn establish(
    road: Road,
    opening: Opening,
    config: &ClientConfig,
) -> Result<Established, ClientError> {
    let limit = config.handshake_timeout;
    let work = async {
        let stream = match road {
            Road::Tcp { host, port } => tcp(&host, port).await?,
            Road::Open(stream) => stream,
        };
        shake_hands(stream, &opening, or_unlimited(config.max_head_size)).await
    };
    if limit.is_zero() {
        return work.await;
    }
    tokio::time::timeout(limit, work)
        .await
        .unwrap_or(Err(ClientError::HandshakeTimeout { limit }))
}

async fn tcp(host: &str, port: u16) -> Result<IoStream, ClientError> {
    let connect = async {
        let stream = TcpStream::connect((host, port)).await?;
        // Frames are written together; waiting for more of them only costs time.
        stream.set_nodelay(true)?;
        Ok(IoStream::Tcp(stream.into()))
    };
    connect.await.map_err(|source| ClientError::Connect {
        address: format!("{host}:{port}"),
        source,
    })
}

async fn shake_hands(
    mut stream: IoStream,
    opening: &Opening,
    most: usize,
) -> Result<Established, ClientError> {
    stream
        .write_all(opening.request())
        .await
        .map_err(ClientError::Lost)?;
    stream.flush().await.map_err(ClientError::Lost)?;
    let mut early = BytesMut::new();
    let head = loop {
        let seen = early.len();
        early.reserve(PIECE);
        let length = stream.read_buf(&mut early).await.map_err(ClientError::Lost)?;
        if length == 0 {
            return Err(ClientError::Lost(std::io::ErrorKind::UnexpectedEof.into()));
        }
        match head_len(&early, seen)? {
            Some(length) if length <= most => break early.split_to(length),
            None if early.len() < most => {}
            _ => return Err(ClientError::HeadTooLong { limit: most }),
        }
    };
    let agreed = opening.check(&head)?;
    Ok(Established {
        stream,
        early,
        agreed,
    })
}
