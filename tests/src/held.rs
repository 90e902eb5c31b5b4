//! A request that an end has to wait for.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::http;

/// A request to an example with the bridge that is under way until it is finished: its body is read and has not come.
pub struct HeldRequest(TcpStream);

impl HeldRequest {
    /// Returns when it is under way.
    pub fn new(server: SocketAddr) -> Self {
        let mut stream = http::connect(server);
        let head =
            "POST /ws/send HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
        stream.write_all(head.as_bytes()).expect("sent");
        // The server says so when somebody reads the body.
        let mut proceed = [0; 25];
        stream.read_exact(&mut proceed).expect("an answer");
        assert_eq!(&proceed, b"HTTP/1.1 100 Continue\r\n\r\n");
        Self(stream)
    }

    /// Sends the body and reads the answer, with which the connection of a server that ends does too.
    pub fn finish(mut self) {
        self.0.write_all(b"{}").expect("sent");
        let mut answer = String::new();
        self.0.read_to_string(&mut answer).expect("an answer");
        assert!(answer.contains("missing 'type' field"), "{answer}");
    }
}
