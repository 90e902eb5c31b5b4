//! A queue of messages that is bounded by their number and by their bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tungstenite::protocol::Message;

use super::config::QueueConfig;

/// What may wait in a queue.
pub(super) trait Weighs {
    /// Bytes it counts.
    fn weight(&self) -> usize;
}

impl Weighs for Message {
    fn weight(&self) -> usize {
        self.len()
    }
}

/// The two ends of a queue.
pub(super) fn queue<T: Weighs>(config: QueueConfig) -> (QueueSender<T>, QueueReceiver<T>) {
    let number = |limit: usize| u32::try_from(limit.max(1)).unwrap_or(u32::MAX);
    let most_bytes = number(config.bytes);
    let (slots, items) = mpsc::channel(number(config.messages) as usize);
    let bytes = Arc::new(Semaphore::new(most_bytes as usize));
    let progress = Arc::new(Progress::default());
    let sender = QueueSender {
        slots,
        bytes: bytes.clone(),
        most_bytes,
        progress: progress.clone(),
    };
    let receiver = QueueReceiver {
        items,
        bytes,
        taken: 0,
        progress,
    };
    (sender, receiver)
}

/// How far the receiving end has come.
#[derive(Debug, Default)]
struct Progress {
    /// Messages that were put in.
    put: AtomicU64,
    /// Messages that had been taken out when the receiving end last asked for another.
    done: AtomicU64,
    asks: Notify,
}

#[derive(Debug)]
struct Item<T> {
    message: T,
    /// Its bytes, given back when it leaves the queue.
    _bytes: OwnedSemaphorePermit,
}

/// The end that fills a queue.
#[derive(Debug)]
pub(super) struct QueueSender<T = Message> {
    slots: mpsc::Sender<Item<T>>,
    bytes: Arc<Semaphore>,
    most_bytes: u32,
    progress: Arc<Progress>,
}

impl<T> Clone for QueueSender<T> {
    fn clone(&self) -> Self {
        Self {
            slots: self.slots.clone(),
            bytes: self.bytes.clone(),
            most_bytes: self.most_bytes,
            progress: self.progress.clone(),
        }
    }
}

/// Why a message did not enter a queue.
#[derive(Debug)]
pub(super) enum NotQueued<T = Message> {
    Full(T),
    Closed,
}

/// A queue takes nothing any more.
#[derive(Debug)]
pub(super) struct QueueClosed;

/// Room for one message, kept until it is used or dropped.
#[derive(Debug)]
pub(super) struct Room<'a, T = Message> {
    slot: mpsc::Permit<'a, Item<T>>,
    bytes: OwnedSemaphorePermit,
    progress: &'a Progress,
}

impl<T> Room<'_, T> {
    pub(super) fn put(self, message: T) {
        let Self {
            slot,
            bytes,
            progress,
        } = self;
        progress.put.fetch_add(1, Ordering::AcqRel);
        slot.send(Item {
            message,
            _bytes: bytes,
        });
    }
}

impl<T: Weighs> QueueSender<T> {
    /// What a message counts: a longer one than may wait counts as all of it.
    fn weight(&self, message: &T) -> u32 {
        u32::try_from(message.weight())
            .unwrap_or(u32::MAX)
            .clamp(1, self.most_bytes)
    }

    pub(super) fn try_send(&self, message: T) -> Result<(), NotQueued<T>> {
        if self.slots.is_closed() {
            return Err(NotQueued::Closed);
        }
        let Ok(bytes) = self.bytes.clone().try_acquire_many_owned(self.weight(&message)) else {
            return Err(NotQueued::Full(message));
        };
        let slot = match self.slots.try_reserve() {
            Ok(slot) => slot,
            Err(TrySendError::Full(())) => return Err(NotQueued::Full(message)),
            Err(TrySendError::Closed(())) => return Err(NotQueued::Closed),
        };
        let progress = &self.progress;
        Room {
            slot,
            bytes,
            progress,
        }
        .put(message);
        Ok(())
    }

    /// Waits for room for `message`. Cancel safe: nothing is kept by a call that does not finish.
    pub(super) async fn room(&self, message: &T) -> Result<Room<'_, T>, QueueClosed> {
        let weight = self.weight(message);
        let bytes = self.bytes.clone().acquire_many_owned(weight).await;
        let bytes = bytes.map_err(|_| QueueClosed)?;
        let slot = self.slots.reserve().await.map_err(|_| QueueClosed)?;
        let progress = &self.progress;
        Ok(Room {
            slot,
            bytes,
            progress,
        })
    }

    /// Waits until the receiving end has taken everything and has come back for more, or is gone. Cancel safe.
    pub(super) async fn caught_up(&self) {
        let Progress { put, done, asks } = &*self.progress;
        while !self.slots.is_closed() && done.load(Ordering::Acquire) != put.load(Ordering::Acquire) {
            tokio::select! {
                () = asks.notified() => {}
                () = self.slots.closed() => {}
            }
        }
    }
}

/// The end that empties a queue. Dropping it closes the queue.
#[derive(Debug)]
pub(super) struct QueueReceiver<T = Message> {
    items: mpsc::Receiver<Item<T>>,
    bytes: Arc<Semaphore>,
    /// Messages that were taken out.
    taken: u64,
    progress: Arc<Progress>,
}

impl<T> QueueReceiver<T> {
    /// The next message; `None` when there is none and none can come. Cancel safe.
    pub(super) async fn recv(&mut self) -> Option<T> {
        self.progress.done.store(self.taken, Ordering::Release);
        self.progress.asks.notify_one();
        let item = self.items.recv().await?;
        self.taken += 1;
        Some(item.message)
    }

    /// A message that waits already.
    pub(super) fn try_recv(&mut self) -> Option<T> {
        let item = self.items.try_recv().ok()?;
        self.taken += 1;
        Some(item.message)
    }

    /// Takes nothing more; what waits stays. Whoever waits for room is told.
    pub(super) fn close(&mut self) {
        self.items.close();
        self.bytes.close();
    }

    /// Whether nothing waits and nothing can come.
    pub(super) fn is_finished(&self) -> bool {
        self.items.is_closed() && self.items.is_empty()
    }

    /// Takes nothing more and throws away what waits. Returns how many messages that were.
    pub(super) fn discard(&mut self) -> u64 {
        self.close();
        let mut gone = 0;
        while self.try_recv().is_some() {
            gone += 1;
        }
        gone
    }
}

impl<T> Drop for QueueReceiver<T> {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::{NotQueued, queue};
    use crate::client::QueueConfig;
    use tungstenite::protocol::Message;

    fn message(length: usize) -> Message {
        Message::binary(vec![0; length])
    }

    fn config(messages: usize, bytes: usize) -> QueueConfig {
        QueueConfig { messages, bytes }
    }

    #[test]
    fn messages_and_bytes_are_bounded_and_one_long_message_enters_an_empty_queue() {
        let (sender, mut receiver) = queue(config(2, 10));
        assert!(sender.try_send(message(100)).is_ok());
        assert!(matches!(sender.try_send(message(1)), Err(NotQueued::Full(_))));
        assert_eq!(receiver.try_recv().map(|message| message.len()), Some(100));
        assert!(sender.try_send(message(4)).is_ok());
        assert!(matches!(sender.try_send(message(7)), Err(NotQueued::Full(_))));
        assert!(sender.try_send(message(0)).is_ok());
        assert!(
            matches!(sender.try_send(message(0)), Err(NotQueued::Full(_))),
            "two messages"
        );
        assert_eq!(receiver.discard(), 2);
        assert!(receiver.is_finished());
        assert!(matches!(sender.try_send(message(0)), Err(NotQueued::Closed)));
    }

    #[tokio::test]
    async fn the_receiving_end_has_caught_up_when_it_comes_back_for_more() {
        let (sender, mut receiver) = queue(config(9, 9));
        sender.caught_up().await;
        sender.try_send(message(1)).unwrap();
        sender.room(&message(1)).await.unwrap().put(message(1));
        let mut caught_up = Box::pin(sender.caught_up());
        for _ in 0..2 {
            assert!(futures_util::poll!(&mut caught_up).is_pending());
            assert!(receiver.recv().await.is_some());
        }
        assert!(
            futures_util::poll!(&mut caught_up).is_pending(),
            "the second is being handled"
        );
        assert!(futures_util::poll!(Box::pin(receiver.recv())).is_pending());
        caught_up.await;
        sender.try_send(message(1)).unwrap();
        drop(receiver);
        sender.caught_up().await;
    }

    #[tokio::test]
    async fn who_waits_for_room_is_told_of_the_end() {
        for config in [config(1, 100), config(10, 1)] {
            let (sender, receiver) = queue(config);
            sender.try_send(message(1)).unwrap();
            let next = message(1);
            let mut waiting = Box::pin(sender.room(&next));
            let early = futures_util::poll!(&mut waiting);
            assert!(early.is_pending());
            drop(receiver);
            assert!(waiting.await.is_err());
        }
    }
}
