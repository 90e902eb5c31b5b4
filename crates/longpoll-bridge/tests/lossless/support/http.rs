//! Raw HTTP/1.1 over one connection that is made anew when it breaks. Errors are for the caller, who may expect them.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::PATIENCE;

pub(crate) struct Http {
    addr: SocketAddr,
    stream: Option<TcpStream>,
    headers: Vec<(&'static str, String)>,
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Http {
    pub(crate) fn new(addr: SocketAddr) -> Self {
        Self {
            addr,
            stream: None,
            headers: Vec::new(),
        }
    }

    /// The same on a connection of its own.
    pub(crate) fn another(&self) -> Self {
        Self {
            addr: self.addr,
            stream: None,
            headers: self.headers.clone(),
        }
    }

    /// Sends this header with every request.
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn get(&mut self, target: &str) -> io::Result<Reply> {
        self.ask("GET", target, b"")
    }

    pub(crate) fn post(&mut self, target: &str, body: &str) -> io::Result<Reply> {
        self.ask("POST", target, body.as_bytes())
    }

    fn ask(&mut self, method: &str, target: &str, body: &[u8]) -> io::Result<Reply> {
        let answer = self.begin(method, target, body).and_then(|mut stream| {
            let mut unread = Vec::new();
            let mut reply = read_head(&mut stream, &mut unread)?;
            let length = reply
                .header("content-length")
                .and_then(|length| length.parse().ok())
                .ok_or(io::ErrorKind::InvalidData)?;
            while unread.len() < length {
                read_more(&mut stream, &mut unread)?;
            }
            reply.body = unread;
            Ok((stream, reply))
        });
        let (stream, reply) = answer?;
        let goes_on = reply.header("connection") != Some("close");
        self.stream = goes_on.then_some(stream);
        Ok(reply)
    }

    /// Sends a request and leaves the answer to the caller.
    pub(crate) fn begin(&mut self, method: &str, target: &str, body: &[u8]) -> io::Result<TcpStream> {
        let mut head = format!("{method} {target} HTTP/1.1\r\nhost: {}\r\n", self.addr);
        if method == "POST" {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body);
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(self.addr)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_nodelay(true)?;
                stream
            }
        };
        stream.write_all(&bytes)?;
        Ok(stream)
    }
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    /// Checks an error and its form.
    #[track_caller]
    pub(crate) fn expect_error(&self, status: u16, text: &str) {
        assert_eq!(
            (self.status, self.text()),
            (status, &*format!(r#"{{"error":"{text}"}}"#))
        );
        assert_eq!(self.header("content-type"), Some("application/json"));
        assert!(self.body.len() <= 200);
    }
}

/// Reads up to the end of an answer's head; what came behind it is left in `unread`.
pub(crate) fn read_head(stream: &mut TcpStream, unread: &mut Vec<u8>) -> io::Result<Reply> {
    let end = loop {
        if let Some(at) = unread.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        read_more(stream, unread)?;
    };
    let head = String::from_utf8(unread.drain(..end).collect()).map_err(|_| io::ErrorKind::InvalidData)?;
    let mut lines = head.lines();
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .and_then(|status| status.parse().ok())
        .ok_or(io::ErrorKind::InvalidData)?;
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    Ok(Reply {
        status,
        headers,
        body: Vec::new(),
    })
}

pub(crate) fn read_more(stream: &mut TcpStream, unread: &mut Vec<u8>) -> io::Result<()> {
    let mut chunk = [0; 16384];
    match stream.read(&mut chunk)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        count => {
            unread.extend_from_slice(&chunk[..count]);
            Ok(())
        }
    }
}
