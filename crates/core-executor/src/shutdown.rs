//! The shutdown pair: [`ShutdownHandle`] asks, [`ShutdownSignal`] hears.

use crate::sync::{Arc, AtomicBool, AtomicU8, CancellationToken, Notify, OnceLock, Ordering};

const RUNNING: u8 = 0;
const ASKED: u8 = 1;
const NOW: u8 = 2;

/// Why the application stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopCause {
    /// Somebody called [`ShutdownHandle::request_stop`].
    Requested,
    /// The process got this signal, for example `SIGTERM`.
    Signal(&'static str),
    /// The value that owned the running application was dropped.
    Dropped,
}

struct Shared {
    /// `RUNNING`, `ASKED` or `NOW`; only ever grows, so asking twice is asking once.
    state: AtomicU8,
    /// The first reason anybody gave.
    cause: OnceLock<StopCause>,
    /// Whether a courier is there to carry the wish. Without one the asker carries it.
    attended: AtomicBool,
    /// Wakes the one courier, so that asking costs the same however many are waiting to hear it.
    courier: Notify,
    asked: CancellationToken,
    now: CancellationToken,
    /// Set when the executor has ended and nothing of it runs any more.
    ended: CancellationToken,
}

/// Asks the application to stop. Clone it freely.
///
/// Every method may be called from any thread, any callback and any task: none of them blocks, and asking again has
/// no further effect. Asking takes constant time however many sessions are open.
#[derive(Clone)]
pub struct ShutdownHandle {
    shared: Arc<Shared>,
}

impl ShutdownHandle {
    /// Asks for an orderly stop: what is under way may finish.
    pub fn request_stop(&self) {
        self.request(ASKED, StopCause::Requested);
    }

    /// Asks for an immediate stop: nothing is waited for any more. What a second signal does.
    pub fn request_stop_now(&self) {
        self.request(NOW, StopCause::Requested);
    }

    /// Asks for an orderly stop and says why. Only the first reason is kept.
    pub fn request_stop_because(&self, cause: StopCause) {
        self.request(ASKED, cause);
    }

    /// Whether anybody has asked.
    pub fn is_requested(&self) -> bool {
        self.shared.state.load(Ordering::Acquire) >= ASKED
    }

    /// Whether an immediate stop was asked for.
    pub fn is_requested_now(&self) -> bool {
        self.shared.state.load(Ordering::Acquire) == NOW
    }

    /// The first reason given, once a stop was asked for.
    pub fn cause(&self) -> Option<StopCause> {
        self.shared.cause.get().copied()
    }

    /// Waits until the application has ended: every server closed, every task of ours over, except what could not be
    /// ended ([`StopReport`](crate::StopReport) counts it). Without
    /// [`stop_and_wait`](crate::RuntimeExecutor::stop_and_wait) nobody gives up on a worker that is blocked: then this
    /// waits for it.
    ///
    /// Any number of tasks may wait. A task *of* the application that waits for this is ended by the end itself.
    /// Cancel safe.
    pub async fn ended(&self) {
        self.shared.ended.cancelled().await;
    }

    /// Whether the application has ended.
    pub fn is_ended(&self) -> bool {
        self.shared.ended.is_cancelled()
    }

    pub(crate) fn mark_ended(&self) {
        self.shared.ended.cancel();
    }

    fn request(&self, state: u8, cause: StopCause) {
        let _ = self.shared.cause.set(cause);
        if self.shared.state.fetch_max(state, Ordering::SeqCst) < state {
            self.shared.courier.notify_one();
            if !self.shared.attended.load(Ordering::SeqCst) {
                self.shared.deliver();
            }
        }
    }
}

impl std::fmt::Debug for ShutdownHandle {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("ShutdownHandle")
            .field("requested", &self.is_requested())
            .finish_non_exhaustive()
    }
}

/// Hears that the application was asked to stop. Clone it freely.
///
/// ```
/// use core_executor::RuntimeExecutor;
///
/// let executor = RuntimeExecutor::with_threads(1)?;
/// let (asks, hears) = (executor.shutdown_handle(), executor.shutdown_signal());
/// assert!(!hears.is_requested());
/// asks.request_stop();
/// asks.request_stop(); // asked twice is asked once
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// hears.requested().await;
/// # });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ShutdownSignal {
    shared: Arc<Shared>,
}

impl ShutdownSignal {
    /// Waits until a stop was asked for; returns at once when it was already. Cancel safe.
    pub async fn requested(&self) {
        self.shared.asked.cancelled().await;
    }

    /// Waits until an immediate stop was asked for. Cancel safe.
    pub async fn requested_now(&self) {
        self.shared.now.cancelled().await;
    }

    /// Whether a stop was asked for.
    pub fn is_requested(&self) -> bool {
        self.shared.state.load(Ordering::Acquire) >= ASKED
    }

    /// Whether an immediate stop was asked for.
    pub fn is_requested_now(&self) -> bool {
        self.shared.state.load(Ordering::Acquire) == NOW
    }
}

impl std::fmt::Debug for ShutdownSignal {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("ShutdownSignal")
            .field("requested", &self.is_requested())
            .finish_non_exhaustive()
    }
}

/// Carries the wish from the handles to the signals. One runs on the executor's control thread.
pub(crate) struct Courier {
    shared: Arc<Shared>,
}

impl Courier {
    pub(crate) async fn run(self) {
        loop {
            let heard = self.shared.courier.notified();
            if self.shared.deliver() == NOW {
                return;
            }
            heard.await;
        }
    }
}

/// The executor may end before the courier has had its turn: nobody is left waiting for a wish that was uttered.
impl Drop for Courier {
    fn drop(&mut self) {
        self.shared.attended.store(false, Ordering::SeqCst);
        self.shared.deliver();
    }
}

impl Shared {
    /// Wakes who waits for what was asked for, and says what that is.
    fn deliver(&self) -> u8 {
        // Written, not only read: a courier that goes sees the wish, or the asker sees that it has gone.
        let state = self.state.fetch_max(RUNNING, Ordering::SeqCst);
        if state >= ASKED {
            self.asked.cancel();
        }
        if state == NOW {
            self.now.cancel();
        }
        state
    }
}

/// Makes both ends and the courier between them.
pub(crate) fn pair() -> (ShutdownHandle, ShutdownSignal, Courier) {
    let shared = Arc::new(Shared {
        state: AtomicU8::new(RUNNING),
        cause: OnceLock::new(),
        attended: AtomicBool::new(true),
        courier: Notify::new(),
        asked: CancellationToken::new(),
        now: CancellationToken::new(),
        ended: CancellationToken::new(),
    });
    (
        ShutdownHandle {
            shared: shared.clone(),
        },
        ShutdownSignal {
            shared: shared.clone(),
        },
        Courier { shared },
    )
}
