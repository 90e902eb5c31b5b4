//! The loads of the comparison, by the names they have on the command line and in the tables.

/// One load.
#[derive(Debug, Clone, Copy)]
pub struct Cell {
    /// Its name on the command line.
    pub name: &'static str,
    /// What the table calls it.
    pub title: &'static str,
    /// `echo`, `room`, `idle`, `handshakes`, `plaintext` or `beside`.
    pub mode: &'static str,
    /// Connections.
    pub connections: usize,
    /// Payload bytes.
    pub size: usize,
    /// Messages under way per sender.
    pub in_flight: usize,
    /// Compressed.
    pub is_deflated: bool,
}

const fn cell(
    name: &'static str,
    title: &'static str,
    mode: &'static str,
    (connections, size, in_flight): (usize, usize, usize),
) -> Cell {
    Cell {
        name,
        title,
        mode,
        connections,
        size,
        in_flight,
        is_deflated: false,
    }
}

const fn deflated(cell: Cell) -> Cell {
    Cell {
        is_deflated: true,
        ..cell
    }
}

impl Cell {
    /// Whether a page is asked for.
    #[must_use]
    pub fn is_http(&self) -> bool {
        matches!(self.mode, "plaintext" | "beside")
    }
}

/// Every load there is.
pub const CELLS: &[Cell] = &[
    cell(
        "echo-20-16-1",
        "echo 20 B, 16 connections, one in flight",
        "echo",
        (16, 20, 1),
    ),
    cell(
        "echo-20-200-1",
        "echo 20 B, 200, one in flight",
        "echo",
        (200, 20, 1),
    ),
    cell(
        "echo-20-2000-1",
        "echo 20 B, 2000, one in flight",
        "echo",
        (2000, 20, 1),
    ),
    cell(
        "echo-1k-16-1",
        "echo 1 KiB, 16, one in flight",
        "echo",
        (16, 1024, 1),
    ),
    cell(
        "echo-1k-200-1",
        "echo 1 KiB, 200, one in flight",
        "echo",
        (200, 1024, 1),
    ),
    cell(
        "echo-1k-2000-1",
        "echo 1 KiB, 2000, one in flight",
        "echo",
        (2000, 1024, 1),
    ),
    cell(
        "echo-16k-16-1",
        "echo 16 KiB, 16, one in flight",
        "echo",
        (16, 16384, 1),
    ),
    cell(
        "echo-16k-200-1",
        "echo 16 KiB, 200, one in flight",
        "echo",
        (200, 16384, 1),
    ),
    cell(
        "echo-16k-2000-1",
        "echo 16 KiB, 2000, one in flight",
        "echo",
        (2000, 16384, 1),
    ),
    cell(
        "echo-20-16-16",
        "echo 20 B, 16, 16 in flight",
        "echo",
        (16, 20, 16),
    ),
    cell(
        "echo-20-200-16",
        "echo 20 B, 200, 16 in flight",
        "echo",
        (200, 20, 16),
    ),
    cell(
        "echo-20-2000-16",
        "echo 20 B, 2000, 16 in flight",
        "echo",
        (2000, 20, 16),
    ),
    cell(
        "echo-1k-16-16",
        "echo 1 KiB, 16, 16 in flight",
        "echo",
        (16, 1024, 16),
    ),
    cell(
        "echo-1k-200-16",
        "echo 1 KiB, 200, 16 in flight",
        "echo",
        (200, 1024, 16),
    ),
    cell(
        "echo-1k-2000-16",
        "echo 1 KiB, 2000, 16 in flight",
        "echo",
        (2000, 1024, 16),
    ),
    cell(
        "echo-16k-16-16",
        "echo 16 KiB, 16, 16 in flight",
        "echo",
        (16, 16384, 16),
    ),
    cell(
        "echo-16k-200-16",
        "echo 16 KiB, 200, 16 in flight",
        "echo",
        (200, 16384, 16),
    ),
    cell(
        "echo-16k-2000-16",
        "echo 16 KiB, 2000, 16 in flight",
        "echo",
        (2000, 16384, 16),
    ),
    cell(
        "room-100-64-1",
        "room of 100, 64 B, one at a time",
        "room",
        (100, 64, 1),
    ),
    cell(
        "room-1000-64-1",
        "room of 1000, 64 B, one at a time",
        "room",
        (1000, 64, 1),
    ),
    cell(
        "room-5000-64-1",
        "room of 5000, 64 B, one at a time",
        "room",
        (5000, 64, 1),
    ),
    cell(
        "room-100-1k-1",
        "room of 100, 1 KiB, one at a time",
        "room",
        (100, 1024, 1),
    ),
    cell(
        "room-1000-1k-1",
        "room of 1000, 1 KiB, one at a time",
        "room",
        (1000, 1024, 1),
    ),
    cell(
        "room-5000-1k-1",
        "room of 5000, 1 KiB, one at a time",
        "room",
        (5000, 1024, 1),
    ),
    cell(
        "room-100-64-8",
        "room of 100, 64 B, 8 in flight",
        "room",
        (100, 64, 8),
    ),
    cell(
        "room-1000-64-8",
        "room of 1000, 64 B, 8 in flight",
        "room",
        (1000, 64, 8),
    ),
    cell(
        "room-5000-64-8",
        "room of 5000, 64 B, 8 in flight",
        "room",
        (5000, 64, 8),
    ),
    cell(
        "room-100-1k-8",
        "room of 100, 1 KiB, 8 in flight",
        "room",
        (100, 1024, 8),
    ),
    cell(
        "room-1000-1k-8",
        "room of 1000, 1 KiB, 8 in flight",
        "room",
        (1000, 1024, 8),
    ),
    cell(
        "room-5000-1k-8",
        "room of 5000, 1 KiB, 8 in flight",
        "room",
        (5000, 1024, 8),
    ),
    cell(
        "handshakes",
        "handshakes (connect, upgrade, Close, answer), 64 at once",
        "handshakes",
        (64, 0, 1),
    ),
    deflated(cell(
        "deflate-echo",
        "deflate echo, 1 KiB JSON, 200, no context takeover",
        "echo",
        (200, 1024, 1),
    )),
    deflated(cell(
        "deflate-room",
        "compressed room of 1000, 1 KiB JSON",
        "room",
        (1000, 1024, 1),
    )),
    cell(
        "plaintext-64",
        "HTTP plaintext, 64 connections",
        "plaintext",
        (64, 0, 1),
    ),
    cell(
        "plaintext-512",
        "HTTP plaintext, 512 connections",
        "plaintext",
        (512, 0, 1),
    ),
    cell(
        "plaintext-64-16",
        "HTTP plaintext, 64 connections, 16 pipelined",
        "plaintext",
        (64, 0, 16),
    ),
    cell(
        "beside-flood",
        "HTTP plaintext, 8 connections beside a WebSocket flood",
        "beside",
        (8, 0, 1),
    ),
    cell(
        "idle-10k",
        "idle memory, 10 000 connections",
        "idle",
        (10_000, 0, 1),
    ),
    cell(
        "idle-10k-touched",
        "idle memory, 10 000 after a 16 KiB echo each",
        "idle",
        (10_000, 16384, 1),
    ),
    cell(
        "idle-19k",
        "idle memory, 19 000 connections",
        "idle",
        (19_000, 0, 1),
    ),
];

/// The cells with one of the comma separated `names`, or whose name begins with one and a dash; `all` is all.
#[must_use]
pub fn choose(names: &str) -> Vec<Cell> {
    let is_named = |cell: &Cell, name| {
        let rest = cell.name.strip_prefix(name);
        name == "all" || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    let wanted = |cell: &&Cell| names.split(',').any(|name| is_named(cell, name));
    CELLS.iter().filter(wanted).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::{CELLS, choose};
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_prefixes_choose() {
        let names: HashSet<_> = CELLS.iter().map(|cell| cell.name).collect();
        assert_eq!(names.len(), CELLS.len());
        assert_eq!(choose("echo-20-200-1").len(), 1);
        assert_eq!(choose("room").len(), 12);
        assert_eq!(choose("handshakes,deflate").len(), 3);
        assert_eq!(choose("plaintext").len(), 3);
    }
}
