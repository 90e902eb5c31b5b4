//! Where a Chromium is, and how a test starts one that talks to nobody else.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const NAMES: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

/// The browser to use, if there is one: what `BROWSER` names, else one of the usual names in `PATH`.
pub fn executable() -> Option<PathBuf> {
    if let Some(named) = env::var_os("BROWSER") {
        let named = PathBuf::from(named);
        assert!(named.is_file(), "BROWSER names no file: {}", named.display());
        return Some(named);
    }
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .flat_map(|directory| NAMES.map(|name| directory.join(name)))
        .find(|candidate| candidate.is_file())
}

/// A browser without a window that is told what to do over its DevTools protocol. It has no input and no output.
pub fn command(executable: PathBuf, profile: &Path) -> Command {
    let mut command = Command::new(executable);
    command
        // Containers have no user namespaces for the sandbox; nothing but our own pages is loaded.
        .args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
        ])
        .args([
            "--no-first-run",
            "--no-proxy-server",
            "--disable-component-update",
        ])
        .args(["--disable-background-networking", "--disable-extensions"])
        // Without it the browser would end as soon as its page is there.
        .arg("--remote-debugging-port=0")
        .arg(format!("--user-data-dir={}", profile.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}
