//! `docs/operating.md`, the dashboard and the alert rules speak of what a running process tells, and leave nothing out.

use std::collections::BTreeSet;
use std::env;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use workspace_tests::example::Launch;
use workspace_tests::http;
use workspace_tests::observe::skipped;
use workspace_tests::ws::Client;

/// What a metric's name begins with. `METRICS_PREFIX` is empty by default.
const FAMILIES: [&str; 4] = ["http_", "ws_", "executor_", "runtime_"];
/// What a histogram adds to its name.
const OF_HISTOGRAMS: [&str; 3] = ["_bucket", "_sum", "_count"];

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    fs::read_to_string(root.join(path)).expect("the file is there")
}

/// The words of a text that are names of metrics.
fn metrics_in(text: &str) -> BTreeSet<String> {
    text.split(|character: char| !(character.is_ascii_alphanumeric() || character == '_'))
        .filter(|word| FAMILIES.iter().any(|family| word.starts_with(family)))
        .map(|word| {
            let ending = OF_HISTOGRAMS.iter().find_map(|ending| word.strip_suffix(ending));
            ending.unwrap_or(word).to_owned()
        })
        .collect()
}

/// Name and type of each metric of a process in which every part runs.
fn told() -> BTreeSet<(String, String)> {
    let full = Launch::new("full").start();
    let page = full.metrics_page();
    page.lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .filter_map(|line| line.split_once(' '))
        .map(|(name, kind)| (name.to_owned(), kind.to_owned()))
        .collect()
}

/// The rows of the tables of metrics.
fn documented() -> BTreeSet<(String, String)> {
    let page = read("docs/operating.md");
    let (_, tables) = page.split_once("## Every metric").expect("the section");
    tables
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|line| line.split_once("` | "))
        .map(|(name, rest)| {
            let kind = rest.split(" |").next().unwrap_or_default();
            (name.to_owned(), kind.to_owned())
        })
        .collect()
}

#[test]
fn every_metric_is_documented_and_no_other() {
    let (told, documented) = (told(), documented());
    let missing: Vec<_> = told.difference(&documented).collect();
    let gone: Vec<_> = documented.difference(&told).collect();
    assert!(missing.is_empty(), "not in docs/operating.md: {missing:?}");
    assert!(gone.is_empty(), "in docs/operating.md and not there: {gone:?}");
}

/// Metric, label and value of every series of a page, but for the bounds of histograms and the routes, which the
/// application names.
fn labels_of(page: &str) -> BTreeSet<(String, String, String)> {
    let series = page.lines().filter(|line| !line.starts_with('#'));
    let labelled = series.filter_map(|line| {
        line.split_once('{')?
            .1
            .split_once('}')
            .map(|(all, _)| (line, all))
    });
    let mut found = BTreeSet::new();
    for (line, all) in labelled {
        let name = metrics_in(line)
            .pop_first()
            .expect("each line begins with a name");
        for (label, value) in all.split("\",").filter_map(|pair| pair.split_once("=\"")) {
            if label != "le" && label != "route" {
                found.insert((
                    name.clone(),
                    label.to_owned(),
                    value.trim_end_matches('"').to_owned(),
                ));
            }
        }
    }
    found
}

/// The same of the tables of metrics, where the values stand last: `label`: one, another.
fn documented_labels() -> BTreeSet<(String, String, String)> {
    let page = read("docs/operating.md");
    let (_, tables) = page.split_once("## Every metric").expect("the section");
    let mut found = BTreeSet::new();
    for row in tables.lines().filter(|line| line.starts_with("| `")) {
        let name = row[3..].split('`').next().expect("the name");
        if let Some((before, values)) = row.trim_end_matches(" |").split_once("`: ") {
            let label = before.rsplit('`').next().expect("the label");
            for value in values.split(", ").filter(|_| label != "route") {
                found.insert((name.to_owned(), label.to_owned(), value.to_owned()));
            }
        }
    }
    found
}

#[test]
fn every_label_has_the_documented_values_from_the_start_and_no_client_adds_one() {
    const HOSTILE: &str = "hostile-7f3a";
    let full = Launch::new("full").start();
    let (told, documented) = (labels_of(&full.metrics_page()), documented_labels());
    let of = |name: &str| told.iter().filter(|series| series.0 == name).count();
    assert_eq!((of("ws_closes_total"), of("ws_fan_out_seconds")), (6, 3));
    let differ: Vec<_> = told.symmetric_difference(&documented).collect();
    assert!(differ.is_empty(), "only told, or only documented: {differ:?}");

    http::get(full.http(), &format!("/{HOSTILE}?{HOSTILE}={HOSTILE}"));
    let named = format!(r#"{{"type":"{HOSTILE}","room":"{HOSTILE}","session_id":"{HOSTILE}"}}"#);
    http::post(full.http(), "/ws/send", &named);
    let mut client = Client::connect(full.ws(), &format!("/{HOSTILE}"));
    client.send(&named);
    client.send(HOSTILE);
    while client.text() != format!("echo: {HOSTILE}") {}
    let page = full.metrics_page();
    assert!(!page.contains(HOSTILE), "{page}");
    let new: Vec<_> = labels_of(&page).difference(&told).cloned().collect();
    assert!(new.is_empty(), "{new:?}");
}

#[test]
fn the_dashboard_and_the_rules_ask_for_metrics_there_are() {
    let there: BTreeSet<String> = documented().into_iter().map(|(name, _)| name).collect();
    for path in ["docs/prometheus/alerts.yml", "docs/prometheus/dashboard.json"] {
        let asked = metrics_in(&read(path));
        assert!(asked.len() > 15, "{path}: {asked:?}");
        let unknown: Vec<_> = asked.difference(&there).collect();
        assert!(unknown.is_empty(), "{path} asks for {unknown:?}");
    }
    let dashboard: serde_json::Value =
        serde_json::from_str(&read("docs/prometheus/dashboard.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        assert!(panel["targets"][0]["expr"].is_string(), "{}", panel["title"]);
    }
}

#[test]
fn every_alert_says_what_to_do() {
    let page = read("docs/operating.md");
    let rules = read("docs/prometheus/alerts.yml");
    let alerts: BTreeSet<&str> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    assert!(alerts.len() > 10, "{alerts:?}");
    let explained: BTreeSet<&str> = page
        .split_once("## Every metric")
        .expect("the section")
        .0
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` |"))
        .map(|(name, _)| name)
        .filter(|name| name.chars().all(|character| character.is_ascii_alphabetic()))
        .collect();
    assert_eq!(alerts, explained);
}

/// `promtool`: the one that `PROMTOOL` names, else the one in `PATH`.
fn promtool() -> Command {
    Command::new(env::var_os("PROMTOOL").unwrap_or_else(|| "promtool".into()))
}

/// Prometheus' own opinion. `tests/run` sees to it that there is a `promtool`.
#[test]
fn prometheus_accepts_the_rules_and_the_metrics() {
    if promtool().arg("--version").output().is_err() {
        assert!(env::var_os("PROMTOOL").is_none(), "PROMTOOL names no program");
        skipped("there is no promtool in PATH");
        return;
    }
    let full = Launch::new("full").start();
    let page = full.write("metrics", &full.metrics_page());
    let metrics = promtool()
        .args(["check", "metrics"])
        .stdin(File::open(page).expect("it was written"))
        .output()
        .expect("promtool runs");
    assert!(
        metrics.status.success() && metrics.stderr.is_empty(),
        "{metrics:?}"
    );
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/prometheus/alerts.yml");
    let rules = promtool()
        .args(["check", "rules"])
        .arg(rules)
        .output()
        .expect("promtool runs");
    assert!(rules.status.success(), "{rules:?}");
}
