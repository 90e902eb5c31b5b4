//! What happens to pages: they are reloaded, they sleep, their network goes silent, their server goes away.

use serde_json::json;
use workspace_tests::observe::until;

use crate::proxy::WebSocketRule;
use crate::scene::Scene;
use crate::server::Server;

/// A page that is reloaded in the middle goes on with its session. `before` is run on the first of the two.
fn reloaded(transport: &str, before: &str) {
    let Some(mut scene) = Scene::start() else { return };
    scene.page.run(before);
    let options = format!("{{ transports: ['{transport}'], resume: 'conversation' }}");
    scene.begin(&options);
    scene.talk(300);
    scene.heard(100);
    scene.page.reload();
    scene.begin(&options);
    scene.talk(100);
    scene
        .page
        .until("hasSaidAll() && socket.bufferedAmount === 0 && seen.texts.length === seen.said");
    let said = scene
        .seen("said")
        .as_u64()
        .and_then(|said| usize::try_from(said).ok());
    scene.has_all(said.expect("a number"));
    assert_eq!(scene.server.record().opens, 1);
    let opens = json!([{ "resumed": false, "unsure": [] }, { "resumed": true, "unsure": [] }]);
    assert_eq!(scene.seen("opens"), opens);
    scene.close(1000);
}

#[test]
fn reloaded_on_websocket() {
    reloaded("websocket", "");
}

#[test]
fn reloaded_on_a_stream() {
    reloaded("sse", "");
}

#[test]
fn reloaded_on_polls() {
    reloaded("poll", "");
}

#[test]
fn reloaded_behind_a_clock_that_goes_back_by_an_hour() {
    let ahead = "{ const now = Date.now.bind(Date); Date.now = () => now() + 3_600_000 }";
    for transport in ["websocket", "sse", "poll"] {
        reloaded(transport, ahead);
    }
}

#[test]
fn a_page_that_is_left_for_good_ends_its_session() {
    let Some(mut scene) = Scene::start() else { return };
    for transport in ["websocket", "sse", "poll"] {
        scene.begin(&format!("{{ transports: ['{transport}'] }}"));
        scene.on(transport);
        scene.page.reload();
    }
    scene.begin("{}");
    scene.on("websocket");
    until("those that were left are over", || {
        scene.server.record().closes.len() == 3
    });
    scene.close(3000);
    assert_eq!(scene.server.record().closes, [1000, 1000, 1000, 3000]);
}

/// Frozen as browsers freeze tabs, while the server goes on and the network forgets the connection.
#[test]
fn a_page_that_slept_goes_on() {
    let Some(mut scene) = Scene::start() else { return };
    let tab = "document.addEventListener('freeze', () => (window.hasSlept = true))";
    scene.page.run(tab);
    for (former, transport) in ["websocket", "sse", "poll"].into_iter().enumerate() {
        scene.page.run("seen.texts.length = 0; window.hasSlept = false");
        scene.begin(&format!("{{ transports: ['{transport}'] }}"));
        scene.on(transport);
        scene.page.turn("frozen");
        scene.proxy.cut_all();
        for number in 1..=200 {
            scene.server.say(&number.to_string());
        }
        scene.page.turn("active");
        scene.page.until("window.hasSlept && seen.texts.length >= 200");
        let in_order = "seen.texts.every((text, at) => text === String(at + 1))";
        assert_eq!(scene.page.value(in_order), true, "{}", scene.seen("texts"));
        assert_eq!(scene.server.record().opens, former + 1, "{transport}");
        assert_eq!(scene.page.uncaught(), &[] as &[String]);
        scene.page.run("socket.close()");
    }
}

/// A connection that lives and carries nothing: found out by a ping.
#[test]
fn a_network_that_falls_silent() {
    let Some(mut scene) = Scene::start() else { return };
    scene.begin("{}");
    scene.talk(100);
    scene.has_all(100);
    scene.proxy.stop(true);
    scene.talk(100);
    scene.page.until("socket.state !== 'open'");
    scene.proxy.stop(false);
    scene.has_all(200);
    assert_eq!(scene.server.record().opens, 1);
    assert!(scene.seen("latencies").as_u64() > Some(0));
}

/// The return time that a server gives is kept to, and a new session says what the former leaves open.
#[test]
fn a_server_that_says_when_to_come_back() {
    let Some(mut scene) = Scene::start() else { return };
    for transport in ["websocket", "sse", "poll"] {
        scene.begin(&format!("{{ transports: ['{transport}'] }}"));
        scene.on(transport);
        scene
            .page
            .run("seen.opens.length = 0; let ended; window.waited = undefined");
        scene.page.run(
            "socket.addEventListener('state', ({ detail }) => { \
                if (detail.state === 'waiting') window.ended ??= [performance.now(), detail.delay]; \
                if (detail.state === 'open') window.waited = performance.now() - window.ended[0]; })",
        );
        scene
            .page
            .run("window.ended = undefined; socket.send('end retry=1200')");
        // Neither a page that is shown nor a browser that is online again comes back before.
        scene.page.until("window.ended");
        scene.page.run("window.dispatchEvent(new Event('online'))");
        scene.page.until("window.waited");
        assert_eq!(scene.page.value("window.ended[1]"), 1200);
        assert!(
            scene.page.value("window.waited").as_f64() >= Some(1190.0),
            "{transport}"
        );
        assert_eq!(scene.seen("opens")[0]["resumed"], false);
        scene.close(1000);
        scene.page.reload();
        scene.page.run("seen.closes.length = 0");
    }
}

/// Nobody there for a while: it tries again, not too often, and goes on.
#[test]
fn a_server_that_cannot_be_reached_for_a_while() {
    let Some(mut scene) = Scene::start() else { return };
    scene.begin("{}");
    scene.talk(100);
    scene.has_all(100);
    scene.proxy.websocket(WebSocketRule::Hang);
    scene.proxy.stop(true);
    scene.proxy.cut_all();
    scene.talk(100);
    scene
        .page
        .until("socket.state === 'waiting' || socket.transport === ''");
    scene.proxy.stop(false);
    scene.proxy.websocket(WebSocketRule::Pass);
    scene.has_all(200);
    assert_eq!(scene.server.record().opens, 1);
}

/// The process behind the address is replaced by another one, which knows nothing of the session.
#[test]
fn a_server_that_is_restarted() {
    let Some(mut scene) = Scene::start() else { return };
    for transport in ["websocket", "sse", "poll"] {
        scene.page.run("seen.texts.length = seen.opens.length = 0");
        scene.begin(&format!("{{ transports: ['{transport}'] }}"));
        scene.on(transport);
        scene.page.run("socket.send('before')");
        scene
            .page
            .until("seen.texts.includes('before') && socket.bufferedAmount === 0");
        let next = Server::start();
        scene.proxy.lead_to(next.address());
        // The former stops in order and says when to come back.
        scene.server.stop();
        scene.server = next;
        scene.page.until("seen.opens.length === 2");
        scene.page.run("socket.send('after')");
        scene.page.until("seen.texts.includes('after')");
        assert_eq!(scene.seen("texts"), json!(["before", "after"]), "{transport}");
        let opens = json!([{ "resumed": false, "unsure": [] }, { "resumed": false, "unsure": [] }]);
        assert_eq!(scene.seen("opens"), opens, "{transport}");
        assert_eq!(scene.server.record().texts, ["after"]);
        assert_eq!(scene.page.uncaught(), &[] as &[String]);
        scene.page.run("socket.close()");
    }
}

/// A second page with the same session, as a tab that was copied: the newer one has it, the older one leaves it alone.
#[test]
fn a_session_that_another_page_takes() {
    let Some(mut scene) = Scene::start() else { return };
    for (former, transport) in ["websocket", "sse", "poll"].into_iter().enumerate() {
        scene.page.run("seen.closes.length = seen.opens.length = 0");
        let options = format!("{{ transports: ['{transport}'], resume: 'conversation' }}");
        scene.begin(&options);
        scene.on(transport);
        let left = "dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))";
        scene.page.run(left);
        scene.begin(&options);
        // The former may hear of it before the newer one does.
        scene
            .page
            .until("seen.closes.length === 1 && seen.opens.length === 2");
        assert_eq!(scene.seen("closes"), json!([4409]), "{transport}");
        assert_eq!(scene.seen("opens")[1]["resumed"], true, "{transport}");
        scene.talk(50);
        scene.has_all(50 * (former + 1));
        assert_eq!(scene.server.record().opens, former + 1);
        scene.page.run("socket.close()");
    }
}
