//! Connections that come, shake hands, say Close, hear Close, and come again.

use std::time::Instant;

use super::Load;
use crate::client::{Client, LoadError, Script};
use crate::connection::{Connection, Received};
use crate::histogram::Histogram;
use crate::measured::{Measured, Measurement};

struct Comers {
    done: u64,
    latencies: Histogram,
}

impl Script for Comers {
    fn opened(&mut self, _index: usize, connection: &mut Connection) {
        connection.say_close();
    }

    fn message(
        &mut self,
        index: usize,
        _message: &Received<'_>,
        _out: &mut Vec<u8>,
    ) -> Result<(), LoadError> {
        Err(LoadError::Wrong(index))
    }

    fn ended(&mut self, index: usize, connection: &Connection) -> Result<bool, LoadError> {
        if connection.is_open() {
            // An end without a Close: the server owes one.
            return Err(LoadError::Ended(index));
        }
        self.done += 1;
        self.latencies.add(connection.since.elapsed());
        Ok(true)
    }
}

/// Measures connect, upgrade, Close, answer.
///
/// # Errors
/// A handshake fails or a Close is not answered.
pub fn handshakes(load: &Load) -> Result<Measured, LoadError> {
    let mut client = Client::new(load.address, &load.path, load.is_deflated)?;
    let mut script = Comers {
        done: 0,
        latencies: Histogram::default(),
    };
    client.begin_all(load.connections)?;
    client.run_until(&mut script, Instant::now() + load.warm_up)?;
    let before = script.done;
    script.latencies = Histogram::default();
    let measurement = Measurement::begin(load.server)?;
    client.run_until(&mut script, Instant::now() + load.window)?;
    measurement.end(script.done - before, &script.latencies)
}
