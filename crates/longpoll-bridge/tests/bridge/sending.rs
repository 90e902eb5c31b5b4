//! `POST /ws/send`: who gets what is sent.

use crate::support::{Client, Lab, envelopes, hasty, open, told};
use std::sync::mpsc;
use ws_server::{JsonMessage, TransportKind, WsServer};

/// Sessions are in the room `general`; what the typed handler is given is told to the test.
fn in_general(seen: mpsc::Sender<(String, TransportKind)>) -> impl FnOnce(WsServer) -> WsServer {
    move |server| {
        server
            .on_open(|session| async move {
                session.join("general").unwrap();
                session.send_text("joined");
            })
            .on_typed_message(move |session, message: JsonMessage| {
                seen.send((message.to_text(), session.transport())).unwrap();
                async {}
            })
    }
}

#[test]
fn what_was_sent_before_the_first_poll_is_there() {
    let lab = Lab::start(hasty());
    let body = r#"{"session_id":"lp-1","type":"a","id":"7","ts":"now","kind":"k","room":"r","payload":{"b":[1,{}]}}"#;
    lab.post(body)
        .expect(202, r#"{"session_id":"lp-1","status":"queued"}"#);
    let envelope = r#"[{"id":"7","kind":"k","payload":{"b":[1,{}]},"room":"r","ts":"now","type":"a"}]"#;
    lab.poll("lp-1").expect(200, envelope);
}

#[test]
fn a_room_gets_it_everywhere_and_once() {
    let (seen, handled) = mpsc::channel();
    let lab = Lab::with(open(), in_general(seen));
    let mut member = lab.member();
    assert_eq!(member.hear(), "joined");
    let poll = lab.waiting_poll("room:general", None);

    let reply = lab.post(r#"{"room":"general","type":"hi","payload":{"n":1}}"#);
    reply.expect(202, r#"{"session_id":"room:general","status":"queued"}"#);
    let envelope = r#"{"kind":"event","payload":{"n":1},"room":"general","type":"hi"}"#;
    assert_eq!(member.hear(), envelope);
    assert_eq!(told(&handled), (envelope.to_owned(), TransportKind::Detached));
    let reply = poll.join().unwrap();
    reply.expect(200, &format!("[{envelope}]"));

    lab.post(r#"{"session_id":"room:general","type":"second"}"#)
        .expect(202, r#"{"session_id":"room:general","status":"queued"}"#);
    let second = r#"{"kind":"event","payload":{},"room":"general","type":"second"}"#;
    lab.poll_as("room:general", &reply.cookie())
        .expect(200, &format!("[{second}]"));
    assert_eq!(
        lab.metric("ws_lp_messages_enqueued_total"),
        2,
        "each message is queued once"
    );
}

#[test]
fn a_mailbox_and_everybodys_mailbox_are_only_queues() {
    let (seen, handled) = mpsc::channel();
    let lab = Lab::with(hasty(), in_general(seen));
    let mut member = lab.member();
    assert_eq!(member.hear(), "joined");
    lab.post(r#"{"type":"all"}"#)
        .expect(202, r#"{"session_id":"broadcast","status":"queued"}"#);
    lab.post(r#"{"type":"one","session_id":"lp-1","room":"general"}"#)
        .expect(202, r#"{"session_id":"lp-1","status":"queued"}"#);
    lab.post(r#"{"type":"room","room":"general"}"#)
        .expect(202, r#"{"session_id":"room:general","status":"queued"}"#);
    let heard = member.hear();
    assert!(heard.contains(r#""type":"room""#), "{heard}");
    let (handled, _) = told(&handled);
    assert!(handled.contains(r#""type":"room""#), "{handled}");
    lab.poll("broadcast").expect(200, &envelopes(&["all"]));
}

#[test]
fn a_typed_handler_can_broadcast_what_it_was_sent() {
    let lab = Lab::with(hasty(), |server| {
        server.on_typed_message(|session, message: JsonMessage| async move {
            let text = format!("{} came", message.type_);
            session
                .hub()
                .broadcast_text_to_room(&message.room, text)
                .await
                .unwrap();
        })
    });
    lab.post(r#"{"type":"x","room":"general"}"#);
    lab.poll("room:general").expect(
        200,
        r#"[{"kind":"event","payload":{},"room":"general","type":"x"},{"payload":{"text":"x came"},"room":"general","type":"text"}]"#,
    );
}

#[test]
fn a_typed_handler_sees_who_sent_it() {
    let (seen, handled) = mpsc::channel();
    let lab = Lab::with(hasty(), move |server| {
        server.on_typed_message(move |session, _| {
            let header = session.header("x-user").unwrap_or_default().to_owned();
            let said = session.send_text("nobody hears this");
            seen.send((
                header,
                session.path().to_owned(),
                session.remote_addr().is_some(),
                said,
            ))
            .unwrap();
            async {}
        })
    });
    let mut client = Client::connect(lab.addr());
    let reply = client.post(
        "/ws/send?x=1",
        &[("x-user", "ann")],
        br#"{"type":"x","room":"general"}"#,
    );
    assert_eq!(reply.status, 202, "{}", reply.body);
    let (user, path, has_addr, said) = told(&handled);
    assert_eq!(
        (user.as_str(), path.as_str(), has_addr),
        ("ann", "/ws/send", true)
    );
    assert_eq!(said, ws_server::SendOutcome::Closed);
}

#[test]
fn a_chunked_body_without_a_content_type_is_as_good() {
    let lab = Lab::start(hasty());
    let mut client = Client::connect(lab.addr());
    client.write_raw(
        b"POST /ws/send HTTP/1.1\r\nHOST: 127.0.0.1\r\ntransfer-encoding: chunked\r\n\r\n\
          8\r\n{\"type\":\r\n4\r\n\"a\"}\r\n0\r\n\r\n",
    );
    client
        .reply()
        .expect(202, r#"{"session_id":"broadcast","status":"queued"}"#);
    lab.poll("broadcast").expect(200, &envelopes(&["a"]));
}
