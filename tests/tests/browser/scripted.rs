//! What a real server does rarely, or never: it is played inside the page.

use serde_json::{Value, json};

use crate::scene::Scene;

fn scripted(options: &str) -> Option<Scene> {
    let mut scene = Scene::start()?;
    scene.page.run(include_str!("scripted.js"));
    scene.begin(options);
    scene.page.until("sockets.length === 1");
    Some(scene)
}

impl Scene {
    fn do_and_see(&mut self, script: &str, value: &str) -> Value {
        self.page.run(script);
        self.page.value(value)
    }
}

#[test]
fn what_comes_twice_is_told_once_and_what_is_lost_is_counted() {
    let Some(mut scene) = scripted("{ transports: ['websocket'] }") else {
        return;
    };
    scene.page.run("sockets[0].open(); sockets[0].hello(0, 0)");
    scene
        .page
        .run("for (const text of ['1', '2']) sockets[0].say(text); sockets[0].end(1006)");
    scene.page.until("sockets.length === 2");
    // It begins earlier than it was asked to.
    let script =
        "sockets[1].open(); sockets[1].hello(1, 0); for (const text of ['2', '3']) sockets[1].say(text)";
    let controls = scene.do_and_see(script, "sockets[1].controls");
    assert_eq!(
        controls[0],
        json!({ "resume": { "session": "lps_0", "cursor": 2 } })
    );
    let script = "sockets[1].control({ gap: { lost: 4, cursor: 7 } }); sockets[1].say('8'); sockets[1].say('\\x1e\\x1e9')";
    let texts = scene.do_and_see(script, "seen.texts");
    assert_eq!(texts, json!(["1", "2", "3", "8", "\u{1e}9"]));
    assert_eq!(scene.seen("gaps"), 4);
    // Acknowledged soon, and at once when many have come.
    scene
        .page
        .until("sockets[1].controls.some(({ ack }) => ack === 9)");
    let script = "for (let number = 10; number <= 41; number++) sockets[1].say(String(number))";
    let controls = scene.do_and_see(script, "sockets[1].controls.at(-1)");
    assert_eq!(controls, json!({ "ack": 41 }));
}

#[test]
fn only_what_the_server_lacks_is_sent_again_and_what_waits_is_bounded() {
    let Some(mut scene) = scripted("{ transports: ['websocket'], maxMessages: 3, maxBytes: 10 }") else {
        return;
    };
    // Nothing goes out before the hello says from which number on.
    let sent = scene.do_and_see(
        "sockets[0].open(); for (const text of 'abc') socket.send(text)",
        "sockets[0].sent",
    );
    assert_eq!(sent, json!(["\u{1e}{\"open\":{}}"]));
    let refused = "(() => { try { socket.send('d') } catch (error) { return error.name } })()";
    assert_eq!(scene.page.value(refused), "QuotaExceededError", "three messages");
    let messages = scene.do_and_see("sockets[0].hello(0, 0)", "sockets[0].messages");
    assert_eq!(messages, json!(["a", "b", "c"]));
    let waits = scene.do_and_see("sockets[0].control({ ack: 1 })", "socket.bufferedAmount");
    assert_eq!(waits, 2);
    let too_long = "(() => { try { socket.send('123456789') } catch (error) { return error.name } })()";
    assert_eq!(scene.page.value(too_long), "QuotaExceededError", "ten bytes");
    scene.page.run("socket.send('d'); sockets[0].end(1006)");
    scene.page.until("sockets.length === 2");
    let messages = scene.do_and_see("sockets[1].open(); sockets[1].hello(0, 2)", "sockets[1].messages");
    assert_eq!(messages, json!(["c", "d"]));
    // The session is gone: what was under way is doubtful, what was not is sent in the next.
    scene.page.run("sockets[1].end(1006); socket.send('e')");
    scene.page.until("sockets.length === 3");
    scene.page.run("sockets[2].open(); sockets[2].end(4410)");
    scene.page.until("sockets.length === 4");
    scene.page.run("sockets[3].open()");
    assert_eq!(scene.page.value("sockets[3].controls"), json!([{ "open": {} }]));
    let hello = "sockets[3].control({ hello: { session: 'lps_1', cursor: 0, received: 0 } })";
    let messages = scene.do_and_see(hello, "sockets[3].messages");
    assert_eq!(messages, json!(["e"]));
    assert_eq!(
        scene.seen("opens")[1],
        json!({ "resumed": false, "unsure": ["c", "d"] })
    );
}

/// A POST is answered while the WebSocket that takes over has not said hello: the numbers still fit.
#[test]
fn a_post_that_overtakes_the_hello() {
    let options = "{ transports: ['websocket', 'sse'], upgradeAfter: 1 }";
    let Some(mut scene) = scripted(options) else {
        return;
    };
    scene.page.run("sockets[0].end(1006)");
    scene.page.until("asked.length === 1");
    let hello = "{ session: 'lps_0', cursor: 0, received: 0, heartbeat_ms: 15000 }";
    scene.page.run(&format!("asked[0].answer({hello}, 201)"));
    scene.page.until("asked.length === 2");
    assert_eq!(scene.page.value("asked[1].path"), "/events");
    scene.page.run(&format!(
        "window.event = asked[1].stream(); event('hello', {hello})"
    ));
    scene.on("sse");
    scene.page.run("for (const text of 'abc') socket.send(text)");
    scene.page.until("asked.length === 3 && sockets.length === 2");
    assert_eq!(
        scene.page.value("asked[2].body.messages"),
        json!([{ "seq": 1, "text": "a" }])
    );
    scene.page.run("sockets[1].open()");
    let resume = json!([{ "resume": { "session": "lps_0", "cursor": 0 } }]);
    assert_eq!(scene.page.value("sockets[1].controls"), resume);
    scene.page.run("asked[2].answer({ received: 1 })");
    scene.page.until("socket.bufferedAmount === 2");
    let messages = scene.do_and_see("sockets[1].hello(0, 0)", "sockets[1].messages");
    assert_eq!(messages, json!(["", "b", "c"]), "something for each number");
    assert_eq!(scene.page.value("socket.transport"), "websocket");
    assert_eq!(scene.page.uncaught(), &[] as &[String]);
}

#[test]
fn after_the_end_nothing_is_opened_any_more() {
    let Some(mut scene) = scripted("{}") else { return };
    scene.page.run(
        "socket.addEventListener('state', ({ detail }) => detail.state === 'connecting' && socket.close())",
    );
    scene.page.run("sockets[0].end(1006)");
    scene.page.until("socket.state === 'closed'");
    assert_eq!(scene.seen("closes"), json!([1000]));
    assert_eq!(scene.page.value("asked.length + sockets.length"), 1);
    let wrong = "(() => { try { new LosslessSocket().close(1001) } catch (error) { return error.name } })()";
    let import =
        "import('/ws/client.js').then(({ LosslessSocket }) => (window.LosslessSocket = LosslessSocket))";
    scene.page.value(&format!("{import}.then(() => 0)"));
    assert_eq!(scene.page.value(wrong), "InvalidAccessError");
    // Answers by which a server says no for good.
    for code in [1000, 1002, 1008, 1009, 3000, 4000, 4400, 4401, 4403, 4413, 4999] {
        scene.page.run("seen.closes.length = sockets.length = 0");
        scene.begin("{ transports: ['websocket'] }");
        scene.page.until("sockets.length === 1");
        let closes = scene.do_and_see(
            &format!("sockets[0].open(); sockets[0].end({code})"),
            "seen.closes",
        );
        assert_eq!(closes, json!([code]));
    }
}
