//! axum with its `ws` feature, under `axum::serve`; also the page of the HTTP loads.

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::get;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;

use crate::AnyError;
use crate::room::Room;

pub async fn serve(listener: TcpListener, is_batched: bool) -> Result<(), AnyError> {
    let app = Router::new()
        .route(
            "/echo",
            get(|upgrade: WebSocketUpgrade| async { upgrade.on_upgrade(echo) }),
        )
        .route("/room", get(room))
        .route("/plaintext", get(|| async { "Hello, World!" }))
        .with_state(Room::new(is_batched));
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    Ok(axum::serve(listener, app).await?)
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if is_data(&message) && socket.send(message).await.is_err() {
            return;
        }
    }
}

async fn room(upgrade: WebSocketUpgrade, State(room): State<Room<Message>>) -> Response {
    upgrade.on_upgrade(move |socket| async move { room.carry(socket, is_data).await })
}

fn is_data(message: &Message) -> bool {
    matches!(message, Message::Text(_) | Message::Binary(_))
}
