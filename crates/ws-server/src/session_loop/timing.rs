//! What is due on a connection, and when its alarm has to ring for the next.

use std::task::Context;
use std::time::Instant;

use super::Connection;
use crate::clock::now;
use crate::close::{CloseInfo, ClosedBy, close_code};
use crate::closing::Farewell;
use crate::codec::{Violation, ping_frame};
use crate::heartbeat::Beat;
use crate::patience::Exhausted;
use crate::registry::Outcome;

impl Connection {
    /// Does what is due and sets the alarm for what comes next. Returns whether something was done.
    #[inline]
    pub(super) fn watch_clock(&mut self, context: &mut Context<'_>) -> bool {
        let rang = self
            .alarm_at
            .is_some_and(|tick| self.alarm.clock().has_passed(tick));
        // An alarm that rings too early is set anew when it rings: cheaper than at every message.
        (rang || self.is_clock_stale) && self.mind_clock(rang, context)
    }

    #[cold]
    fn mind_clock(&mut self, rang: bool, context: &mut Context<'_>) -> bool {
        self.is_clock_stale = false;
        if rang {
            self.alarm_at = None;
        }
        let done = self.do_due(now());
        if let Some(next) = self.next_due() {
            let tick = self.alarm.clock().tick_after(next);
            if self.alarm_at.is_none_or(|at| tick < at) {
                self.alarm.set(tick, context.waker());
                self.alarm_at = Some(tick);
            }
        }
        done
    }

    fn do_due(&mut self, now: Instant) -> bool {
        if self.handler_until.is_some_and(|until| until <= now) {
            // The server stops and the handler has had its time.
            if self.handling.take().is_some() {
                self.attachment.session().hub().tally().count_cut_handler();
            }
            self.handler_until = None;
            self.watch_closing_request();
            return true;
        }
        if self.link.is_none() {
            return false;
        }
        if self.lose_patience(now) {
            return true;
        }
        if let Some(closing) = &self.closing {
            let Some((info, outcome)) = closing.ending_at(now) else {
                return false;
            };
            self.over(info, outcome);
            return true;
        }
        self.beat(now)
    }

    fn watch_closing_request(&mut self) {
        let outbox = self.outbox();
        outbox.seal();
        let (request, version) = outbox.close_request();
        self.close_seen = version;
        if let Some(request) = request {
            self.begin_close(request.info, Farewell::Await);
        }
    }

    fn lose_patience(&mut self, now: Instant) -> bool {
        let reads = self.closing.is_none() && self.may_read();
        let config = self.attachment.session().hub().config();
        let Some(patience) = &mut self.patience else {
            return false;
        };
        match patience.exhausted(now, config) {
            None => false,
            Some(Exhausted::Stalled) => {
                self.cut_slow();
                true
            }
            Some(Exhausted::Frame) if !reads => {
                // Not the peer's fault, or of no interest any more.
                patience.forgive_frame(now);
                false
            }
            Some(Exhausted::Frame) => {
                patience.frame_finished();
                self.violated(Violation::policy("a frame took too long"));
                true
            }
        }
    }

    fn beat(&mut self, now: Instant) -> bool {
        if self.waiting.is_some() {
            // We do not listen, so silence says nothing.
            return false;
        }
        let config = self.attachment.session().hub().config();
        match self.heartbeat.due(now, config) {
            None => return false,
            Some(Beat::Ping) => {
                self.rest(now);
                let written = self.outbox().send_ping(ping_frame());
                self.metrics().wrote(written);
            }
            Some(Beat::NoPong) => {
                let info = CloseInfo::new(close_code::ABNORMAL, "no pong", ClosedBy::Timeout);
                self.over(info, Outcome::Left);
            }
            Some(Beat::Idle) => {
                let info = CloseInfo::new(close_code::NORMAL, "idle timeout", ClosedBy::Timeout);
                self.request_close(info, Farewell::Await);
            }
        }
        true
    }

    /// Gives back what a burst has left behind.
    fn rest(&mut self, now: Instant) {
        self.outbox().rest();
        self.patience.take_if(|patience| patience.is_at_rest(now));
    }

    fn next_due(&self) -> Option<Instant> {
        let config = self.config();
        let of_stream = match (&self.link, &self.closing) {
            (None, _) => None,
            (Some(_), Some(closing)) => Some(closing.until()),
            (Some(_), None) if self.waiting.is_some() => None,
            (Some(_), None) => self.heartbeat.next(config),
        };
        let reads = self.closing.is_none() && self.waiting.is_none();
        let of_patience = match (&self.link, &self.patience) {
            (Some(_), Some(patience)) => patience.next(reads, config),
            _ => None,
        };
        [of_stream, of_patience, self.handler_until]
            .into_iter()
            .flatten()
            .min()
    }
}
