//! Code without what only people read: comments go, string contents go or stay, modules for tests go.

/// What to do with the contents of string literals.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strings {
    /// Leave them as they are.
    Keep,
    /// Leave only the quotes.
    Blank,
}

/// `source` without comments and without items marked `#[cfg(test)]`.
pub(crate) fn shipped(source: &str, strings: Strings) -> String {
    without_tests(&without_comments(source, strings))
}

/// `source` without comments (line, block, documentation). Line breaks stay where they were.
pub(crate) fn without_comments(source: &str, strings: Strings) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let step = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            let (length, lines) = block_comment(rest);
            out.extend(std::iter::repeat_n('\n', lines));
            length
        } else if let Some(literal) = string_literal(rest, &out) {
            match strings {
                Strings::Keep => out.push_str(&rest[..literal]),
                Strings::Blank => out.push_str("\"\""),
            }
            literal
        } else {
            let length = char_literal(rest).unwrap_or(first.len_utf8());
            out.push_str(&rest[..length]);
            length
        };
        rest = &rest[step..];
    }
    out
}

/// Length of the block comment (they nest) at the start of `rest`, and how many line breaks it spans.
fn block_comment(rest: &str) -> (usize, usize) {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        let here = &rest[at..];
        let step = if here.starts_with("/*") {
            depth += 1;
            2
        } else if here.starts_with("*/") {
            depth -= 1;
            2
        } else {
            here.chars().next().map_or(1, char::len_utf8)
        };
        at += step;
        if depth == 0 {
            break;
        }
    }
    (at, rest[..at].matches('\n').count())
}

/// Length of the string literal at the start of `rest`, plain or raw; `before` tells `r"` from the end of a name.
fn string_literal(rest: &str, before: &str) -> Option<usize> {
    if rest.starts_with('"') {
        return Some(plain_string(rest));
    }
    let inside_name = before
        .chars()
        .next_back()
        .is_some_and(|last| last.is_alphanumeric() || last == '_');
    let raw = rest
        .strip_prefix("br")
        .or_else(|| rest.strip_prefix('r'))
        .filter(|_| !inside_name)?;
    let hashes = raw.len() - raw.trim_start_matches('#').len();
    let body = raw[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let closing = body.find(&end)?;
    Some(rest.len() - body.len() + closing + end.len())
}

fn plain_string(rest: &str) -> usize {
    let mut escaped = false;
    for (at, char) in rest.char_indices().skip(1) {
        match char {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// Length of a character literal that could be mistaken for a quote or a comment: `'"'`, `'\''`, `'/'`.
fn char_literal(rest: &str) -> Option<usize> {
    let body = rest.strip_prefix('\'')?;
    let mut chars = body.char_indices();
    let (_, first) = chars.next()?;
    let (at, closing) = if first == '\\' {
        chars.nth(1)?
    } else {
        chars.next()?
    };
    (closing == '\'').then_some(1 + at + 1)
}

/// `code` (already without comments) without the items marked `#[cfg(test)]`.
fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut out = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find(MARK) {
        out.push_str(&rest[..at]);
        let item = &rest[at + MARK.len()..];
        rest = &item[item_length(item)..];
    }
    out + rest
}

/// Length of the item at the start of `item`: up to the first `;` or the brace that closes its first `{`.
fn item_length(item: &str) -> usize {
    let blanked = blank_strings_in_place(item);
    let mut depth = 0_usize;
    for (at, char) in blanked.char_indices() {
        match char {
            ';' if depth == 0 => return at + 1,
            '{' => depth += 1,
            '}' if depth == 1 => return at + 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    item.len()
}

/// The same bytes, with braces and semicolons inside string literals turned into blanks.
fn blank_strings_in_place(code: &str) -> String {
    let mut out = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(first) = rest.chars().next() {
        let literal = string_literal(rest, &out).or_else(|| char_literal(rest));
        let length = literal.unwrap_or(first.len_utf8());
        match literal {
            Some(_) => out.push_str(&rest[..length].replace(['{', '}', ';'], " ")),
            None => out.push(first),
        }
        rest = &rest[length..];
    }
    out
}

/// Whether `code` holds `word` as a whole identifier.
pub(crate) fn has_word(code: &str, word: &str) -> bool {
    let is_part = |char: char| char.is_alphanumeric() || char == '_';
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}
