//! What the workspace takes from strangers: which packages, from where, under which licence, and that each of them is
//! really used. The same rules as `deny.toml`, so that nothing has to be installed to hold them.

mod tree;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tree::code::{Strings, has_word, shipped};
use tree::{metadata, models_metadata, read, root, sources, text};
use workspace_tests::observe::skipped;

/// The packages the design is made of, and the crates that must use them.
const CARD: [(&str, &[&str]); 7] = [
    (
        "tokio",
        &[
            "core-executor",
            "http-app",
            "ws-server",
            "longpoll-bridge",
            "attached-runtime",
        ],
    ),
    ("axum", &["http-app", "ws-server", "longpoll-bridge"]),
    ("tungstenite", &["ws-server"]),
    ("serde", &["ws-server"]),
    ("serde_json", &["http-app", "ws-server", "longpoll-bridge"]),
    (
        "prometheus",
        &[
            "core-executor",
            "http-app",
            "ws-server",
            "longpoll-bridge",
            "attached-runtime",
        ],
    ),
    ("dashmap", &["ws-server"]),
];

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// One `[[package]]` of Cargo.lock.
struct Locked {
    name: String,
    version: String,
    source: Option<String>,
}

fn locked() -> Vec<Locked> {
    let lock = read(&root().join("Cargo.lock"));
    let field = |block: &str, name: &str| {
        let prefix = format!("{name} = \"");
        let line = block.lines().find_map(|line| line.strip_prefix(&prefix));
        line.map(|rest| rest.trim_end_matches('"').to_owned())
    };
    let packages: Vec<_> = lock
        .split("[[package]]")
        .skip(1)
        .map(|block| Locked {
            name: field(block, "name").expect("a locked package has a name"),
            version: field(block, "version").expect("a locked package has a version"),
            source: field(block, "source"),
        })
        .collect();
    assert!(
        packages.len() > 50,
        "only {} packages in Cargo.lock",
        packages.len()
    );
    packages
}

fn versions(of: &str) -> Vec<String> {
    locked()
        .into_iter()
        .filter(|package| package.name == of)
        .map(|package| package.version)
        .collect()
}

#[test]
fn there_is_one_tungstenite_and_dashmap_is_the_finished_one() {
    assert_eq!(
        versions("tungstenite").len(),
        1,
        "tungstenite: {:?}",
        versions("tungstenite")
    );
    let dashmap = versions("dashmap");
    assert_eq!(dashmap.len(), 1, "dashmap: {dashmap:?}");
    assert!(dashmap[0].starts_with("6."), "dashmap is {}", dashmap[0]);
    assert!(
        versions("tokio-tungstenite").is_empty(),
        "a second WebSocket engine came in"
    );
}

#[test]
fn everything_comes_from_crates_io_or_from_here() {
    let members: BTreeSet<_> = tree::members()
        .iter()
        .map(|package| text(package, "name").to_owned())
        .collect();
    for package in locked() {
        match &package.source {
            Some(source) => assert_eq!(source, REGISTRY, "{}", package.name),
            None => assert!(
                members.contains(&package.name),
                "{} is a path outside the workspace",
                package.name
            ),
        }
    }
}

#[test]
fn nothing_unfinished_is_taken() {
    for package in locked() {
        let without_build = package.version.split('+').next().unwrap_or_default();
        assert!(
            !without_build.contains('-'),
            "{} {} is a prerelease",
            package.name,
            package.version
        );
    }
}

#[test]
fn axum_does_not_bring_its_own_websocket() {
    let resolved = metadata(&targets());
    let nodes = resolved["resolve"]["nodes"]
        .as_array()
        .expect("metadata resolves the graph");
    let axum = nodes
        .iter()
        .find(|node| text(node, "id").contains("#axum@"))
        .expect("axum is in the graph");
    let features = axum["features"].as_array().expect("a node lists features");
    assert!(
        !features.iter().any(|feature| feature == "ws"),
        "axum's ws feature is on: {features:?}"
    );
}

#[test]
fn every_licence_is_one_we_allow() {
    must_be_allowed(&metadata(&targets()));
}

/// They come in by `cfg`, so nobody who builds the workspace has them.
#[test]
fn every_licence_of_the_model_checkers_is_one_we_allow() {
    let resolved = match models_metadata(&targets()) {
        Err(error) if error.contains("failed to download") => {
            return skipped("the model checkers are not downloaded, and cannot be");
        }
        resolved => resolved.expect("cargo metadata tells"),
    };
    let packages = packages(&resolved);
    for checker in ["loom", "shuttle"] {
        assert!(
            packages.iter().any(|package| package["name"] == checker),
            "{checker} is not seen"
        );
    }
    must_be_allowed(&resolved);
}

fn packages(resolved: &Value) -> &[Value] {
    resolved["packages"].as_array().expect("metadata lists packages")
}

fn must_be_allowed(resolved: &Value) {
    let allowed = deny_list("allow");
    assert!(
        allowed.contains("MIT"),
        "deny.toml allows nothing we know: {allowed:?}"
    );
    let mut refused = BTreeMap::new();
    for package in packages(resolved) {
        let licence = package["license"].as_str().unwrap_or("(none given)");
        if !satisfied(licence, &allowed) {
            refused.insert(text(package, "name"), licence);
        }
    }
    assert!(
        refused.is_empty(),
        "licences that deny.toml does not allow: {refused:?}"
    );
}

/// `--filter-platform` for each target of deny.toml: other platforms' packages are never built, so need no download.
fn targets() -> Vec<String> {
    let targets = deny_list("targets");
    assert!(!targets.is_empty(), "deny.toml names the targets");
    targets
        .into_iter()
        .flat_map(|target| ["--filter-platform".into(), target])
        .collect()
}

/// The strings of the array `name` in deny.toml, which is written one string a line.
fn deny_list(name: &str) -> BTreeSet<String> {
    let deny = read(&root().join("deny.toml"));
    let opening = format!("{name} = [");
    let lines = deny
        .lines()
        .skip_while(|line| *line != opening)
        .skip(1)
        .take_while(|line| *line != "]");
    lines
        .map(|line| line.trim().trim_end_matches(',').trim_matches('"').to_owned())
        .collect()
}

/// Whether an SPDX expression can be fulfilled with `allowed`: one side of an OR, both sides of an AND.
fn satisfied(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let expression = expression.trim();
    if let Some(sides) = split(expression, " OR ").or_else(|| split(expression, "/")) {
        return sides.iter().any(|side| satisfied(side, allowed));
    }
    if let Some(sides) = split(expression, " AND ") {
        return sides.iter().all(|side| satisfied(side, allowed));
    }
    match expression
        .strip_prefix('(')
        .and_then(|inner| inner.strip_suffix(')'))
    {
        Some(inner) => satisfied(inner, allowed),
        None => allowed.contains(expression),
    }
}

/// The parts of `expression` between `separator`s that stand outside brackets; `None` when there is none.
fn split<'a>(expression: &'a str, separator: &str) -> Option<Vec<&'a str>> {
    let (mut depth, mut start, mut parts) = (0_i32, 0, Vec::new());
    for (at, char) in expression.char_indices() {
        match char {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ if depth == 0 && at >= start && expression[at..].starts_with(separator) => {
                parts.push(&expression[start..at]);
                start = at + separator.len();
            }
            _ => {}
        }
    }
    parts.push(&expression[start..]);
    (parts.len() > 1).then_some(parts)
}

#[test]
fn licence_expressions_are_understood() {
    let allowed = BTreeSet::from([
        "MIT".to_owned(),
        "BSD-3-Clause".to_owned(),
        "Unicode-3.0".to_owned(),
    ]);
    for good in [
        "MIT",
        "MIT OR GPL-3.0",
        "Apache-2.0 / MIT",
        "MIT/Apache-2.0",
        "MIT AND BSD-3-Clause",
    ] {
        assert!(satisfied(good, &allowed), "{good}");
    }
    assert!(satisfied("(MIT OR Apache-2.0) AND Unicode-3.0", &allowed));
    assert!(satisfied(
        "Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT",
        &allowed
    ));
    for bad in [
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "(GPL-3.0 OR MPL-2.0) AND MIT",
        "Apache-2.0 WITH LLVM-exception",
        "",
    ] {
        assert!(!satisfied(bad, &allowed), "{bad}");
    }
}

#[test]
fn every_package_of_the_design_is_really_used() {
    let workspace = tree::members();
    for (dependency, users) in CARD {
        for user in users {
            let package = workspace
                .iter()
                .find(|package| text(package, "name") == *user)
                .expect("a member");
            assert!(
                is_dependency(package, dependency),
                "{user} does not depend on {dependency}"
            );
            let used = sources(user)
                .iter()
                .any(|path| names(&shipped(&read(path), Strings::Blank), dependency));
            assert!(used, "{user} depends on {dependency} and never names it");
        }
    }
}

fn is_dependency(package: &Value, name: &str) -> bool {
    let dependencies = package["dependencies"]
        .as_array()
        .expect("metadata lists dependencies");
    dependencies
        .iter()
        .any(|dependency| dependency["kind"].is_null() && dependency["name"] == name)
}

/// Whether code reaches into the crate: `use name…` or a path `name::…`.
fn names(code: &str, name: &str) -> bool {
    let is_path = |line: &str| line.contains(&format!("{name}::")) || line.contains(&format!("use {name};"));
    code.lines().any(|line| has_word(line, name) && is_path(line))
}

#[test]
fn no_crate_carries_a_dependency_it_does_not_name() {
    let mut idle = Vec::new();
    for package in tree::members()
        .iter()
        .filter(|package| tree::CRATES.contains(&text(package, "name")))
    {
        let code: String = sources(text(package, "name"))
            .iter()
            .map(|path| shipped(&read(path), Strings::Blank))
            .collect();
        let dependencies = package["dependencies"]
            .as_array()
            .expect("metadata lists dependencies");
        for dependency in dependencies
            .iter()
            .filter(|dependency| dependency["kind"].is_null())
        {
            let name = text(dependency, "name").replace('-', "_");
            if !has_word(&code, &name) {
                idle.push(format!("{}: {name}", text(package, "name")));
            }
        }
    }
    assert!(
        idle.is_empty(),
        "dependencies that no source names:\n  {}",
        idle.join("\n  ")
    );
}
