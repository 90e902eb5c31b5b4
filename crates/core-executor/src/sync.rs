//! What the sync core is made of: the real parts, or, in this crate's own tests under `cfg(loom)` and `cfg(shuttle)`,
//! parts whose steps a model checker orders. What it checks is therefore the code that ships.

#[cfg(not(all(test, any(loom, shuttle))))]
pub(crate) use std::sync::{
    Arc, Mutex, MutexGuard, OnceLock,
    atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering},
};
#[cfg(not(all(test, any(loom, shuttle))))]
pub(crate) use tokio::sync::Notify;
#[cfg(not(all(test, any(loom, shuttle))))]
pub(crate) use tokio_util::{
    sync::{CancellationToken, WaitForCancellationFuture},
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};

#[cfg(all(test, any(loom, shuttle)))]
mod checked;
#[cfg(all(test, any(loom, shuttle)))]
pub(crate) use checked::{
    Arc, AtomicBool, AtomicU8, AtomicUsize, CancellationToken, Mutex, MutexGuard, Notify, OnceLock, Ordering,
    TaskTracker, TaskTrackerToken, WaitForCancellationFuture,
};
