//! `.env.example` lists exactly the keys the crates read, with the defaults they really have.

mod tree;

use std::collections::BTreeMap;
use std::path::PathBuf;

use core_executor::{Env, KEYS, PREFIXES};
use tree::code::{Strings, shipped};
use tree::{CRATES, read, root, rust_files, shown, sources};

/// The settings of `.env.example` that are on, in order: key and value.
fn example() -> Vec<(String, String)> {
    let text = read(&root().join(".env.example"));
    let settings = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    let split = |line: &str| {
        let (key, value) = line
            .split_once('=')
            .unwrap_or_else(|| panic!("not a setting: {line}"));
        (key.to_owned(), value.to_owned())
    };
    settings.map(split).collect()
}

#[test]
fn the_example_and_the_key_list_agree_both_ways() {
    let example = example();
    let written: BTreeMap<_, _> = example
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    let known: BTreeMap<_, _> = KEYS.iter().map(|key| (key.name, key.default)).collect();
    assert_eq!(written.len(), example.len(), "a key stands twice in .env.example");
    assert_eq!(known.len(), KEYS.len(), "a key stands twice in KEYS");
    assert_eq!(written, known, "left: .env.example, right: core_executor::KEYS");
}

#[test]
fn every_setting_is_explained_on_the_line_above() {
    let text = read(&root().join(".env.example"));
    let lines: Vec<_> = text.lines().collect();
    for pair in lines.windows(2) {
        let [above, line] = pair else { continue };
        if !line.starts_with('#') && line.contains('=') {
            assert!(above.starts_with("# "), "no explanation above {line}");
        }
    }
    assert!(
        lines.first().is_some_and(|first| first.starts_with("# ")),
        "the file says what it is"
    );
}

#[test]
fn the_commented_alternatives_use_known_keys() {
    let text = read(&root().join(".env.example"));
    let alternatives = text
        .lines()
        .filter_map(|line| line.strip_prefix('#'))
        .filter(|line| !line.starts_with(' '));
    let mut seen = 0;
    for line in alternatives.filter(|line| line.contains('=')) {
        let key = line.split('=').next().unwrap_or_default();
        assert!(
            KEYS.iter().any(|known| known.name == key),
            "unknown key in an alternative: {line}"
        );
        seen += 1;
    }
    assert!(
        seen > 0,
        ".env.example shows how to open the servers to the network"
    );
}

#[test]
fn the_example_file_is_accepted_as_it_stands() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    std::fs::copy(root().join(".env.example"), folder.path().join(".env")).expect("the example is copied");
    let env = Env::load_from(folder.path()).expect("every line of the example is a setting we know");
    for key in KEYS.iter().filter(|key| std::env::var_os(key.name).is_none()) {
        let value = env.string(key.name, "not in the file").expect("a declared key");
        assert_eq!(value, key.default, "{}", key.name);
    }
}

#[test]
fn every_key_is_read_somewhere() {
    let readers: Vec<_> = readers()
        .iter()
        .map(|path| shipped(&read(path), Strings::Keep))
        .collect();
    let unread: Vec<_> = KEYS
        .iter()
        .map(|key| key.name)
        .filter(|name| !readers.iter().any(|code| code.contains(&format!("\"{name}\""))))
        .collect();
    assert!(unread.is_empty(), "settings without an effect: {unread:?}");
}

#[test]
fn no_crate_reads_a_key_that_is_not_listed() {
    let mut strangers = Vec::new();
    for path in readers() {
        let code = shipped(&read(&path), Strings::Keep);
        let literals = code.split('"').skip(1).step_by(2);
        let ours = literals.filter(|literal| looks_like_a_key(literal));
        let unknown = ours.filter(|name| !KEYS.iter().any(|key| key.name == *name));
        strangers.extend(unknown.map(|name| format!("{}: {name}", shown(&path))));
    }
    assert!(
        strangers.is_empty(),
        "keys that core_executor::KEYS does not list: {strangers:?}"
    );
}

fn looks_like_a_key(literal: &str) -> bool {
    let upper = |char: char| char.is_ascii_uppercase() || char == '_';
    let ours = |prefix: &str| literal.len() > prefix.len() && literal.starts_with(prefix);
    PREFIXES.iter().any(|prefix| ours(prefix)) && literal.chars().all(upper)
}

/// All sources that may read a setting: everything but the file that declares the list.
fn readers() -> Vec<PathBuf> {
    let all = CRATES
        .into_iter()
        .flat_map(sources)
        .chain(rust_files(&root().join("examples")));
    let (lists, readers): (Vec<_>, Vec<_>) = all.partition(declares_the_list);
    let lists: Vec<_> = lists.iter().map(|path| shown(path)).collect();
    assert_eq!(lists.len(), 1, "the list of keys has one home: {lists:?}");
    readers
}

#[allow(clippy::ptr_arg, reason = "handed to `partition` as it stands")]
fn declares_the_list(path: &PathBuf) -> bool {
    shipped(&read(path), Strings::Blank).contains("const KEYS:")
}
