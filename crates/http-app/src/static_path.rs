//! Which file of a directory a request path names, if it may have it.

use std::ffi::OsStr;
use std::io;
use std::path::{Component, Path, PathBuf};

/// What a request path names below a root.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A regular file, or a directory asked for with a trailing slash whose `index.html` is one.
    File,
    /// A directory with an `index.html`, asked for without the trailing slash.
    Directory,
    /// Nothing: the path is a decent one, and there is no such file.
    Nothing,
    /// What nobody may have.
    Refused,
}

/// Looks up `path` (as in the request: percent-encoded, below the mount point) in `root`, which is canonical.
///
/// Refused is a path with a `..`, `.`, hidden or empty segment, with an encoded slash, backslash or NUL, anything
/// that a link leads out of the root or to a hidden file, and what is neither a regular file nor a directory with one.
pub(crate) async fn look_up(root: &Path, path: &str) -> Found {
    let Some((relative, wants_directory)) = decoded(path) else {
        return Found::Refused;
    };
    let real = match canonical_below(root, &root.join(&relative)).await {
        Ok(real) => real,
        Err(found) => return found,
    };
    let Ok(kind) = tokio::fs::metadata(&real).await else {
        return Found::Refused;
    };
    match () {
        () if kind.is_file() && !wants_directory => Found::File,
        () if kind.is_dir() && has_index(root, &real).await => match wants_directory {
            true => Found::File,
            false => Found::Directory,
        },
        () => Found::Refused,
    }
}

async fn has_index(root: &Path, directory: &Path) -> bool {
    let Ok(index) = canonical_below(root, &directory.join("index.html")).await else {
        return false;
    };
    tokio::fs::metadata(&index).await.is_ok_and(|kind| kind.is_file())
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

/// The real path, if there is one, it is inside the root, and nothing on the way down from there is hidden.
async fn canonical_below(root: &Path, path: &Path) -> Result<PathBuf, Found> {
    let real = tokio::fs::canonicalize(path)
        .await
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Found::Nothing,
            _ => Found::Refused,
        })?;
    let below = real.strip_prefix(root).map_err(|_| Found::Refused)?;
    let visible = below
        .components()
        .all(|part| matches!(part, Component::Normal(name) if !is_hidden(name)));
    if visible { Ok(real) } else { Err(Found::Refused) }
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
