//! Bounds on time and latency, held one after the other and as the best of three, so that a busy machine fails nothing:
//! what a session's neighbours notice of it, how soon a dead one is gone, how soon a handler knows that its client has
//! left, that slow connections are gone at their limits, what asking for an end costs,
//! how clients come back, and how soon a crowd is gone, and a process that something would hold up.

mod asking;
mod comeback;
mod crowd_limits;
mod departures;
mod endings;
mod held_up;
mod http_crowds;
mod measuring;
mod multitude;
mod stops;
mod websocket;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// One bound at a time: they would disturb each other.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Attempts until one shows the bound. When none of three does, the bound is not held.
fn best_of_three(attempt: impl Fn() -> Result<(), String>) {
    let mut failed = Vec::new();
    while let Err(measured) = attempt() {
        failed.push(measured);
        assert!(failed.len() < 3, "{failed:#?}");
    }
}
