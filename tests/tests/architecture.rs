//! The floors of the workspace: who may depend on whom, who may speak of what, and where the two dangerous crates stay.

mod tree;

use std::collections::BTreeSet;

use serde_json::Value;
use tree::code::{Strings, has_word, shipped};
use tree::{CRATES, members, read, root, rust_files, shown, sources, text};

/// Every arrow of the drawing in docs/architecture.md: a crate, and all it may know.
const ARROWS: [(&str, &[&str]); 5] = [
    ("core-executor", &[]),
    ("http-app", &["core-executor"]),
    ("ws-server", &["core-executor"]),
    ("longpoll-bridge", &["core-executor", "ws-server"]),
    (
        "attached-runtime",
        &["core-executor", "http-app", "longpoll-bridge", "ws-server"],
    ),
];

/// Words that a crate's code must not contain, because their nouns live on another floor.
const FOREIGN: [(&str, &[&str]); 4] = [
    (
        "core-executor",
        &[
            "axum",
            "tungstenite",
            "dashmap",
            "Router",
            "Route",
            "Session",
            "SessionId",
            "Room",
            "Hub",
            "Mailbox",
            "JsonMessage",
        ],
    ),
    (
        "http-app",
        &[
            "tungstenite",
            "dashmap",
            "ws_server",
            "longpoll_bridge",
            "Session",
            "Hub",
            "JsonMessage",
            "Mailbox",
        ],
    ),
    (
        "ws-server",
        &[
            "http_app",
            "longpoll_bridge",
            "App",
            "AppConfig",
            "LongPollBridge",
            "Mailbox",
        ],
    ),
    (
        "longpoll-bridge",
        &[
            "http_app",
            "attached_runtime",
            "App",
            "AppConfig",
            "WebSocketUpgrade",
        ],
    ),
];

fn own_dependencies(package: &Value, kinds: &[Option<&str>]) -> BTreeSet<String> {
    let dependencies = package["dependencies"]
        .as_array()
        .expect("metadata lists dependencies");
    dependencies
        .iter()
        .filter(|dependency| kinds.contains(&dependency["kind"].as_str()))
        .map(|dependency| text(dependency, "name").to_owned())
        .collect()
}

fn package(name: &str) -> Value {
    let found = members()
        .into_iter()
        .find(|package| text(package, "name") == name);
    found.unwrap_or_else(|| panic!("there is no member {name}"))
}

fn floors_among(dependencies: &BTreeSet<String>) -> BTreeSet<&str> {
    dependencies
        .iter()
        .map(String::as_str)
        .filter(|name| CRATES.contains(name))
        .collect()
}

#[test]
fn the_arrows_are_those_of_the_drawing() {
    for (name, below) in ARROWS {
        let normal = own_dependencies(&package(name), &[None]);
        let expected: BTreeSet<_> = below.iter().copied().collect();
        assert_eq!(floors_among(&normal), expected, "arrows of {name}");
    }
}

#[test]
fn tests_of_a_crate_obey_its_arrows() {
    for (name, below) in ARROWS {
        let for_tests = own_dependencies(&package(name), &[Some("dev"), Some("build")]);
        let above: Vec<_> = floors_among(&for_tests)
            .into_iter()
            // A crate names itself to have its optional features in its own tests.
            .filter(|other| *other != name && !below.contains(other))
            .collect();
        assert!(above.is_empty(), "tests of {name} look up or sideways: {above:?}");
    }
}

#[test]
fn no_crate_speaks_of_another_floors_things() {
    let mut breaches = Vec::new();
    for (name, words) in FOREIGN {
        for path in sources(name) {
            let code = shipped(&read(&path), Strings::Blank);
            let said = words.iter().filter(|word| has_word(&code, word));
            breaches.extend(said.map(|word| format!("{}: {word}", shown(&path))));
        }
    }
    assert!(
        breaches.is_empty(),
        "nouns of another floor:\n  {}",
        breaches.join("\n  ")
    );
}

#[test]
fn map_guards_stay_in_one_module_of_a_crate() {
    for name in CRATES {
        let files = files_that_say(name, "dashmap");
        assert!(
            files.len() <= 1,
            "{name} touches dashmap in more than one module: {files:?}"
        );
    }
    assert_eq!(
        files_that_say("ws-server", "dashmap").len(),
        1,
        "the room tables of ws-server are dashmap's"
    );
}

fn files_that_say(of: &str, word: &str) -> Vec<String> {
    let says = |path: &std::path::PathBuf| has_word(&shipped(&read(path), Strings::Blank), word);
    sources(of)
        .into_iter()
        .filter(says)
        .map(|path| shown(&path))
        .collect()
}

#[test]
fn the_websocket_protocol_is_spoken_in_one_crate() {
    for name in CRATES {
        let depends = own_dependencies(&package(name), &[None]).contains("tungstenite");
        assert_eq!(depends, name == "ws-server", "{name} and tungstenite");
        let files = files_that_say(name, "tungstenite");
        assert_eq!(
            !files.is_empty(),
            name == "ws-server",
            "{name} speaks of tungstenite in {files:?}"
        );
    }
    for path in rust_files(&root().join("examples")) {
        let code = shipped(&read(&path), Strings::Blank);
        assert!(
            !has_word(&code, "tungstenite"),
            "{} goes past ws-server",
            shown(&path)
        );
    }
}

#[test]
fn examples_and_tests_are_nobodys_dependency() {
    for member in members() {
        let all = own_dependencies(&member, &[None, Some("dev"), Some("build")]);
        for leaf in ["examples", "workspace-tests", "benches"] {
            let own_tests = text(&member, "name") == "workspace-tests" && leaf == "examples";
            assert!(
                own_tests || !all.contains(leaf),
                "{} depends on {leaf}",
                text(&member, "name")
            );
        }
    }
}

#[test]
fn every_crate_under_crates_is_a_floor() {
    let on_disk: BTreeSet<_> = std::fs::read_dir(root().join("crates"))
        .expect("crates/ is there")
        .map(|entry| {
            entry
                .expect("a readable entry")
                .file_name()
                .into_string()
                .expect("a plain name")
        })
        .collect();
    assert_eq!(
        on_disk,
        CRATES.iter().map(ToString::to_string).collect(),
        "a new crate needs its arrows in this file"
    );
}
