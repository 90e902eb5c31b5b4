//! The `.env` format: `KEY=value` lines, read with their line numbers.
//!
//! Our own, because the errors must name the line and must not quote it (a secret may stand there).

use crate::EnvError;
use std::path::Path;

/// One `KEY=value` of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) value: String,
    /// From 1.
    pub(crate) line: usize,
}

/// Reads a settings file's text. A later line of the same key wins over an earlier one.
///
/// A line is empty, a comment (`#`), or `KEY=value` with an optional `export ` in front. A value may be bare (a
/// ` #` begins a comment), in single quotes (verbatim) or in double quotes (`\n`, `\t`, `\"` and `\\` are escapes).
pub(crate) fn parse(path: &Path, text: &str) -> Result<Vec<Entry>, EnvError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut entries = Vec::new();
    for (index, raw) in text.lines().enumerate() {
        let line = index + 1;
        let entry = parse_line(raw).map_err(|problem| EnvError::Syntax {
            path: path.to_path_buf(),
            line,
            problem,
        })?;
        if let Some((key, value)) = entry {
            entries.push(Entry { key, value, line });
        }
    }
    Ok(entries)
}

fn parse_line(raw: &str) -> Result<Option<(String, String)>, &'static str> {
    let line = raw.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (key, value) = line.split_once('=').ok_or("expected KEY=value")?;
    let key = key.trim();
    if !is_name(key) {
        return Err("a key has letters, digits and underscores only and begins with no digit");
    }
    Ok(Some((key.to_owned(), parse_value(value.trim())?)))
}

fn is_name(key: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !key.is_empty() && key.bytes().all(plain) && !key.as_bytes()[0].is_ascii_digit()
}

fn parse_value(value: &str) -> Result<String, &'static str> {
    match value.chars().next() {
        Some('\'') => parse_single_quoted(&value[1..]),
        Some('"') => parse_double_quoted(&value[1..]),
        _ => Ok(strip_comment(value).to_owned()),
    }
}

fn strip_comment(value: &str) -> &str {
    let mut after_space = true;
    for (at, letter) in value.char_indices() {
        if letter == '#' && after_space {
            return value[..at].trim_end();
        }
        after_space = letter.is_whitespace();
    }
    value
}

fn parse_single_quoted(rest: &str) -> Result<String, &'static str> {
    let (value, tail) = rest.split_once('\'').ok_or("a single quote is not closed")?;
    check_tail(tail)?;
    Ok(value.to_owned())
}

fn parse_double_quoted(rest: &str) -> Result<String, &'static str> {
    let mut value = String::new();
    let mut chars = rest.chars();
    loop {
        match chars.next().ok_or("a double quote is not closed")? {
            '"' => break,
            '\\' => value.push(match chars.next().ok_or("a double quote is not closed")? {
                'n' => '\n',
                't' => '\t',
                same @ ('"' | '\\' | '$') => same,
                _ => return Err("an unknown escape in double quotes"),
            }),
            other => value.push(other),
        }
    }
    check_tail(chars.as_str())?;
    Ok(value)
}

fn check_tail(tail: &str) -> Result<(), &'static str> {
    let tail = tail.trim_start();
    if tail.is_empty() || tail.starts_with('#') {
        return Ok(());
    }
    Err("text after the closing quote")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        parse(Path::new(".env"), text)
            .unwrap()
            .into_iter()
            .map(|entry| (entry.key, entry.value))
            .collect()
    }

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn reads_every_form_of_a_line() {
        let text = "\u{feff}A=1\r\n\n# c\n export B = two words # note\nC='a # \"b\"'\nD=\"x\\n\\\"y\\\"\" # z\nE=\nF=a#b\nG=# all comment\n";
        assert_eq!(
            pairs(text),
            [
                pair("A", "1"),
                pair("B", "two words"),
                pair("C", "a # \"b\""),
                pair("D", "x\n\"y\""),
                pair("E", ""),
                pair("F", "a#b"),
                pair("G", ""),
            ]
        );
    }

    #[test]
    fn a_broken_line_is_named_and_never_quoted() {
        for (text, line) in [
            ("A=1\nsecret", 2),
            ("A='secret", 1),
            ("A=\"secret", 1),
            ("A=\"secret\\q\"", 1),
            ("A='x' secret", 1),
            ("1SECRET=1", 1),
            ("SEC RET=1", 1),
            ("=secret", 1),
        ] {
            let error = parse(Path::new(".env"), text).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!(".env:{line}: ")),
                "{text:?} gave {error}"
            );
            assert!(!error.to_lowercase().contains("secret"), "{text:?} gave {error}");
        }
    }

    #[test]
    fn a_comment_begins_at_the_first_white_space_before_a_hash() {
        assert_eq!(
            pairs("A=x\t# y # z\nB=x #y\t# z\nC=x#y # z"),
            [pair("A", "x"), pair("B", "x"), pair("C", "x#y")]
        );
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(?s).{0,200}") {
            let _ = parse(Path::new(".env"), &text);
        }

        #[test]
        fn a_quoted_value_comes_back_as_it_was(value in "[^\r]{0,60}") {
            let escaped = value
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n")
                .replace('\t', "\\t");
            proptest::prop_assert_eq!(pairs(&format!("K=\"{escaped}\" # c")), [pair("K", &value)]);
            if !value.contains(['\'', '\n']) {
                proptest::prop_assert_eq!(pairs(&format!("K='{value}'")), [pair("K", &value)]);
            }
        }
    }
}
