//! What a process has of the machine, again and again.

use std::fmt;
use std::fs;
use std::time::Duration;

use workspace_tests::example::Example;

/// What it has at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) resident_kib: u64,
    pub(crate) descriptors: u64,
    pub(crate) threads: u64,
    /// Tasks of the application.
    pub(crate) tasks: u64,
    /// Connections of HTTP.
    pub(crate) connections: u64,
    /// Sessions, whatever carries them.
    pub(crate) sessions: u64,
}

impl Sample {
    pub(crate) fn of(process: &Example) -> Self {
        let entries = |folder: &str| {
            let entries = fs::read_dir(format!("/proc/{}/{folder}", process.pid()));
            entries.expect("it runs").count() as u64
        };
        let page = process.metrics_page();
        let metric = |name: &str| {
            let line = page
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.expect("the metric is there")
                .parse::<f64>()
                .expect("a number") as u64
        };
        Self {
            resident_kib: process.resident_kib(),
            descriptors: entries("fd"),
            threads: entries("task"),
            tasks: metric("executor_tasks_active") + metric("executor_tasks_pending"),
            connections: metric("http_connections_open"),
            sessions: metric("ws_connections_active"),
        }
    }

    /// What must not grow, by name, with what it may differ by when it is measured twice.
    fn measures(&self) -> [(&'static str, u64, u64); 6] {
        [
            ("KiB resident", self.resident_kib, 4096),
            ("descriptors", self.descriptors, 30),
            ("threads", self.threads, 4),
            ("tasks", self.tasks, 10),
            ("connections", self.connections, 20),
            // Those that are forgotten live on for a while, and come as fast as the machine lets them.
            ("sessions", self.sessions, 60),
        ]
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value, _)) in self.measures().into_iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(out, "{comma}{value} {name}")?;
        }
        Ok(())
    }
}

/// All of them, in order.
#[derive(Default)]
pub(crate) struct Samples(Vec<Sample>);

impl Samples {
    pub(crate) fn take(&mut self, process: &Example, since: Duration) {
        let sample = Sample::of(process);
        eprintln!("{:6.1} s: {sample}", since.as_secs_f64());
        self.0.push(sample);
    }

    /// The median of the last quarter is that of the second, but for a tenth and what a measure may differ by; the first
    /// quarter is for warming up.
    pub(crate) fn assert_flat(&self) {
        let quarter = self.0.len() / 4;
        assert!(quarter >= 3, "too few samples: {}", self.0.len());
        let early = medians(&self.0[quarter..2 * quarter]);
        let late = medians(&self.0[self.0.len() - quarter..]);
        for ((name, early, slack), late) in early.into_iter().zip(late) {
            let (_, late, _) = late;
            eprintln!("{name}: {early} at first, {late} at last");
            assert!(
                late <= early + early / 10 + slack,
                "{name} grew from {early} to {late}"
            );
        }
    }
}

fn medians(samples: &[Sample]) -> [(&'static str, u64, u64); 6] {
    let mut medians = samples[0].measures();
    for (index, median) in medians.iter_mut().enumerate() {
        let mut values: Vec<_> = samples.iter().map(|sample| sample.measures()[index].1).collect();
        values.sort_unstable();
        median.1 = values[values.len() / 2];
    }
    medians
}
