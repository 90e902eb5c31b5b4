//! The settings of the bridge, their defaults and where they are read from.

use std::time::Duration;

use core_executor::{Env, EnvError};
use ws_server::ResumeConfig;

use crate::BridgeError;

/// Proxies commonly give up on a silent answer after 30 s, so a poll has to be answered before.
pub(crate) const WAIT_LIMIT: Duration = Duration::from_secs(30);

/// How much the bridge holds and for how long.
///
/// `Default` gives the documented defaults, [`LongPollConfig::from_env`] the same with the environment on top.
///
/// ```
/// use longpoll_bridge::LongPollConfig;
/// use std::time::Duration;
///
/// // Below the silence that the proxy in front puts up with.
/// let config = LongPollConfig { wait: Duration::from_secs(20), ..LongPollConfig::default() };
/// assert!(config.validate().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "callers name some fields and take the rest from a default"
)]
pub struct LongPollConfig {
    /// How long a poll is held open while there is nothing for it, from 0 (never) to less than 30 s. Default 25 s
    /// (`LONGPOLL_WAIT`).
    pub wait: Duration,
    /// How long a mailbox lives after its last poll or send, and a session of the lossless form without a transport;
    /// more than 0. Default 60 s (`LONGPOLL_SESSION_TTL`).
    pub session_ttl: Duration,
    /// Mailboxes at one time, and sessions of the lossless form, at least 1. Default 10000 (`LONGPOLL_MAX_SESSIONS`).
    pub max_sessions: usize,
    /// Sessions of the lossless form at one time that were opened from one IPv4 address or one IPv6 network of 64 bits;
    /// 0 = off. Default 1000 (`LONGPOLL_MAX_SESSIONS_PER_ADDRESS`).
    pub max_sessions_per_address: usize,
    /// Messages one mailbox keeps, or one session until they are acknowledged, at least 1; the oldest is dropped, and
    /// counted, for the newest. Default 256 (`LONGPOLL_RING_MESSAGES`).
    pub ring_messages: usize,
    /// Bytes kept likewise, at least 1; also the largest body of a send. Default 1 MiB (`LONGPOLL_RING_BYTES`).
    pub ring_bytes: usize,
    /// Serve mailboxes whose names the clients choose: whoever knows a name can read it. Default false
    /// (`LONGPOLL_OPEN_MAILBOXES`); a program can also say it with
    /// [`LongPollBridge::open_mailboxes`](crate::LongPollBridge::open_mailboxes).
    pub open_mailboxes: bool,
    /// How long a request may take beside the wait of a poll, more than 0: the `authorize` hook, the body and the
    /// handlers of a send together. Default 30 s.
    pub request_limit: Duration,
    /// Polls that may wait at one time, over all mailboxes and sessions, and as many streams. Default 20000.
    pub max_waiting: usize,
    /// Readers with a cookie that one mailbox remembers, at least 1; the one that has not polled for longest is
    /// forgotten for a new one. Default 1024.
    pub max_readers: usize,
    /// How often an SSE stream says something at least, more than 0. Default 15 s.
    pub heartbeat: Duration,
    /// Cookies, by their names, whose values the id of a session is bound to: those that say who is logged in. Default
    /// none.
    pub bound_cookies: Vec<String>,
}

impl Default for LongPollConfig {
    fn default() -> Self {
        Self {
            wait: Duration::from_secs(25),
            session_ttl: Duration::from_secs(60),
            max_sessions: 10_000,
            max_sessions_per_address: 1000,
            ring_messages: 256,
            ring_bytes: 1 << 20,
            open_mailboxes: false,
            request_limit: Duration::from_secs(30),
            max_waiting: 20_000,
            max_readers: 1024,
            heartbeat: Duration::from_secs(15),
            bound_cookies: Vec::new(),
        }
    }
}

impl LongPollConfig {
    /// Reads the `LONGPOLL_…` settings; what is absent has its default.
    ///
    /// # Errors
    /// A value that does not have the form its key needs, a `LONGPOLL_WAIT` of 30 s or more, a
    /// `LONGPOLL_SESSION_TTL` of 0.
    pub fn from_env(env: &Env) -> Result<Self, EnvError> {
        let default = Self::default();
        let size = |key, default| size(env, key, default);
        let wait = env.seconds("LONGPOLL_WAIT", default.wait.as_secs())?;
        if wait >= WAIT_LIMIT {
            return Err(env.invalid("LONGPOLL_WAIT", "less than 30 seconds"));
        }
        let session_ttl = env.seconds("LONGPOLL_SESSION_TTL", default.session_ttl.as_secs())?;
        if session_ttl.is_zero() {
            return Err(env.invalid("LONGPOLL_SESSION_TTL", "more than 0 seconds"));
        }
        Ok(Self {
            wait,
            session_ttl,
            max_sessions: size("LONGPOLL_MAX_SESSIONS", default.max_sessions)?,
            max_sessions_per_address: env.number(
                "LONGPOLL_MAX_SESSIONS_PER_ADDRESS",
                default.max_sessions_per_address as u64,
                0..=u64::from(u32::MAX),
            )? as usize,
            ring_messages: size("LONGPOLL_RING_MESSAGES", default.ring_messages)?,
            ring_bytes: size("LONGPOLL_RING_BYTES", default.ring_bytes)?,
            open_mailboxes: env.flag("LONGPOLL_OPEN_MAILBOXES", default.open_mailboxes)?,
            request_limit: default.request_limit,
            max_waiting: default.max_waiting,
            max_readers: default.max_readers,
            heartbeat: default.heartbeat,
            bound_cookies: default.bound_cookies,
        })
    }

    /// What the server does for sessions that outlive their transport.
    pub(crate) fn resume(&self) -> ResumeConfig {
        ResumeConfig {
            resume_time: self.session_ttl,
            ring_messages: self.ring_messages,
            ring_bytes: self.ring_bytes,
            max_sessions: self.max_sessions,
            max_sessions_per_address: self.max_sessions_per_address,
            wait: self.wait,
            heartbeat: self.heartbeat,
            bound_cookies: self.bound_cookies.clone(),
            ..ResumeConfig::default()
        }
    }

    /// Whether the values keep to their ranges; settings from the environment do.
    ///
    /// # Errors
    /// [`BridgeError::Setting`] names the first field that does not.
    pub fn validate(&self) -> Result<(), BridgeError> {
        let rules = [
            (self.wait < WAIT_LIMIT, "wait", "less than 30 seconds"),
            (!self.session_ttl.is_zero(), "session_ttl", "more than 0"),
            (self.max_sessions > 0, "max_sessions", "at least 1"),
            (self.ring_messages > 0, "ring_messages", "at least 1"),
            (self.ring_bytes > 0, "ring_bytes", "at least 1"),
            (!self.request_limit.is_zero(), "request_limit", "more than 0"),
            (self.max_readers > 0, "max_readers", "at least 1"),
            (!self.heartbeat.is_zero(), "heartbeat", "more than 0"),
        ];
        match rules.into_iter().find(|(holds, ..)| !holds) {
            Some((_, field, expected)) => Err(BridgeError::Setting { field, expected }),
            None => Ok(()),
        }
    }
}

fn size(env: &Env, key: &'static str, default: usize) -> Result<usize, EnvError> {
    let number = env.number(key, default as u64, 1..=u64::from(u32::MAX))?;
    Ok(usize::try_from(number).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::LongPollConfig;
    use crate::BridgeError;
    use core_executor::{Env, EnvError};
    use std::time::Duration;

    fn read(pairs: &[(&str, &str)]) -> Result<LongPollConfig, EnvError> {
        LongPollConfig::from_env(&Env::from_pairs(pairs.iter().copied()).unwrap())
    }

    #[test]
    fn nothing_set_gives_the_documented_defaults() {
        let config = read(&[]).unwrap();
        assert_eq!(config, LongPollConfig::default());
        assert_eq!((config.wait.as_secs(), config.session_ttl.as_secs()), (25, 60));
        assert_eq!(
            (config.max_sessions, config.ring_messages, config.ring_bytes),
            (10_000, 256, 1_048_576)
        );
        assert!(!config.open_mailboxes);
        config.validate().unwrap();
    }

    #[test]
    fn every_key_is_read() {
        let config = read(&[
            ("LONGPOLL_WAIT", "250ms"),
            ("LONGPOLL_SESSION_TTL", "2"),
            ("LONGPOLL_MAX_SESSIONS", "3"),
            ("LONGPOLL_MAX_SESSIONS_PER_ADDRESS", "0"),
            ("LONGPOLL_RING_MESSAGES", "4"),
            ("LONGPOLL_RING_BYTES", "5"),
            ("LONGPOLL_OPEN_MAILBOXES", "on"),
        ]);
        let expected = LongPollConfig {
            wait: Duration::from_millis(250),
            session_ttl: Duration::from_secs(2),
            max_sessions: 3,
            max_sessions_per_address: 0,
            ring_messages: 4,
            ring_bytes: 5,
            open_mailboxes: true,
            ..LongPollConfig::default()
        };
        assert_eq!(config.unwrap(), expected);
    }

    #[test]
    fn a_wait_that_proxies_would_cut_is_an_error() {
        read(&[("LONGPOLL_WAIT", "29")]).unwrap();
        for (key, value, expected) in [
            ("LONGPOLL_WAIT", "30", "less than 30 seconds"),
            ("LONGPOLL_SESSION_TTL", "0", "more than 0 seconds"),
            ("LONGPOLL_MAX_SESSIONS", "0", "from 1"),
            ("LONGPOLL_RING_MESSAGES", "0", "from 1"),
            ("LONGPOLL_RING_BYTES", "-1", "from 1"),
        ] {
            let error = read(&[(key, value)]).unwrap_err().to_string();
            assert!(error.contains(key) && error.contains(expected), "{error}");
        }
    }

    #[test]
    fn values_from_a_program_are_checked_too() {
        let wait = LongPollConfig {
            wait: Duration::from_secs(30),
            ..LongPollConfig::default()
        };
        let none = LongPollConfig {
            max_sessions: 0,
            ..LongPollConfig::default()
        };
        for (config, name) in [(wait, "wait"), (none, "max_sessions")] {
            assert!(matches!(config.validate(), Err(BridgeError::Setting { field, .. }) if field == name));
        }
    }
}
