//! What WebSocket sessions say and what the server broadcasts, as pollers see it.

use crate::support::{Lab, block_on, hasty, open, told};
use std::sync::mpsc;
use ws_server::JsonMessage;

async fn broadcast_all_kinds(hub: ws_server::Hub, room: &str) {
    hub.broadcast_text_to_room(room, "say \"hi\"").await.unwrap();
    hub.broadcast_binary_to_room(room, [0_u8, 255, 16]).await.unwrap();
    let json = JsonMessage::new("news", &serde_json::json!({"n": 1})).unwrap();
    hub.broadcast_json_to_room(room, &json).await.unwrap();
}

#[test]
fn broadcasts_to_a_room_are_envelopes() {
    let lab = Lab::start(hasty());
    lab.poll("room:general").expect(200, "[]");
    lab.poll("room:other").expect(200, "[]");
    block_on(broadcast_all_kinds(lab.hub().clone(), "general"));
    lab.poll("room:general").expect(
        200,
        "[{\"payload\":{\"text\":\"say \\\"hi\\\"\"},\"room\":\"general\",\"type\":\"text\"},\
          {\"payload\":{\"base64\":\"AP8Q\"},\"room\":\"general\",\"type\":\"binary\"},\
          {\"payload\":{\"n\":1},\"type\":\"news\"}]",
    );
    lab.poll("room:other").expect(200, "[]");
    lab.poll("broadcast").expect(200, "[]");
}

#[test]
fn a_broadcast_to_a_room_wakes_its_pollers() {
    let lab = Lab::start(open());
    let poll = lab.waiting_poll("room:general", None);
    let hub = lab.hub().clone();
    block_on(hub.broadcast_text_to_room("general", "x")).unwrap();
    let expected = r#"[{"payload":{"text":"x"},"room":"general","type":"text"}]"#;
    poll.join().unwrap().expect(200, expected);
}

#[test]
fn a_broadcast_to_all_is_in_everybodys_mailbox() {
    let lab = Lab::start(hasty());
    lab.poll("broadcast").expect(200, "[]");
    let hub = lab.hub().clone();
    block_on(async {
        hub.broadcast_text("x").await.unwrap();
        hub.broadcast_binary([1_u8]).await.unwrap();
        hub.broadcast_json(&JsonMessage::empty("news").with_kind("notice"))
            .await
            .unwrap();
    });
    lab.poll("broadcast").expect(
        200,
        "[{\"payload\":{\"text\":\"x\"},\"type\":\"text\"},{\"payload\":{\"base64\":\"AQ==\"},\"type\":\"binary\"},\
          {\"kind\":\"notice\",\"payload\":{},\"type\":\"news\"}]",
    );
}

#[test]
fn an_envelope_of_a_session_goes_to_its_room_or_to_everybody() {
    let (seen, handled) = mpsc::channel();
    let lab = Lab::with(hasty(), move |server| {
        server.on_typed_message(move |_, message: JsonMessage| {
            seen.send(message.type_).unwrap();
            async {}
        })
    });
    lab.poll("broadcast").expect(200, "[]");
    lab.poll("room:general").expect(200, "[]");
    let mut member = lab.member();
    member.say("no envelope");
    member.say(r#"{ "type":"a", "payload":{"big":123456789012345678901234567890}, "more":1 }"#);
    member.say(r#"{"type":"b","room":"general","id":"1"}"#);
    member.say(r#"{"type":"c","room":"nobody polls this"}"#);
    // Relays are told before the typed handler: when it has seen the last one, all are queued.
    assert_eq!([(); 3].map(|()| told(&handled)), ["a", "b", "c"]);
    let big = r#"[{"kind":"event","payload":{"big":123456789012345678901234567890},"type":"a"}]"#;
    lab.poll("broadcast").expect(200, big);
    let in_room = r#"[{"id":"1","kind":"event","payload":{},"room":"general","type":"b"}]"#;
    lab.poll("room:general").expect(200, in_room);
}

#[test]
fn talk_alone_makes_no_mailbox() {
    let lab = Lab::start(hasty());
    block_on(async {
        for number in 0..100 {
            lab.hub()
                .broadcast_text_to_room(&format!("room-{number}"), "x")
                .await
                .unwrap();
        }
        lab.hub().broadcast_text("x").await.unwrap();
    });
    assert_eq!(
        (
            lab.bridge.mailboxes(),
            lab.metric("ws_lp_messages_enqueued_total")
        ),
        (0, 0)
    );
    lab.send("room:room-1", "first");
    assert_eq!(lab.bridge.mailboxes(), 1);
    let reply = lab.poll("room:room-1");
    assert!(
        reply.body.contains("first") && !reply.body.contains(r#""type":"text""#),
        "{}",
        reply.body
    );
}
