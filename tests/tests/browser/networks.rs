//! Networks that let WebSocket through, or do not, each in its own way. Numbers go both ways, and all arrive.

use crate::proxy::{StreamRule, WebSocketRule};
use crate::scene::Scene;

#[test]
fn websocket_where_it_gets_through() {
    let Some(mut scene) = Scene::start() else { return };
    scene.begin("{}");
    scene.talk(300);
    scene.has_all(300);
    assert_eq!(scene.seen("transports"), serde_json::json!(["websocket"]));
    assert_eq!(scene.server.record().opens, 1);
    assert!(scene.page.value("socket.latency > 0 && socket.latency < 20_000") == true);
    // Binary, a text that looks like a control envelope, an object.
    scene.page.run("seen.texts.length = 0");
    scene.page.run(
        "const bytes = new Uint8Array([9, 0, 255, 9]); socket.send(bytes.subarray(1, 3)); bytes.fill(1)",
    );
    scene
        .page
        .run(r#"socket.send('\x1e{"ack":1}'); socket.send({ type: "x", payload: { n: 1 } })"#);
    scene.heard(3);
    let expected = serde_json::json!([
        "bytes 0,255",
        "\u{1e}{\"ack\":1}",
        r#"{"type":"x","payload":{"n":1}}"#
    ]);
    assert_eq!(scene.seen("texts"), expected);
    scene.close(4321);
    let thrown = scene
        .page
        .value("(() => { try { socket.send('x') } catch (error) { return error.name } })()");
    assert_eq!(thrown, "InvalidStateError");
}

/// Refused with a status or without a word: it goes on with a stream, and comes back when it can.
fn refused(rule: WebSocketRule) {
    let Some(mut scene) = Scene::start() else { return };
    scene.proxy.websocket(rule);
    scene.begin("{ upgradeAfter: 1500 }");
    scene.talk(200);
    scene.has_all(200);
    assert_eq!(scene.seen("transports")[0], "sse");
    scene.proxy.websocket(WebSocketRule::Pass);
    scene.talk(600);
    scene.on("websocket");
    scene.talk(200);
    scene.has_all(1000);
    assert_eq!(scene.server.record().opens, 1, "one session all the time");
    scene.close(1000);
}

#[test]
fn websocket_refused_with_403() {
    refused(WebSocketRule::Refuse(403));
}

#[test]
fn websocket_refused_with_404() {
    refused(WebSocketRule::Refuse(404));
}

#[test]
fn websocket_refused_without_an_answer() {
    refused(WebSocketRule::Hang);
}

#[test]
fn websocket_accepted_and_then_cut() {
    let Some(mut scene) = Scene::start() else { return };
    scene.proxy.websocket(WebSocketRule::Cut(1500));
    scene.begin("{}");
    scene.talk(800);
    scene
        .page
        .until("socket.transport && socket.transport !== 'websocket'");
    scene.has_all(800);
    let seen = scene.proxy.seen();
    assert!(
        seen.handshakes >= 2,
        "a single accident is not held against it: {seen:?}"
    );
    assert_eq!(scene.server.record().opens, 1);
    scene.close(1000);
}

#[test]
fn everything_swallowed_after_101() {
    let Some(mut scene) = Scene::start() else { return };
    scene.proxy.websocket(WebSocketRule::Swallow);
    scene.begin("{ helloTimeout: 1500 }");
    scene.talk(200);
    scene.has_all(200);
    assert_ne!(scene.seen("transports")[0], "websocket");
    scene.close(1000);
}

#[test]
fn streams_buffered_too() {
    let Some(mut scene) = Scene::start() else { return };
    scene.proxy.websocket(WebSocketRule::Refuse(403));
    scene.proxy.stream(StreamRule::Buffer);
    scene.begin("{ helloTimeout: 1500, upgradeAfter: 2500 }");
    scene.talk(200);
    scene.has_all(200);
    assert_eq!(scene.seen("transports")[0], "poll");
    assert!(scene.proxy.seen().streams > 0, "{:?}", scene.proxy.seen());
    // Back from polls, with one under way.
    scene.proxy.websocket(WebSocketRule::Pass);
    scene.on("websocket");
    scene.talk(100);
    scene.has_all(300);
    assert_eq!(scene.server.record().opens, 1);
    scene.close(1000);
}

#[test]
fn polls_and_posts_that_lose_every_fifth_answer() {
    let Some(mut scene) = Scene::start() else { return };
    scene.proxy.lose_one_answer_in(5);
    scene.begin("{ transports: ['poll'] }");
    scene.page.run("socket.send(new Uint8Array([0, 255]))");
    scene.heard(1);
    assert_eq!(scene.seen("texts"), serde_json::json!(["bytes 0,255"]));
    scene.page.run("seen.texts.length = 0");
    scene.talk(400);
    scene.has_all(400);
    assert!(scene.proxy.seen().polls > 5, "{:?}", scene.proxy.seen());
}

/// Everything at once and again: whatever carries, the numbers go on.
#[test]
fn a_network_that_changes_all_the_time() {
    let Some(mut scene) = Scene::start() else { return };
    scene.proxy.lose_one_answer_in(7);
    scene.begin("{ upgradeAfter: 500 }");
    let rules = [
        WebSocketRule::Cut(4000),
        WebSocketRule::Refuse(503),
        WebSocketRule::Pass,
        WebSocketRule::Swallow,
        WebSocketRule::Hang,
        WebSocketRule::Pass,
    ];
    let mut said = 0;
    for (turn, rule) in rules.into_iter().cycle().take(12).enumerate() {
        scene.proxy.websocket(rule);
        if turn % 3 == 0 {
            scene.proxy.cut_all();
        }
        said += 150;
        scene.talk(150);
        scene.heard(said - 50);
    }
    scene.has_all(said);
    // The last rule lets WebSocket pass: it is found again, however soon all was said.
    scene.on("websocket");
    assert_eq!(scene.server.record().opens, 1);
    let transports: Vec<String> = serde_json::from_value(scene.seen("transports")).expect("names");
    let others = transports.iter().filter(|name| *name != "websocket").count();
    assert!(others > 0 && others < transports.len(), "{transports:?}");
}
