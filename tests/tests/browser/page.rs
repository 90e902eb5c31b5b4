//! The page under test, in one tab of a browser of its own.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use workspace_tests::PATIENCE;
use workspace_tests::tab::Tab;

pub(crate) struct Page(Tab);

impl Page {
    /// `None` where no Chromium is installed.
    pub(crate) fn open(url: &str) -> Option<Self> {
        let mut page = Self(Tab::open(url)?);
        page.ready();
        Some(page)
    }

    /// Waits for the page's script.
    fn ready(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while self.value("document.readyState === 'complete' && window.isReady === true") != true {
            assert!(Instant::now() < deadline, "the page's script does not run");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn reload(&mut self) {
        self.run("window.isReady = false");
        self.0.command("Page.reload", &json!({}));
        self.0.wait_for("Page.loadEventFired");
        self.ready();
    }

    /// Makes the tab `frozen`, as browsers do with those that nobody looks at, or `active`.
    pub(crate) fn turn(&mut self, state: &str) {
        self.0
            .command("Page.setWebLifecycleState", &json!({ "state": state }));
    }

    /// Runs a script, which may be a promise.
    pub(crate) fn value(&mut self, script: &str) -> Value {
        self.0.value(script)
    }

    pub(crate) fn run(&mut self, script: &str) {
        self.0.run(script);
    }

    /// Waits until a condition holds.
    #[track_caller]
    pub(crate) fn until(&mut self, condition: &str) {
        let limit = PATIENCE.as_millis() - 5000;
        let holds = self.value(&format!("until(() => {condition}, {limit})"));
        assert!(
            holds == true,
            "{condition} does not hold: {} {} {}",
            self.value("JSON.stringify({ ...seen, texts: seen.texts.length })"),
            self.value("socket.state + ' ' + socket.transport + ' ' + socket.bufferedAmount"),
            self.value("seen.texts.slice(-3).join()"),
        );
    }

    /// Errors that no script of the page caught.
    pub(crate) fn uncaught(&mut self) -> Vec<String> {
        self.0.uncaught()
    }
}
