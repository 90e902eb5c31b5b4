//! What every rule about the tree needs: where the checkout is, which files it has, what cargo knows of it, and code
//! without its comments.
#![allow(
    dead_code,
    reason = "each test binary that includes this module uses its own part of it"
)]

pub(crate) mod code;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The crates of the layered system, lowest floor first.
pub(crate) const CRATES: [&str; 5] = [
    "core-executor",
    "http-app",
    "ws-server",
    "longpoll-bridge",
    "attached-runtime",
];

/// The directory of the root manifest.
pub(crate) fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests
        .parent()
        .expect("the tests package lies inside the workspace")
        .to_path_buf()
}

/// The text of one file, or a panic that names it.
pub(crate) fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Path as the reader of a failure wants it: from the root, with slashes.
pub(crate) fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// Every file under `dir` (none when there is no such directory), build output and git's own files left out.
pub(crate) fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_path_buf()];
    while let Some(dir) = open.pop() {
        let Ok(entries) = fs::read_dir(&dir) else { continue };
        for path in entries.map(|entry| entry.expect("a directory entry is readable").path()) {
            let name = path.file_name().unwrap_or_default();
            if path.is_file() {
                found.push(path);
            } else if name != "target" && name != ".git" {
                open.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Every `.rs` file under `dir`.
pub(crate) fn rust_files(dir: &Path) -> Vec<PathBuf> {
    files(dir)
        .into_iter()
        .filter(|path| path.extension().is_some_and(|ending| ending == "rs"))
        .collect()
}

/// The sources of one crate that are compiled into the library: no `tests.rs`, no `tests` directory.
pub(crate) fn sources(of: &str) -> Vec<PathBuf> {
    let src = root().join("crates").join(of).join("src");
    let found: Vec<_> = rust_files(&src)
        .into_iter()
        .filter(|path| !is_unit_test_file(&src, path))
        .collect();
    assert!(!found.is_empty(), "{of} has no sources; has the layout changed?");
    found
}

fn is_unit_test_file(src: &Path, path: &Path) -> bool {
    let inside = path.strip_prefix(src).expect("the file was found under src");
    inside.iter().any(|part| part == "tests" || part == "tests.rs")
}

/// `cargo metadata` of the workspace as the lock file pins it; `more` are further arguments.
pub(crate) fn metadata(more: &[String]) -> Value {
    let asked = cargo_metadata(more, "");
    asked.unwrap_or_else(|error| panic!("cargo metadata: {error}"))
}

/// The same as `.ci/models` sees the workspace; what cargo says when it cannot tell, such as where a package has not been
/// downloaded and there is no network.
pub(crate) fn models_metadata(more: &[String]) -> Result<Value, String> {
    cargo_metadata(more, "--cfg loom --cfg shuttle")
}

fn cargo_metadata(more: &[String], compiled_with: &str) -> Result<Value, String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["metadata", "--format-version", "1", "--locked"])
        .args(more)
        .current_dir(root());
    if !compiled_with.is_empty() {
        command.env_remove("CARGO_ENCODED_RUSTFLAGS");
        command.env("RUSTFLAGS", compiled_with);
    }
    let output = command.output().expect("cargo starts");
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON"))
}

/// The packages of this workspace as cargo sees them, without looking at any registry.
pub(crate) fn members() -> Vec<Value> {
    let metadata = metadata(&["--no-deps".into()]);
    metadata["packages"]
        .as_array()
        .expect("metadata lists packages")
        .clone()
}

/// A field of a cargo metadata object that is always a string.
pub(crate) fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object[field]
        .as_str()
        .unwrap_or_else(|| panic!("cargo metadata has no string {field:?} in {object}"))
}

/// Whether the file, given from the root, has a test of this name.
pub(crate) fn has_test(file: &str, name: &str) -> bool {
    let text = read(&root().join(file));
    let Some(at) = text.find(&format!("fn {name}(")) else {
        return false;
    };
    let mut before = text[..at].lines().rev().take(4);
    before.any(|line| line.trim_start().starts_with("#[test]") || line.contains("tokio::test"))
}
