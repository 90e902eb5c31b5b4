//! Long-polling and POST.

use std::io;
use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::client::{Body, Event, Transport};
use super::http::{Http, Reply};

pub(crate) struct Poll {
    /// Polls and sends need a connection each.
    polls: Http,
    sends: Http,
    /// Number of the last poll.
    asked: u64,
}

/// Opens a session if none is given; gives its id.
pub(super) fn opened(addr: SocketAddr, session: Option<(&str, u64)>) -> io::Result<String> {
    if let Some((id, _)) = session {
        return Ok(id.to_owned());
    }
    let reply = Http::new(addr).post("/ws/session", "")?;
    assert_eq!(reply.status, 201, "{}", reply.text());
    Ok(reply.json()["session"].as_str().unwrap().to_owned())
}

impl Poll {
    pub(super) fn attach(
        addr: SocketAddr,
        session: Option<(&str, u64)>,
    ) -> io::Result<(Box<dyn Transport>, String)> {
        let id = opened(addr, session)?;
        Ok((
            Box::new(Self {
                polls: named(addr, &id),
                sends: named(addr, &id),
                asked: 0,
            }),
            id,
        ))
    }
}

pub(super) fn named(addr: SocketAddr, id: &str) -> Http {
    Http::new(addr).header("Longpoll-Session", id)
}

impl Transport for Poll {
    fn read(&mut self, cursor: u64) -> io::Result<Vec<Event>> {
        self.asked = (self.asked + 1).max(now());
        let target = format!("/ws/session/poll?cursor={cursor}&request={}", self.asked);
        let reply = self.polls.get(&target)?;
        match reply.status {
            200 => Ok(events(&reply.json())),
            409 => Ok(vec![Event::Replaced]),
            status => Ok(vec![Event::Refused { status }]),
        }
    }

    fn write(&mut self, messages: &[(u64, Body)], cursor: u64) -> io::Result<Vec<Event>> {
        send(&mut self.sends, messages, cursor)
    }

    fn close(&mut self, code: u16, reason: &str) -> io::Result<()> {
        close(&mut self.sends, code, reason)
    }
}

/// The time as a number for a poll.
fn now() -> u64 {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    since.as_micros() as u64
}

/// A poll's answer.
fn events(answer: &Value) -> Vec<Event> {
    let number = |value: &Value| value.as_u64().unwrap();
    let mut events = vec![Event::Received(number(&answer["received"]))];
    if let Some(gap) = answer.get("gap") {
        events.push(Event::Gap {
            lost: number(&gap["lost"]),
            cursor: number(&gap["cursor"]),
        });
    }
    events.extend(answer["messages"].as_array().unwrap().iter().map(message));
    if let Some(close) = answer.get("close") {
        events.push(closed(close));
    }
    events
}

pub(super) fn message(value: &Value) -> Event {
    let body = match value.get("text") {
        Some(text) => Body::Text(text.as_str().unwrap().to_owned()),
        None => Body::Binary(STANDARD.decode(value["base64"].as_str().unwrap()).unwrap()),
    };
    Event::Message(value["seq"].as_u64().unwrap(), body)
}

pub(super) fn closed(value: &Value) -> Event {
    let reason = value["reason"].as_str().unwrap().to_owned();
    let retry = value.get("retry").map(|retry| format!("retry={retry}"));
    assert!(retry.is_none_or(|retry| retry == reason));
    Event::Closed {
        code: value["code"].as_u64().unwrap() as u16,
        reason,
    }
}

pub(super) fn send(http: &mut Http, messages: &[(u64, Body)], cursor: u64) -> io::Result<Vec<Event>> {
    let messages: Vec<_> = messages
        .iter()
        .map(|(seq, body)| match body {
            Body::Text(text) => json!({"seq": seq, "text": text}),
            Body::Binary(body) => json!({"seq": seq, "base64": STANDARD.encode(body)}),
        })
        .collect();
    let body = json!({"messages": messages, "cursor": cursor}).to_string();
    let reply: Reply = http.post("/ws/session/send", &body)?;
    match reply.status {
        200 => Ok(vec![Event::Received(reply.json()["received"].as_u64().unwrap())]),
        // The session is closing, or has ended: the reading side learns how.
        410 => Ok(Vec::new()),
        // Another send is still at work on these: it will be asked for again.
        409 => Err(io::ErrorKind::WouldBlock.into()),
        status => Ok(vec![Event::Refused { status }]),
    }
}

pub(super) fn close(http: &mut Http, code: u16, reason: &str) -> io::Result<()> {
    let body = json!({"code": code, "reason": reason}).to_string();
    let reply = http.post("/ws/session/close", &body)?;
    assert_eq!((reply.status, reply.text()), (200, r#"{"closed":true}"#));
    Ok(())
}
