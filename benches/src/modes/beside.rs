//! HTTP beside a flood: the page is asked for on a few connections while WebSocket echoes keep the server's core busy.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use super::{Load, echo, plaintext};
use crate::client::LoadError;
use crate::measured::Measured;

/// The flood: connections, payload bytes and messages under way on each.
const FLOOD: (usize, usize, usize) = (200, 20, 16);

/// Measures the page as [`plaintext`] does, beside echoes at `flood` and its path.
///
/// # Errors
/// A wrong or missing answer, of either kind.
pub fn beside(load: &Load, flood: SocketAddr, path: &str) -> Result<Measured, LoadError> {
    let (connections, size, in_flight) = FLOOD;
    let warm_up = load.warm_up / 2;
    let echoes = Load {
        address: flood,
        path: path.to_owned(),
        server: None,
        connections,
        size,
        in_flight,
        warm_up,
        // Longer than the measurement beside it.
        window: load.warm_up + load.window + Duration::from_millis(500),
        messages: None,
        ..load.clone()
    };
    thread::scope(|scope| {
        let flooding = scope.spawn(|| echo(&echoes));
        thread::sleep(warm_up);
        let measured = plaintext(load);
        match flooding.join() {
            Ok(flooded) => flooded.and(measured),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}
