//! Links of every page: those to files find the file, and the heading in it where they name one; the others are https.

mod tree;

use std::collections::BTreeMap;
use std::path::Path;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use tree::{files, read, root, shown};

/// Where a page leads to, and the anchors of its headings.
#[derive(Default)]
struct Page {
    links: Vec<String>,
    anchors: Vec<String>,
}

fn page(markdown: &str) -> Page {
    let mut page = Page::default();
    let mut heading: Option<String> = None;
    for event in Parser::new_ext(markdown, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                page.links.push(dest_url.into_string());
            }
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::Text(text) | Event::Code(text) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&text);
                }
            }
            Event::End(TagEnd::Heading(_)) => {
                let anchor = anchor(&heading.take().unwrap_or_default());
                let earlier = page.anchors.iter().filter(|known| **known == anchor).count();
                page.anchors.push(match earlier {
                    0 => anchor,
                    count => format!("{anchor}-{count}"),
                });
            }
            _ => {}
        }
    }
    page
}

/// As the usual viewers make it: lower case, blanks become hyphens, punctuation is left out.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase();
    let kept = kept
        .chars()
        .filter(|character| character.is_alphanumeric() || "-_ ".contains(*character));
    kept.map(|character| if character == ' ' { '-' } else { character })
        .collect()
}

/// What is wrong with a link of a page in this directory.
fn fault(link: &str, own: &Page, directory: &Path) -> Option<&'static str> {
    if link.contains("://") || link.starts_with("mailto:") {
        let address: Option<http::Uri> = link.parse().ok();
        let is_sound = address.is_some_and(|uri| uri.scheme_str() == Some("https") && uri.host().is_some());
        return (!is_sound).then_some("is no https address");
    }
    let (path, fragment) = match link.split_once('#') {
        Some((path, fragment)) => (path, Some(fragment)),
        None => (link, None),
    };
    let target = directory.join(path);
    if !path.is_empty() && !target.exists() {
        return Some("leads nowhere");
    }
    let has_anchor = |fragment: &str| match path {
        "" => own.anchors.iter().any(|anchor| anchor == fragment),
        _ => page(&read(&target))
            .anchors
            .iter()
            .any(|anchor| anchor == fragment),
    };
    fragment
        .is_some_and(|fragment| !has_anchor(fragment))
        .then_some("names no heading")
}

#[test]
fn every_link_leads_somewhere() {
    let pages: BTreeMap<_, _> = files(&root())
        .into_iter()
        .filter(|path| path.extension().is_some_and(|ending| ending == "md"))
        .map(|path| (path.clone(), page(&read(&path))))
        .collect();
    assert!(pages.len() >= 15, "only {} pages found", pages.len());
    let links: usize = pages.values().map(|page| page.links.len()).sum();
    assert!(links >= 60, "only {links} links found");
    let mut faults = Vec::new();
    for (path, page) in &pages {
        let directory = path.parent().expect("a file is in a directory");
        for link in &page.links {
            if let Some(fault) = fault(link, page, directory) {
                faults.push(format!("{}: {link} {fault}", shown(path)));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn faults_are_found() {
    let text = "# A *page*, with `code`\n\n## Twice\n\n## Twice\n\n[x](#twice-1) ![y](no.png)";
    let here = page(text);
    assert_eq!(here.anchors, ["a-page-with-code", "twice", "twice-1"]);
    assert_eq!(here.links, ["#twice-1", "no.png"]);
    let fault_of = |link: &str| fault(link, &here, &root());
    for sound in [
        "#twice-1",
        "README.md",
        "docs",
        "CONTRIBUTING.md#house-rules",
        "https://docs.rs/axum",
    ] {
        assert_eq!(fault_of(sound), None, "{sound}");
    }
    assert_eq!(fault_of("no.png"), Some("leads nowhere"));
    assert_eq!(fault_of("#once"), Some("names no heading"));
    assert_eq!(fault_of("CONTRIBUTING.md#nothing"), Some("names no heading"));
    assert_eq!(fault_of("http://example.org"), Some("is no https address"));
    assert_eq!(fault_of("https://"), Some("is no https address"));
}
