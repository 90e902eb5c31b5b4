//! Everything that can go wrong on this floor, one enum for each kind of work.

use std::io;
use std::path::PathBuf;

/// Why the executor did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecutorError {
    /// A thread or its runtime could not be made.
    #[error("cannot start the thread `{name}`")]
    Thread {
        /// Name of the thread.
        name: String,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The number of threads is outside 1 to 1024 (0 stands for the number of cores).
    #[error("{threads} threads were asked for, between 0 (one per core) and 1024 are possible")]
    Threads {
        /// What was asked for.
        threads: usize,
    },
    /// [`RuntimeExecutor::on_current`](crate::RuntimeExecutor::on_current) was called where no tokio runtime runs.
    #[error("no tokio runtime runs here")]
    NoRuntime,
    /// The executor stops or has stopped: it takes no new task.
    #[error("the executor is stopping and takes no new task")]
    Stopping,
    /// As many tasks as allowed wait or run already.
    #[error("{limit} tasks are waiting or running already")]
    Full {
        /// The limit that was reached.
        limit: usize,
    },
    /// The process could not listen for SIGTERM and SIGINT.
    #[error("cannot listen for signals")]
    Signals(#[source] io::Error),
}

/// Why a listener could not be bound. The text names the host or the address.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The host name has no address.
    #[error("`{host}` cannot be resolved")]
    Resolve {
        /// The host as configured.
        host: String,
        /// What the resolver said.
        #[source]
        source: io::Error,
    },
    /// The address cannot be listened on: taken, not ours, or not allowed.
    #[error("cannot listen on {address}")]
    Listen {
        /// `host:port` as configured.
        address: String,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The socket that was given is not one that listens for TCP connections.
    #[error("the given socket ({address}) does not listen for TCP connections")]
    NotListening {
        /// The address it is bound to, `unknown` when it has none.
        address: String,
    },
}

/// Why sockets that another process bound for this one cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InheritError {
    /// `LISTEN_PID` or `LISTEN_FDS` is no number, or more than 64 sockets were announced.
    #[error("LISTEN_PID and LISTEN_FDS must be numbers, LISTEN_FDS at most 64")]
    Malformed,
    /// What was handed over is no TCP socket that listens.
    #[error("the inherited descriptor {descriptor} ({name}) is no listening TCP socket")]
    NotListening {
        /// Its number, from 3 on.
        descriptor: usize,
        /// Its name of `LISTEN_FDNAMES`, `unnamed` without one.
        name: String,
        /// What the operating system said, when it said something.
        #[source]
        source: Option<io::Error>,
    },
    /// More sockets were handed over than there are servers, or two for one.
    #[error("no server is left for the inherited sockets {sockets}; the servers are {servers}")]
    TooMany {
        /// Name and address of each socket that is left.
        sockets: String,
        /// The servers there are.
        servers: String,
    },
}

/// Why a setting could not be read. Never contains the value of another key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnvError {
    /// A settings file exists and cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A line of a settings file is not `KEY=value`.
    #[error("{}:{line}: {problem}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// What is wrong with it, without quoting it.
        problem: &'static str,
    },
    /// A file has a key with one of our prefixes that no crate reads.
    #[error("{}:{line}: unknown setting `{key}`{}", path.display(), hint(nearest))]
    Unknown {
        /// The file.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// The key as written.
        key: String,
        /// The known key that looks most like it, when one does.
        nearest: Option<&'static str>,
    },
    /// A value does not have the form its key needs.
    #[error("{origin}: `{key}` is {value:?}, expected {expected}")]
    Invalid {
        /// `file:line`, `environment`, `pairs` or `default`.
        origin: String,
        /// The key.
        key: &'static str,
        /// The value as found, cut after 64 characters.
        value: String,
        /// The form the value should have.
        expected: String,
    },
    /// The value of a [secret](crate::Key::is_secret) does not have the form its key needs.
    #[error("{origin}: the value of `{key}`, which is not shown, is not {expected}")]
    Secret {
        /// `file:line`, `environment` or `pairs`.
        origin: String,
        /// The key.
        key: &'static str,
        /// The form the value should have.
        expected: String,
    },
    /// A crate asked for a key that is not in [`KEYS`](crate::KEYS): a mistake of the program, not of its user.
    #[error("`{key}` is not in the list of known settings")]
    Undeclared {
        /// The key.
        key: &'static str,
    },
}

fn hint(nearest: &Option<&'static str>) -> String {
    nearest
        .map(|key| format!(", did you mean `{key}`?"))
        .unwrap_or_default()
}
