//! Tells the supervisor that started this process how it fares: `NOTIFY_SOCKET`, as systemd and its kin listen to it.

use crate::{ExecutorError, Spawner};
use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The shortest watch in microseconds; a shorter one is a mistake that nobody could live up to.
const SHORTEST_WATCH: u64 = 1000;

/// Tells a supervisor what becomes of this process (`sd_notify(3)`, `Type=notify`). Cloning shares it.
///
/// It says nothing before [`ready`](Self::ready), so a part of a larger program does not speak for the program; and
/// nothing at all without `NOTIFY_SOCKET`. No method blocks: a supervisor that does not listen misses what was said.
///
/// ```
/// use core_executor::Supervisor;
///
/// // Nobody listens, so nothing happens.
/// let supervisor = Supervisor::default();
/// supervisor.ready();
/// supervisor.status("4 sessions are open");
/// ```
#[derive(Debug, Clone, Default)]
pub struct Supervisor {
    line: Arc<OnceLock<Option<Line>>>,
}

/// Where a supervisor listens.
#[derive(Debug)]
struct Line {
    socket: UnixDatagram,
    address: SocketAddr,
}

impl Supervisor {
    /// Everything is bound and served (`READY=1`). The first call looks for `NOTIFY_SOCKET`.
    pub fn ready(&self) {
        self.line
            .get_or_init(|| Line::to(&std::env::var_os("NOTIFY_SOCKET")?));
        self.say("READY=1");
    }

    /// The process ends from here on, and is gone within this time (`STOPPING=1`, `EXTEND_TIMEOUT_USEC`): a supervisor
    /// that would kill it sooner waits for so long.
    pub fn stopping(&self, within: Duration) {
        let limit = within.as_micros();
        self.say(&format!("STOPPING=1\nEXTEND_TIMEOUT_USEC={limit}"));
    }

    /// A line about the state, for people (`STATUS`). What stands behind the end of a line is left out.
    pub fn status(&self, text: &str) {
        let line = text.lines().next().unwrap_or_default();
        self.say(&format!("STATUS={line}"));
    }

    /// Tells again and again that the control thread, which accepts, hears signals and ends, is alive (`WATCHDOG=1`),
    /// twice as often as the supervisor asks for it by `WATCHDOG_USEC` and `WATCHDOG_PID` (`sd_watchdog_enabled(3)`),
    /// until the executor ends. Nothing where it does not ask.
    ///
    /// # Errors
    /// [`ExecutorError::Stopping`] once the executor stops.
    pub fn feed_watchdog(&self, spawner: &Spawner) -> Result<(), ExecutorError> {
        let Some(limit) = watchdog_limit(std::process::id(), |name| std::env::var(name).ok()) else {
            return Ok(());
        };
        let supervisor = self.clone();
        spawner.spawn_control(async move {
            let mut turns = tokio::time::interval(limit / 2);
            loop {
                turns.tick().await;
                supervisor.say("WATCHDOG=1");
            }
        })
    }

    fn say(&self, words: &str) {
        if let Some(Some(Line { socket, address })) = self.line.get() {
            // A queue that is full, or a supervisor that is gone: neither is a reason not to go on.
            let _ = socket.send_to_addr(words.as_bytes(), address);
        }
    }
}

/// Within which time a supervisor wants to hear of the process with this number.
fn watchdog_limit(process: u32, variable: impl Fn(&str) -> Option<String>) -> Option<Duration> {
    let is_meant = variable("WATCHDOG_PID").is_none_or(|asked| asked.parse() == Ok(process));
    let limit = variable("WATCHDOG_USEC")?.parse().ok()?;
    (is_meant && limit >= SHORTEST_WATCH).then(|| Duration::from_micros(limit))
}

impl Line {
    /// `@` begins the name of an abstract socket (`unix(7)`); kinds that are no paths are not spoken to.
    fn to(place: &OsStr) -> Option<Self> {
        let address = match place.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
            [b'/', ..] => SocketAddr::from_pathname(place),
            _ => return None,
        };
        let socket = UnixDatagram::unbound().ok()?;
        socket.set_nonblocking(true).ok()?;
        Some(Self {
            socket,
            address: address.ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_is_kept_by_the_process_that_is_asked_and_no_other() {
        let limit = |micros: &'static str, process: Option<&'static str>| {
            watchdog_limit(7, move |name| {
                let value = if name == "WATCHDOG_PID" {
                    process
                } else {
                    Some(micros)
                };
                value.map(str::to_owned)
            })
        };
        let second = Some(Duration::from_secs(1));
        assert_eq!(limit("1000000", Some("7")), second);
        assert_eq!(limit("1000000", None), second);
        for (micros, process) in [
            ("1000000", Some("8")),
            ("1000000", Some("me")),
            ("1000000", Some("")),
            ("0", None),
            ("999", None),
            ("-5", None),
            ("soon", None),
            ("99999999999999999999999", None),
        ] {
            assert_eq!(limit(micros, process), None, "{micros} {process:?}");
        }
        assert_eq!(watchdog_limit(7, |_| None), None);
    }
}
