//! A headless Chromium, told what to do over its DevTools protocol.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use tungstenite::{Message, WebSocket};

use crate::{PATIENCE, chromium, http};

/// A browser with one connection to it. It ends when dropped.
pub struct Chromium {
    child: Child,
    socket: WebSocket<TcpStream>,
    last_id: u64,
    /// Errors that no script caught.
    pub uncaught: Vec<String>,
    _profile: TempDir,
}

impl Chromium {
    /// `None` where no Chromium is installed.
    pub fn start() -> Option<Self> {
        let executable = chromium::executable()?;
        let profile = tempfile::tempdir().expect("a temporary directory can be made");
        let mut child = chromium::command(executable, profile.path())
            .arg("about:blank")
            .stderr(Stdio::piped())
            .spawn()
            .expect("the browser starts");
        let stderr = child.stderr.take().expect("piped above");
        let mut lines = BufReader::new(stderr).lines().map_while(Result::ok);
        let url = lines
            .find_map(|line| line.strip_prefix("DevTools listening on ").map(str::to_owned))
            .expect("the browser says where it listens");
        // Read on, so that it never waits for us.
        std::thread::spawn(move || lines.for_each(drop));
        let address = url["ws://".len()..]
            .split('/')
            .next()
            .and_then(|address| address.parse().ok());
        let stream = http::connect(address.expect("it listens on an address"));
        let (socket, _) = tungstenite::client(url, stream).expect("the browser accepts the handshake");
        Some(Self {
            child,
            socket,
            last_id: 0,
            uncaught: Vec::new(),
            _profile: profile,
        })
    }

    /// Opens a tab; gives what commands to it are addressed to.
    pub fn tab(&mut self) -> String {
        let target = self.command(None, "Target.createTarget", &json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = self.command(None, "Target.attachToTarget", &attach);
        let tab = attached["sessionId"].as_str().expect("it is attached").to_owned();
        for domain in ["Page.enable", "Runtime.enable"] {
            self.command(Some(&tab), domain, &json!({}));
        }
        tab
    }

    /// Sends one command and waits for its answer.
    pub fn command(&mut self, tab: Option<&str>, method: &str, params: &Value) -> Value {
        self.last_id += 1;
        let mut command = json!({ "id": self.last_id, "method": method, "params": params });
        if let Some(tab) = tab {
            command["sessionId"] = tab.into();
        }
        let text = Message::text(command.to_string());
        self.socket.send(text).expect("the command can be sent");
        loop {
            let message = self.read();
            if message["id"] == self.last_id {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].clone();
            }
        }
    }

    /// Waits for an event of a tab.
    pub fn wait_for(&mut self, tab: &str, event: &str) {
        loop {
            let message = self.read();
            if message["method"] == event && message["sessionId"] == tab {
                return;
            }
        }
    }

    fn read(&mut self) -> Value {
        let message = self.socket.read().unwrap_or_else(|error| {
            panic!("the browser says nothing within {PATIENCE:?}: {error}");
        });
        let message: Value = match message {
            Message::Text(text) => serde_json::from_str(&text).expect("the browser speaks JSON"),
            _ => Value::Null,
        };
        if message["method"] == "Runtime.exceptionThrown" {
            self.uncaught.push(message["params"].to_string());
        }
        message
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // Its own processes end with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
