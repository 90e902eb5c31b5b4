//! Tells the supervisor that started this process how it fares: `NOTIFY_SOCKET`, as systemd and its kin listen to it.

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

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

    fn say(&self, words: &str) {
        if let Some(Some(Line { socket, address })) = self.line.get() {
            // A queue that is full, or a supervisor that is gone: neither is a reason not to go on.
            let _ = socket.send_to_addr(words.as_bytes(), address);
        }
    }
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
