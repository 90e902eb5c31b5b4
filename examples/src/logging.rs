//! The log of the examples: one line an event on standard error, written by a thread of its own.

use attached_runtime::LoggingConfig;
use prometheus::IntCounter;
use std::io::{self, Write};
use std::panic::PanicHookInfo;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

/// Writes what is still queued when it is dropped.
#[must_use = "lines that wait are written when the guard is dropped"]
#[derive(Debug)]
pub struct LogGuard {
    _writer: Option<WorkerGuard>,
    lost: IntCounter,
}

impl LogGuard {
    /// Lines that could not be written, because the disk is full or nobody reads any more: for a metrics page.
    pub fn lost(&self) -> IntCounter {
        self.lost.clone()
    }
}

/// Counts what cannot be written and goes on: a program does not end because nobody can be told of it.
struct Counted<W> {
    to: W,
    lost: IntCounter,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.to.write(bytes) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                self.lost.inc();
                Ok(bytes.len())
            }
            written => written,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        // What failed has been counted.
        let _ = self.to.flush();
        Ok(())
    }
}

/// Starts the log. `RUST_LOG` chooses what is logged, default `info`.
///
/// `LOGGING_ASYNC=false` writes each line where it arises; otherwise `LOGGING_QUEUE_MAX` lines may wait for the
/// writing thread, and `LOGGING_DROP_ON_OVERFLOW` says whether further ones are dropped or wait.
pub fn init_logging(config: LoggingConfig) -> LogGuard {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let lost = IntCounter::new(
        "log_lines_lost_total",
        "Lines of the log that could not be written",
    )
    .expect("the name is a valid metric name");
    let counter = lost.clone();
    let stderr = move || Counted {
        to: io::stderr(),
        lost: counter.clone(),
    };
    let (writer, guard) = match config.asynchronous {
        false => (BoxMakeWriter::new(stderr), None),
        true => {
            let (writer, guard) = queued(config, stderr());
            (BoxMakeWriter::new(writer), Some(guard))
        }
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(writer)
        .init();
    std::panic::set_hook(Box::new(log_panic));
    LogGuard { _writer: guard, lost }
}

/// A line of the log like every other. The hook of the standard library writes the text as it is, and a client may have
/// chosen it.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let text = panic.payload_as_str().unwrap_or("not a text");
    let place = panic.location().map(tracing::field::display);
    tracing::error!(panic = ?text, place, "panicked");
}

fn queued(config: LoggingConfig, sink: impl Write + Send + 'static) -> (NonBlocking, WorkerGuard) {
    NonBlockingBuilder::default()
        .buffered_lines_limit(config.queue_max)
        .lossy(config.drop_on_overflow)
        .thread_name("log")
        .finish(sink)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::Duration;

    /// A sink that writes one line each time it is allowed to.
    struct Gate {
        allow: Receiver<()>,
        written: Sender<Vec<u8>>,
    }

    impl Write for Gate {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            let _ = self.allow.recv();
            let _ = self.written.send(line.to_vec());
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn gated(config: LoggingConfig) -> (NonBlocking, WorkerGuard, Sender<()>, Receiver<Vec<u8>>) {
        let (allowing, allow) = channel();
        let (written, lines) = channel();
        let (writer, guard) = queued(config, Gate { allow, written });
        (writer, guard, allowing, lines)
    }

    #[test]
    fn lines_beyond_the_queue_are_dropped_and_counted() {
        let config = LoggingConfig {
            queue_max: 4,
            ..LoggingConfig::default()
        };
        let (mut writer, guard, allow, lines) = gated(config);
        let dropped = writer.error_counter();
        for _ in 0..100 {
            writer.write_all(b"line\n").unwrap();
        }
        assert!(
            dropped.dropped_lines() >= 95,
            "{} dropped",
            dropped.dropped_lines()
        );
        drop((allow, guard));
        assert!(lines.iter().count() <= 5);
    }

    #[test]
    fn without_dropping_the_caller_waits_and_nothing_is_lost() {
        let config = LoggingConfig {
            queue_max: 4,
            drop_on_overflow: false,
            ..LoggingConfig::default()
        };
        let (mut writer, guard, allow, lines) = gated(config);
        let producer = std::thread::spawn(move || {
            for _ in 0..100 {
                writer.write_all(b"line\n").unwrap();
            }
        });
        assert!(lines.recv_timeout(Duration::from_millis(100)).is_err());
        assert!(!producer.is_finished(), "the queue of 4 took 100 lines");
        drop(allow);
        producer.join().unwrap();
        drop(guard);
        assert_eq!(lines.iter().count(), 100);
    }
}
