//! All settings of an application, each with the part that obeys it.

use crate::{OpsConfig, RuntimeError};
use core_executor::{Env, EnvError, ExecutorConfig};
use http_app::{AppConfig, MetricsConfig};
use longpoll_bridge::LongPollConfig;
use ws_server::WsConfig;

/// The settings of every part. Each part takes its own, so no setting can be read and then forgotten.
///
/// ```
/// use attached_runtime::{App, Config, RuntimeExecutor, WsServer};
///
/// let config = Config::default();
/// let app = App::new(config.http);
/// let ws = WsServer::new(config.ws);
/// let executor = RuntimeExecutor::new(config.executor)?;
/// # let _ = (app, ws, executor);
/// # Ok::<(), attached_runtime::ExecutorError>(())
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Config {
    /// For [`App::new`](crate::App::new): `SERVER_HOST`, `SERVER_PORT`, request and keep-alive limits, `WAF_…`.
    pub http: AppConfig,
    /// For [`WsServer::new`](crate::WsServer::new): `WEBSOCKET_…` and how sessions are closed at the end.
    pub ws: WsConfig,
    /// For [`RuntimeExecutor::new`](crate::RuntimeExecutor::new): `SERVER_IO_THREADS`, `SHUTDOWN_DEADLINE`,
    /// `SHUTDOWN_READY_DELAY`, `SERVER_MAX_CONNECTIONS…`, `SERVER_TRUSTED_PROXIES`.
    pub executor: ExecutorConfig,
    /// For [`LongPollBridge::new`](crate::LongPollBridge::new): `LONGPOLL_…`.
    pub longpoll: LongPollConfig,
    /// For [`Builder::metrics`](crate::Builder::metrics): `METRICS_…`.
    pub metrics: MetricsConfig,
    /// For [`Builder::ops`](crate::Builder::ops): `OPS_TOKEN`.
    pub ops: OpsConfig,
    /// For the program's log: `LOGGING_…`.
    pub logging: LoggingConfig,
}

impl Config {
    /// Reads `.env` and `.env.local` of the working directory and the process environment, which wins.
    ///
    /// # Errors
    /// A file that cannot be read, a key of ours that does not exist, a value of the wrong form. The text names the
    /// file and line or the variable.
    pub fn from_env() -> Result<Self, RuntimeError> {
        let env = Env::load().map_err(RuntimeError::Settings)?;
        Self::read(&env).map_err(RuntimeError::Settings)
    }

    /// The same from settings that were read before.
    ///
    /// # Errors
    /// A value of the wrong form.
    pub fn read(env: &Env) -> Result<Self, EnvError> {
        Ok(Self {
            http: AppConfig::from_env(env)?,
            ws: WsConfig::from_env(env)?,
            executor: ExecutorConfig::from_env(env)?,
            longpoll: LongPollConfig::from_env(env)?,
            metrics: MetricsConfig::from_env(env)?,
            ops: OpsConfig::from_env(env)?,
            logging: LoggingConfig::from_env(env)?,
        })
    }
}

/// How a program writes its log. This crate only reads the settings; the program obeys them, as the examples do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "callers name some fields and take the rest from a default"
)]
pub struct LoggingConfig {
    /// Lines are written by a thread of its own. Default true. Setting `LOGGING_ASYNC`.
    pub asynchronous: bool,
    /// Lines that may wait for that thread, 1 to 10 000 000. Default 20 000. Setting `LOGGING_QUEUE_MAX`.
    pub queue_max: usize,
    /// Further lines are dropped instead of making the caller wait. Default true. Setting
    /// `LOGGING_DROP_ON_OVERFLOW`.
    pub drop_on_overflow: bool,
}

impl Default for LoggingConfig {
    fn default() -> Self {
        Self {
            asynchronous: true,
            queue_max: 20_000,
            drop_on_overflow: true,
        }
    }
}

impl LoggingConfig {
    /// The defaults with the settings applied.
    ///
    /// # Errors
    /// A value of the wrong form.
    pub fn from_env(env: &Env) -> Result<Self, EnvError> {
        Ok(Self {
            asynchronous: env.flag("LOGGING_ASYNC", true)?,
            queue_max: env.number("LOGGING_QUEUE_MAX", 20_000, 1..=10_000_000)? as usize,
            drop_on_overflow: env.flag("LOGGING_DROP_ON_OVERFLOW", true)?,
        })
    }
}
