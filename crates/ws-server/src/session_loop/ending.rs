//! The ways a connection ends: asked to, told to, or left.

use std::io;

use super::Connection;
use crate::clock::now;
use crate::close::{CloseInfo, CloseRequest, ClosedBy, close_code};
use crate::closing::{Closing, Farewell};
use crate::codec::{PeerClose, Violation};
use crate::error::SessionError;
use crate::registry::Outcome;

impl Connection {
    pub(super) fn violated(&mut self, violation: Violation) {
        let Violation { code, rule } = violation;
        let code = u16::from(code);
        self.error
            .get_or_insert_with(|| Box::new(SessionError::Protocol { code, rule }));
        self.request_close(CloseInfo::new(code, rule, ClosedBy::Error), Farewell::HangUp);
    }

    pub(super) fn peer_closed(&mut self, close: Option<PeerClose>) {
        if let Some(closing) = &mut self.closing {
            closing.answered();
            return;
        }
        let (code, reason) = close.map_or((None, String::new()), |close| (Some(close.code), close.reason));
        let info = CloseInfo::new(code.unwrap_or(close_code::NO_STATUS), reason, ClosedBy::Peer);
        self.request_close(info, Farewell::Answer);
    }

    /// Notices a wish to close that came through the session, and carries it out unless a handler is waited for.
    #[inline]
    pub(super) fn watch_outbox(&mut self) {
        if self.outbox().close_version() != self.close_seen || self.handler_until.is_some() {
            self.notice_close();
        }
    }

    #[cold]
    fn notice_close(&mut self) {
        let (request, version) = self.outbox().close_request();
        self.close_seen = version;
        let Some(request) = request else {
            return;
        };
        if request.discard {
            let gone = self.outbox().discard();
            self.metrics().messages_dropped.inc_by(gone.messages as u64);
        }
        self.handler_until = request.handler_until.filter(|_| self.handling.is_some());
        self.is_clock_stale = true;
        if self.handler_until.is_none() {
            self.outbox().seal();
            self.begin_close(request.info, Farewell::Await);
        }
    }

    /// Closes for a reason of the connection's own, at once.
    pub(super) fn request_close(&mut self, info: CloseInfo, farewell: Farewell) {
        self.attachment
            .session()
            .request_close(CloseRequest::new(info.clone()));
        self.outbox().seal();
        self.close_seen = self.outbox().close_version();
        self.handler_until = None;
        self.begin_close(info, farewell);
    }

    pub(super) fn begin_close(&mut self, info: CloseInfo, farewell: Farewell) {
        if self.closing.is_none() && self.ended.is_none() {
            let closing = Closing::new(info, farewell, now(), self.config().close_timeout);
            self.closing = Some(Box::new(closing));
            self.is_clock_stale = true;
            // What waits will not be handled, and must not keep us from reading the peer's answer.
            if self.refuses_messages() && self.waiting.take().is_some() {
                self.unhandled();
            }
        }
    }

    /// The connection is over: the stream goes, a handler may run to its end.
    pub(super) fn over(&mut self, info: CloseInfo, outcome: Outcome) {
        self.end_link(info, outcome, false);
    }

    /// The peer takes nothing of what is being written, so it cannot be told anything either.
    pub(super) fn cut_slow(&mut self) {
        let (info, outcome) = match &self.closing {
            Some(closing) => closing.ending_without_peer(),
            None => (
                CloseInfo::new(close_code::ABNORMAL, "slow", ClosedBy::Slow),
                Outcome::Cut,
            ),
        };
        self.end_link(info, outcome, true);
    }

    fn end_link(&mut self, info: CloseInfo, outcome: Outcome, reset: bool) {
        self.attachment
            .session()
            .request_close(CloseRequest::new(info.clone()));
        self.outbox().seal();
        self.close_seen = self.outbox().close_version();
        self.backlog = None;
        self.ended.get_or_insert_with(|| Box::new((info, outcome)));
        self.outbox().hang_up(reset);
        self.link = None;
    }

    pub(super) fn end_of_stream(&mut self) {
        match self.closing.as_deref().map(Closing::ending_without_peer) {
            // Not we gave up: the peer went before it could be told.
            Some((info, Outcome::Cut)) => self.over(info, Outcome::Left),
            Some((info, outcome)) => self.over(info, outcome),
            None => self.over(CloseInfo::gone("connection ended"), Outcome::Left),
        }
    }

    pub(super) fn failed(&mut self, error: io::Error) {
        let is_ordinary = matches!(
            error.kind(),
            io::ErrorKind::ConnectionReset
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::BrokenPipe
                | io::ErrorKind::NotConnected
                | io::ErrorKind::UnexpectedEof
        );
        if !is_ordinary {
            self.error
                .get_or_insert_with(|| Box::new(SessionError::Io(error)));
        }
        self.end_of_stream();
    }
}
