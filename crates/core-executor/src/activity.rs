//! What a worker thread runs at the moment, for whoever watches from another thread.

use pin_project_lite::pin_project;
use std::cell::OnceCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
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
    /// Bytes of the detail.
    length: AtomicUsize,
    detail: [AtomicU64; WORDS],
}

/// What every turn of a task is about, as long as nothing else is noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct About {
    label: u32,
    /// Bytes of the number: 8, or 0 where there is none.
    length: u32,
    number: u64,
}

impl About {
    /// A server's own task, of which nothing else is known.
    pub(crate) const SERVICE: Self = Self {
        label: 0,
        length: 0,
        number: 0,
    };

    /// This label, without a detail.
    pub(crate) fn label(label: usize) -> Self {
        Self {
            label: narrow(label),
            length: 0,
            number: 0,
        }
    }

    /// This label, and as its detail a number in little-endian bytes.
    pub(crate) fn number(label: usize, number: u64) -> Self {
        Self {
            label: narrow(label),
            length: 8,
            number,
        }
    }
}

/// A label too many to be told: there is none at this place.
fn narrow(label: usize) -> u32 {
    u32::try_from(label).unwrap_or(u32::MAX)
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
        let label = self.label.load(Ordering::Relaxed);
        // Whoever asks for the turn again asks after this.
        fence(Ordering::Acquire);
        (label, detail)
    }

    fn step(&self) {
        let turn = self.turn.load(Ordering::Relaxed);
        self.turn.store(turn.wrapping_add(1), Ordering::Release);
    }

    fn begin(&self, about: About) {
        self.label.store(about.label as usize, Ordering::Relaxed);
        self.length.store(about.length as usize, Ordering::Relaxed);
        self.detail[0].store(about.number, Ordering::Relaxed);
        self.step();
    }

    fn note(&self, label: usize, detail: &[u8]) {
        // Whole words of a known length: to copy each by a call costs more than all of this.
        let (words, rest) = detail.as_chunks();
        let rest = (!rest.is_empty()).then(|| last_word(rest));
        let words = words.iter().copied().chain(rest);
        for (place, word) in self.detail.iter().zip(words) {
            place.store(u64::from_le_bytes(word), Ordering::Relaxed);
        }
        self.length.store(detail.len().min(WORDS * 8), Ordering::Relaxed);
        self.label.store(label, Ordering::Relaxed);
    }
}

/// Fewer than eight bytes, filled up with zeros.
fn last_word(rest: &[u8]) -> [u8; 8] {
    let mut word = [0; 8];
    for (place, byte) in word.iter_mut().zip(rest) {
        *place = *byte;
    }
    word
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
    // What is told stands in front, on the cache line that the turn needs anyway.
    #[repr(C)]
    pub(crate) struct Observed<F> {
        about: About,
        #[pin]
        task: F,
    }
}

impl<F> Observed<F> {
    pub(crate) fn new(about: About, task: F) -> Self {
        Self { about, task }
    }
}

impl<F: Future> Future for Observed<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let (about, mut task) = (*this.about, this.task);
        let told = HERE.try_with(|here| {
            let activity = here.get();
            if let Some(activity) = activity {
                activity.begin(about);
            }
            let polled = task.as_mut().poll(cx);
            if let Some(activity) = activity {
                activity.step();
            }
            polled
        });
        // A thread that ends tells nobody anything.
        told.unwrap_or_else(|_| task.poll(cx))
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
            Observed::new(About::label(3), async {
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

    #[test]
    fn a_number_is_there_at_each_turn_of_its_task_and_at_no_other() {
        let watched = Arc::new(Activity::new(7));
        let thread = std::thread::spawn(move || {
            watched.clone().adopt();
            let seen = || watched.read();
            let number = 0x0102_0304_0506_0708_u64;
            let mut turns = 0;
            let task = std::future::poll_fn(|_| {
                turns += 1;
                let named = (5, number.to_le_bytes().to_vec());
                assert_eq!((watched.turn(), seen()), (Some(4 * turns - 3), named));
                note(7, 4, b"GET /between");
                if turns == 2 {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            });
            let mut task = Box::pin(Observed::new(About::number(5, number), task));
            assert_eq!(task.as_mut().now_or_never(), None);
            Observed::new(About::label(0), async { assert_eq!(seen(), (0, Vec::new())) })
                .now_or_never()
                .unwrap();
            task.now_or_never().unwrap();
        });
        thread.join().unwrap();
    }

    #[test]
    fn a_detail_of_any_length_comes_back_whole() {
        let activity = Activity::new(7);
        let bytes: Vec<u8> = (1..=255).chain(1..=20).collect();
        for length in (0..20).chain(245..bytes.len()) {
            activity.note(1, &bytes[..length]);
            assert_eq!(activity.read().1, bytes[..length.min(256)], "{length}");
        }
    }
}
