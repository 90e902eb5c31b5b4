//! What a WebSocket client may wish for.

use crate::events::Events;
use crate::number::number;
use attached_runtime::{JsonMessage, Session, ShutdownHandle, WsConfig, WsServer};
use serde::Deserialize;
use std::time::Duration;

/// Largest text the lab makes for anybody, in bytes.
const LARGEST: u64 = 16 << 20;

#[derive(Deserialize)]
struct Sleep {
    #[serde(default, deserialize_with = "number")]
    ms: u64,
}

#[derive(Deserialize)]
struct Burst {
    #[serde(default, deserialize_with = "number")]
    n: u64,
    #[serde(default, deserialize_with = "number")]
    size: u64,
}

#[derive(Deserialize)]
struct Close {
    #[serde(default = "normal", deserialize_with = "number")]
    code: u64,
    #[serde(default)]
    reason: String,
}

fn normal() -> u64 {
    1000
}

pub(crate) fn server(config: WsConfig, events: Events, stop: ShutdownHandle) -> WsServer {
    let (opened, ended, heard) = (events.clone(), events.clone(), events.clone());
    WsServer::new(config)
        .connection_state_listener(move |notice: &attached_runtime::Notice| heard.heard(notice))
        .on_open(move |session| {
            opened.opened(&session);
            async move {
                session.send_text("welcome");
            }
        })
        .on_close(move |session, info| {
            ended.ended(&session, &info);
            async {}
        })
        .on_message(|session, text| async move {
            session.send_text(format!("echo: {text}"));
        })
        .on_typed_message(move |session, message| {
            let (events, stop) = (events.clone(), stop.clone());
            async move { fulfil(&session, &message, &events, &stop).await }
        })
}

async fn fulfil(session: &Session, message: &JsonMessage, events: &Events, stop: &ShutdownHandle) {
    match message.type_.as_str() {
        "room.join" => match session.join("general") {
            Ok(()) => {
                session.send_text("joined general");
            }
            Err(error) => {
                session.send_text(format!("not joined: {error}"));
            }
        },
        "chat.message" => drop(
            session
                .hub()
                .broadcast_text_to_room("general", "new chat message")
                .await,
        ),
        "ping" => {
            session.send_text("pong");
        }
        "sleep" => sleep(session, message).await,
        "burst" => burst(session, message),
        "burst.stop" => {
            burst(session, message);
            stop.request_stop();
        }
        "throw" => {
            events.will_panic();
            panic!("thrown on request");
        }
        "close" => close(session, message),
        "stop.request" => stop.request_stop(),
        _ => {}
    }
}

async fn sleep(session: &Session, message: &JsonMessage) {
    let Some(Sleep { ms }) = read(session, message) else {
        return;
    };
    tokio::time::sleep(Duration::from_millis(ms)).await;
    session.send_text("slept");
}

fn burst(session: &Session, message: &JsonMessage) {
    let Some(Burst { n, size }) = read(session, message) else {
        return;
    };
    let text = filler(size);
    for _ in 0..n {
        session.send_text(&text);
    }
}

fn close(session: &Session, message: &JsonMessage) {
    let Some(Close { code, reason }) = read(session, message) else {
        return;
    };
    session.close(u16::try_from(code).unwrap_or(1000), reason);
}

fn read<'a, T: Deserialize<'a>>(session: &Session, message: &'a JsonMessage) -> Option<T> {
    message
        .payload::<T>()
        .inspect_err(|error| {
            session.send_text(format!("bad {}: {error}", message.type_));
        })
        .ok()
}

pub(crate) fn filler(size: u64) -> String {
    "x".repeat(usize::try_from(size.min(LARGEST)).unwrap_or(0))
}
