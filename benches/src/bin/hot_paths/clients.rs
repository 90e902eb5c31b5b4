//! The clients of a run over loopback, in a process of their own: what they do is not counted.

use std::env;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

use benches::Template;

use crate::AnyError;
use crate::talk::{SIZE, Talk};

const HANDSHAKE: &[u8] = b"GET / HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
/// One word between the two processes.
const WORD: [u8; 1] = [b'.'];

/// The process of the clients, as the server's process sees it.
pub(crate) struct Clients {
    to: ChildStdin,
    from: ChildStdout,
}

impl Clients {
    /// Connects as many clients as the talk of this name has.
    pub(crate) fn connect(address: SocketAddr, talk: &str, rounds: u64) -> Result<Self, AnyError> {
        let mut child = Command::new(env::current_exe()?)
            .args(["clients", &address.to_string(), talk, &rounds.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (to, from) = (child.stdin.take(), child.stdout.take());
        let (to, from) = to.zip(from).ok_or("both are piped")?;
        let mut clients = Self { to, from };
        clients.hear()?;
        Ok(clients)
    }

    /// Lets the clients speak, or check what they heard. Blocks until they have.
    pub(crate) fn turn(&mut self) -> io::Result<()> {
        self.to.write_all(&WORD)?;
        self.hear()
    }

    fn hear(&mut self) -> io::Result<()> {
        self.from.read_exact(&mut [0])
    }
}

/// The process of the clients itself: `clients ADDRESS TALK ROUNDS`.
pub(crate) fn run(mut arguments: impl Iterator<Item = String>) -> Result<(), AnyError> {
    let mut next = || arguments.next().ok_or("an argument is missing");
    let address: SocketAddr = next()?.parse()?;
    let talk = Talk::named(&next()?).ok_or("there is no such talk")?;
    let rounds: u64 = next()?.parse()?;
    let mut clients = connect(address, talk.clients())?;
    let template = Template::plain(SIZE, false);
    let mut frames = Vec::new();
    (0..talk.messages()).for_each(|number| template.write(0, number as u64, &mut frames));
    let mut heard = vec![0; talk.heard()];
    for _ in 0..rounds {
        word()?;
        for (at, client) in clients.iter_mut().enumerate() {
            if talk.speaks(at) {
                client.write_all(&frames)?;
            }
        }
        word()?;
        for client in &mut clients {
            client.read_exact(&mut heard)?;
        }
    }
    word()?;
    // Until the server has ended; a client that leaves would cost it something.
    Ok(io::copy(&mut io::stdin().lock(), &mut io::sink()).map(drop)?)
}

/// Says that it is done and waits for its turn.
fn word() -> io::Result<()> {
    let mut to = io::stdout().lock();
    to.write_all(&WORD)?;
    to.flush()?;
    io::stdin().lock().read_exact(&mut [0])
}

fn connect(address: SocketAddr, count: usize) -> Result<Vec<TcpStream>, AnyError> {
    let mut clients = Vec::with_capacity(count);
    for _ in 0..count {
        let mut client = TcpStream::connect(address)?;
        client.set_nodelay(true)?;
        client.write_all(HANDSHAKE)?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            client.read_exact(&mut byte)?;
            answer.extend(byte);
        }
        clients.push(client);
    }
    Ok(clients)
}
