//! The closing handshake of one connection (RFC 6455 §7): what is said, who is waited for, and until when.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::close::{CloseInfo, ClosedBy, close_code};
use crate::codec::close_frame;
use crate::registry::Outcome;

/// What follows the Close we send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Farewell {
    /// The peer's Close is awaited.
    Await,
    /// The peer has said its Close; ours is the answer.
    Answer,
    /// The peer broke a rule, so no answer of it can be read: FIN, then its own end is awaited, because closing on
    /// unread bytes would take the Close away from it again.
    HangUp,
}

/// A connection that is being closed. Handed the time.
#[derive(Debug)]
pub(crate) struct Closing {
    info: CloseInfo,
    farewell: Farewell,
    has_answer: bool,
    stage: Stage,
    /// When it is given up.
    until: Instant,
    timeout: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// What was queued goes out first.
    Flushing,
    /// The Close is among the frames being written.
    Queued,
    /// The Close is out.
    Sent,
}

impl Closing {
    pub(crate) fn new(info: CloseInfo, farewell: Farewell, now: Instant, timeout: Duration) -> Self {
        let has_answer = farewell == Farewell::Answer;
        Self {
            info,
            farewell,
            has_answer,
            stage: Stage::Flushing,
            until: now + timeout,
            timeout,
        }
    }

    /// Whether the peer spoke first.
    pub(crate) fn is_answer(&self) -> bool {
        self.farewell == Farewell::Answer
    }

    pub(crate) fn is_queued(&self) -> bool {
        self.stage != Stage::Flushing
    }

    /// The Close frame; from here on it is queued. A Close without a code is answered by one without a code.
    pub(crate) fn frame(&mut self) -> Bytes {
        self.stage = Stage::Queued;
        let code = Some(self.info.code).filter(|code| *code != close_code::NO_STATUS);
        let reason = if self.is_answer() { "" } else { &self.info.reason };
        close_frame(code, reason)
    }

    /// The way out moved: the time to stand still begins anew.
    pub(crate) fn moved(&mut self, now: Instant) {
        if self.stage != Stage::Sent {
            self.until = now + self.timeout;
        }
    }

    /// The Close is out. Returns, once, whether our side of the connection is to be ended now.
    pub(crate) fn sent(&mut self, now: Instant) -> bool {
        if self.stage == Stage::Sent {
            return false;
        }
        self.stage = Stage::Sent;
        self.until = now + self.timeout;
        self.has_answer || self.farewell == Farewell::HangUp
    }

    /// The peer's Close has come.
    pub(crate) fn answered(&mut self) {
        self.has_answer = true;
    }

    pub(crate) fn until(&self) -> Instant {
        self.until
    }

    /// The end when both Closes are out.
    pub(crate) fn ending_when_complete(&self) -> Option<(CloseInfo, Outcome)> {
        (self.stage == Stage::Sent && self.has_answer).then(|| (self.info.clone(), Outcome::Clean))
    }

    /// The end when the time is up.
    pub(crate) fn ending_at(&self, now: Instant) -> Option<(CloseInfo, Outcome)> {
        (self.until <= now).then(|| self.ending_without_peer())
    }

    /// The end when the peer's connection ends, or nothing more is to be expected of it.
    pub(crate) fn ending_without_peer(&self) -> (CloseInfo, Outcome) {
        let outcome = match (self.stage, self.has_answer) {
            (Stage::Sent, true) => Outcome::Clean,
            (Stage::Sent, false) => Outcome::Unanswered,
            (_, true) => Outcome::Left,
            (_, false) if self.info.by == ClosedBy::Peer => Outcome::Left,
            (_, false) => Outcome::Cut,
        };
        (self.info.clone(), outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::{Closing, Farewell};
    use crate::close::{CloseInfo, ClosedBy};
    use crate::registry::Outcome;
    use std::time::{Duration, Instant};

    const LIMIT: Duration = Duration::from_secs(2);

    fn closing(farewell: Farewell, now: Instant) -> Closing {
        let info = CloseInfo::new(4000, "bye", ClosedBy::Server);
        Closing::new(info, farewell, now, LIMIT)
    }

    #[test]
    fn our_close_waits_for_the_answer_and_ends_cleanly_with_it() {
        let now = Instant::now();
        let mut closing = closing(Farewell::Await, now);
        assert_eq!(closing.frame()[..], *b"\x88\x05\x0f\xa0bye");
        assert!(!closing.sent(now), "our side stays open for the answer");
        assert!(closing.ending_when_complete().is_none());
        closing.answered();
        assert_eq!(
            closing.ending_when_complete().map(|(_, outcome)| outcome),
            Some(Outcome::Clean)
        );
    }

    #[test]
    fn a_silent_peer_is_waited_for_from_the_close_on() {
        let now = Instant::now();
        let mut closing = closing(Farewell::Await, now);
        let later = now + LIMIT - Duration::from_millis(1);
        assert!(closing.ending_at(later).is_none());
        closing.frame();
        closing.sent(later);
        assert!(
            closing.ending_at(now + LIMIT).is_none(),
            "the limit begins anew when the Close is out"
        );
        let ending = closing.ending_at(later + LIMIT).map(|(_, outcome)| outcome);
        assert_eq!(ending, Some(Outcome::Unanswered));
    }

    #[test]
    fn a_way_out_that_stands_still_is_cut() {
        let now = Instant::now();
        let mut closing = closing(Farewell::Await, now);
        closing.moved(now + Duration::from_secs(1));
        assert!(closing.ending_at(now + LIMIT).is_none(), "it moved meanwhile");
        let ending = closing
            .ending_at(now + Duration::from_secs(3))
            .map(|(_, outcome)| outcome);
        assert_eq!(ending, Some(Outcome::Cut));
    }

    #[test]
    fn an_answer_repeats_the_code_and_ends_our_side() {
        let now = Instant::now();
        let mut closing = closing(Farewell::Answer, now);
        assert_eq!(closing.frame()[..], *b"\x88\x02\x0f\xa0");
        assert!(closing.sent(now));
        assert!(!closing.sent(now), "once");
        assert!(closing.ending_when_complete().is_some());
    }

    #[test]
    fn after_a_violation_the_peer_gets_a_fin_and_its_end_is_awaited() {
        let now = Instant::now();
        let mut closing = closing(Farewell::HangUp, now);
        closing.frame();
        assert!(closing.sent(now));
        assert!(closing.ending_when_complete().is_none());
        assert_eq!(closing.ending_without_peer().1, Outcome::Unanswered);
    }
}
