//! An example run as a real process, in an empty directory of its own, with only the settings a test gives it.

use crate::PATIENCE;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, Once};
use std::time::{Duration, Instant};

/// Describes a process before it is started.
#[must_use = "nothing runs until `start`"]
pub struct Launch {
    name: String,
    settings: Vec<(String, String)>,
    /// Runs in a network namespace of its own, whose loopback is up.
    own_network: bool,
    /// The shell script that starts it, with its standard input and output.
    starter: Option<(String, OwnedFd, OwnedFd)>,
    /// Arguments of `ulimit`, each set before the process begins.
    limits: Vec<String>,
    directory: tempfile::TempDir,
}

impl Launch {
    /// The example of this name on free ports.
    pub fn new(name: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let ports = ["SERVER_PORT", "WEBSOCKET_PORT", "METRICS_PORT"];
        let settings = ports.map(|key| (key.to_owned(), "0".to_owned())).to_vec();
        Self {
            name: name.to_owned(),
            settings,
            own_network: false,
            starter: None,
            limits: Vec::new(),
            directory,
        }
    }

    /// Runs it in a network of its own, of which only the loopback is up: its addresses are those inside. Needs
    /// `unshare` and `ip`, and a kernel that lets users make networks.
    pub fn in_own_network(mut self) -> Self {
        self.own_network = true;
        self
    }

    /// Has a shell start it: `$0` of the script is the executable. The script gets these two as its standard input
    /// and output, and may hand them on.
    pub fn through(mut self, script: &str, input: OwnedFd, output: OwnedFd) -> Self {
        self.starter = Some((script.to_owned(), input, output));
        self
    }

    /// Limits what it may have of the machine, as `ulimit` does: for example `-n 64`.
    pub fn limited(mut self, limit: &str) -> Self {
        self.limits.push(limit.to_owned());
        self
    }

    /// Sets a variable of the process environment.
    pub fn set(mut self, key: &str, value: impl ToString) -> Self {
        self.settings.retain(|(known, _)| known != key);
        self.settings.push((key.to_owned(), value.to_string()));
        self
    }

    /// Leaves a variable unset.
    pub fn unset(mut self, key: &str) -> Self {
        self.settings.retain(|(known, _)| known != key);
        self
    }

    /// Puts a file into the directory the process runs in.
    pub fn file(self, name: &str, text: &str) -> Self {
        std::fs::write(self.directory.path().join(name), text).expect("the directory is ours");
        self
    }

    /// Starts it and waits until it says that it is ready.
    pub fn start(self) -> Example {
        let mut example = self.spawn();
        let line = example.wait_for_line(|line| line.starts_with("ready "));
        example.addresses = Addresses::parse(&line);
        example
    }

    /// Starts one that can say nothing, on these addresses.
    pub fn start_unheard(self, addresses: Addresses) -> Example {
        let mut example = self.spawn();
        example.addresses = addresses;
        example
    }

    /// Runs a process that is expected to end by itself: its exit code and what it wrote on standard error.
    pub fn run_to_end(self) -> (Option<i32>, String) {
        let mut example = self.spawn();
        let status = example.wait();
        (status.code(), example.all_lines().join("\n"))
    }

    fn command(&self) -> Command {
        let executable = executable(&self.name);
        if !self.limits.is_empty() {
            let limits: String = self
                .limits
                .iter()
                .map(|limit| format!("ulimit {limit} && "))
                .collect();
            let mut command = Command::new("/bin/sh");
            command
                .arg("-c")
                .arg(format!("{limits}exec \"$0\""))
                .arg(executable);
            return command;
        }
        if !self.own_network {
            return Command::new(executable);
        }
        let mut command = Command::new("/usr/bin/env");
        command
            .args(["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "unshare"])
            .args(["--user", "--map-root-user", "--net", "sh", "-c"])
            // Each step becomes the next one, so that the process keeps its number.
            .arg("ip link set lo up && exec \"$0\"")
            .arg(executable);
        command
    }

    fn spawn(self) -> Example {
        let mut command = self.command();
        let (input, output) = match self.starter {
            None => (Stdio::null(), Stdio::null()),
            Some((script, input, output)) => {
                let executable = command.get_program().to_owned();
                command = Command::new("sh");
                command.arg("-c").arg(script).arg(executable);
                (input.into(), output.into())
            }
        };
        let mut child = command
            .current_dir(self.directory.path())
            .env_clear()
            .envs(self.settings)
            .stdin(input)
            .stdout(output)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the example starts");
        let (sender, lines) = channel();
        let stderr = child.stderr.take().expect("piped above");
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Example {
            child,
            lines,
            seen: Vec::new(),
            addresses: Addresses::default(),
            directory: self.directory,
        }
    }
}

/// Where a process says it serves.
#[derive(Debug, Clone, Copy, Default)]
pub struct Addresses {
    /// HTTP, when it serves that.
    pub http: Option<SocketAddr>,
    /// WebSocket, when it has a port of its own.
    pub ws: Option<SocketAddr>,
    /// Metrics, when it has a port of their own.
    pub metrics: Option<SocketAddr>,
}

impl Addresses {
    fn parse(line: &str) -> Self {
        let place = |name: &str| {
            let rest = line.split(' ').find_map(|part| part.strip_prefix(name))?;
            rest.strip_prefix('=')?.parse().ok()
        };
        Self {
            http: place("http"),
            ws: place("ws"),
            metrics: place("metrics"),
        }
    }
}

/// A running example. It is killed when dropped.
pub struct Example {
    child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
    addresses: Addresses,
    directory: tempfile::TempDir,
}

impl Example {
    /// Its HTTP address.
    pub fn http(&self) -> SocketAddr {
        self.addresses.http.expect("the example serves HTTP")
    }

    /// Its WebSocket address.
    pub fn ws(&self) -> SocketAddr {
        self.addresses.ws.expect("the example serves WebSocket")
    }

    /// Its metrics address.
    pub fn metrics(&self) -> SocketAddr {
        self.addresses.metrics.expect("the example serves metrics")
    }

    /// All of them, as far as there are any.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Writes a file into the directory it runs in, in one step for whoever reads it, and says where it is.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        let new = self.directory.path().join("new");
        std::fs::write(&new, text).expect("the directory is ours");
        std::fs::rename(new, &path).expect("the directory is ours");
        path
    }

    /// The directory it runs in.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The text of a file in the directory it runs in.
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.directory.path().join(name)).expect("the file is there")
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by name, for example `TERM`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.pid().to_string())
            .status();
        assert!(
            sent.expect("kill can be run").success(),
            "the process is gone already"
        );
    }

    /// Waits for the end.
    pub fn wait(&mut self) -> ExitStatus {
        self.wait_within(PATIENCE)
    }

    /// Waits for the end, not longer than this.
    pub fn wait_within(&mut self, patience: Duration) -> ExitStatus {
        let until = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return status;
            }
            assert!(
                Instant::now() < until,
                "still running after {patience:?}; it said {:?}",
                self.all_lines()
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// SIGTERM, then the exit code.
    pub fn terminate(&mut self) -> Option<i32> {
        self.signal("TERM");
        self.wait().code()
    }

    /// The first line on standard error, seen or to come, that fits.
    pub fn wait_for_line(&mut self, fits: impl Fn(&str) -> bool) -> String {
        if let Some(line) = self.seen.iter().find(|line| fits(line)) {
            return line.clone();
        }
        let until = Instant::now() + PATIENCE;
        loop {
            match self
                .lines
                .recv_timeout(until.saturating_duration_since(Instant::now()))
            {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if fits(&line) {
                        return line;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("the line did not come; it said {:?}", self.seen),
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("it ended ({:?}) and said {:?}", self.child.wait(), self.seen)
                }
            }
        }
    }

    /// Everything it has said so far on standard error; all of it once it has ended.
    pub fn all_lines(&mut self) -> Vec<String> {
        let has_ended = self.child.try_wait().expect("it is our child").is_some();
        // What it said last may still be on its way, behind which the channel ends.
        let patience = if has_ended {
            PATIENCE
        } else {
            Duration::from_millis(50)
        };
        while let Ok(line) = self.lines.recv_timeout(patience) {
            self.seen.push(line);
        }
        self.seen.clone()
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The example's executable. `cargo test --workspace` has built it; a run of one package alone has not.
fn executable(name: &str) -> PathBuf {
    static BUILD: Once = Once::new();
    static FAILED: Mutex<bool> = Mutex::new(false);
    BUILD.call_once(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .expect("the package is in the workspace");
        let mut build = Command::new(env!("CARGO"));
        build
            .args(["build", "--quiet", "--locked", "--workspace", "--examples"])
            .current_dir(root);
        if target_directory().ends_with("release") {
            build.arg("--release");
        }
        // What cargo tells a test about its package makes build scripts that look at it run again, here and in the
        // next build that is not ours.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR" {
                build.env_remove(name);
            }
        }
        *FAILED.lock().expect("nothing panics here") = !build.status().expect("cargo can be run").success();
    });
    assert!(
        !*FAILED.lock().expect("nothing panics here"),
        "the examples could not be built"
    );
    target_directory().join("examples").join(name)
}

/// `target/debug` or `target/release`, from where this test runs.
fn target_directory() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own file");
    test.ancestors()
        .nth(2)
        .expect("a test is in target/<profile>/deps")
        .to_path_buf()
}
