//! sockudo-ws with its own accept, which negotiates no extension.

use futures_util::{SinkExt, StreamExt};
use sockudo_ws::server::WebSocketServer;
use sockudo_ws::{Config, Http1, Message};
use tokio::net::{TcpListener, TcpStream};

use crate::AnyError;
use crate::room::Room;

pub async fn serve(listener: TcpListener, is_batched: bool) -> Result<(), AnyError> {
    let room = Room::new(is_batched);
    loop {
        let (stream, _) = listener.accept().await?;
        let room = room.clone();
        tokio::spawn(async move {
            let _ = carry(stream, room).await;
        });
    }
}

async fn carry(stream: TcpStream, room: Room<Message>) -> Result<(), AnyError> {
    stream.set_nodelay(true)?;
    let server = WebSocketServer::<Http1>::new(Config::default());
    let (mut socket, handshake) = server.accept(stream).await?;
    if handshake.path == "/room" {
        room.carry(socket, is_data).await;
        return Ok(());
    }
    while let Some(message) = socket.next().await {
        let message = message?;
        if is_data(&message) {
            socket.send(message).await?;
        }
    }
    Ok(())
}

fn is_data(message: &Message) -> bool {
    matches!(message, Message::Text(_) | Message::Binary(_))
}
