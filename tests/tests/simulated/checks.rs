//! What must hold whatever a seed does.

use std::time::Duration;

use attached_runtime::{ClosedBy, WsReport};

use crate::client::Saw;
use crate::plan::TICK;
use crate::server::Seen;
use crate::story::Story;

/// How coarse the clock of sessions is, and how coarse the network.
const COARSE: Duration = Duration::from_millis(20 + 2 * TICK.as_millis() as u64);

impl Story {
    /// What did not hold.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut check = |holds: bool, what: String| {
            if !holds {
                faults.push(what);
            }
        };
        for (name, seen) in &self.seen {
            self.check_session(name, seen, &mut check);
        }
        for saw in &self.saw {
            self.check_client(saw, &mut check);
        }
        self.check_requests(&mut check);
        self.check_end(&mut check);
        faults
    }

    fn check_session(&self, name: &str, seen: &Seen, check: &mut impl FnMut(bool, String)) {
        let Seen { opens, closes, .. } = seen;
        check(
            *opens == 1 && closes.len() == 1 && !seen.opened_late,
            format!("{name}: {opens} on_open, {} on_close", closes.len()),
        );
        check(
            seen.words.iter().copied().eq(0..seen.words.len() as u64),
            format!("{name} was heard as {:?}", seen.words),
        );
        let Some((at, info)) = closes.first() else {
            return;
        };
        let limit = match name.split('-').next() {
            Some("lost") => self.plan.lost_at + self.plan.ping_interval + self.plan.pong_timeout,
            // What fills the connection until it takes nothing any more, then the limit.
            Some("deaf") => self.plan.stop_at,
            _ => return check(seen.ended_by_stop, format!("{name} ended at {at:?}: {info:?}")),
        };
        check(
            *at <= limit + COARSE && !seen.ended_by_stop,
            format!("{name} was gone at {at:?} instead of {limit:?}"),
        );
        let by = if name == "lost-quiet-0" {
            info.by == ClosedBy::Timeout && info.reason == "no pong"
        } else {
            matches!(info.by, ClosedBy::Timeout | ClosedBy::Slow)
        };
        check(by && info.code == 1006, format!("{name} ended by {info:?}"));
    }

    /// One whose network came back.
    fn check_client(&self, saw: &Saw, check: &mut impl FnMut(bool, String)) {
        let name = &saw.name;
        let in_order = |numbers: &[u64]| numbers.iter().copied().eq(0..numbers.len() as u64);
        check(
            in_order(&saw.news) && in_order(&saw.echoes),
            format!("{name} got out of order: {saw:?}"),
        );
        if name.starts_with("deaf") {
            return;
        }
        let wants_news = !name.contains("quiet");
        check(
            !wants_news || saw.news.len() as u64 == self.end.news,
            format!("{name} got {} of {} broadcasts", saw.news.len(), self.end.news),
        );
        let heard = self
            .seen
            .iter()
            .find(|(known, _)| known == name)
            .map_or(0, |(_, seen)| seen.words.len());
        check(
            saw.echoes.len() == heard,
            format!("{name} got {} of {heard} echoes", saw.echoes.len()),
        );
        let is_told = matches!(&saw.close, Some((1001, reason)) if reason.strip_prefix("retry=").is_some_and(|ms| ms.parse::<u64>().is_ok()));
        check(is_told, format!("{name} was told {:?}", saw.close));
    }

    fn check_requests(&self, check: &mut impl FnMut(bool, String)) {
        for (sent, status) in &self.answers {
            let in_time = *sent + self.plan.exchange() * 2 < self.plan.stop_at;
            check(
                *status == Some(200) || (status.is_none() && !in_time),
                format!("a request of {sent:?} was answered {status:?}"),
            );
        }
    }

    fn check_end(&self, check: &mut impl FnMut(bool, String)) {
        let (plan, end, report) = (&self.plan, &self.end, &self.end.report);
        let WsReport {
            sessions,
            closed_cleanly,
            unanswered,
            left,
            cut_off,
            cut_handlers,
            ..
        } = report.websocket;
        check(
            end.took <= plan.deadline + TICK,
            format!("the end took {:?} of {:?}: {report}", end.took, plan.deadline),
        );
        let at_the_end = self.seen.iter().filter(|(_, seen)| seen.ended_by_stop).count() as u64;
        check(
            sessions == at_the_end && closed_cleanly + unanswered + left + cut_off == sessions,
            format!("{at_the_end} sessions were closed by the end: {report}"),
        );
        check(
            sessions == end.open_before,
            format!("{} were open before the end: {report}", end.open_before),
        );
        check(
            end.sessions_left == 0,
            format!("{} sessions are left", end.sessions_left),
        );
        let told = self.saw.iter().filter(|saw| saw.close.is_some()).count() as u64;
        check(
            closed_cleanly == told,
            format!("{told} clients answered their Close: {report}"),
        );
        let (stuck_session, stuck_request) = (plan.has_stuck_session, plan.has_stuck_request);
        check(
            (cut_handlers, report.requests_cut) == (stuck_session.into(), stuck_request.into()),
            format!("{stuck_session} {stuck_request}: {report}"),
        );
        let code = if stuck_session || stuck_request || cut_off > 0 {
            2
        } else {
            0
        };
        check(
            report.code() == code,
            format!("code {} for {report}", report.code()),
        );
    }

    /// Everything that was seen, in words.
    pub(crate) fn transcript(&self) -> String {
        let Self {
            plan,
            end,
            seen,
            saw,
            answers,
        } = self;
        format!("{plan:#?}\n{end:#?}\n{seen:#?}\n{saw:#?}\n{answers:#?}")
    }
}
