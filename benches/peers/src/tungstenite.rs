//! tokio-tungstenite: `accept_hdr_async`, then a stream and a sink of messages.

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

use crate::AnyError;
use crate::room::Room;

pub async fn serve(listener: TcpListener, is_batched: bool) -> Result<(), AnyError> {
    let room = Room::new(is_batched);
    loop {
        let (stream, _) = listener.accept().await?;
        let room = room.clone();
        tokio::spawn(async move {
            // A peer that went away is not this program's news.
            let _ = carry(stream, room).await;
        });
    }
}

#[expect(clippy::result_large_err, reason = "the library's callback is typed so")]
async fn carry(stream: TcpStream, room: Room<Message>) -> Result<(), AnyError> {
    stream.set_nodelay(true)?;
    let mut in_room = false;
    let mut socket = accept_hdr_async(stream, |request: &Request, response: Response| {
        in_room = request.uri().path() == "/room";
        Ok(response)
    })
    .await?;
    if in_room {
        room.carry(socket, |message| message.is_text() || message.is_binary())
            .await;
        return Ok(());
    }
    while let Some(message) = socket.next().await {
        let message = message?;
        if message.is_text() || message.is_binary() {
            socket.send(message).await?;
        }
    }
    Ok(())
}
