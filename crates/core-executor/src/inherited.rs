//! Sockets that the process that started this one has bound for it: `LISTEN_FDS`, as systemd and its kin hand them
//! over.

use crate::InheritError;
use socket2::SockRef;
use std::fmt;
use std::net::TcpListener;
use std::os::fd::{IntoRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// Number of the first descriptor handed over (`sd_listen_fds(3)`, `SD_LISTEN_FDS_START`).
const FIRST: usize = 3;

/// Most sockets that are believed; no server of ours has more than a handful.
const MOST: u32 = 64;

/// The sockets a supervisor has bound for this process (`sd_listen_fds(3)`).
///
/// With them the port stays open over a restart of the process, may be below 1024 without any right of ours, and the
/// process may be started by its first connection.
///
/// ```
/// use core_executor::InheritedSockets;
///
/// // Nothing was handed over, so each server binds its own address.
/// let sockets = InheritedSockets::take()?.assign(&["http", "websocket"])?;
/// assert!(sockets.iter().all(Option::is_none));
/// # Ok::<(), core_executor::InheritError>(())
/// ```
#[derive(Default)]
pub struct InheritedSockets {
    sockets: Vec<Inherited>,
}

struct Inherited {
    name: Option<String>,
    socket: TcpListener,
}

impl InheritedSockets {
    /// Takes what `LISTEN_FDS` announces. Nothing when the variables are absent or `LISTEN_PID` is another process,
    /// and nothing on every further call: a descriptor has one owner.
    ///
    /// The sockets are marked close-on-exec, so no child of this process gets them.
    ///
    /// # Errors
    /// [`InheritError::Malformed`] for variables that are no numbers, [`InheritError::NotListening`] for a descriptor
    /// that is no listening TCP socket.
    pub fn take() -> Result<Self, InheritError> {
        static TAKEN: AtomicBool = AtomicBool::new(false);
        if TAKEN.swap(true, Ordering::SeqCst) {
            return Ok(Self::default());
        }
        let announced = std::env::var("LISTEN_FDS").ok();
        if announced.is_some_and(|count| count.parse().is_ok_and(|count: u32| count > MOST)) {
            return Err(InheritError::Malformed);
        }
        let descriptors = sd_listen_fds::get().map_err(|_| InheritError::Malformed)?;
        let mut sockets = Vec::with_capacity(descriptors.len());
        for (index, (name, descriptor)) in descriptors.into_iter().enumerate() {
            sockets.push(Inherited::checked(name, descriptor.into_std(), FIRST + index)?);
        }
        Ok(Self { sockets })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.sockets.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    /// Deals them out: a socket goes to the server of its name, each other one to the first server that has none yet.
    /// Gives one entry for each server, in the order of `servers`; a server without a socket binds its own address.
    ///
    /// # Errors
    /// [`InheritError::TooMany`] when sockets are left; the text names them.
    pub fn assign(self, servers: &[&str]) -> Result<Vec<Option<TcpListener>>, InheritError> {
        let mut dealt: Vec<Option<TcpListener>> = servers.iter().map(|_| None).collect();
        let (mut others, mut left) = (Vec::new(), Vec::new());
        for inherited in self.sockets {
            match servers.iter().position(|server| inherited.is_called(server)) {
                Some(place) if dealt[place].is_none() => dealt[place] = Some(inherited.socket),
                Some(_) => left.push(inherited),
                None => others.push(inherited),
            }
        }
        for inherited in others {
            match dealt.iter_mut().find(|place| place.is_none()) {
                Some(place) => *place = Some(inherited.socket),
                None => left.push(inherited),
            }
        }
        if left.is_empty() {
            return Ok(dealt);
        }
        let shown: Vec<_> = left.iter().map(Inherited::shown).collect();
        Err(InheritError::TooMany {
            sockets: shown.join(", "),
            servers: servers.join(", "),
        })
    }
}

impl Inherited {
    fn checked(name: Option<String>, descriptor: OwnedFd, number: usize) -> Result<Self, InheritError> {
        let wrong = |source| InheritError::NotListening {
            descriptor: number,
            name: name.clone().unwrap_or_else(|| "unnamed".to_owned()),
            source,
        };
        let socket = SockRef::from(&descriptor);
        let checked = socket.is_listener().and_then(|listens| {
            let is_tcp = socket.local_addr()?.as_socket().is_some();
            Ok(listens && is_tcp)
        });
        let refused = match checked {
            Ok(true) => socket.set_cloexec(true).err().map(Some),
            Ok(false) => Some(None),
            Err(error) => Some(Some(error)),
        };
        match refused {
            None => Ok(Self {
                name,
                socket: descriptor.into(),
            }),
            Some(source) => {
                // It may be no descriptor at all, or one that somebody else in this process owns: left as it is.
                let _ = descriptor.into_raw_fd();
                Err(wrong(source))
            }
        }
    }

    fn is_called(&self, server: &str) -> bool {
        self.name.as_deref() == Some(server)
    }

    fn shown(&self) -> String {
        let name = self.name.as_deref().unwrap_or("unnamed");
        match self.socket.local_addr() {
            Ok(address) => format!("{name:?} ({address})"),
            Err(_) => format!("{name:?}"),
        }
    }
}

impl fmt::Debug for InheritedSockets {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_list()
            .entries(self.sockets.iter().map(Inherited::shown))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inherited(names: &[Option<&str>]) -> (InheritedSockets, Vec<u16>) {
        let (mut sockets, mut ports) = (Vec::new(), Vec::new());
        for name in names {
            let socket = TcpListener::bind("127.0.0.1:0").unwrap();
            ports.push(socket.local_addr().unwrap().port());
            sockets.push(Inherited {
                name: name.map(str::to_owned),
                socket,
            });
        }
        (InheritedSockets { sockets }, ports)
    }

    fn dealt(names: &[Option<&str>], servers: &[&str]) -> Vec<Option<usize>> {
        let (sockets, ports) = inherited(names);
        let dealt = sockets.assign(servers).unwrap();
        let index = |socket: TcpListener| {
            let port = socket.local_addr().unwrap().port();
            ports.iter().position(|known| *known == port).unwrap()
        };
        dealt.into_iter().map(|socket| socket.map(index)).collect()
    }

    #[test]
    fn a_name_counts_and_else_the_order() {
        let servers = ["http", "websocket", "metrics"];
        for (names, expected) in [
            (vec![], [None, None, None]),
            (vec![None, None], [Some(0), Some(1), None]),
            (vec![Some("metrics"), Some("http")], [Some(1), None, Some(0)]),
            (vec![Some("a.socket"), Some("http")], [Some(1), Some(0), None]),
            (vec![None, Some("websocket"), None], [Some(0), Some(1), Some(2)]),
        ] {
            assert_eq!(dealt(&names, &servers), expected, "{names:?}");
        }
    }

    #[test]
    fn those_that_are_left_are_named() {
        for names in [
            vec![Some("http"), Some("http")],
            vec![Some("x"), Some("y")],
            vec![None, Some("http")],
        ] {
            let (sockets, ports) = inherited(&names);
            let error = sockets.assign(&["http"]).unwrap_err().to_string();
            assert!(error.contains("the servers are http"), "{error}");
            assert!(
                ports.iter().any(|port| error.contains(&port.to_string())),
                "{error}"
            );
        }
    }
}
