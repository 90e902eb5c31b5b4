//! The room every library's users write first: a broadcast channel, and in each connection's task a `select!` between
//! the socket and the channel.

use futures_util::{Sink, SinkExt, Stream, StreamExt};
use tokio::sync::broadcast;

/// Messages a member may lag behind before it misses some.
const BACKLOG: usize = 1024;

/// The one room of a server.
#[derive(Clone)]
pub struct Room<M>(broadcast::Sender<M>);

impl<M: Clone> Room<M> {
    pub fn new() -> Self {
        Self(broadcast::channel(BACKLOG).0)
    }

    /// Carries one member: what it says goes to all, what anybody says goes to it. What waits is written with one
    /// flush.
    pub async fn carry<S, E>(&self, socket: S, is_data: impl Fn(&M) -> bool)
    where
        S: Stream<Item = Result<M, E>> + Sink<M> + Unpin,
    {
        let mut socket = socket;
        let mut news = self.0.subscribe();
        loop {
            tokio::select! {
                said = socket.next() => match said {
                    Some(Ok(message)) if is_data(&message) => {
                        let _ = self.0.send(message);
                    }
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return,
                },
                heard = news.recv() => {
                    let Ok(message) = heard else { return };
                    if socket.feed(message).await.is_err() {
                        return;
                    }
                    while let Ok(message) = news.try_recv() {
                        if socket.feed(message).await.is_err() {
                            return;
                        }
                    }
                    if socket.flush().await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}
