//! The browser client as it is served: small, of the right type, asked for again and not sent again.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::support::{Client, Lab, open};

/// Most bytes of the script, compressed as servers do it.
const MOST: usize = 6 * 1024;

fn compressed(text: &str) -> usize {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap().len()
}

#[test]
fn the_script_is_small_and_depends_on_nothing() {
    let script = Lab::start(open()).get("/ws/client.js");
    assert_eq!(script.status, 200);
    assert_eq!(
        script.header("content-type"),
        Some("text/javascript; charset=utf-8")
    );
    assert_eq!(script.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(script.header("cache-control"), Some("no-cache"));
    let size = compressed(&script.body);
    println!("client.js: {} bytes, {size} compressed", script.body.len());
    assert!(size < MOST, "{size} bytes compressed");
    let imports = script.body.lines().find(|line| line.starts_with("import"));
    assert_eq!(imports, None);
    assert!(!script.body.contains("eval(") && !script.body.contains("innerHTML"));
}

#[test]
fn the_types_name_every_event_and_option() {
    let lab = Lab::start(open());
    let (script, types) = (lab.get("/ws/client.js"), lab.get("/ws/client.d.ts"));
    assert_eq!(types.header("content-type"), Some("text/plain; charset=utf-8"));
    let defaults = between(&script.body, "const DEFAULTS = {", "};");
    let options: Vec<_> = defaults
        .lines()
        .filter_map(|line| line.trim().split_once(": "))
        .map(|(name, _)| name)
        .filter(|name| !name.starts_with("//"))
        .collect();
    assert!(options.len() > 8, "{options:?}");
    for option in options {
        assert!(types.body.contains(&format!("  {option}?: ")), "{option}");
    }
    for event in ["open", "message", "gap", "received", "state", "latency", "close"] {
        let is_said = script.body.contains(&format!("#say(\"{event}\""))
            || script.body.contains(&format!("Event(\"{event}\""));
        assert!(is_said && types.body.contains(&format!("  {event}: ")), "{event}");
    }
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let rest = text.split_once(start).expect("it begins").1;
    rest.split_once(end).expect("it ends").0
}

#[test]
fn what_the_browser_has_is_not_sent_again() {
    let lab = Lab::start(open());
    for path in ["/ws/client.js", "/ws/client.d.ts"] {
        let first = lab.get(path);
        let tag = first.header("etag").expect("it has a tag").to_owned();
        let ask = |known: &str| Client::connect(lab.addr()).get(path, &[("if-none-match", known)]);
        for known in [
            tag.clone(),
            format!("W/{tag}"),
            format!("\"x\", {tag}"),
            "*".to_owned(),
        ] {
            let again = ask(&known);
            assert_eq!((again.status, again.body.as_str()), (304, ""), "{known}");
            assert_eq!(again.header("etag"), Some(tag.as_str()));
            assert_eq!(again.header("cache-control"), Some("no-cache"));
        }
        for other in ["\"x\"", "", tag.trim_matches('"')] {
            assert_eq!(ask(other).status, 200, "{other}");
        }
        assert_ne!(lab.get("/ws/client.js").body, lab.get("/ws/client.d.ts").body);
    }
}
