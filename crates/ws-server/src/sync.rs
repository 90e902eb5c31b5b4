//! What sessions, rooms and their tables are made of: the real parts, or, in this crate's own tests under
//! `cfg(shuttle)`, parts whose steps a scheduler orders. What it checks is therefore the code that ships.

#[cfg(not(all(test, shuttle)))]
pub(crate) use parking_lot::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
#[cfg(not(all(test, shuttle)))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
#[cfg(not(all(test, shuttle)))]
pub(crate) use tokio::sync::Notify;

#[cfg(all(test, shuttle))]
mod checked;
#[cfg(all(test, shuttle))]
pub(crate) use checked::{
    AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Mutex, MutexGuard, Notify, Ordering, RwLock,
    RwLockReadGuard, RwLockWriteGuard,
};
