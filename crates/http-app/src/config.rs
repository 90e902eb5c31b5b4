//! Settings of an HTTP application and of its metrics listener, with the keys of the environment that carry them.

use std::time::Duration;

use core_executor::{ConnectionLimits, Env, EnvError, TlsConfig};

/// Longest request target hyper parses; a larger limit could never bite.
const LONGEST_TARGET: u64 = 65_534;

/// How an [`App`](crate::App) listens and what it puts up with.
///
/// `Default` gives the documented defaults, [`AppConfig::from_env`] the same with the environment on top.
///
/// ```
/// use http_app::{AppConfig, Waf};
/// use std::time::Duration;
///
/// let config = AppConfig {
///     port: 0, // any free one
///     request_timeout: Duration::from_secs(10),
///     waf: Waf { max_body_bytes: 64 * 1024, ..Waf::default() },
///     ..AppConfig::default()
/// };
/// # drop(config);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "callers name some fields and take the rest from a default"
)]
pub struct AppConfig {
    /// Host name or address to bind (`SERVER_HOST`, default `127.0.0.1`: reachable from this machine only).
    pub host: String,
    /// Port to bind (`SERVER_PORT`, default 8080); 0 takes a free one, reported by
    /// [`RunningApp::local_addr`](crate::RunningApp::local_addr).
    pub port: u16,
    /// A request without the head of an answer by then gets 503 and its handler is dropped
    /// (`SERVER_REQUEST_TIMEOUT` in milliseconds, default 2000; zero = off).
    ///
    /// Routes say otherwise with [`RequestTimeout`](crate::RequestTimeout).
    pub request_timeout: Duration,
    /// What a connection may take of time and space (`SERVER_SESSION_TIMEOUT_SEC` and others, named there).
    pub limits: ConnectionLimits,
    /// Limits on what a request may carry (`WAF_*`).
    pub waf: Waf,
    /// How many handlers may run at once that are not dropped when their client leaves, by
    /// [`OnDisconnect`](crate::OnDisconnect); a request more gets 503 (default 1024, zero refuses all).
    pub max_detached_handlers: u32,
    /// How long one shutdown hook may take before the next one gets its turn (default 5 s).
    pub hook_timeout: Duration,
    /// How long [`RunningApp::close`](crate::RunningApp::close) waits for requests in flight before it cuts them
    /// (`SHUTDOWN_DEADLINE`, default 30 s; zero cuts at once).
    pub drain_deadline: Duration,
    /// TLS for every connection (`SERVER_TLS_…`, default none: plaintext). Never both.
    pub tls: Option<TlsConfig>,
}

impl Default for AppConfig {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 8080,
            request_timeout: Duration::from_millis(2000),
            limits: ConnectionLimits::default(),
            waf: Waf::default(),
            max_detached_handlers: 1024,
            hook_timeout: Duration::from_secs(5),
            drain_deadline: Duration::from_secs(30),
            tls: None,
        }
    }
}

impl AppConfig {
    /// Reads `SERVER_HOST`, `SERVER_PORT`, `SERVER_REQUEST_TIMEOUT`, `SERVER_TLS_*`, `SHUTDOWN_DEADLINE`, `WAF_*` and
    /// the keys of [`ConnectionLimits`]; what is not set keeps its default.
    ///
    /// # Errors
    /// The first value that does not have its expected form.
    pub fn from_env(env: &Env) -> Result<Self, EnvError> {
        let Self {
            host,
            port,
            request_timeout,
            limits: _,
            waf: _,
            max_detached_handlers,
            hook_timeout,
            drain_deadline,
            tls: _,
        } = Self::default();
        Ok(Self {
            host: env.host("SERVER_HOST", &host)?,
            port: env.port("SERVER_PORT", port)?,
            request_timeout: env.millis("SERVER_REQUEST_TIMEOUT", millis(request_timeout))?,
            limits: ConnectionLimits::from_env(env)?,
            waf: Waf::from_env(env)?,
            max_detached_handlers,
            hook_timeout,
            drain_deadline: env.seconds("SHUTDOWN_DEADLINE", drain_deadline.as_secs())?,
            tls: TlsConfig::from_env(env)?,
        })
    }
}

/// Limits on the size of a request. Its content is never pattern-matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "callers name some fields and take the rest from a default"
)]
pub struct Waf {
    /// Whether the two limits below apply (`WAF_MODE`, `basic` or `off`, default `basic`).
    pub mode: WafMode,
    /// Longest request target in bytes, a longer one gets 414 (`WAF_MAX_TARGET_LEN`, 0 to 65534, default 4096;
    /// 0 = off). Past 65534 bytes the parser refuses by itself, whatever is set here.
    pub max_target_len: usize,
    /// Largest request body in bytes, a larger one gets 413 (`WAF_MAX_BODY_BYTES`, default 1048576; 0 = off).
    ///
    /// A declared length is refused before a byte of the body is read, a chunked body as soon as it passes.
    pub max_body_bytes: u64,
}

impl Default for Waf {
    fn default() -> Self {
        Self {
            mode: WafMode::Basic,
            max_target_len: 4096,
            max_body_bytes: 1024 * 1024,
        }
    }
}

impl Waf {
    /// Reads `WAF_MODE`, `WAF_MAX_TARGET_LEN` and `WAF_MAX_BODY_BYTES`.
    ///
    /// # Errors
    /// The first value that does not have its expected form.
    pub fn from_env(env: &Env) -> Result<Self, EnvError> {
        let Self {
            mode,
            max_target_len,
            max_body_bytes,
        } = Self::default();
        let target = env.number("WAF_MAX_TARGET_LEN", max_target_len as u64, 0..=LONGEST_TARGET)?;
        Ok(Self {
            mode: env.choice(
                "WAF_MODE",
                mode,
                &[("basic", WafMode::Basic), ("off", WafMode::Off)],
            )?,
            max_target_len: usize::try_from(target).expect("at most 65534"),
            max_body_bytes: env.number("WAF_MAX_BODY_BYTES", max_body_bytes, 0..=u64::MAX)?,
        })
    }

    /// The limit on the target in force, if any.
    pub(crate) fn target_limit(&self) -> Option<usize> {
        (self.mode == WafMode::Basic && self.max_target_len > 0).then_some(self.max_target_len)
    }

    /// The limit on the body in force, if any.
    pub(crate) fn body_limit(&self) -> Option<u64> {
        (self.mode == WafMode::Basic && self.max_body_bytes > 0).then_some(self.max_body_bytes)
    }
}

/// Whether the limits of [`Waf`] apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WafMode {
    /// Both limits apply.
    Basic,
    /// No limit on target and body beyond the parser's own.
    Off,
}

/// Where metrics are served and what their names start with.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "callers name some fields and take the rest from a default"
)]
pub struct MetricsConfig {
    /// Host name or address to bind (`METRICS_HOST`, default `127.0.0.1`).
    pub host: String,
    /// Port to bind (`METRICS_PORT`, default 9100); 0 takes a free one.
    pub port: u16,
    /// Put in front of every metric name with an underscore (`METRICS_PREFIX`, default empty = none).
    pub prefix: String,
}

impl Default for MetricsConfig {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 9100,
            prefix: String::new(),
        }
    }
}

impl MetricsConfig {
    /// Reads `METRICS_HOST`, `METRICS_PORT` and `METRICS_PREFIX`; what is not set keeps its default.
    ///
    /// # Errors
    /// The first value that does not have its expected form.
    pub fn from_env(env: &Env) -> Result<Self, EnvError> {
        let Self { host, port, prefix } = Self::default();
        Ok(Self {
            host: env.host("METRICS_HOST", &host)?,
            port: env.port("METRICS_PORT", port)?,
            prefix: env.string("METRICS_PREFIX", &prefix)?,
        })
    }
}

/// The defaults above are far below the limit, a caller's duration is cut there.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
