//! `GET /ws/poll`: what is there at once, else what comes within the wait, else nothing.

use std::time::Instant;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use core_executor::LongWait;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;

use crate::bridge::Shared;
use crate::channel::Hold;
use crate::cookie;
use crate::readers::{Mark, Reader};
use crate::refusal::Refusal;
use crate::resolver::{Access, MailboxName};
use crate::ring::Batch;

/// Messages in one answer, when the poll does not say.
pub(crate) const DEFAULT_MAX: usize = 50;
/// Messages in one answer, whatever the poll says.
const LARGEST_MAX: usize = 256;
/// Says how many messages the reader has missed since its last poll; absent when it is none.
const MISSED: HeaderName = HeaderName::from_static("longpoll-missed");

/// A poll as it was asked for.
#[derive(Debug)]
pub(crate) struct Poll {
    mailbox: MailboxName,
    max: usize,
    reader: Reader,
}

#[derive(Deserialize)]
pub(crate) struct PollQuery {
    #[serde(default)]
    session_id: String,
    max: Option<String>,
}

impl Poll {
    /// Reads the query and the cookie of a request.
    ///
    /// # Errors
    /// The id is malformed, or `max` is not a number.
    pub(crate) fn parse(query: PollQuery, headers: &HeaderMap) -> Result<Self, Refusal> {
        let PollQuery { session_id, max } = query;
        Ok(Self {
            mailbox: MailboxName::parse(&session_id)?,
            max: max.map_or(Ok(DEFAULT_MAX), |max| parse_max(&max))?,
            reader: cookie::reader_of(headers),
        })
    }
}

/// A whole number, brought to between 1 and 256; one too large for any type is still a number.
pub(crate) fn parse_max(text: &str) -> Result<usize, Refusal> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Refusal::Max);
    }
    Ok(text.parse().unwrap_or(usize::MAX).clamp(1, LARGEST_MAX))
}

impl Shared {
    /// Serves a poll. Cancel safe: a poll that is dropped before its answer has read nothing.
    pub(crate) async fn poll(&self, poll: Poll, long: LongWait) -> Result<Response, Refusal> {
        let Poll { mailbox, max, reader } = poll;
        let hold = self.hold(&mailbox)?;
        self.metrics.polls.inc();
        let batch = self.wait_for_batch(&hold, reader, max, long).await?;
        let new_reader = matches!(reader, Reader::Shared).then(|| {
            cookie::for_new_reader(Mark {
                epoch: hold.epoch(),
                position: batch.position,
            })
        });
        Ok(answer(&batch, new_reader))
    }

    /// The mailbox in use, under the rules for its kind of name.
    pub(crate) fn hold(&self, mailbox: &MailboxName) -> Result<Hold, Refusal> {
        match mailbox.access(self.serves_open_mailboxes())? {
            Access::MustExist => self
                .mailboxes
                .hold(mailbox.as_str())
                .ok_or(Refusal::UnknownMailbox),
            Access::MadeWhenNew => self
                .mailboxes
                .hold_or_make(mailbox.as_str(), Instant::now())
                .map_err(|_| Refusal::TooManyMailboxes),
        }
    }

    /// A poll gets what came since it *began*, not since somebody else was answered: of two that wait with the same
    /// cursor (two tabs of a browser, or an older one whose client has gone unnoticed) neither takes from the other.
    async fn wait_for_batch(
        &self,
        hold: &Hold,
        reader: Reader,
        max: usize,
        long: LongWait,
    ) -> Result<Batch, Refusal> {
        let deadline = tokio::time::Instant::now() + self.config.wait;
        let mut from = hold.begin(reader, Instant::now());
        let mut missed = 0;
        let (mut place, mut long) = (None, Some(long));
        loop {
            // Before looking, so that what comes between the look and the wait is heard.
            let (arrived, drain) = (hold.arrived(), self.drain_begins());
            let mut batch = hold.read(reader, from, max);
            missed += batch.missed;
            from = batch.position;
            let is_over = self.is_draining() || tokio::time::Instant::now() >= deadline;
            if is_over || !batch.messages.is_empty() {
                batch.missed = missed;
                return Ok(batch);
            }
            if place.is_none() {
                place = Some(self.waiters.enter().ok_or(Refusal::TooManyWaiting)?);
                long.take().into_iter().for_each(LongWait::begin);
            }
            tokio::select! {
                () = arrived => {}
                () = drain => {}
                () = tokio::time::sleep_until(deadline) => {}
            }
        }
    }
}

fn answer(batch: &Batch, new_reader: Option<HeaderValue>) -> Response {
    let mut response = json_array(&batch.messages).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(cookie) = new_reader {
        headers.insert(SET_COOKIE, cookie);
    }
    if batch.missed > 0 {
        headers.insert(MISSED, HeaderValue::from(batch.missed));
    }
    response
}

/// The messages are JSON already.
fn json_array(messages: &[Bytes]) -> Vec<u8> {
    let mut body = Vec::with_capacity(2 + messages.iter().map(|text| text.len() + 1).sum::<usize>());
    body.push(b'[');
    for (index, text) in messages.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        body.extend_from_slice(text);
    }
    body.push(b']');
    body
}

#[cfg(test)]
mod tests {
    use super::{Refusal, json_array, parse_max};
    use bytes::Bytes;

    #[test]
    fn max_is_a_whole_number_and_bounded() {
        for (text, max) in [
            ("1", 1),
            ("0", 1),
            ("50", 50),
            ("256", 256),
            ("257", 256),
            ("99999999999999999999999", 256),
        ] {
            assert_eq!(parse_max(text), Ok(max));
        }
        for text in ["", "-1", "+1", "1.5", "ten", "1e3", " 1", "٣"] {
            assert_eq!(parse_max(text), Err(Refusal::Max), "{text}");
        }
    }

    #[test]
    fn an_array_of_none_one_and_two() {
        let message = Bytes::from("{}");
        assert_eq!(json_array(&[]), b"[]");
        assert_eq!(json_array(std::slice::from_ref(&message)), b"[{}]");
        assert_eq!(json_array(&[message.clone(), message]), b"[{},{}]");
    }
}
