//! Connections over loopback: a server of one worker, as it is run, and clients in another process. They take turns, so
//! that the server always finds the same.

use std::io;

use core_executor::RuntimeExecutor;
use tokio::sync::oneshot;
use ws_server::{Hub, WsServer};

use crate::AnyError;
use crate::clients::Clients;
use crate::talk::Talk;

/// Talks for `rounds` rounds. Returns how many messages the clients heard.
pub(crate) async fn run(server: WsServer, name: &str, rounds: u64) -> Result<u64, AnyError> {
    let talk = Talk::named(name).ok_or("there is no such talk")?;
    let executor = RuntimeExecutor::with_threads(1)?;
    let running = server.start(&executor.spawner())?;
    let address = running.local_addr().ok_or("it has a listener of its own")?;
    let clients = Clients::connect(address, name, rounds)?;
    let each = (talk.clients() * talk.messages()) as u64;
    let (tell, told) = oneshot::channel();
    // On the worker itself: it stands still while the clients speak, and finds all they said at once.
    executor.spawner().post(async move {
        let mut clients = clients;
        let _ = tell.send(take_turns(&mut clients, &running.hub(), each, rounds).await);
        // It stands still to the end: what closing costs is not asked for.
        let _ = clients.turn();
    })?;
    told.await??;
    Ok(rounds * each)
}

async fn take_turns(clients: &mut Clients, hub: &Hub, each: u64, rounds: u64) -> io::Result<()> {
    for round in 1..=rounds {
        clients.turn()?;
        while hub.metrics().messages_sent() < round * each {
            tokio::task::yield_now().await;
        }
        clients.turn()?;
    }
    Ok(())
}
