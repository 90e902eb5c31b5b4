//! Connections that say nothing (or one message each, at first): what the server keeps for them.

use std::time::{Duration, Instant};

use super::Load;
use crate::client::{Client, LoadError, Script};
use crate::connection::Received;
use crate::frames::Template;
use crate::histogram::Histogram;
use crate::measured::{Measured, Measurement};

/// Connections that speak at the same time.
const AT_ONCE: usize = 64;

/// What the idle mode needs besides the load.
#[derive(Debug, Clone, Copy)]
pub struct Idle {
    /// Bytes each connection echoes once before it falls silent; 0 = it never speaks.
    pub touch: usize,
    /// Silence before memory is read.
    pub rest: Duration,
}

struct Silent {
    template: Template,
    answered: usize,
}

impl Script for Silent {
    fn message(&mut self, index: usize, message: &Received<'_>, _out: &mut Vec<u8>) -> Result<(), LoadError> {
        if !self.template.is(message.first_byte, message.payload, index, 0) {
            return Err(LoadError::Wrong(index));
        }
        self.answered += 1;
        Ok(())
    }
}

/// Measures resident memory per connection, then the CPU time of the silence in the window (`messages` counts the
/// connections that are still open).
///
/// # Errors
/// A connection is lost or a wrong answer comes.
pub fn idle(load: &Load, idle: Idle) -> Result<Measured, LoadError> {
    let resident = || load.server.map_or(Ok(0), |server| server.resident());
    let before = resident()?;
    let mut client = Client::new(load.address, &load.path, load.is_deflated)?;
    let mut script = Silent {
        template: Template::plain(idle.touch, false),
        answered: 0,
    };
    client.open(load.connections, AT_ONCE, &mut script)?;
    if idle.touch > 0 {
        for first in (0..load.connections).step_by(AT_ONCE) {
            let last = load.connections.min(first + AT_ONCE);
            client.send_on_all(|index, out| {
                if (first..last).contains(&index) {
                    script.template.write(index, 0, out);
                }
            })?;
            if !client.run_while(&mut script, Duration::from_secs(30), |script| {
                script.answered == last
            })? {
                return Err(LoadError::Missing("an answer".to_owned()));
            }
        }
    }
    client.run_until(&mut script, Instant::now() + idle.rest)?;
    let grown = resident()?.saturating_sub(before);
    let measurement = Measurement::begin(load.server)?;
    client.run_until(&mut script, Instant::now() + load.window)?;
    let measured = measurement.end(load.connections as u64, &Histogram::default())?;
    Ok(Measured {
        bytes_per_connection: grown as f64 / load.connections as f64,
        ..measured
    })
}
