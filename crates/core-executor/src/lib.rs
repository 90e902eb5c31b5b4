//! Threads, sockets, connection states, settings and signals for servers that share one life.
//!
//! This is the lowest floor of the workspace. It runs tasks on threads of its own (or on a tokio runtime that
//! already runs), hands accepted sockets to its workers, serves any tower service over hyper, tells a listener what
//! becomes of every connection, reads settings, and carries the wish to stop from whoever has it to whoever must
//! hear it. It knows no route and no session.
//!
//! ```
//! use core_executor::{ExecutorConfig, RuntimeExecutor};
//! use std::time::Duration;
//!
//! let executor = RuntimeExecutor::new(ExecutorConfig { threads: 2, ..ExecutorConfig::default() })?;
//! let answer = executor.spawner().spawn(async { 6 * 7 })?;
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! assert_eq!(answer.await?, 42);
//! let report = executor.stop_and_wait(Duration::from_secs(1)).await;
//! assert!(report.is_clean());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Reading order: settings ([`Env`]), tasks ([`RuntimeExecutor`], [`Spawner`]), the shutdown pair
//! ([`ShutdownHandle`] asks, [`ShutdownSignal`] hears), sockets ([`BoundListener`], [`serve()`]), connection states
//! ([`ConnectionStateListener`]).

#[cfg(not(target_os = "linux"))]
compile_error!(
    "this workspace runs on Linux: sockets are inherited and supervisors are told as Linux does it"
);

mod env;
mod env_file;
mod keys;
pub use env::Env;
pub use keys::{KEYS, Key, PREFIXES};

mod blocking;
mod executor;
mod metrics;
mod slots;
mod spawner;
mod sync;
mod task;
mod tracker;
mod worker;
pub use executor::{ExecutorConfig, RuntimeExecutor, StopReport};
pub use metrics::ExecutorMetrics;
pub use spawner::Spawner;
pub use task::{TaskError, TaskHandle, TaskOptions};
pub use unfinished::Unfinished;
pub use work_label::WorkLabel;

mod shutdown;
mod signals;
mod supervisor;
pub use shutdown::{ShutdownHandle, ShutdownSignal, StopCause};
pub use signals::listen_for_signals;
pub use supervisor::Supervisor;

mod accept;
mod activity;
mod admitted;
mod connection;
mod connection_budget;
#[cfg_attr(bench_without_guard, path = "no_guard.rs")]
mod connection_guard;
mod connection_info;
mod connection_limits;
mod connection_metrics;
mod departure;
mod departure_watch;
mod drain;
mod forwarded;
mod gate;
mod guarded;
mod handed;
mod http2;
mod inherited;
mod kept_answer;
mod listener;
mod long_wait;
mod outcome;
mod refusal;
mod refused_for;
mod request_body;
mod request_lease;
mod resting;
mod running_server;
mod serve;
mod serve_options;
mod serving;
mod stream;
mod stream_cell;
mod tracked_service;
mod traffic;
mod trusted_proxies;
mod turn_clock;
mod unfinished;
mod watchdog;
mod work_label;
pub use admitted::Admitted;
pub use connection::{Accepted, Cause, CloseReason, Closed, ConnectionId, ConnectionStateListener, Notice};
pub use connection_budget::{BudgetConfig, ConnectionBudget, ConnectionPermit, LimitReached};
pub use connection_guard::ConnectionGuard;
pub use connection_info::{ConnectionFacts, ConnectionInfo};
pub use connection_limits::ConnectionLimits;
pub use connection_metrics::ConnectionMetrics;
pub use departure::ClientGone;
pub use inherited::InheritedSockets;
pub use listener::{Arrival, BoundListener, Listener};
pub use long_wait::LongWait;
pub use refused_for::RefusedFor;
pub use request_body::{RequestBody, RequestBodyError};
pub use running_server::{Drained, RunningServer};
pub use serve::serve;
pub use serve_options::ServeOptions;
pub use stream::{DuplexStream, IoStream};
pub use trusted_proxies::{NoNetwork, TrustedProxies};
pub use turn_clock::read_clock;

mod tls;
pub use tls::{
    ClientAuth, TlsConfig, TlsError, TlsFacts, TlsFile, TlsIdentity, TlsReloader, TlsStream, TlsVersion,
    reload_on_hangup,
};

mod error;
pub use error::{BindError, EnvError, ExecutorError, InheritError};

#[cfg(all(test, any(loom, shuttle)))]
mod models;
