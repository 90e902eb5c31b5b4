//! HTTP, WebSocket and long-polling as one application with one life.
//!
//! An [`App`] (routes, on axum) and a [`WsServer`] (sessions, rooms, typed messages) are described apart, started
//! together on one [`RuntimeExecutor`], and ended together: nothing serves before everything is bound, and the end
//! answers every request and closes every session before the threads go.
//!
//! ```no_run
//! use attached_runtime::{App, AttachedRuntime, Config, RuntimeError, RuntimeExecutor, ShutdownReport, WsServer};
//! use axum::routing::get;
//!
//! fn main() -> Result<ShutdownReport, RuntimeError> {
//!     let config = Config::from_env()?;
//!     let executor = RuntimeExecutor::new(config.executor)?;
//!     let ws = WsServer::new(config.ws).on_message(|session, text| async move {
//!         session.send_text(format!("echo: {text}"));
//!     });
//!     let app = App::new(config.http).route("/", get(|| async { "HTTP and WebSocket are running" }));
//!     AttachedRuntime::start(app, ws, executor)?.run()
//! }
//! ```
//!
//! # One life
//!
//! *Described → running → ended*; each step takes the former by value, and what may not be done in a step has no
//! method there. [`ShutdownHandle`] asks for the end from anywhere; [`AttachedRuntime`] alone ends, by
//! [`run`](AttachedRuntime::run), [`serve`](AttachedRuntime::serve) or
//! [`finalize_shutdown`](AttachedRuntime::finalize_shutdown), and gives the [`ShutdownReport`], which is also the
//! exit code of a `main` that returns it.
//!
//! The end passes through the [phases](Phase) `Serving → Draining → Closing → Stopped`:
//!
//! 1. *Draining*: shutdown hooks run (one of them asks the WebSocket server), the listeners close, upgrades are
//!    refused with 503, waiting polls are answered at once, requests in flight finish. Half of
//!    [`ExecutorConfig::shutdown_deadline`] at most.
//! 2. *Closing*: each session is sent what is queued for it, then a Close, and its peer's answer is awaited for
//!    [`WsConfig::close_timeout`]. Up to the deadline.
//! 3. The metrics listener closes, tasks of the application end, the threads end. *Stopped*.
//!
//! A second signal cuts every wait. What was cut is counted in the report.

mod builder;
mod endpoints;
mod parts;
mod runtime;
mod sources;
pub use builder::Builder;
pub use runtime::{AttachedRuntime, run_http_and_ws, serve_http_and_ws};

mod banner;
mod config;
pub use banner::Addresses;
pub use config::{Config, LoggingConfig};

mod ops;
pub use ops::{OpsConfig, OpsToken};

mod drain;
mod phase;
mod progress;
mod report;
pub use phase::Phase;
pub use report::ShutdownReport;

mod error;
pub use error::RuntimeError;

pub use core_executor::{
    Accepted, Arrival, BudgetConfig, Cause, ClientGone, CloseReason, Closed, ConnectionFacts, ConnectionId,
    ConnectionInfo, ConnectionStateListener, Env, EnvError, ExecutorConfig, ExecutorError, ExecutorMetrics,
    InheritError, InheritedSockets, Listener, Notice, RuntimeExecutor, ShutdownHandle, ShutdownSignal,
    Spawner, StopCause, StopReport, TaskError, TaskHandle, TaskOptions, TrustedProxies, Unfinished,
    listen_for_signals,
};
pub use core_executor::{ClientAuth, TlsConfig, TlsError, TlsFacts, TlsReloader, TlsVersion};
pub use http_app::{
    App, AppConfig, AppError, AppReport, ClientAddr, Disconnected, HookOutcome, HookReport, HttpMetrics,
    MetricsConfig, OnDisconnect, OpenApi, RequestTimeout, RouteTimes, RunningApp, Waf, WafMode, metrics_app,
    metrics_router,
};
pub use longpoll_bridge::{LongPollBridge, LongPollConfig};
pub use ws_server::{
    Backlog, CloseInfo, ClosedBy, Encoded, HandshakeRequest, Hub, JsonMessage, OutboxConfig, OutboxPolicy,
    Refusal, Relay, RoomSize, RunningWsServer, SendOutcome, Session, Text, WsConfig, WsError, WsMetrics,
    WsReport, WsServer,
};

/// The programs in the README and in the pages for people who come from elsewhere compile.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../../../README.md")]
    struct Readme;
    #[doc = include_str!("../../../docs/from-vix.md")]
    struct FromVix;
    #[doc = include_str!("../../../docs/from-restinio.md")]
    struct FromRestinio;
    #[doc = include_str!("../../../docs/from-axum.md")]
    struct FromAxum;
    #[doc = include_str!("../../../docs/from-socketioxide.md")]
    struct FromSocketioxide;
    #[doc = include_str!("../../../docs/ten-tasks.md")]
    struct TenTasks;
}
