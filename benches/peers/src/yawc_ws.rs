//! yawc over hyper's upgrade, permessage-deflate without context takeover when the client offers it.

use std::convert::Infallible;

use futures_util::{SinkExt, StreamExt};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use yawc::frame::{Frame, OpCode};
use yawc::{CompressionLevel, HttpWebSocket, Options, WebSocket};

use crate::AnyError;
use crate::room::Room;

pub async fn serve(listener: TcpListener, is_batched: bool) -> Result<(), AnyError> {
    let room = Room::new(is_batched);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let room = room.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(request, room.clone()));
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades()
                .await;
        });
    }
}

fn options() -> Options {
    Options::default()
        .with_utf8()
        .with_compression_level(CompressionLevel::new(6))
        .server_no_context_takeover()
        .client_no_context_takeover()
}

async fn answer(
    mut request: Request<Incoming>,
    room: Room<Frame>,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    let mut refusal = Response::new(Empty::new());
    *refusal.status_mut() = StatusCode::BAD_REQUEST;
    let in_room = request.uri().path() == "/room";
    let Ok((response, upgraded)) = WebSocket::upgrade_with_options(&mut request, options()) else {
        return Ok(refusal);
    };
    tokio::spawn(async move {
        let Ok(socket) = upgraded.await else { return };
        if in_room {
            room.carry(socket.map(Ok::<_, Infallible>), is_data).await;
        } else {
            echo(socket).await;
        }
    });
    Ok(response)
}

async fn echo(mut socket: HttpWebSocket) {
    while let Some(frame) = socket.next().await {
        if is_data(&frame) && socket.send(frame).await.is_err() {
            return;
        }
    }
}

fn is_data(frame: &Frame) -> bool {
    matches!(frame.opcode(), OpCode::Text | OpCode::Binary)
}
