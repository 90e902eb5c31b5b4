//! One tab of a Chromium.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::{env, fs};

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value, json};

use crate::PATIENCE;
use crate::devtools::Chromium;

/// A tab. Several may share a browser, which ends with the last of them.
pub struct Tab {
    browser: Rc<RefCell<Chromium>>,
    id: String,
}

impl Tab {
    /// The first tab of a browser of its own; `None` where no Chromium is installed.
    pub fn open(url: &str) -> Option<Self> {
        Some(Self::on(Rc::new(RefCell::new(Chromium::start()?)), url))
    }

    /// Another one beside this.
    #[must_use]
    pub fn beside(&self, url: &str) -> Self {
        Self::on(Rc::clone(&self.browser), url)
    }

    fn on(browser: Rc<RefCell<Chromium>>, url: &str) -> Self {
        let id = browser.borrow_mut().tab();
        let tab = Self { browser, id };
        tab.command("Page.navigate", &json!({ "url": url }));
        tab
    }

    /// Sends one command of the DevTools protocol and waits for its answer.
    pub fn command(&self, method: &str, params: &Value) -> Value {
        self.browser.borrow_mut().command(Some(&self.id), method, params)
    }

    /// Waits for an event of this tab.
    pub fn wait_for(&self, event: &str) {
        self.browser.borrow_mut().wait_for(&self.id, event);
    }

    /// Runs a script, which may be a promise.
    #[track_caller]
    pub fn value(&self, script: &str) -> Value {
        let params = json!({ "expression": script, "awaitPromise": true, "returnByValue": true });
        let answer = self.command("Runtime.evaluate", &params);
        assert!(
            answer["exceptionDetails"].is_null(),
            "{script}: {}",
            answer["exceptionDetails"]
        );
        answer["result"]["value"].clone()
    }

    /// Runs a script for what it does.
    #[track_caller]
    pub fn run(&self, script: &str) {
        self.value(&format!("{script}; 0"));
    }

    /// Waits until a condition holds.
    #[track_caller]
    pub fn until(&self, condition: &str) {
        let limit = (PATIENCE / 2).as_millis();
        let holds = self.value(&format!(
            "new Promise((done) => {{ \
               const end = performance.now() + {limit}; \
               const look = () => {{ \
                 let holds = false; \
                 try {{ holds = Boolean({condition}) }} catch {{}} \
                 if (holds || performance.now() > end) done(holds); else setTimeout(look, 20); \
               }}; look() }})"
        ));
        assert!(
            holds == true,
            "{condition} does not hold on this page: {}",
            self.value("document.body?.innerText")
        );
    }

    /// What the tab shows, as a PNG.
    pub fn picture(&self, width: u32, height: u32) -> Vec<u8> {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.command("Emulation.setDeviceMetricsOverride", &size);
        let answer = self.command("Page.captureScreenshot", &json!({ "format": "png" }));
        let data = answer["data"].as_str().expect("a picture");
        BASE64_STANDARD.decode(data).expect("base64")
    }

    /// Leaves the picture in the directory that `PICTURES` names, if it names one.
    pub fn keep_picture(&self, name: &str, width: u32, height: u32) {
        if let Some(directory) = env::var_os("PICTURES") {
            let path = PathBuf::from(directory).join(format!("{name}.png"));
            fs::write(path, self.picture(width, height)).expect("the picture can be written");
        }
    }

    /// Errors that no script of the browser's pages caught.
    pub fn uncaught(&self) -> Vec<String> {
        // Whatever was thrown before is told before the answer to this.
        self.value("0");
        self.browser.borrow().uncaught.clone()
    }
}
