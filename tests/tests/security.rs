//! The tables of attacks and faults in `docs/security.md`, and of who asks for the end and what holds it up in
//! `docs/lifecycle.md`: every row has an outcome and names tests, and each is there.

mod tree;

use tree::{has_test, read, root};

/// A row of a table of three columns.
struct Row<'a> {
    what: &'a str,
    outcome: &'a str,
    shown_by: Vec<&'a str>,
}

impl<'a> Row<'a> {
    fn parse(line: &'a str) -> Self {
        let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [what, outcome, tests] = cells[..] else {
            panic!("not three columns: {line}");
        };
        let quoted = tests.split('`').skip(1).step_by(2);
        Self {
            what,
            outcome,
            shown_by: quoted.collect(),
        }
    }
}

/// The rows of the tables whose last column says what shows them.
fn rows(document: &str) -> Vec<Row<'_>> {
    let (mut rows, mut is_inside) = (Vec::new(), false);
    for line in document.lines() {
        match line.starts_with('|') {
            false => is_inside = false,
            true if line.ends_with("| shown by |") => is_inside = true,
            true if is_inside && !line.starts_with("|---") => rows.push(Row::parse(line)),
            true => {}
        }
    }
    rows
}

#[test]
fn every_row_is_shown_by_tests_that_are_there() {
    let documents = ["docs/security.md", "docs/lifecycle.md"].map(|name| read(&root().join(name)));
    let rows: Vec<_> = documents.iter().flat_map(|document| rows(document)).collect();
    assert!(rows.len() >= 70, "{} rows", rows.len());
    let mut missing = Vec::new();
    for row in &rows {
        assert!(!row.outcome.is_empty(), "no outcome: {}", row.what);
        assert!(!row.shown_by.is_empty(), "nothing shows: {}", row.what);
        for place in &row.shown_by {
            let is_there = place
                .split_once("::")
                .is_some_and(|(file, test)| root().join(file).is_file() && has_test(file, test));
            if !is_there {
                missing.push(format!("{place} (for: {})", row.what));
            }
        }
    }
    assert!(missing.is_empty(), "no such tests:\n  {}", missing.join("\n  "));
}

#[test]
fn no_row_stands_twice() {
    let document = read(&root().join("docs/security.md"));
    let mut seen = std::collections::BTreeSet::new();
    for row in rows(&document) {
        assert!(seen.insert(row.what), "twice: {}", row.what);
    }
}
