//! New certificates without a restart.

use super::TlsError;
use super::identity::{Loaded, Shared};
use crate::{ExecutorError, Spawner, TaskOptions};
use std::sync::Arc;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Reads the certificate and key files of running servers again. Clone it freely.
#[derive(Debug, Clone)]
pub struct TlsReloader {
    servers: Vec<Arc<Shared>>,
}

impl TlsReloader {
    pub(super) fn of(servers: impl IntoIterator<Item = Arc<Shared>>) -> Self {
        Self {
            servers: servers.into_iter().collect(),
        }
    }

    /// One reloader for the servers of several.
    #[must_use]
    pub fn joined(reloaders: impl IntoIterator<Item = Self>) -> Self {
        Self::of(reloaders.into_iter().flat_map(|reloader| reloader.servers))
    }

    /// Reads the files and shows what they hold from the next handshake on; connections that are open go on. Blocks for
    /// as long as reading takes: call it from a thread that may, or by
    /// [`Spawner::spawn_blocking`](crate::Spawner::spawn_blocking).
    ///
    /// # Errors
    /// The first file that is missing, unusable, mismatched or expired. Then every server goes on with what it had;
    /// the error is also logged and counted.
    pub fn reload(&self) -> Result<(), TlsError> {
        let read = self.servers.iter().map(|server| Loaded::read(&server.config));
        match read.collect::<Result<Vec<_>, _>>() {
            Ok(loaded) => {
                for (server, loaded) in self.servers.iter().zip(loaded) {
                    server.replace(loaded);
                }
                tracing::info!("TLS: certificate and key were read again");
                Ok(())
            }
            Err(error) => {
                for server in &self.servers {
                    server.metrics.count_reload_error();
                }
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(%error, cause, "TLS: the former certificate stays");
                Err(error)
            }
        }
    }
}

/// Reloads at each SIGHUP for as long as the executor runs. From the call on, this signal no longer ends the process.
///
/// # Errors
/// When the process cannot install the handler or the executor is stopping already.
pub fn reload_on_hangup(spawner: &Spawner, reloader: TlsReloader) -> Result<(), ExecutorError> {
    let _inside = spawner.enter_control();
    let hangup = signal(SignalKind::hangup()).map_err(ExecutorError::Signals)?;
    spawner.spawn_control(reload_at_each(hangup, reloader, spawner.clone()))
}

async fn reload_at_each(mut hangup: Signal, reloader: TlsReloader, spawner: Spawner) {
    while hangup.recv().await.is_some() {
        let reloader = reloader.clone();
        let reading = spawner.spawn_blocking(TaskOptions::named("tls-reload"), move || {
            // The outcome is logged and counted; nobody else waits for it.
            let _ = reloader.reload();
        });
        match reading {
            Ok(reading) => drop(reading.await),
            Err(error) => tracing::error!(%error, "TLS: cannot reload now"),
        }
    }
}
