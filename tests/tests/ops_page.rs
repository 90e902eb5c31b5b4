//! The operator's page in a real Chromium: the token opens it, its numbers move, and its button drains.
//!
//! Where no Chromium is installed the test says so and proves nothing; `tests/run` sees to it that there is one.

use std::thread;

use workspace_tests::example::Launch;
use workspace_tests::held::HeldRequest;
use workspace_tests::http;
use workspace_tests::observe::skipped;
use workspace_tests::tab::Tab;
use workspace_tests::ws::Client;

const TOKEN: &str = "correct-horse-battery-staple";

fn enter(tab: &Tab, token: &str) {
    tab.run(&format!(
        "document.getElementById('token').value = '{token}'; document.querySelector('#form button').click()"
    ));
}

#[test]
fn an_operator_looks_and_drains() {
    let mut lab = Launch::new("lab").set("OPS_TOKEN", TOKEN).start();
    let Some(tab) = Tab::open(&format!("http://{}/_ops", lab.metrics())) else {
        skipped("no Chromium is installed");
        return;
    };
    // Complete, so that the next load is that of the page behind it.
    tab.until("document.readyState === 'complete' && document.getElementById('token')");
    enter(&tab, "wrong-horse-battery-staple");
    tab.until("said.innerText === 'the operator\\'s token is needed'");
    enter(&tab, TOKEN);
    tab.wait_for("Page.loadEventFired");
    tab.until("phase.innerText === 'serving'");
    assert_eq!(tab.value("document.cookie"), "", "no script sees what lets it in");

    let mut session = Client::connect(lab.ws(), "/");
    session.send(r#"{"type":"room.join"}"#);
    for _ in 0..3 {
        http::get(lab.http(), "/status");
    }
    tab.until("document.getElementById('sessions').innerText.startsWith('1')");
    tab.until("rooms.innerText.includes('general')");
    tab.until("routes.rows[1].cells[0].innerText === '/status' && routes.rows[1].cells[1].innerText === '3'");
    // Lines are drawn from the second number on.
    tab.until("document.querySelectorAll('#sessions-chart path').length === 2");

    let held = HeldRequest::new(lab.http());
    tab.run("window.confirm = () => true; document.getElementById('drain').click()");
    tab.until("['draining', 'closing', 'stopped'].includes(phase.innerText)");
    tab.until("progress.checkVisibility() && document.getElementById('drain').disabled");
    tab.until("left.innerText.startsWith('1 requests, ')");
    held.finish();
    assert_eq!(session.closed().0, 1001);
    assert_eq!(lab.wait().code(), Some(0), "{:?}", lab.all_lines());
    tab.until("phase.innerText === 'stopped'");
    assert_eq!(tab.uncaught(), &[] as &[String]);
}

#[test]
fn a_busy_server_has_something_to_show() {
    let mut dashboard = Launch::new("dashboard").set("OPS_TOKEN", TOKEN).start();
    let Some(tab) = Tab::open(&format!("http://{}/_ops", dashboard.metrics())) else {
        skipped("no Chromium is installed");
        return;
    };
    tab.until("document.readyState === 'complete' && document.getElementById('token')");
    enter(&tab, TOKEN);
    tab.wait_for("Page.loadEventFired");
    for id in ["requests", "times", "messages", "sessions"] {
        tab.until(&format!(
            "document.querySelector('#{id}-chart path.line').getTotalLength() > 0"
        ));
    }
    tab.until("['/quote', '/search', '(no route)'].every((route) => routes.innerText.includes(route))");
    tab.until("rooms.rows.length > 3 && rooms.innerText.includes('lobby')");
    // It moves.
    tab.run("globalThis.seen = document.getElementById('messages').innerText");
    tab.until("document.getElementById('messages').innerText !== seen");
    if std::env::var_os("PICTURES").is_some() {
        thread::sleep(std::time::Duration::from_secs(75));
    }
    tab.keep_picture("ops", 1000, 1000);
    assert_eq!(tab.uncaught(), &[] as &[String]);
    assert_eq!(dashboard.terminate(), Some(0), "{:?}", dashboard.all_lines());
}
