//! A client of raw bytes: one keep-alive connection.

use super::PATIENCE;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

pub(crate) struct Client {
    stream: TcpStream,
    unread: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: String,
    headers: Vec<(String, String)>,
}

impl Client {
    pub(crate) fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            unread: Vec::new(),
        }
    }

    pub(crate) fn get(&mut self, target: &str, headers: &[(&str, &str)]) -> Reply {
        self.write("GET", target, headers, b"");
        self.reply()
    }

    pub(crate) fn post(&mut self, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        self.write("POST", target, headers, body);
        self.reply()
    }

    /// Sends a request without waiting for its answer.
    pub(crate) fn write(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) {
        let mut request = format!("{method} {target} HTTP/1.1\r\nhost: 127.0.0.1\r\n");
        if method == "POST" {
            request.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        let mut bytes = request.into_bytes();
        bytes.extend_from_slice(body);
        self.write_raw(&bytes);
    }

    pub(crate) fn write_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The next answer. Its length has to be declared, unless it has no body.
    pub(crate) fn reply(&mut self) -> Reply {
        let end = loop {
            if let Some(at) = self.unread.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            self.read_more();
        };
        let head = String::from_utf8(self.unread.drain(..end).collect()).unwrap();
        let mut lines = head.lines();
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1))
            .and_then(|code| code.parse().ok());
        let headers: Vec<_> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let mut reply = Reply {
            status: status.expect("a status line"),
            body: String::new(),
            headers,
        };
        let length = reply
            .header("content-length")
            .map_or(0, |length| length.parse().unwrap());
        while self.unread.len() < length {
            self.read_more();
        }
        reply.body = String::from_utf8(self.unread.drain(..length).collect()).unwrap();
        reply
    }

    /// The status of an answer without a body, to a request that closes the connection.
    pub(crate) fn head_reply(&mut self) -> u16 {
        let mut answer = String::new();
        self.stream.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
        answer
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .expect("a status")
    }

    fn read_more(&mut self) {
        let mut chunk = [0; 4096];
        let count = self.stream.read(&mut chunk).expect("an answer in time");
        assert!(
            count > 0,
            "the server closed the connection; had: {:?}",
            String::from_utf8_lossy(&self.unread)
        );
        self.unread.extend_from_slice(&chunk[..count]);
    }
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// The cookie it sets, as a browser would send it back.
    pub(crate) fn cookie(&self) -> String {
        let set = self.header("set-cookie").expect("it sets a cookie");
        set.split(';').next().expect("a name and a value").to_owned()
    }

    /// Checks status and body at once, so that a failure shows both.
    #[track_caller]
    pub(crate) fn expect(&self, status: u16, body: &str) {
        assert_eq!((self.status, self.body.as_str()), (status, body));
    }

    /// Checks an error and its form.
    #[track_caller]
    pub(crate) fn expect_error(&self, status: u16, text: &str) {
        self.expect(status, &format!(r#"{{"error":"{text}"}}"#));
        assert_eq!(self.header("content-type"), Some("application/json"));
        assert!(self.body.len() <= 200, "{}", self.body);
    }
}
