//! An HTTP application on axum with one life: described, bound, running, ended.
//!
//! [`App`] takes routes, middleware, static files and shutdown hooks, all of axum's and tower's own kinds: handlers
//! are axum handlers, any [`axum::Router`] can be merged, any tower layer wraps the whole application, its 404, 405
//! and files included. What axum leaves open is closed here: time, size and panics of every request are bounded and
//! counted, and the end waits for what is under way and says what it came to.
//!
//! ```
//! use axum::routing::get;
//! use core_executor::RuntimeExecutor;
//! use http_app::{App, AppConfig};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = AppConfig { port: 0, ..AppConfig::default() };
//! let app = App::new(config)
//!     .route("/", get(|| async { "Hello" }))
//!     .group("/api", |api| api.route("/status", get(|| async { r#"{"status":"ok"}"# })))
//!     .on_shutdown(|| async { println!("going") });
//!
//! # let stop = app.stop_handle();
//! # std::thread::spawn(move || stop.stop_async());
//! let report = app.run(RuntimeExecutor::with_threads(2)?)?; // until SIGTERM or SIGINT
//! assert!(report.is_clean());
//! # Ok(())
//! # }
//! ```
//!
//! # The life
//! [`App::bind`] takes the address and fails at once when it is taken; [`BoundApp::listen`] accepts;
//! [`RunningApp::stop_async`] asks for the end from wherever it is called and never blocks; [`RunningApp::wait`]
//! hears it; [`RunningApp::close`] runs the hooks, closes the listener, waits for the requests in flight, cuts what
//! is left at the deadline, and gives the [`AppReport`]. [`App::run`] is all of this on one thread of a plain `main`.
//!
//! # What every request passes
//! From the outside in: counters ([`HttpMetrics`]), limits on target (414) and body (413) by [`Waf`], the request
//! timeout (503, [`RequestTimeout`] for single routes), the catching of panics (500), then the application's layers,
//! then routes, the application's own pages ([`App::health`], [`App::openapi`]), files, or the fallback. Layers are
//! one call each for what is usual ([`App::compression`], [`App::cors`], [`App::tracing`]); the request's id
//! ([`App::request_id`]) and the access log ([`App::access_log`]) are outside of all of this. Handlers extract the
//! client's address with `axum::extract::ConnectInfo<SocketAddr>` and more of the connection with
//! `axum::Extension<core_executor::ConnectionInfo>`.
//!
//! The body of 404 is `{"error":"Route not found","method":…,"path":…}`, every other error of ours has
//! `{"message":…}` ([`error_response`]); none is longer than 200 bytes. What a handler or an extractor of axum
//! answers is left as it is.
//!
//! A request with both `Content-Length` and `Transfer-Encoding` is read by the latter alone and its connection closed
//! after the answer (RFC 9112 §6.3): nothing behind it is taken for a second request.

mod app;
pub use app::App;
mod config;
pub use config::{AppConfig, MetricsConfig, Waf, WafMode};
mod error;
pub use error::AppError;

mod route_names;
mod route_times;
pub use route_times::RouteTimes;
mod running;
pub use running::{BoundApp, RunningApp};
mod run;
mod stop;
pub use stop::StopHandle;
mod hooks;
pub use hooks::{HookOutcome, HookReport};
mod report;
pub use report::AppReport;

mod client_addr;
pub use client_addr::ClientAddr;
mod answering;
mod bodies;
mod limits;
mod service;
mod ticket;
mod timeout;
pub use bodies::error_response;
pub use timeout::{RequestTimeout, RequestTimeoutService};

mod detached;
mod disconnect;
mod disconnected;
pub use disconnect::{OnDisconnect, OnDisconnectFuture, OnDisconnectService};
pub use disconnected::Disconnected;

mod openapi;
pub use openapi::OpenApi;
mod compression;
mod cors;
mod request_id;
mod visit;

mod probes;
mod static_files;
mod static_path;

mod exporter;
mod metrics;
pub use exporter::{metrics_app, metrics_router};
pub use metrics::HttpMetrics;
