//! What the executor counts.

use crate::slots::Slot;
use prometheus::{IntCounter, IntGauge, Registry};

/// Counters of tasks, live: cloning shares them.
#[derive(Debug, Clone)]
pub struct ExecutorMetrics {
    submitted: IntCounter,
    pending: IntGauge,
    active: IntGauge,
    rejected: IntCounter,
    timed_out: IntCounter,
    panicked: IntCounter,
    stalls: IntCounter,
}

impl ExecutorMetrics {
    pub(crate) fn new() -> Self {
        Self {
            submitted: counter("executor_tasks_submitted_total", "Tasks given to the executor"),
            pending: gauge("executor_tasks_pending", "Tasks that have not begun"),
            active: gauge("executor_tasks_active", "Tasks that have begun and not ended"),
            rejected: counter("executor_tasks_rejected_total", "Tasks refused: full or stopping"),
            timed_out: counter(
                "executor_tasks_timed_out_total",
                "Tasks ended at their time limit",
            ),
            panicked: counter("executor_tasks_panicked_total", "Tasks that panicked"),
            stalls: counter(
                "executor_worker_stalls_total",
                "Times a worker was held up for half a second by one turn of a task",
            ),
        }
    }

    /// Adds all of them to a registry, as `executor_tasks_…` and `executor_worker_stalls_total`.
    ///
    /// # Errors
    /// When a metric of the same name is in the registry already.
    pub fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        let Self {
            submitted,
            pending,
            active,
            rejected,
            timed_out,
            panicked,
            stalls,
        } = self.clone();
        registry.register(Box::new(submitted))?;
        registry.register(Box::new(pending))?;
        registry.register(Box::new(active))?;
        registry.register(Box::new(rejected))?;
        registry.register(Box::new(timed_out))?;
        registry.register(Box::new(panicked))?;
        registry.register(Box::new(stalls))
    }

    /// Tasks given to the executor so far, refused ones not counted.
    pub fn submitted(&self) -> u64 {
        self.submitted.get()
    }

    /// Tasks that wait for their first turn now.
    pub fn pending(&self) -> u64 {
        self.pending.get().max(0).unsigned_abs()
    }

    /// Tasks that have begun and not ended.
    pub fn active(&self) -> u64 {
        self.active.get().max(0).unsigned_abs()
    }

    /// Tasks refused so far, because the executor was full or stopping.
    pub fn rejected(&self) -> u64 {
        self.rejected.get()
    }

    /// Tasks ended at their timeout or deadline so far.
    pub fn timed_out(&self) -> u64 {
        self.timed_out.get()
    }

    /// Tasks that panicked so far.
    pub fn panicked(&self) -> u64 {
        self.panicked.get()
    }

    /// Times a worker was held up for half a second by one turn of a task: it blocked its thread without saying so.
    /// Each was named in the log.
    pub fn stalls(&self) -> u64 {
        self.stalls.get()
    }

    pub(crate) fn count_stall(&self) {
        self.stalls.inc();
    }

    pub(crate) fn count_rejected(&self) {
        self.rejected.inc();
    }

    pub(crate) fn count_timed_out(&self) {
        self.timed_out.inc();
    }

    /// Counts a panic for whoever should not keep all the counters.
    pub(crate) fn panics(&self) -> IntCounter {
        self.panicked.clone()
    }

    pub(crate) fn count_panicked(&self) {
        self.panicked.inc();
    }

    /// Counts a task in; the lease counts it through and out.
    pub(crate) fn submit(&self, slot: Slot) -> TaskLease {
        self.submitted.inc();
        self.pending.inc();
        TaskLease {
            metrics: self.clone(),
            begun: false,
            _slot: slot,
        }
    }
}

/// Holds one task's place in the gauges and among the tasks allowed until the task is gone, however it goes.
pub(crate) struct TaskLease {
    metrics: ExecutorMetrics,
    begun: bool,
    /// Its place among the tasks that may be there at once.
    _slot: Slot,
}

impl TaskLease {
    pub(crate) fn begin(&mut self) {
        if !self.begun {
            self.begun = true;
            self.metrics.pending.dec();
            self.metrics.active.inc();
        }
    }
}

impl Drop for TaskLease {
    fn drop(&mut self) {
        if self.begun {
            self.metrics.active.dec();
        } else {
            self.metrics.pending.dec();
        }
    }
}

pub(crate) fn counter(name: &str, help: &str) -> IntCounter {
    IntCounter::new(name, help).expect("the name is a valid metric name")
}

pub(crate) fn gauge(name: &str, help: &str) -> IntGauge {
    IntGauge::new(name, help).expect("the name is a valid metric name")
}
