//! The server: every session has a room of its own and is told its name; what the publisher says goes to the room it names.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use attached_runtime::{
    App, AttachedRuntime, Config, Encoded, LongPollBridge, RuntimeExecutor, Session, WsServer,
};

/// The path of the publisher, which has no room.
pub(crate) const PUBLISHER: &str = "/publisher";

pub(crate) fn run() -> Result<(), Box<dyn Error>> {
    let config = Config::from_env()?;
    let executor = RuntimeExecutor::new(config.executor)?;
    let opened = Arc::new(AtomicU64::new(0));
    let ws = WsServer::new(config.ws)
        .on_open(move |session| {
            let number = opened.fetch_add(1, Ordering::Relaxed);
            async move {
                if session.path() != PUBLISHER {
                    seat(&session, number);
                }
            }
        })
        .on_message(|session, text| async move {
            if let Some((room, body)) = text.split_once(' ') {
                let _ = session.hub().publish(room, Encoded::text(body)).await;
            }
        });
    let bridge = LongPollBridge::new(config.longpoll);
    let running = AttachedRuntime::builder(App::new(config.http), ws)
        .long_polling(bridge)
        .start(executor)?;
    drop(running.run()?);
    Ok(())
}

fn seat(session: &Session, number: u64) {
    let room = format!("room-{number}");
    match session.join(&room) {
        Ok(()) => {
            session.send_text(format!("<{room}>"));
        }
        Err(error) => {
            session.close(1008, error.to_string());
        }
    }
}
