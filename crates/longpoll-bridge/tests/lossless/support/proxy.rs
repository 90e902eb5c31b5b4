//! A proxy that spoils one request in five, as its seed says: it loses requests and answers, sends requests twice, cuts
//! answers short and holds them up. What streams through it is cut after a while.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::http::{read_head, read_more};

pub(crate) struct Proxy {
    pub(crate) addr: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    target: SocketAddr,
    seed: u64,
    /// Requests and connections so far.
    count: AtomicU64,
    spoiled: AtomicU64,
    is_over: AtomicBool,
}

enum Fate {
    Fair,
    LoseRequest,
    LoseAnswer,
    CutAnswer,
    Twice,
    Delay,
}

impl Proxy {
    pub(crate) fn start(target: SocketAddr, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            target,
            seed,
            count: AtomicU64::new(0),
            spoiled: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
        });
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if serving.is_over.load(Ordering::Relaxed) {
                    return;
                }
                let serving = Arc::clone(&serving);
                std::thread::spawn(move || serving.serve(stream));
            }
        });
        Self { addr, shared }
    }

    pub(crate) fn spoiled(&self) -> u64 {
        self.shared.spoiled.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.addr);
    }
}

impl Shared {
    /// The next of this seed's numbers (splitmix64).
    fn random(&self) -> u64 {
        let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let mut z = self.seed.wrapping_add(count.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn fate(&self) -> Fate {
        let random = self.random();
        if !random.is_multiple_of(5) {
            return Fate::Fair;
        }
        self.spoiled.fetch_add(1, Ordering::Relaxed);
        match random / 5 % 5 {
            0 => Fate::LoseRequest,
            1 => Fate::LoseAnswer,
            2 => Fate::CutAnswer,
            3 => Fate::Twice,
            _ => Fate::Delay,
        }
    }

    /// One connection of the client's, request by request; an error ends it.
    fn serve(&self, mut client: TcpStream) {
        let mut unread = Vec::new();
        while let Ok(request) = read_request(&mut client, &mut unread) {
            if self.exchange(&mut client, &request).is_err() {
                break;
            }
        }
        let _ = client.shutdown(Shutdown::Both);
    }

    fn exchange(&self, client: &mut TcpStream, request: &[u8]) -> io::Result<()> {
        let fate = self.fate();
        match fate {
            Fate::LoseRequest => return Err(io::ErrorKind::ConnectionReset.into()),
            Fate::Delay => std::thread::sleep(Duration::from_millis(self.random() % 20)),
            Fate::Twice => {
                // The other one arrives too, and its answer at nobody.
                let (target, request) = (self.target, request.to_vec());
                std::thread::spawn(move || {
                    std::thread::sleep(Duration::from_millis(3));
                    let mut other = TcpStream::connect(target)?;
                    other.write_all(&request)?;
                    other.set_read_timeout(Some(Duration::from_millis(50)))?;
                    io::copy(&mut other, &mut io::sink())
                });
            }
            _ => {}
        }
        let mut server = TcpStream::connect(self.target)?;
        server.write_all(request)?;
        let mut unread = Vec::new();
        let reply = read_head(&mut server, &mut unread)?;
        let mut head = format!("HTTP/1.1 {} x\r\n", reply.status);
        for (name, value) in &reply.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let Some(length) = reply
            .header("content-length")
            .and_then(|length| length.parse().ok())
        else {
            client.write_all(head.as_bytes())?;
            client.write_all(&unread)?;
            return self.pipe(client, server);
        };
        while unread.len() < length {
            read_more(&mut server, &mut unread)?;
        }
        let mut answer = head.into_bytes();
        answer.extend_from_slice(&unread);
        match fate {
            Fate::LoseAnswer => Err(io::ErrorKind::ConnectionReset.into()),
            Fate::CutAnswer => {
                client.write_all(&answer[..answer.len() / 2])?;
                Err(io::ErrorKind::ConnectionReset.into())
            }
            _ => client.write_all(&answer),
        }
    }

    /// A stream or a WebSocket connection, cut after a number of bytes from the server.
    fn pipe(&self, client: &mut TcpStream, mut server: TcpStream) -> io::Result<()> {
        let mut left = 400 + self.random() % 1200;
        self.spoiled.fetch_add(1, Ordering::Relaxed);
        let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
        std::thread::spawn(move || {
            let _ = io::copy(&mut from_client, &mut to_server);
            let _ = to_server.shutdown(Shutdown::Both);
        });
        let mut chunk = [0; 256];
        while left > 0 {
            let count = server.read(&mut chunk)?;
            if count == 0 {
                break;
            }
            client.write_all(&chunk[..count])?;
            left = left.saturating_sub(count as u64);
        }
        let _ = server.shutdown(Shutdown::Both);
        Err(io::ErrorKind::ConnectionReset.into())
    }
}

/// A whole request, head and body.
fn read_request(client: &mut TcpStream, unread: &mut Vec<u8>) -> io::Result<Vec<u8>> {
    let end = loop {
        if let Some(at) = unread.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        read_more(client, unread)?;
    };
    let head = String::from_utf8_lossy(&unread[..end]).to_ascii_lowercase();
    let length: usize = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
        .unwrap_or(0);
    while unread.len() < end + length {
        read_more(client, unread)?;
    }
    Ok(unread.drain(..end + length).collect())
}
