//! A small load: guests who come, chat and go, one who hardly reads, and requests of a few kinds.

use attached_runtime::{App, Encoded, ExecutorError, JsonMessage, Session, ShutdownSignal, Spawner};
use axum::routing::get;
use serde_json::json;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::sleep;
use ws_server::client::{ClientConfig, ClientError, WsClient};

const ROOMS: [&str; 5] = ["lobby", "garden", "workshop", "library", "attic"];
const GUESTS: u64 = 40;
/// Kinds of requests, and how many of each are asked at a time.
const REQUESTS: [(&str, u64); 4] = [("/quote", 3), ("/search", 2), ("/report", 1), ("/nowhere", 1)];
/// Fills up what the one who hardly reads has not read.
const LINE: &str = "The quick brown fox jumps over the lazy dog and is seen no more. ";

/// What is asked for: quick, slower, and as slow as an end has to wait for.
pub(crate) fn routes(app: App) -> App {
    app.route("/quote", get(|| answer(2)))
        .route("/search", get(|| answer(40)))
        .route_without_timeout("/report", get(|| answer(2500)))
}

async fn answer(most_ms: u64) -> &'static str {
    sleep(Duration::from_millis(chance(most_ms) + most_ms / 4)).await;
    "done"
}

/// Somebody says a line to everybody in a room, and is in it from then on.
pub(crate) async fn say(session: &Session, message: &JsonMessage) {
    let Some(room) = ROOMS.into_iter().find(|room| *room == message.room) else {
        return;
    };
    let line = Encoded::json(&JsonMessage::empty("chat.line").with_room(room));
    let told = match session.join(room) {
        Ok(())
            if message
                .payload::<serde_json::Value>()
                .is_ok_and(|line| line["long"] == true) =>
        {
            session.hub().publish(room, Encoded::text(LINE.repeat(40))).await
        }
        Ok(()) => session.hub().publish(room, line).await,
        Err(_) => return,
    };
    if let Err(error) = told {
        tracing::warn!(%error, room, "a line was not told");
    }
}

/// Everything comes from here, so that the server alone is enough to see something.
pub(crate) fn begin(server: SocketAddr, spawner: &Spawner) -> Result<(), ExecutorError> {
    for guest in 0..GUESTS {
        let (spawner, signal) = (spawner.clone(), spawner.shutdown_signal());
        spawner.clone().spawn_service(until_the_end(signal, async move {
            loop {
                // Who is refused comes again.
                let _ = visit(server, guest, &spawner).await;
                sleep(Duration::from_millis(500 + chance(3000))).await;
            }
        }))?;
    }
    for (path, times) in REQUESTS {
        for _ in 0..times {
            spawner.spawn_service(until_the_end(spawner.shutdown_signal(), async move {
                loop {
                    let _ = requests(server, path).await;
                    sleep(Duration::from_secs(1)).await;
                }
            }))?;
        }
    }
    let signal = spawner.shutdown_signal();
    spawner.spawn_service(async move {
        let dozing = async {
            loop {
                let _ = doze(server).await;
                sleep(Duration::from_secs(5)).await;
            }
        };
        // An end waits for readers that get on, and this one would take all the time there is.
        tokio::select! {
            () = dozing => {}
            () = signal.requested() => {}
        }
    })
}

async fn until_the_end(signal: ShutdownSignal, work: impl Future<Output = ()>) {
    tokio::select! {
        () = work => {}
        () = signal.requested_now() => {}
    }
}

/// One guest's stay: a room, a line now and then, and a goodbye.
async fn visit(server: SocketAddr, guest: u64, spawner: &Spawner) -> Result<(), ClientError> {
    let url = format!("ws://{server}/ws");
    let (sender, mut receiver) = WsClient::connect(&url, &ClientConfig::default(), spawner)
        .await?
        .split();
    // The first rooms are the fuller ones.
    let room = ROOMS[(chance(5).min(chance(5))) as usize];
    let stays = Instant::now() + Duration::from_secs(10 + chance(40));
    let mut next = Instant::now();
    while Instant::now() < stays {
        tokio::select! {
            heard = receiver.receive() => match heard? {
                Some(_) => {}
                None => return Ok(()),
            },
            () = tokio::time::sleep_until(next.into()) => {
                let said = JsonMessage::new("chat.say", &json!({ "long": guest.is_multiple_of(8) }));
                let said = said.map_or_else(|_| JsonMessage::empty("chat.say"), |said| said.with_room(room));
                sender.send_json(&said).await?;
                next = Instant::now() + Duration::from_millis(pace(1500));
            }
        }
    }
    sender.close(1000, "").await.map(drop)
}

/// One request after the other on one connection.
async fn requests(server: SocketAddr, path: &str) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(server).await?;
    let mut answer = vec![0; 4096];
    loop {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {server}\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        // Answers are short: they come in one piece.
        if stream.read(&mut answer).await? == 0 {
            return Ok(());
        }
        sleep(Duration::from_millis(pace(120))).await;
    }
}

/// A guest of the first room who reads a little at a time.
async fn doze(server: SocketAddr) -> std::io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4096)?;
    let mut stream = socket.connect(server).await?;
    let opening = "GET /ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let opening = format!("{opening}Host: {server}\r\n\r\n");
    stream.write_all(opening.as_bytes()).await?;
    // A masked frame with a mask of zeroes: the envelope stands in it as it is.
    let said = r#"{"room":"lobby","type":"chat.say"}"#;
    let mut frame = vec![0x81, 0x80 | said.len() as u8, 0, 0, 0, 0];
    frame.extend_from_slice(said.as_bytes());
    stream.write_all(&frame).await?;
    let mut some = [0; 256];
    loop {
        for _ in 0..10 {
            if stream.read(&mut some).await? == 0 {
                return Ok(());
            }
            sleep(Duration::from_secs(1)).await;
        }
        // It lives, though it does not get to the pings: an empty pong.
        stream.write_all(&[0x8a, 0x80, 0, 0, 0, 0]).await?;
    }
}

/// A pause that is longer and shorter by turns, so that the charts have something to show.
fn pace(usual_ms: u64) -> u64 {
    let wave = (since_start().as_secs_f64() / 6.0).sin();
    let usual = usual_ms as f64 * (1.0 + 0.7 * wave);
    (usual * 0.5) as u64 + chance(usual as u64 + 1)
}

fn since_start() -> Duration {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

/// Any number below `end`, 0 where that is 0.
fn chance(end: u64) -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new()
        .hash_one(since_start())
        .checked_rem(end)
        .unwrap_or(0)
}
