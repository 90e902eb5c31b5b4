//! The READMEs of the examples are played: what they type is typed, and what comes back is compared with what they show.
//!
//! Ports are those of the run. `…` in a shown line is any text, a line that is only `…` any lines. curl is the one in `PATH`;
//! without it the tests say `SKIPPED` and prove nothing.

mod console;
mod play;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use console::scenes;
use workspace_tests::observe::skipped;

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples")
}

/// `examples/README.md`, and the one of each folder that has one.
fn readmes() -> Vec<PathBuf> {
    let folders = fs::read_dir(examples()).expect("the examples are there");
    let inside = folders.map(|folder| folder.expect("readable").path().join("README.md"));
    let mut found: Vec<_> = inside.filter(|path| path.is_file()).collect();
    found.sort();
    found.push(examples().join("README.md"));
    found
}

fn has_curl() -> bool {
    let is_there = Command::new("curl").arg("--version").output().is_ok();
    if !is_there {
        skipped("no curl is installed");
    }
    is_there
}

#[test]
fn every_readme_shows_what_happens() {
    if !has_curl() {
        return;
    }
    for readme in readmes() {
        let text = fs::read_to_string(&readme).expect("a README is text");
        let scenes = scenes(&text);
        assert!(!scenes.is_empty(), "{} shows nothing", readme.display());
        for scene in &scenes {
            play::play(scene);
        }
    }
}

/// So each of them is started by a test.
#[test]
fn every_example_is_shown() {
    let shown: BTreeSet<String> = readmes()
        .iter()
        .flat_map(|readme| scenes(&fs::read_to_string(readme).expect("a README is text")))
        .map(|scene| play::example_of(&scene).1)
        .collect();
    let manifest = fs::read_to_string(examples().join("Cargo.toml")).expect("the package is there");
    let listed = manifest.split("[[example]]").skip(1);
    let listed: BTreeSet<String> = listed
        .filter_map(|part| part.split('"').nth(1))
        .map(str::to_owned)
        .collect();
    assert!(listed.len() >= 12);
    assert_eq!(listed, shown);
}

/// Five lines in `main`, imports, and what the handler tells are all that sets the two programs apart.
#[test]
fn the_axum_application_gains_five_lines() {
    let read = |name: &str| {
        let path = examples().join("axum_five_lines").join(name);
        fs::read_to_string(path).expect("the example is there")
    };
    let is_code = |line: &&str| !line.is_empty() && !line.starts_with("//") && !line.starts_with("use ");
    let code = |text: &str| -> Vec<String> {
        let lines = text.lines().map(str::trim).filter(is_code);
        lines
            .map(|line| line.replace("Extension(hub): Extension<Hub>, ", ""))
            .collect()
    };
    let (before, after) = (code(&read("before.rs")), code(&read("main.rs")));
    let mut rest = before.iter().peekable();
    let added: Vec<_> = after
        .iter()
        .filter(|line| rest.next_if_eq(line).is_none())
        .collect();
    assert_eq!(rest.next(), None, "a line of before.rs is gone");
    let readme = read("README.md");
    let shown = readme.lines().filter_map(|line| line.strip_prefix('+'));
    assert_eq!(added, shown.map(str::trim).collect::<Vec<_>>());
    let told = added
        .iter()
        .filter(|line| line.contains("broadcast_text"))
        .count();
    assert_eq!((added.len() - told, told), (5, 1));
}
