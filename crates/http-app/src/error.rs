//! Everything that can go wrong between describing an application and its end.

use std::io;
use std::path::PathBuf;

use core_executor::{BindError, ExecutorError, TlsError};

/// Why an application did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppError {
    /// The address could not be bound; nothing was started.
    #[error("cannot bind the {server} server")]
    Bind {
        /// Which server: `http`, `metrics` or the name given to [`App::named`](crate::App::named).
        server: &'static str,
        /// Names the address and what the operating system said.
        #[source]
        source: BindError,
    },
    /// TLS is asked for and its files cannot be used; nothing was started.
    #[error("cannot set up TLS for the {server} server")]
    Tls {
        /// Which server.
        server: &'static str,
        /// Names the setting and the file.
        #[source]
        source: TlsError,
    },
    /// A directory given to [`App::static_files`](crate::App::static_files) cannot be served.
    #[error("cannot serve files from {}", directory.display())]
    StaticFiles {
        /// The directory as given.
        directory: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// [`App::describe`](crate::App::describe) was given something that is no operation of the application.
    #[error("the description of {method} {path} is no JSON object, or there is no such route")]
    DescribesNoRoute {
        /// The method it is for.
        method: http::Method,
        /// The path it is for.
        path: String,
    },
    /// [`App::cors`](crate::App::cors) was given something that is no origin.
    #[error("{origin:?} is no origin: `scheme://host` or `scheme://host:port` in lower case, or `*` alone")]
    Origin {
        /// The text as given, cut after 64 characters.
        origin: String,
    },
    /// The executor takes no more tasks: a stop was asked for already.
    #[error("cannot start the {server} server")]
    Start {
        /// Which server.
        server: &'static str,
        /// What the executor said.
        #[source]
        source: ExecutorError,
    },
    /// The signals could not be listened for.
    #[error("cannot listen for the signals that end the process")]
    Signals(#[source] ExecutorError),
    /// [`App::run`](crate::App::run) was called inside async code, which it would block for ever.
    #[error(
        "App::run blocks its thread and cannot be called inside async code; use listen(), wait() and close()"
    )]
    InsideAsync,
    /// The thread of [`App::run`](crate::App::run) could not wait for the application's end.
    #[error("cannot wait for the end on this thread")]
    Wait(#[source] io::Error),
    /// `METRICS_PREFIX` cannot start a metric's name.
    #[error(
        "{prefix:?} cannot start a metric name: letters, digits, `_` and `:`, no digit first, are possible"
    )]
    MetricsPrefix {
        /// The prefix as configured, cut after 64 characters.
        prefix: String,
    },
}
