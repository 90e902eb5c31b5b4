//! Which file of a directory a request path names, if it may have it.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

/// What a request path names below a root.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A regular file, or a directory asked for with a trailing slash whose `index.html` is one.
    File,
    /// A directory with an `index.html`, asked for without the trailing slash.
    Directory,
}

/// Looks up `path` (as in the request: percent-encoded, below the mount point) in `root`, which is canonical.
///
/// Nothing is found for a path with a `..`, `.`, hidden or empty segment, with an encoded slash, backslash or NUL,
/// for anything that a link leads out of the root or to a hidden file, and for what is no regular file.
pub(crate) async fn look_up(root: &Path, path: &str) -> Option<Found> {
    let (relative, wants_directory) = decoded(path)?;
    let real = canonical_below(root, &root.join(&relative)).await?;
    let kind = tokio::fs::metadata(&real).await.ok()?;
    if kind.is_file() {
        return (!wants_directory).then_some(Found::File);
    }
    if !kind.is_dir() {
        return None;
    }
    let index = canonical_below(root, &real.join("index.html")).await?;
    if !tokio::fs::metadata(&index).await.ok()?.is_file() {
        return None;
    }
    Some(if wants_directory {
        Found::File
    } else {
        Found::Directory
    })
}

/// The path as the file system writes it, and whether it ended in a slash.
fn decoded(path: &str) -> Option<(PathBuf, bool)> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let (path, wants_directory) = match path.strip_suffix('/') {
        Some(path) => (path, true),
        None => (path, path.is_empty()),
    };
    let mut relative = PathBuf::new();
    if !path.is_empty() {
        for segment in path.split('/') {
            relative.push(decoded_segment(segment)?);
        }
    }
    Some((relative, wants_directory))
}

fn decoded_segment(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        if byte == b'%' {
            let (digits, after) = after.split_at_checked(2)?;
            bytes.push(hex(digits[0])? << 4 | hex(digits[1])?);
            rest = after;
        } else {
            bytes.push(byte);
            rest = after;
        }
    }
    let name = String::from_utf8(bytes).ok()?;
    // A leading dot covers `.`, `..` and every hidden file.
    let allowed = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0']);
    allowed.then_some(name)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

/// The real path, if it is inside the root and nothing on the way down from there is hidden.
async fn canonical_below(root: &Path, path: &Path) -> Option<PathBuf> {
    let real = tokio::fs::canonicalize(path).await.ok()?;
    let below = real.strip_prefix(root).ok()?;
    let visible = below
        .components()
        .all(|part| matches!(part, Component::Normal(name) if !is_hidden(name)));
    visible.then_some(real)
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_paths_are_decoded() {
        for (path, relative, directory) in [
            ("/", "", true),
            ("", "", true),
            ("/a.txt", "a.txt", false),
            ("/dir/", "dir", true),
            ("/a%20b/%C3%A9.txt", "a b/é.txt", false),
            ("/a..b", "a..b", false),
        ] {
            assert_eq!(
                decoded(path),
                Some((PathBuf::from(relative), directory)),
                "{path}"
            );
        }
    }

    #[test]
    fn tricks_are_not() {
        for path in [
            "/..",
            "/../a",
            "/a/../b",
            "/%2e%2e/a",
            "/%2E%2e%2fa",
            "/a%2fb",
            "/a%2Fb",
            "/a%5cb",
            "/a\\b",
            "/a%00",
            "/.env",
            "/%2eenv",
            "/a/.git/config",
            "//a",
            "/a//b",
            "/./a",
            "/a/.",
            "/%",
            "/%4",
            "/%zz",
            "/%+1",
            "/%ff",
        ] {
            assert_eq!(decoded(path), None, "{path}");
        }
    }
}
