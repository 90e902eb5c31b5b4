//! The examples that have a page, in a real Chromium: somebody clicks through them on two tabs.
//!
//! Where no Chromium is installed the tests say so and prove nothing; `tests/run` sees to it that there is one. With
//! `PICTURES` naming a directory they leave a picture of each page there.

use workspace_tests::example::{Example, Launch};
use workspace_tests::held::HeldRequest;
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

fn ends_well(mut example: Example) {
    assert_eq!(example.terminate(), Some(0), "{:?}", example.all_lines());
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

/// Somebody at the whiteboard, whose page cannot tell that the pointer is none.
struct Painter(Tab);

impl Painter {
    fn at(tab: Tab, transport: &str) -> Self {
        tab.until(&format!("state.innerText.startsWith('{transport}')"));
        Self(tab)
    }

    fn pointer(&self, event: &str, places: &[(u32, u32)]) {
        for (x, y) in places {
            self.0.run(&format!(
                "{{ const {{ left, top, width, height }} = board.getBoundingClientRect(); \
                 board.dispatchEvent(new PointerEvent('pointer{event}', {{ \
                   clientX: left + {x} * width / 1600, clientY: top + {y} * height / 900 }})) }}"
            ));
        }
    }

    fn draws(&self, line: &[(u32, u32)]) {
        self.pointer("down", &line[..1]);
        self.pointer("move", &line[1..]);
        self.pointer("up", &line[..1]);
    }

    /// So many elements, not one that is about to go.
    #[track_caller]
    fn sees(&self, count: usize, what: &str) {
        self.0
            .until(&format!("document.querySelectorAll('{what}').length === {count}"));
    }
}

const ROOF: [(u32, u32); 5] = [(300, 500), (480, 340), (660, 190), (850, 350), (1040, 500)];
const WALLS: [(u32, u32); 4] = [(360, 460), (360, 780), (980, 780), (980, 460)];
const SUN: [(u32, u32); 6] = [
    (1300, 150),
    (1360, 200),
    (1330, 270),
    (1250, 270),
    (1230, 190),
    (1300, 150),
];

/// Ada has WebSocket, Grace server-sent events, and whoever comes late polls.
#[test]
fn whiteboard_over_every_transport() {
    let whiteboard = Launch::new("whiteboard").start();
    let url = |transport: &str| format!("http://{}/?transports={transport}", whiteboard.http());
    let Some(first) = open(&whiteboard, "/") else {
        return;
    };
    let (second, third) = (first.beside(&url("sse")), url("poll"));
    let ada = Painter::at(first, "websocket");
    let grace = Painter::at(second, "sse");
    ada.draws(&ROOF);
    for painter in [&ada, &grace] {
        painter.sees(1, "#strokes polyline");
        painter.sees(0, "#pens polyline");
    }
    grace.draws(&WALLS);
    grace.draws(&SUN);
    for painter in [&ada, &grace] {
        painter.sees(3, "#strokes polyline");
        painter.sees(2, ".cursor");
    }
    let shape = ROOF.map(|(x, y)| format!("{x},{y}")).join(" ");
    let drawn = "strokes.firstElementChild.getAttribute('points')";
    grace.0.until(&format!("{drawn} === '300,500 {shape}'"));

    // A stroke under the pen is seen while it grows.
    ada.pointer("down", &[(500, 780)]);
    ada.pointer("move", &[(500, 600), (640, 600)]);
    grace.sees(1, "#pens polyline");
    ada.pointer("move", &[(640, 780)]);
    ada.pointer("up", &[(640, 780)]);
    grace.sees(4, "#strokes polyline");
    grace.sees(0, "#pens polyline");
    ada.0.keep_picture("whiteboard", 960, 540);

    // Whoever comes later has it all, until it is wiped; and who leaves takes the cursor away.
    let late = Painter::at(ada.0.beside(&third), "poll");
    late.sees(4, "#strokes polyline");
    late.pointer("move", &[(100, 100)]);
    ada.sees(3, ".cursor");
    late.0
        .run("document.querySelectorAll('#boards button')[1].click()");
    late.sees(0, "#strokes polyline");
    ada.sees(2, ".cursor");
    late.draws(&SUN);
    late.sees(1, "#strokes polyline");
    ada.0.run("clear.click()");
    ada.sees(0, "#strokes polyline");
    grace.sees(0, "#strokes polyline");
    late.sees(1, "#strokes polyline");
    assert_eq!(ada.0.uncaught(), &[] as &[String]);
    ends_well(whiteboard);
}

/// Who does not read has the last of what moves and all of what stays, and is not closed for being slow.
#[test]
fn whiteboard_skips_movements_for_who_is_slow() {
    let whiteboard = Launch::new("whiteboard").start();
    let enter = || {
        let mut client = Client::connect(whiteboard.http(), "/ws");
        client.send(r#"{"type":"board.open","room":"sketch"}"#);
        assert!(client.text().contains("board.picture"));
        client
    };
    let (mut slow, mut painter) = (enter(), enter());
    let points = vec!["[1600,900]"; 190].join(",");
    let mut sent = 0_u32;
    // As long as the kernel takes it, nobody is slow. The painter hears each of its own.
    while whiteboard.metric("ws_messages_dropped_total") == 0.0 {
        assert!(sent < 50_000, "nothing was skipped");
        for _ in 0..200 {
            sent += 1;
            let (x, y) = (sent % 1000, sent / 1000);
            painter.send(&format!(
                r#"{{"type":"board.pen","payload":{{"ink":0,"points":[[{x},{y}],{points}]}}}}"#
            ));
            assert!(painter.text().contains("board.pen"));
        }
    }
    painter.send(r#"{"type":"board.stroke","payload":{"ink":0,"points":[[1,2]]}}"#);
    assert!(painter.text().contains("board.stroke"));
    let mut heard = Vec::new();
    while !heard
        .last()
        .is_some_and(|text: &String| text.contains("board.stroke"))
    {
        heard.push(slow.text());
    }
    let last = format!("[[{},{}],", sent % 1000, sent / 1000);
    assert!(
        heard.len() >= 2 && heard[heard.len() - 2].contains(&last),
        "the last one is not skipped"
    );
    assert!(
        heard.len() <= sent as usize,
        "{} of {sent} heard",
        heard.len() - 1
    );
    ends_well(whiteboard);
}

/// Grace and whoever comes late have no WebSocket.
#[test]
fn todo_with_and_without_websocket() {
    let mut todo = Launch::new("todo").start();
    let Some(ada) = open(&todo, "/") else { return };
    let grace = ada.beside(&format!("http://{}/?transports=poll", todo.http()));
    grace.until("state.innerText.startsWith('poll')");
    ada.until("state.className === 'open'");
    for (text, tab) in [
        ("water the plants", &ada),
        ("ring <i>Charles</i>", &grace),
        ("buy paper", &ada),
    ] {
        tab.run(&format!(
            "text.value = {text:?}; document.querySelector('#add button').click()"
        ));
        for tab in [&ada, &grace] {
            tab.until(&format!("entries.innerText.includes({text:?})"));
        }
    }
    let boxes = "document.querySelectorAll('#entries input')";
    grace.run(&format!("{boxes}[0].click()"));
    for tab in [&ada, &grace] {
        tab.until("document.querySelectorAll('#entries .done').length === 1");
        tab.until("left.innerText === '2 of 3 left'");
    }
    ada.keep_picture("todo", 960, 540);
    ada.run("document.querySelectorAll('#entries button')[1].click()");
    for tab in [&ada, &grace] {
        tab.until("entries.children.length === 2 && !entries.innerText.includes('Charles')");
    }
    // A page that comes later asks for what is there.
    let late = ada.beside(&format!("http://{}/?transports=poll", todo.http()));
    late.until("left.innerText === '1 of 2 left'");
    assert_eq!(ada.uncaught(), &[] as &[String]);
    assert_eq!(todo.terminate(), Some(0), "{:?}", todo.all_lines());
    grace.until("state.className !== 'open'");
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
