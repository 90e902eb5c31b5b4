//! The page under test, in one tab of a browser of its own.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use workspace_tests::PATIENCE;

use crate::chromium::Chromium;

pub(crate) struct Page {
    browser: Chromium,
    tab: String,
}

impl Page {
    /// `None` where no Chromium is installed.
    pub(crate) fn open(url: &str) -> Option<Self> {
        let mut browser = Chromium::start()?;
        let tab = browser.tab();
        let mut page = Self { browser, tab };
        page.command("Page.navigate", &json!({ "url": url }));
        page.ready();
        Some(page)
    }

    fn command(&mut self, method: &str, params: &Value) -> Value {
        self.browser.command(Some(&self.tab), method, params)
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
        self.command("Page.reload", &json!({}));
        self.browser.wait_for(&self.tab, "Page.loadEventFired");
        self.ready();
    }

    /// Makes the tab `frozen`, as browsers do with those that nobody looks at, or `active`.
    pub(crate) fn turn(&mut self, state: &str) {
        self.command("Page.setWebLifecycleState", &json!({ "state": state }));
    }

    /// Runs a script, which may be a promise.
    pub(crate) fn value(&mut self, script: &str) -> Value {
        let params = json!({ "expression": script, "awaitPromise": true, "returnByValue": true });
        let answer = self.command("Runtime.evaluate", &params);
        assert!(
            answer["exceptionDetails"].is_null(),
            "{script}: {}",
            answer["exceptionDetails"]
        );
        answer["result"]["value"].clone()
    }

    pub(crate) fn run(&mut self, script: &str) {
        self.value(&format!("{script}; 0"));
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
    pub(crate) fn uncaught(&mut self) -> &[String] {
        // Whatever was thrown before is told before the answer to this.
        self.value("0");
        &self.browser.uncaught
    }
}
