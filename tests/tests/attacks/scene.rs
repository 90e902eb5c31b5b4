//! A lab with somebody well-behaved in it, who must not notice what happens to the others.

use std::collections::BTreeSet;

use workspace_tests::example::{Example, Launch};
use workspace_tests::observe::{CloseLine, until};
use workspace_tests::raw::{CLOSE, Raw, TEXT};

/// Every kind of failure the metrics know.
const REASONS: [&str; 9] = [
    "connection",
    "idle",
    "no_pong",
    "panic",
    "policy",
    "protocol",
    "size",
    "slow",
    "text",
];

/// One process, its neighbour, and how many sessions it has seen.
pub(crate) struct Scene {
    pub(crate) lab: Example,
    neighbour: Raw,
    sessions: u64,
    series: BTreeSet<String>,
}

impl Scene {
    /// A lab with these settings, warm: every buffer that is kept has been used.
    pub(crate) fn new(settings: &[(&str, &str)]) -> Self {
        let launch = Launch::new("lab").set("WEBSOCKET_CLOSE_TIMEOUT", 10);
        let lab = settings
            .iter()
            .fold(launch, |launch, (key, value)| launch.set(key, value))
            .start();
        let neighbour = Raw::connect(lab.ws(), "/");
        let series = series(&lab);
        let mut scene = Self {
            lab,
            neighbour,
            sessions: 1,
            series,
        };
        assert_eq!(scene.neighbour.text(), "welcome");
        for _ in 0..8 {
            let (mut guest, session) = scene.attacker();
            let text = "w".repeat(60_000);
            guest.frame(TEXT, text.as_bytes());
            assert_eq!(guest.text().len(), text.len() + "echo: ".len());
            guest.frame(CLOSE, &[3, 0xe8]);
            assert_eq!(guest.closed().0, 1000);
            drop(guest);
            scene.lab.close_line(session);
        }
        scene
    }

    /// A new session and its number.
    pub(crate) fn attacker(&mut self) -> (Raw, u64) {
        self.attacker_offering("")
    }

    /// The same with more header lines.
    pub(crate) fn attacker_offering(&mut self, more: &str) -> (Raw, u64) {
        let mut raw = Raw::offering(self.lab.ws(), "/", more);
        assert_eq!(raw.text(), "welcome");
        self.sessions += 1;
        (raw, self.sessions)
    }

    /// So many sessions more were opened beside the scene.
    pub(crate) fn with_sessions(mut self, more: u64) -> Self {
        self.sessions += more;
        self
    }

    /// The peer gets this Close and then a FIN, and `on_close` hears the same, once.
    pub(crate) fn is_closed(&mut self, name: &str, attacker: (Raw, u64), code: u16, by: &str) {
        let (mut raw, session) = attacker;
        assert_eq!(raw.closed().0, code, "{name}");
        if by != "peer" {
            raw.frame(CLOSE, &code.to_be_bytes());
        }
        assert!(raw.ends_in_order(), "{name}: a FIN behind the Close");
        drop(raw);
        self.was_closed(name, session, code, by);
    }

    /// `on_close` hears this.
    pub(crate) fn was_closed(&mut self, name: &str, session: u64, code: u16, by: &str) {
        let by = by.to_owned();
        assert_eq!(self.lab.close_line(session), CloseLine { code, by }, "{name}");
    }

    /// Bytes, a Close for breaking the protocol, and what `on_close` hears.
    pub(crate) fn breaks(&mut self, name: &str, bytes: &[u8], code: u16) {
        let (mut raw, session) = self.attacker();
        raw.send(bytes);
        self.is_closed(name, (raw, session), code, "error");
    }

    /// How many KiB the process grew at its highest while `attack` ran.
    pub(crate) fn growth(&mut self, attack: impl FnOnce(&mut Self)) -> u64 {
        self.lab.forget_peak();
        let before = self.lab.peak_kib();
        attack(self);
        let grown = self.lab.peak_kib().saturating_sub(before);
        eprintln!("grew by {grown} KiB over {before} KiB");
        grown
    }

    /// The one who must not notice.
    pub(crate) fn neighbour(&mut self) -> &mut Raw {
        &mut self.neighbour
    }

    /// The neighbour's text comes back.
    pub(crate) fn neighbour_is_served(&mut self) {
        self.neighbour.frame(TEXT, b"still here");
        assert_eq!(self.neighbour.text(), "echo: still here");
    }

    /// The neighbour, newcomers, counters and labels are as they should be after these failures, and the process
    /// ends as if nothing had happened: one open and one close for each session, exit code 0.
    pub(crate) fn ends_unharmed(mut self, failures: &[(&str, u64)]) {
        self.neighbour_is_served();
        let (mut late, _) = self.attacker();
        late.frame(TEXT, b"me too");
        assert_eq!(late.text(), "echo: me too");
        let lab = &self.lab;
        until("all but two are gone", || {
            lab.metric("ws_connections_active") == 2.0
        });
        assert_eq!(lab.metric("ws_connections_total"), self.sessions as f64);
        until("every end is told", || lab.event("closes") == self.sessions - 2);
        assert_eq!(lab.event("opens"), self.sessions);
        for reason in REASONS {
            let expected = failures.iter().find(|(known, _)| *known == reason);
            assert_eq!(
                lab.metric(&format!("ws_failures_total{{reason=\"{reason}\"}}")),
                expected.map_or(0.0, |(_, count)| *count as f64),
                "{reason}"
            );
        }
        assert_eq!(lab.metric("http_panics_total"), 0.0);
        assert_eq!(series(lab), self.series, "no label comes from a peer");
        lab.signal("TERM");
        assert_eq!(self.neighbour.closed().0, 1001);
        assert_eq!(late.closed().0, 1001);
        for raw in [&mut self.neighbour, &mut late] {
            raw.frame(CLOSE, &[3, 0xe9]);
        }
        assert_eq!(self.lab.wait().code(), Some(0));
        let lines = self.lab.all_lines();
        let count = |event: &str| lines.iter().filter(|line| line.contains(event)).count() as u64;
        assert_eq!(
            (count(" ws_open "), count(" ws_close ")),
            (self.sessions, self.sessions)
        );
    }
}

/// The names and labels of the metrics page.
fn series(lab: &Example) -> BTreeSet<String> {
    let page = lab.metrics_page();
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.rsplit_once(' ').map(|(name, _)| name.to_owned()))
        .collect()
}
