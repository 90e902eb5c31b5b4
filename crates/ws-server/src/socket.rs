//! Bytes from and to a TCP socket of the runtime, by one system call and without a wait.

use std::io;

use rustix::net::{RecvFlags, SendFlags};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// A peer that is gone is an error and no signal.
#[cfg(not(target_vendor = "apple"))]
const QUIET: SendFlags = SendFlags::NOSIGNAL;
/// Without such a flag it is left to the standard library, which ignores the signal.
#[cfg(target_vendor = "apple")]
const QUIET: SendFlags = SendFlags::empty();

/// Reads what is there; 0 bytes are the end, and `WouldBlock` says that there is nothing.
///
/// A read that leaves room in `buffer` has taken everything. The runtime is told so, that the next try need not ask the
/// operating system.
pub(crate) fn receive(socket: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    let room = buffer.len();
    let mut last = None;
    let outcome = socket.try_io(Interest::READABLE, || {
        let (length, _) = rustix::net::recv(socket, &mut *buffer, RecvFlags::empty())?;
        if length == 0 || length == room {
            return Ok(length);
        }
        last = Some(length);
        Err(io::ErrorKind::WouldBlock.into())
    });
    last.map_or(outcome, Ok)
}

/// Writes as much as the socket takes; `WouldBlock` says that it takes nothing.
pub(crate) fn send(socket: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    socket.try_io(Interest::WRITABLE, || {
        Ok(rustix::net::send(socket, bytes, QUIET)?)
    })
}
