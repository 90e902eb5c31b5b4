//! The figures of one run, and the window in which they are taken.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::client::LoadError;
use crate::histogram::Histogram;
use crate::process::{Process, own_cpu};

/// What one run found.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Measured {
    /// Messages (deliveries in a room, handshakes) in the window.
    pub messages: u64,
    /// Length of the window in seconds.
    pub seconds: f64,
    /// CPU seconds of the server in the window.
    pub server_cpu: f64,
    /// CPU seconds of the load client in the window: below the window's length, or it was the bottleneck.
    pub client_cpu: f64,
    /// Messages per CPU second of the server.
    pub per_cpu_second: f64,
    /// Half of the latencies are below this; milliseconds.
    pub p50: f64,
    /// 99 of 100 latencies are below this; milliseconds.
    pub p99: f64,
    /// The longest latency; milliseconds.
    pub max: f64,
    /// Resident memory of the server per connection, bytes (idle mode only).
    pub bytes_per_connection: f64,
}

/// The window of a run.
#[derive(Debug)]
pub struct Measurement {
    server: Option<Process>,
    since: Instant,
    server_before: Duration,
    client_before: Duration,
}

impl Measurement {
    /// Opens the window.
    ///
    /// # Errors
    /// The server is gone.
    pub fn begin(server: Option<Process>) -> Result<Self, LoadError> {
        Ok(Self {
            server,
            since: Instant::now(),
            server_before: server.map_or(Ok(Duration::ZERO), Process::cpu)?,
            client_before: own_cpu()?,
        })
    }

    /// Closes it: `messages` were counted in it, `latencies` taken.
    ///
    /// # Errors
    /// The server is gone.
    pub fn end(&self, messages: u64, latencies: &Histogram) -> Result<Measured, LoadError> {
        let server = self.server.map_or(Ok(Duration::ZERO), Process::cpu)? - self.server_before;
        let server_cpu = server.as_secs_f64();
        Ok(Measured {
            messages,
            seconds: self.since.elapsed().as_secs_f64(),
            server_cpu,
            client_cpu: (own_cpu()? - self.client_before).as_secs_f64(),
            per_cpu_second: if server_cpu > 0.0 {
                messages as f64 / server_cpu
            } else {
                0.0
            },
            p50: latencies.percentile(0.5),
            p99: latencies.percentile(0.99),
            max: latencies.max(),
            bytes_per_connection: 0.0,
        })
    }
}
