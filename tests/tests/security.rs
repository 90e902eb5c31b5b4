//! The table of attacks and faults in `docs/security.md`: every row has an outcome and names tests, and each is there.

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

/// The rows below the heads of the tables.
fn rows(document: &str) -> Vec<Row<'_>> {
    let lines = document.lines().filter(|line| line.starts_with('|'));
    let is_head = |line: &&str| line.ends_with("| shown by |") || line.starts_with("|---");
    lines.filter(|line| !is_head(line)).map(Row::parse).collect()
}

#[test]
fn every_row_is_shown_by_tests_that_are_there() {
    let document = read(&root().join("docs/security.md"));
    let rows = rows(&document);
    assert!(rows.len() >= 45, "{} rows", rows.len());
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
