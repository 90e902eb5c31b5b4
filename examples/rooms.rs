//! Rooms: every session joins one on opening, and what one says all members hear.
//!
//! The path chooses the room: `ws://127.0.0.1:9090/kitchen`. `GET /rooms/kitchen` tells how many are in it.

use attached_runtime::{
    App, AttachedRuntime, Config, RuntimeError, RuntimeExecutor, ShutdownReport, WsServer,
};
use axum::extract::Path;
use axum::routing::get;

fn main() -> Result<ShutdownReport, RuntimeError> {
    let config = Config::from_env()?;
    let _log = examples::init_logging(config.logging);
    let executor = RuntimeExecutor::new(config.executor)?;

    let ws = WsServer::new(config.ws)
        .on_open(|session| async move {
            let room = room_of(session.path());
            match session.join(&room) {
                Ok(()) => {
                    session.send_text(format!("you are in {room}"));
                }
                Err(error) => {
                    session.close(1008, error.to_string());
                }
            }
        })
        .on_message(|session, text| async move {
            let room = room_of(session.path());
            let line = format!("{}: {text}", session.id());
            if let Err(error) = session.hub().broadcast_text_to_room(&room, line).await {
                tracing::warn!(%error, "not broadcast");
            }
        });

    let hub = ws.hub();
    let app = App::new(config.http).route(
        "/rooms/{room}",
        get(move |Path(room): Path<String>| {
            let members = hub.room_size(&room);
            async move { format!("{members}\n") }
        }),
    );

    AttachedRuntime::start(app, ws, executor)?.run()
}

fn room_of(path: &str) -> String {
    match path.trim_matches('/') {
        "" => "general".to_owned(),
        room => room.to_owned(),
    }
}
