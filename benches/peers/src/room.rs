//! The room every library's users write first: a broadcast channel, and in each connection's task a `select!` between
//! the socket and the channel, a `send` for each message. With the word `batched` behind the port a member writes all
//! that waits with one flush, which the documentation of none of them shows.

use futures_util::{Sink, SinkExt, Stream, StreamExt};
use tokio::sync::broadcast;

/// Messages a member may lag behind before it misses some.
const BACKLOG: usize = 1024;

/// The one room of a server.
#[derive(Clone)]
pub struct Room<M> {
    news: broadcast::Sender<M>,
    is_batched: bool,
}

impl<M: Clone> Room<M> {
    pub fn new(is_batched: bool) -> Self {
        Self {
            news: broadcast::channel(BACKLOG).0,
            is_batched,
        }
    }

    /// Carries one member: what it says goes to all, what anybody says goes to it.
    pub async fn carry<S, E>(&self, socket: S, is_data: impl Fn(&M) -> bool)
    where
        S: Stream<Item = Result<M, E>> + Sink<M> + Unpin,
    {
        let mut socket = socket;
        let mut news = self.news.subscribe();
        loop {
            tokio::select! {
                said = socket.next() => match said {
                    Some(Ok(message)) if is_data(&message) => {
                        let _ = self.news.send(message);
                    }
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return,
                },
                heard = news.recv() => {
                    let Ok(message) = heard else { return };
                    if socket.feed(message).await.is_err() {
                        return;
                    }
                    while self.is_batched && let Ok(message) = news.try_recv() {
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
