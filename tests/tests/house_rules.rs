//! The rules of the house that a compiler does not hold: how a file opens, how long it may be, and what no file may say.

mod tree;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use tree::code::{Strings, has_word, shipped, without_comments};
use tree::{CRATES, files, members, read, root, rust_files, shown, sources, text};

const LONGEST_FILE: usize = 400;

/// Every feature of the workspace. Each adds something and takes nothing away: `--all-features` is the whole of it.
const FEATURES: [&str; 2] = ["ws-server/client", "ws-server/fuzzing"];

/// Fails with one line per breach, so that all of them can be mended in one go.
fn none(what: &str, breaches: &[String]) {
    assert!(breaches.is_empty(), "{what}:\n  {}", breaches.join("\n  "));
}

fn own_rust_files() -> Vec<PathBuf> {
    let found: Vec<_> = ["crates", "examples", "tests", "benches"]
        .iter()
        .flat_map(|part| rust_files(&root().join(part)))
        // Snippets that must fail to compile are inputs of a test, not sources.
        .filter(|path| !path.components().any(|part| part.as_os_str() == "compile_fail"))
        .collect();
    assert!(
        found.len() > 20,
        "only {} source files found; has the layout changed?",
        found.len()
    );
    found
}

#[test]
fn every_source_file_opens_with_what_it_is() {
    let silent: Vec<_> = own_rust_files()
        .iter()
        .filter(|path| !read(path).starts_with("//! "))
        .map(|path| shown(path))
        .collect();
    none("files that do not open with a `//!` line", &silent);
}

#[test]
fn no_source_file_is_long_without_a_reason() {
    let breaks_rule = |path: &PathBuf| {
        let source = read(path);
        let lines = source.lines().count();
        let excused = source.lines().any(|line| line.starts_with("//! Long because "));
        (lines > LONGEST_FILE && !excused).then(|| format!("{} ({lines} lines)", shown(path)))
    };
    let long: Vec<_> = own_rust_files().iter().filter_map(breaks_rule).collect();
    none("files over 400 lines without a `//! Long because …` line", &long);
}

#[test]
fn nothing_is_left_for_later() {
    let forbidden = ["todo!", "unimplemented!", "#[ignore"];
    none("unfinished code", &lines_with(&own_rust_files(), &forbidden));
}

#[test]
fn tasks_are_spawned_through_the_tracker() {
    let forbidden = [
        "tokio::spawn(",
        "tokio::task::spawn(",
        "unbounded_channel",
        "mpsc::unbounded",
        "process::exit",
    ];
    none(
        "untracked tasks, unbounded queues or exits in a library",
        &lines_with(&shipped_files(&CRATES), &forbidden),
    );
}

/// Who awaits something beside a time limit drops it sooner or later. (`# Errors` is clippy's to hold.)
#[test]
fn every_public_async_function_says_whether_it_is_cancel_safe() {
    let (mut functions, mut silent) = (0, Vec::new());
    for path in shipped_files(&CRATES) {
        let source = read(&path);
        let lines: Vec<_> = source.lines().map(str::trim_start).collect();
        for (at, line) in lines.iter().enumerate().filter(|(_, line)| is_public_async(line)) {
            functions += 1;
            let above = lines[..at].iter().rev();
            let mut docs = above.take_while(|line| line.starts_with("///") || line.starts_with("#["));
            if !docs.any(|line| line.to_lowercase().contains("cancel safe")) {
                silent.push(format!("{}:{}: {line}", shown(&path), at + 1));
            }
        }
    }
    assert!(functions > 40, "only {functions} found");
    none("public async functions without the words `cancel safe`", &silent);
}

fn is_public_async(line: &str) -> bool {
    line.starts_with("pub async fn ") || (line.starts_with("pub fn ") && line.contains("-> impl Future"))
}

#[test]
fn the_blocking_lane_has_one_door() {
    let above: Vec<_> = CRATES
        .into_iter()
        .filter(|name| *name != "core-executor")
        .collect();
    let forbidden = [
        "task::spawn_blocking(",
        "Handle::current().spawn",
        "block_in_place(",
        "thread::spawn(",
    ];
    none(
        "work that the executor does not know of",
        &lines_with(&shipped_files(&above), &forbidden),
    );
}

/// Whoever measures time with a clock that can be set is wrong when it is.
#[test]
fn the_wall_clock_is_asked_for_dates_alone() {
    let places = ["SystemTime::now(", "UnixTime::now(", "UNIX_EPOCH", "Utc::now("];
    let found = lines_with(&shipped_files(&CRATES), &places);
    let is_a_date = |place: &String| {
        // The header `Date`, and whether a certificate is valid.
        place.contains("gate/refusal.rs") || place.contains("tls/identity.rs")
    };
    let others: Vec<_> = found.iter().filter(|place| !is_a_date(place)).cloned().collect();
    none("the wall clock in place of a monotonic one", &others);
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn no_file_names_a_machine() {
    let homes = ["home", "root", "Users", "work", "mnt"].map(|dir| format!("/{dir}/"));
    let checkout = root()
        .canonicalize()
        .expect("the checkout exists")
        .display()
        .to_string();
    let mut breaches = Vec::new();
    for path in files(&root()).iter().filter(|path| is_written_by_us(path)) {
        for (line, number) in read(path).lines().zip(1..) {
            let home = homes.iter().any(|home| starts_a_path(line, home));
            if home || (checkout.len() > 4 && line.contains(&checkout)) {
                breaches.push(format!("{}:{number}", shown(path)));
            }
        }
    }
    none("absolute paths of somebody's machine", &breaches);
}

/// Whether `dir` stands in `line` as the beginning of a path, not in the middle of a longer one or of an address.
fn starts_a_path(line: &str, dir: &str) -> bool {
    line.match_indices(dir).any(|(at, _)| {
        !line[..at].ends_with(|before: char| before.is_alphanumeric() || "._-*}/".contains(before))
    })
}

fn is_written_by_us(path: &Path) -> bool {
    let ending = path
        .extension()
        .and_then(|ending| ending.to_str())
        .unwrap_or_default();
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let private = name == ".env" || name == ".env.local";
    !private
        && (["rs", "toml", "md", "html", "js", "css"].contains(&ending)
            || ["justfile", "run", ".env.example"].contains(&name))
}

#[test]
fn every_member_takes_the_rules_of_the_root() {
    let workspace = members();
    assert!(workspace.len() >= 7, "only {} members found", workspace.len());
    let oldest_compiler = workspace_field("rust-version");
    let ours = [
        ("rust_version", oldest_compiler.as_str()),
        ("edition", "2024"),
        ("license", "MIT"),
    ];
    let mut breaches = Vec::new();
    for package in &workspace {
        let name = text(package, "name");
        let manifest = read(Path::new(text(package, "manifest_path")));
        if !manifest.contains("[lints]\nworkspace = true") {
            breaches.push(format!("{name}: lints are not the workspace's"));
        }
        if package["publish"]
            .as_array()
            .is_none_or(|registries| !registries.is_empty())
        {
            breaches.push(format!("{name}: publish is not false"));
        }
        for (field, ours) in ours {
            if package[field] != ours {
                breaches.push(format!("{name}: {field} is {} instead of {ours}", package[field]));
            }
        }
    }
    none("members that go their own way", &breaches);
}

/// Older compilers are not promised, because none is tried.
#[test]
fn the_oldest_compiler_is_the_one_that_is_tested() {
    let oldest = workspace_field("rust-version");
    let toolchain = read(&root().join("rust-toolchain.toml"));
    let pinned = toolchain
        .split("channel = \"")
        .nth(1)
        .expect("a compiler is pinned");
    assert!(pinned.starts_with(&format!("{oldest}.")), "{oldest}: {pinned}");
    let readme = read(&root().join("README.md"));
    assert!(
        readme.contains(&format!("Rust {oldest} or later")),
        "README.md says which"
    );
}

#[test]
fn features_only_add() {
    let members = members();
    let declared: BTreeSet<_> = members
        .iter()
        .flat_map(|package| {
            let features = package["features"].as_object().expect("metadata lists features");
            let name = text(package, "name");
            features.keys().map(move |feature| format!("{name}/{feature}"))
        })
        .collect();
    let known = BTreeSet::from(FEATURES.map(str::to_owned));
    assert_eq!(declared, known, "a new feature is a decision: it must only add");
    let (mut mentions, mut taken) = (0, Vec::new());
    for path in own_rust_files() {
        for (line, number) in without_comments(&read(&path), Strings::Blank).lines().zip(1..) {
            mentions += usize::from(line.contains("feature = "));
            if line.contains("not(feature") || (line.contains("cfg_attr(feature") && line.contains("path ="))
            {
                taken.push(format!("{}:{number}", shown(&path)));
            }
        }
    }
    assert!(mentions > 0, "the search finds no feature at all");
    none("code that a feature takes away", &taken);
}

/// A value of `[workspace.package]` in the root manifest.
fn workspace_field(name: &str) -> String {
    let manifest = read(&root().join("Cargo.toml"));
    let table = manifest
        .split("[workspace.package]")
        .nth(1)
        .expect("the root has the table");
    let opening = format!("\n{name} = \"");
    let value = table.split(&opening).nth(1).expect("the table has the field");
    value.chars().take_while(|char| *char != '"').collect()
}

#[test]
fn members_take_versions_from_the_root() {
    let mut breaches = Vec::new();
    for package in &members() {
        let manifest = read(Path::new(text(package, "manifest_path")));
        for line in dependency_lines(&manifest).filter(|line| !line.contains("workspace = true")) {
            breaches.push(format!("{}: {line}", text(package, "name")));
        }
    }
    none(
        "dependencies whose version is not in the root manifest",
        &breaches,
    );
}

/// The lines of all `[…dependencies]` tables; multi-line tables are not used in this workspace.
fn dependency_lines(manifest: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    manifest.lines().filter(move |line| {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]");
            return false;
        }
        inside && line.contains('=') && !line.trim_start().starts_with('#')
    })
}

fn shipped_files(of: &[&str]) -> Vec<PathBuf> {
    of.iter().flat_map(|name| sources(name)).collect()
}

/// Where the code of `paths`, comments and strings left out, contains one of `forbidden`.
fn lines_with(paths: &[PathBuf], forbidden: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for path in paths {
        let code = without_comments(&read(path), Strings::Blank);
        for (line, number) in code.lines().zip(1..) {
            for word in forbidden.iter().filter(|word| line.contains(*word)) {
                found.push(format!("{}:{number}: {word}", shown(path)));
            }
        }
    }
    found
}

#[test]
fn the_reader_of_code_tells_code_from_the_rest() {
    let source = r##"
//! tokio::spawn( in prose
let a = "tokio::spawn( in // a string"; // todo!
let b = 'x'; let quote = '"'; let c = r#"raw " todo!"#; /* todo! /* nested */ */ let d = '\'';
fn e<'a>(f: &'a str) {}
#[cfg(test)]
mod tests { fn g() { let brace = "}"; hidden(); } }
fn visible() {}
"##;
    let blank = shipped(source, Strings::Blank);
    for gone in ["todo!", "spawn", "nested", "hidden", "raw", "prose"] {
        assert!(!blank.contains(gone), "{gone} is still in {blank}");
    }
    for kept in [
        "let b = 'x'",
        "let d = '\\''",
        "fn e<'a>(f: &'a str) {}",
        "fn visible() {}",
    ] {
        assert!(blank.contains(kept), "{kept} is missing in {blank}");
    }
    assert!(shipped(source, Strings::Keep).contains("in // a string"));
    assert!(has_word("use ws_server::Hub;", "Hub") && !has_word("GitHub Hubs", "Hub"));
    assert!(starts_a_path("see /spot/x", "/spot/") && !starts_a_path("https://a.org/spot/x", "/spot/"));
}
