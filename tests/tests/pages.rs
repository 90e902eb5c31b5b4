//! The examples that have a page, in a real Chromium: somebody clicks through them on two tabs. And what their READMEs
//! say goes over the wire.
//!
//! Where no Chromium is installed the tests say so and prove nothing; `tests/run` sees to it that there is one. With
//! `PICTURES` naming a directory they leave a picture of each page there.

use serde_json::Value;
use workspace_tests::example::{Example, Launch};
use workspace_tests::held::HeldRequest;
use workspace_tests::http;
use workspace_tests::observe::skipped;
use workspace_tests::tab::Tab;
use workspace_tests::ws::Client;

fn open(example: &Example, path: &str) -> Option<Tab> {
    let tab = Tab::open(&format!("http://{}{path}", example.http()));
    if tab.is_none() {
        skipped("no Chromium is installed");
    }
    tab
}

/// Somebody at the chat's page.
struct Guest(Tab);

impl Guest {
    fn enter(tab: Tab, name: &str) -> Self {
        tab.until("document.getElementById('state').className === 'open'");
        let guest = Self(tab);
        guest.fill("who", name);
        guest.0.run("document.querySelector('#enter button').click()");
        guest.until(&format!("guests.innerText.includes('{name}')"));
        guest.until("speak.checkVisibility() && !enter.checkVisibility()");
        guest
    }

    /// Types into a field, as far as the page can tell.
    fn fill(&self, field: &str, text: &str) {
        self.0.run(&format!(
            "{{ const field = document.getElementById('{field}'); field.value = {text:?}; \
             field.dispatchEvent(new InputEvent('input', {{ bubbles: true }})) }}"
        ));
    }

    fn say(&self, text: &str) {
        self.fill("text", text);
        self.0.run("document.querySelector('#speak button').click()");
    }

    /// Waits until this is so; elements with an id have it as their name.
    #[track_caller]
    fn until(&self, condition: &str) {
        self.0.until(condition);
    }

    #[track_caller]
    fn reads(&self, text: &str) {
        let lines = "[...document.querySelectorAll('#lines li')]";
        self.until(&format!(
            "{lines}.filter((line) => line.innerText.includes({text:?})).length === 1"
        ));
    }

    fn go(&self, room: &str) {
        self.0.run(&format!(
            "[...document.querySelectorAll('#rooms button')].find((button) => button.innerText === '{room}').click()"
        ));
    }
}

/// Two tabs talk; each query names what the second one may use.
fn two_talk(query: &str, transport: &str) {
    let mut chat = Launch::new("chat").start();
    let Some(first) = open(&chat, "/") else { return };
    let second = first.beside(&format!("http://{}/{query}", chat.http()));
    let ada = Guest::enter(first, "Ada");
    ada.say("is <b>anybody</b> here?");
    ada.reads("is <b>anybody</b> here?");

    let grace = Guest::enter(second, "Grace");
    grace.until(&format!("state.innerText.startsWith('{transport}')"));
    grace.reads("is <b>anybody</b> here?");
    ada.until("guests.innerText.includes('Grace')");
    grace.fill("text", "yes");
    ada.until("typing.innerText === 'Grace is typing…'");
    grace.say("yes, over here");
    for guest in [&ada, &grace] {
        guest.reads("yes, over here");
    }
    ada.until("typing.innerText === ''");
    ada.0.keep_picture("chat", 960, 540);

    // A room of its own.
    grace.go("garden");
    ada.until("!guests.innerText.includes('Grace')");
    grace.until("!lines.innerText.includes('over here')");
    grace.say("only flowers");
    grace.reads("only flowers");
    grace.go("lobby");
    grace.reads("yes, over here");
    ada.say("welcome back");
    for guest in [&ada, &grace] {
        guest.reads("welcome back");
        guest.until("!lines.innerText.includes('flowers')");
    }
    assert_eq!(ada.0.uncaught(), &[] as &[String]);

    // The end reaches both, whatever carries them.
    assert_eq!(chat.terminate(), Some(0), "{:?}", chat.all_lines());
    for guest in [&ada, &grace] {
        guest.until("state.className !== 'open'");
    }
}

#[test]
fn chat_over_websocket() {
    two_talk("", "websocket");
}

#[test]
fn chat_with_websocket_off() {
    two_talk("?transports=sse,poll", "sse");
    two_talk("?transports=poll", "poll");
}

/// The lines `> …` of its README are said, those with `< …` are what comes back, but for the time.
#[test]
fn chat_says_what_its_readme_says() {
    let readme = include_str!("../../examples/chat/README.md");
    let mut example = Launch::new("chat").start();
    let page = http::get(example.http(), "/");
    assert!(page.text().starts_with("<!doctype html>"), "{}", page.text());
    let mut client = Client::connect(example.http(), "/ws");
    let mut heard = 0;
    for line in readme.lines() {
        if let Some(said) = line.strip_prefix("> ") {
            client.send(said);
        } else if let Some(expected) = line.strip_prefix("< ") {
            assert_eq!(without_times(&client.text()), without_times(expected));
            heard += 1;
        }
    }
    assert!(heard >= 4);
    assert_eq!(example.terminate(), Some(0), "{:?}", example.all_lines());
}

fn without_times(text: &str) -> String {
    let mut parts = text.split("\"at\":");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        text + "\"at\":" + part.trim_start_matches(|character: char| character.is_ascii_digit())
    })
}

/// Two tabs watch, each over another transport; one pushes the button.
#[test]
fn dashboard_moves_and_shows_the_end() {
    let mut dashboard = Launch::new("dashboard").set("SHUTDOWN_BATCH", 20).start();
    let Some(first) = open(&dashboard, "/") else {
        return;
    };
    let second = first.beside(&format!("http://{}/?transports=sse,poll", dashboard.http()));
    for (tab, transport) in [(&first, "websocket"), (&second, "sse")] {
        tab.until(&format!(
            "state.innerText === '{transport}' && phase.innerText === 'serving'"
        ));
        // The load is there: guests, what they say, and requests.
        tab.until("Number(sessions.innerText) > 5");
        tab.until("Number(written.innerText.replaceAll(',', '')) > 0 && Number(requests.innerText.replaceAll(',', '')) > 0");
        tab.until("median.innerText.endsWith('s') && p99.innerText.endsWith('s')");
        tab.until("rooms.innerText.includes('lobby')");
        tab.until("document.querySelectorAll('#messages-chart .line').length === 2");
        // And it moves.
        tab.run("globalThis.seen = document.querySelector('#requests-chart .line').getAttribute('d')");
        tab.until("document.querySelector('#requests-chart .line').getAttribute('d') !== seen");
    }
    // A picture has some seconds on it; who looks at none need not wait for them.
    if std::env::var_os("PICTURES").is_some() {
        std::thread::sleep(std::time::Duration::from_secs(55));
    }
    first.keep_picture("dashboard", 1000, 690);

    assert_eq!(first.uncaught(), &[] as &[String]);
    let held = HeldRequest::new(dashboard.http());
    second.run("drain.click()");
    first.until("phase.innerText === 'draining' && ending.checkVisibility()");
    first.until("/^[1-9][0-9]* requests, .* sessions are open/.test(left.innerText)");
    first.keep_picture("dashboard-drain", 1000, 760);
    held.finish();
    assert_eq!(dashboard.wait().code(), Some(0), "{:?}", dashboard.all_lines());
    first.until("phase.innerText === 'ended' && document.getElementById('done').value === 1");
    second.until("state.innerText !== 'sse'");
}

/// What comes back has the fields of the lines `< …`, with numbers of its own.
#[test]
fn dashboard_says_what_its_readme_says() {
    let readme = include_str!("../../examples/dashboard/README.md");
    let mut example = Launch::new("dashboard").start();
    let mut client = Client::connect(example.http(), "/ws");
    let mut heard = 0;
    for line in readme.lines() {
        if let Some(said) = line.strip_prefix("> ") {
            client.send(said);
        } else if let Some(expected) = line.strip_prefix("< ") {
            let (told, expected): (Value, Value) = (json_of(&client.text()), json_of(expected));
            assert_eq!(told["type"], expected["type"]);
            assert_eq!(fields(&told["payload"]), fields(&expected["payload"]));
            assert_eq!(
                fields(&told["payload"]["open"]),
                fields(&expected["payload"]["open"])
            );
            heard += 1;
        }
    }
    assert_eq!(heard, 2);
    assert_eq!(example.terminate(), Some(0), "{:?}", example.all_lines());
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

fn fields(of: &Value) -> Vec<&String> {
    of.as_object()
        .map(|object| object.keys().collect())
        .unwrap_or_default()
}
