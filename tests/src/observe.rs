//! What can be seen of a running example from outside: its memory, its metrics, its event lines.

use std::fs;
use std::io::{self, Write};
use std::thread;
use std::time::{Duration, Instant};

use crate::example::Example;
use crate::{PATIENCE, http};

/// One `ws_close` line of the lab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseLine {
    /// The close code that `on_close` was told.
    pub code: u16,
    /// Who ended the session.
    pub by: String,
}

impl Example {
    /// Resident memory in KiB.
    pub fn resident_kib(&self) -> u64 {
        self.status_kib("VmRSS:")
    }

    /// Processor time used so far, in user and kernel mode.
    pub fn cpu_time(&self) -> Duration {
        /// Ticks of `/proc/<pid>/stat` are hundredths of a second wherever Linux runs.
        const TICK: Duration = Duration::from_millis(10);
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("it runs");
        let (_, after_name) = stat.rsplit_once(')').expect("the name stands in brackets");
        let ticks = after_name.split_whitespace().skip(11).take(2);
        let ticks: u32 = ticks.map(|count| count.parse::<u32>().expect("a number")).sum();
        TICK * ticks
    }

    /// Forgets the highest resident memory so far; from here on [`peak_kib`](Self::peak_kib) counts anew.
    pub fn forget_peak(&self) {
        fs::write(format!("/proc/{}/clear_refs", self.pid()), "5").expect("our own child");
    }

    /// The highest resident memory in KiB since the start or the last [`forget_peak`](Self::forget_peak).
    pub fn peak_kib(&self) -> u64 {
        self.status_kib("VmHWM:")
    }

    fn status_kib(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it runs");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .expect("Linux says so");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// The value of a metric, given with its labels as the page shows it; 0 when it is not there.
    pub fn metric(&self, name: &str) -> f64 {
        self.metrics_page()
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
            .unwrap_or(0.0)
    }

    /// The metrics page.
    pub fn metrics_page(&self) -> String {
        http::get(self.metrics(), "/metrics").text().to_owned()
    }

    /// A counter of the lab's `/events`.
    pub fn event(&self, name: &str) -> u64 {
        http::get(self.http(), "/events").json()[name]
            .as_u64()
            .expect("the counter is there")
    }

    /// What `on_close` was told about the session of this number (the first one is 1), which the lab says once.
    pub fn close_line(&mut self, session: u64) -> CloseLine {
        let number = format!(" conn={session} ");
        let line = self.wait_for_line(|line| line.contains(" ws_close ") && line.contains(&number));
        let word = |name: &str| {
            let part = line.split(' ').find_map(|part| part.strip_prefix(name));
            part.expect("the line has it").to_owned()
        };
        CloseLine {
            code: word("code=").parse().expect("a code"),
            by: word("by="),
        }
    }
}

/// Says that a test proves nothing on this machine, past the harness that keeps quiet about tests that pass.
pub fn skipped(reason: &str) {
    let _ = writeln!(io::stderr(), "\nSKIPPED: {reason}");
}

/// Waits until something is true.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let limit = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < limit, "{what} did not come true");
        thread::sleep(Duration::from_millis(5));
    }
}
