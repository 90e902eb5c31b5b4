//! What a worker thread runs at the moment, for whoever watches from another thread.

use pin_project_lite::pin_project;
use std::cell::OnceCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};

/// Words of detail that are kept: 256 bytes.
const WORDS: usize = 32;

thread_local! {
    /// Of the worker that this thread is.
    static HERE: OnceCell<Arc<Activity>> = const { OnceCell::new() };
}

/// Written by one worker thread alone, without any lock; read by the watchdog.
#[derive(Debug)]
pub(crate) struct Activity {
    /// The executor whose worker it is.
    owner: u64,
    /// Goes up when a task gets its turn and when it gives it back, so it is odd within a turn.
    turn: AtomicU64,
    /// Which of the executor's labels says what has the turn.
    label: AtomicUsize,
    length: AtomicUsize,
    detail: [AtomicU64; WORDS],
}

impl Activity {
    pub(crate) fn new(owner: u64) -> Self {
        Self {
            owner,
            turn: AtomicU64::new(0),
            label: AtomicUsize::new(0),
            length: AtomicUsize::new(0),
            detail: [const { AtomicU64::new(0) }; WORDS],
        }
    }

    /// The calling thread is this worker from now on.
    pub(crate) fn adopt(self: Arc<Self>) {
        // Once for each thread.
        let _ = HERE.with(|here| here.set(self));
    }

    /// The number of the turn that is being taken, when one is.
    pub(crate) fn turn(&self) -> Option<u64> {
        let turn = self.turn.load(Ordering::Acquire);
        (turn % 2 == 1).then_some(turn)
    }

    /// The label and the detail of what has the turn. Right as long as the turn is the same before and after.
    pub(crate) fn read(&self) -> (usize, Vec<u8>) {
        let words = self.detail.iter();
        let mut detail: Vec<u8> = words
            .flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes())
            .collect();
        detail.truncate(self.length.load(Ordering::Relaxed));
        (self.label.load(Ordering::Relaxed), detail)
    }

    fn step(&self) {
        let turn = self.turn.load(Ordering::Relaxed);
        self.turn.store(turn.wrapping_add(1), Ordering::Release);
    }

    fn begin(&self, label: usize) {
        self.label.store(label, Ordering::Relaxed);
        self.length.store(0, Ordering::Relaxed);
        self.step();
    }

    fn note(&self, label: usize, detail: &[u8]) {
        for (place, bytes) in self.detail.iter().zip(detail.chunks(8)) {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            place.store(u64::from_le_bytes(word), Ordering::Relaxed);
        }
        self.length.store(detail.len().min(WORDS * 8), Ordering::Relaxed);
        self.label.store(label, Ordering::Relaxed);
    }
}

/// Says what has the turn on the calling thread, if that is a worker of this executor.
pub(crate) fn note(owner: u64, label: usize, detail: &[u8]) {
    // A thread that ends tells nobody anything.
    let _ = HERE.try_with(|here| {
        if let Some(activity) = here.get().filter(|activity| activity.owner == owner) {
            activity.note(label, detail);
        }
    });
}

pin_project! {
    /// A task whose turns are told.
    pub(crate) struct Observed<F> {
        label: usize,
        #[pin]
        task: F,
    }
}

impl<F> Observed<F> {
    pub(crate) fn new(label: usize, task: F) -> Self {
        Self { label, task }
    }
}

impl<F: Future> Future for Observed<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let label = *this.label;
        let _ = HERE.try_with(|here| here.get().map(|activity| activity.begin(label)));
        let polled = this.task.poll(cx);
        let _ = HERE.try_with(|here| here.get().map(|activity| activity.step()));
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn a_turn_and_its_detail_are_read_from_outside() {
        let activity = Arc::new(Activity::new(7));
        let watched = activity.clone();
        let thread = std::thread::spawn(move || {
            watched.clone().adopt();
            let long = "x".repeat(300);
            Observed::new(3, async {
                assert_eq!((watched.turn(), watched.read()), (Some(1), (3, Vec::new())));
                note(8, 4, b"somebody else's");
                assert_eq!(watched.read(), (3, Vec::new()));
                note(7, 4, b"GET /ten bytes");
                assert_eq!(watched.read(), (4, b"GET /ten bytes".to_vec()));
                note(7, 4, long.as_bytes());
                assert_eq!(watched.read().1, long.as_bytes()[..256]);
            })
            .now_or_never()
            .unwrap();
        });
        thread.join().unwrap();
        assert_eq!(activity.turn(), None);
    }
}
