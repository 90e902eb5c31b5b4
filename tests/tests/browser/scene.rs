//! A server, a proxy in front of it, and a page behind that.

use serde_json::Value;
use workspace_tests::observe::{skipped, until};

use crate::page::Page;
use crate::proxy::Proxy;
use crate::server::Server;

pub(crate) struct Scene {
    pub(crate) page: Page,
    pub(crate) proxy: Proxy,
    pub(crate) server: Server,
}

impl Scene {
    /// `None` where no Chromium is installed, said once a test.
    pub(crate) fn start() -> Option<Self> {
        let server = Server::start();
        let proxy = Proxy::start(server.address());
        let Some(page) = Page::open(&format!("http://{}/", proxy.address)) else {
            skipped("no Chromium is installed");
            return None;
        };
        Some(Self { page, proxy, server })
    }

    /// Opens the client with these options, an object of JavaScript, on top of short times.
    pub(crate) fn begin(&mut self, options: &str) {
        let times =
            "helloTimeout: 4000, firstDelay: 50, longestDelay: 500, pingInterval: 1000, pongTimeout: 1000";
        self.page.run(&format!("begin({{ {times}, ...{options} }})"));
    }

    /// The page says so many numbers more.
    pub(crate) fn talk(&mut self, count: usize) {
        self.page.run(&format!("talk({count})"));
    }

    /// Waits until so many numbers are back.
    #[track_caller]
    pub(crate) fn heard(&mut self, count: usize) {
        self.page.until(&format!("seen.texts.length >= {count}"));
    }

    #[track_caller]
    pub(crate) fn on(&mut self, transport: &str) {
        self.page.until(&format!("socket.transport === '{transport}'"));
    }

    /// Both sides have exactly the numbers from 1 to `count`, each once and in order, in one session.
    #[track_caller]
    pub(crate) fn has_all(&mut self, count: usize) {
        self.heard(count);
        let expected: Vec<_> = (1..=count).map(|number| number.to_string()).collect();
        let back: Vec<String> = serde_json::from_value(self.seen("texts")).expect("texts");
        assert!(back == expected, "the page was given {back:?}");
        let record = self.server.record();
        assert!(
            record.texts == expected,
            "the server was given {:?}",
            record.texts
        );
        assert_eq!(self.seen("gaps"), 0);
        assert_eq!(self.page.uncaught(), &[] as &[String]);
    }

    /// What the page has noted under this name.
    pub(crate) fn seen(&mut self, name: &str) -> Value {
        self.page.value(&format!("seen.{name}"))
    }

    /// Closes, and waits until the server knows: of all sessions one had this Close.
    #[track_caller]
    pub(crate) fn close(&mut self, code: u16) {
        self.page.run(&format!("socket.close({code}, 'done')"));
        let server = &self.server;
        until("the end of the session", || {
            server.record().closes.contains(&code)
        });
        assert_eq!(self.page.value("socket.state"), "closed");
        assert_eq!(self.seen("closes"), serde_json::json!([code]));
    }
}
