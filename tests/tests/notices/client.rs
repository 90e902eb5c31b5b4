//! A client that lives its script and remembers what it sent and saw.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::timeout;
use workspace_tests::{PATIENCE, http2};

use crate::script::{End, Handshake, Script, Talk};
use crate::wire::{Wire, connect};

/// What a client looks for where nothing is owed to it.
const GLANCE: Duration = Duration::from_millis(1);

/// What became of a client.
#[derive(Debug, Clone)]
pub(crate) struct Life {
    pub(crate) script: Script,
    /// `None` where the port was closed before.
    pub(crate) addr: Option<SocketAddr>,
    /// Its side of a TLS handshake succeeded.
    pub(crate) is_secure: bool,
    /// Bytes of HTTP and beyond; none of TLS itself.
    pub(crate) sent: u64,
    /// Ends of heads among the bytes sent, or requests over HTTP/2.
    pub(crate) heads: u64,
    pub(crate) asked_upgrade: bool,
    pub(crate) received: u64,
    /// Answers other than 101, and those of them that were 200.
    pub(crate) answers: u64,
    pub(crate) successes: u64,
    /// A 101 was read.
    pub(crate) is_upgraded: bool,
}

pub(crate) async fn live(script: Script, from: [u8; 4], to: SocketAddr, is_tls: bool) -> Life {
    let mut life = Life {
        script,
        addr: None,
        is_secure: false,
        sent: 0,
        heads: 0,
        asked_upgrade: false,
        received: 0,
        answers: 0,
        successes: 0,
        is_upgraded: false,
    };
    let Some((addr, mut wire)) = connect(from, to).await else {
        return life;
    };
    life.addr = Some(addr);
    if is_tls {
        wire = wire.shake_hands(&life.script).await;
    }
    life.is_secure = matches!(wire, Wire::Tls(_));
    let mut client = Client {
        life,
        wire,
        tail: Vec::new(),
        owed: Some(0),
        next_stream: 1,
        awaited: BTreeSet::new(),
    };
    client.talk(is_tls).await;
    let mut life = client.end().await;
    if is_tls && !life.is_secure {
        // An alert, and what was said to nobody.
        (life.sent, life.received, life.answers, life.successes) = (0, 0, 0, 0);
    }
    life
}

pub(crate) struct Client {
    pub(crate) life: Life,
    wire: Wire,
    /// The last bytes received, where an answer may begin.
    pub(crate) tail: Vec<u8>,
    /// Answers it is owed; `None` when the script has made that unknowable.
    pub(crate) owed: Option<u64>,
    /// Over HTTP/2: its next stream, and those whose answer has not begun.
    pub(crate) next_stream: u32,
    pub(crate) awaited: BTreeSet<u32>,
}

impl Client {
    async fn talk(&mut self, is_tls: bool) {
        if is_tls && matches!(self.life.script.handshake, Handshake::Stalls(_)) {
            return;
        }
        match self.life.script.talk.clone() {
            Talk::Http1(steps) => {
                for step in steps {
                    self.http1(step).await;
                }
            }
            Talk::Http2(steps) => {
                self.send(&http2::opening()).await;
                for step in steps {
                    self.http2(step).await;
                }
            }
            Talk::PartOfPreface(length) => self.send(&http2::PREFACE[..length.into()]).await,
        }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        if matches!(self.life.script.talk, Talk::Http1(_)) {
            let heads = bytes.windows(4).filter(|window| window == b"\r\n\r\n").count();
            self.life.heads += heads as u64;
        }
        // A server that reads no more must not hold the client up.
        for piece in bytes.chunks(4096) {
            match timeout(GLANCE, self.wire.write(piece)).await {
                Ok(Some(count)) => self.life.sent += count as u64,
                _ => return,
            }
        }
    }

    /// Reads every answer it is owed, or has a glance at what there is.
    pub(crate) async fn read_owed(&mut self) {
        let Some(owed) = self.owed else {
            let _ = timeout(GLANCE, self.read()).await;
            return;
        };
        let until = self.life.answers + u64::from(self.life.is_upgraded) + owed;
        while !self.awaited.is_empty() || self.life.answers + u64::from(self.life.is_upgraded) < until {
            let more = timeout(PATIENCE, self.read()).await;
            if !more.unwrap_or_else(|_| panic!("an owed answer or an end: {:?}", self.life)) {
                break;
            }
        }
        self.owed = Some(0);
        self.awaited.clear();
    }

    async fn read(&mut self) -> bool {
        let mut buffer = [0; 4096];
        let count = self.wire.read(&mut buffer).await;
        self.life.received += count as u64;
        match self.life.script.talk {
            Talk::Http1(_) => self.find_http1_answers(&buffer[..count]),
            Talk::Http2(_) => self.find_http2_answers(&buffer[..count]),
            Talk::PartOfPreface(_) => {}
        }
        count > 0
    }

    async fn end(mut self) -> Life {
        match self.life.script.end {
            End::Close => {}
            End::Reset => {
                self.wire.reset();
                return self.life;
            }
            End::HalfClose => {
                let _ = timeout(PATIENCE, self.wire.close_its_side()).await;
                match self.owed {
                    Some(_) => self.read_to_end().await,
                    // More bytes than the window takes may be before the FIN: the server need not hear of it.
                    None => drop(timeout(GLANCE, self.read()).await),
                }
            }
            End::Stay => self.read_to_end().await,
        }
        self.life
    }

    async fn read_to_end(&mut self) {
        timeout(PATIENCE, async { while self.read().await {} })
            .await
            .unwrap_or_else(|_| panic!("the server leaves a client alone: {:?}", self.life));
    }
}
