//! Bound sockets: eager, erased, and not yet registered with any runtime.

use crate::{BindError, DuplexStream, IoStream};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// Connections the kernel may hold for us before we accept them.
const BACKLOG: i32 = 4096;

/// Where connections come from. TCP is built in; tests and other transports bring their own.
pub trait Listener: Send + 'static {
    /// The address connections arrive at.
    fn local_addr(&self) -> SocketAddr;

    /// The next connection. Called inside a tokio runtime. Must not block.
    ///
    /// # Errors
    /// An error is about one accept, and the caller asks again: at its next turn when the error is about one
    /// connection (`ConnectionAborted`, `ConnectionRefused`, `ConnectionReset`, `Interrupted`, `WouldBlock`), after a
    /// pause of 10 to 250 ms for any other.
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Arrival, SocketAddr)>>;
}

/// A connection that has arrived and is not served yet.
#[non_exhaustive]
pub enum Arrival {
    /// A TCP socket, in non-blocking mode and registered nowhere. Its options are as the listener left them; our own
    /// leaves `TCP_NODELAY` set.
    Tcp(std::net::TcpStream),
    /// The same, registered with the runtime it was accepted on.
    Registered(TcpStream),
    /// Anything else.
    Boxed(Box<dyn DuplexStream>),
}

impl Arrival {
    /// The address it came in on: `bound`, or where that stands for every address of the machine, the one of them.
    pub(crate) fn local_addr(&self, bound: SocketAddr) -> SocketAddr {
        match self {
            _ if !bound.ip().is_unspecified() => bound,
            Self::Tcp(socket) => socket.local_addr().unwrap_or(bound),
            Self::Registered(socket) => socket.local_addr().unwrap_or(bound),
            Self::Boxed(_) => bound,
        }
    }

    /// Lets go of it at once: what the peer gets is a reset, and nothing of it lingers here.
    pub(crate) fn reset(self) {
        let socket = match &self {
            Self::Tcp(socket) => SockRef::from(socket),
            Self::Registered(socket) => SockRef::from(socket),
            Self::Boxed(_) => return,
        };
        // Without it the peer gets a FIN, which is as good.
        let _ = socket.set_linger(Some(Duration::ZERO));
    }

    /// The same for who is served on another thread than it was accepted on: not registered with that one any more.
    pub(crate) fn dealt(self, stays: bool) -> io::Result<Self> {
        match self {
            Self::Registered(socket) if !stays => socket.into_std().map(Self::Tcp),
            other => Ok(other),
        }
    }

    /// Registers it with the worker this is called on, unless that has been done.
    pub(crate) fn open(self) -> io::Result<IoStream> {
        let socket = match self {
            Self::Boxed(stream) => return Ok(IoStream::Boxed(stream)),
            Self::Registered(socket) => socket,
            Self::Tcp(socket) => TcpStream::from_std(socket)?,
        };
        Ok(IoStream::Tcp(socket.into()))
    }
}

impl fmt::Debug for Arrival {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Tcp(_) => "Arrival::Tcp",
            Self::Registered(_) => "Arrival::Registered",
            Self::Boxed(_) => "Arrival::Boxed",
        })
    }
}

/// A listener that is bound and serves nobody yet: the kernel holds connections until it is served.
#[must_use = "dropping it gives the port back"]
pub struct BoundListener {
    pub(crate) source: Box<dyn Listener>,
    /// A socket that nobody else has, to close the port while the thread that accepts is held up.
    pub(crate) port: Weak<std::net::TcpListener>,
}

impl BoundListener {
    /// Binds a TCP listener. Port 0 takes a free one; [`BoundListener::local_addr`] tells which.
    ///
    /// `host` is a host name, an IPv4 or an IPv6 address (with or without brackets). A name with several addresses is
    /// bound on the first that can be, IPv4 first.
    ///
    /// # Errors
    /// When the name has no address or none can be listened on; the text names the address.
    pub fn bind(host: &str, port: u16) -> Result<Self, BindError> {
        let address = display_address(host, port);
        let mut failure = None;
        for candidate in resolve(host, port)? {
            match listen_on(candidate) {
                Ok(socket) => {
                    return Self::from_tcp(socket, address).map(|(listener, port)| Self { port, ..listener });
                }
                Err(error) => {
                    failure.get_or_insert(error);
                }
            }
        }
        let source = failure.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into());
        Err(BindError::Listen { address, source })
    }

    /// A TCP socket that somebody else has bound and that listens already: the caller, or the process that started
    /// this one ([`InheritedSockets`](crate::InheritedSockets)). It is brought into non-blocking mode.
    ///
    /// ```
    /// use core_executor::BoundListener;
    ///
    /// let socket = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// let listener = BoundListener::from_std(socket)?;
    /// assert_ne!(listener.local_addr().port(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`BindError::NotListening`] when it is another kind of socket in the clothes of a listener.
    pub fn from_std(socket: std::net::TcpListener) -> Result<Self, BindError> {
        let address = socket
            .local_addr()
            .map_or_else(|_| "unknown".to_owned(), |address| address.to_string());
        if !SockRef::from(&socket).is_listener().unwrap_or(false) {
            return Err(BindError::NotListening { address });
        }
        if let Err(source) = socket.set_nonblocking(true) {
            return Err(BindError::Listen { address, source });
        }
        Self::from_tcp(socket, address).map(|(listener, _)| listener)
    }

    /// Any other source of connections.
    pub fn from_listener(listener: impl Listener) -> Self {
        Self {
            source: Box::new(listener),
            port: Weak::new(),
        }
    }

    /// The address it is bound to, with the real port.
    pub fn local_addr(&self) -> SocketAddr {
        self.source.local_addr()
    }

    /// The listener and its socket.
    fn from_tcp(
        socket: std::net::TcpListener,
        address: String,
    ) -> Result<(Self, Weak<std::net::TcpListener>), BindError> {
        let local_addr = socket
            .local_addr()
            .and_then(|local_addr| {
                // Handed down to every connection that is accepted (tcp(7)), so it need not be set on each.
                SockRef::from(&socket).set_tcp_nodelay(true)?;
                Ok(local_addr)
            })
            .map_err(|source| BindError::Listen { address, source })?;
        let socket = Arc::new(socket);
        let port = Arc::downgrade(&socket);
        let source = TcpSource {
            local_addr,
            socket,
            registered: None,
        };
        Ok((Self::from_listener(source), port))
    }
}

impl fmt::Debug for BoundListener {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("BoundListener")
            .field("local_addr", &self.local_addr())
            .finish()
    }
}

fn display_address(host: &str, port: u16) -> String {
    if host.contains(':') && !host.starts_with('[') {
        return format!("[{host}]:{port}");
    }
    format!("{host}:{port}")
}

fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, BindError> {
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(host);
    let mut candidates: Vec<SocketAddr> = (bare, port)
        .to_socket_addrs()
        .map_err(|source| BindError::Resolve {
            host: host.to_owned(),
            source,
        })?
        .collect();
    candidates.sort_by_key(SocketAddr::is_ipv6);
    Ok(candidates)
}

fn listen_on(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart may bind while connections of the former process are still in TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

struct TcpSource {
    local_addr: SocketAddr,
    socket: Arc<std::net::TcpListener>,
    /// The same socket, from the first accept on, because only then a runtime is there.
    registered: Option<TcpListener>,
}

impl Listener for TcpSource {
    fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Arrival, SocketAddr)>> {
        let registered = match &self.registered {
            Some(registered) => registered,
            None => {
                let socket = TcpListener::from_std(self.socket.try_clone()?)?;
                self.registered.insert(socket)
            }
        };
        let (stream, from) = ready!(registered.poll_accept(cx))?;
        Poll::Ready(Ok((Arrival::Registered(stream), from)))
    }
}
