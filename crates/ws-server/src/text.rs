//! The text of a message: a string whose memory serves the next message when it is done with.

use std::borrow::Borrow;
use std::cell::Cell;
use std::fmt;
use std::ops::Deref;

use bytes::Bytes;

/// The longest text, in bytes of memory, whose memory is kept.
const KEPT: usize = 4096;
/// Memory that serves a text may have twice the bytes it needs, and these.
const SLACK: usize = 64;

thread_local! {
    /// The memory of the last text that was dropped here: most handlers are done with one before the next comes.
    static SPARE: Cell<String> = const { Cell::new(String::new()) };
}

/// The text of a message, as a handler gets it. It is used like a `String` that does not change; `into_string` makes it
/// one, without a copy.
///
/// ```
/// use ws_server::Text;
///
/// let text = Text::from("hello");
/// assert!(text.starts_with("he") && text == "hello");
/// assert_eq!(text.into_string(), String::from("hello"));
/// ```
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(String);

impl Text {
    /// Copies bytes that are UTF-8; nothing when they are not.
    #[inline(always)]
    pub(crate) fn copy_from(bytes: &[u8]) -> Option<Self> {
        let mut memory = SPARE.take().into_bytes();
        if memory.capacity() > SLACK + 2 * bytes.len() {
            // Who keeps this text keeps its memory.
            memory = Vec::with_capacity(bytes.len());
        }
        memory.clear();
        memory.extend_from_slice(bytes);
        // Checked behind the copy, because only there it stands aligned: that is twice as fast.
        String::from_utf8(memory).ok().map(Self)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text as a `String`; nothing is copied.
    pub fn into_string(mut self) -> String {
        std::mem::take(&mut self.0)
    }
}

impl Drop for Text {
    #[inline]
    fn drop(&mut self) {
        let mut memory = std::mem::take(&mut self.0);
        if (1..=KEPT).contains(&memory.capacity()) {
            memory.clear();
            // A thread that ends keeps nothing.
            let _ = SPARE.try_with(|spare| spare.replace(memory));
        }
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self
    }
}

impl AsRef<[u8]> for Text {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl Borrow<str> for Text {
    fn borrow(&self) -> &str {
        self
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.into_string()
    }
}

impl From<Text> for Bytes {
    fn from(text: Text) -> Self {
        text.into_string().into()
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.0 == *other
    }
}

impl PartialEq<String> for Text {
    fn eq(&self, other: &String) -> bool {
        self.0 == *other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

impl fmt::Display for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, formatter)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::{KEPT, SLACK, SPARE, Text};

    #[test]
    fn memory_serves_again_and_is_empty_before() {
        let first = Text::copy_from("the first, longer than the second".as_bytes()).unwrap();
        let memory = first.as_ptr();
        drop(first);
        let second = Text::copy_from(b"second").unwrap();
        assert_eq!((second.as_str(), second.as_ptr()), ("second", memory));
        let third = Text::copy_from(b"third").unwrap();
        assert_ne!(third.as_ptr(), memory, "the second still has it");
        assert_eq!((second.as_str(), third.as_str()), ("second", "third"));
    }

    #[test]
    fn a_short_text_does_not_keep_the_memory_of_a_long_one() {
        SPARE.take();
        drop(Text::from("x".repeat(KEPT)));
        let short = Text::copy_from(b"short").unwrap();
        assert!(short.into_string().capacity() <= SLACK + 10);
    }

    #[test]
    fn what_is_long_or_was_taken_out_is_not_kept() {
        SPARE.take();
        drop(Text::from("x".repeat(KEPT + 1)));
        assert_eq!(SPARE.take().capacity(), 0);
        let taken = Text::from("mine").into_string();
        assert_eq!(taken, "mine");
        assert_eq!(SPARE.take().capacity(), 0);
    }

    #[test]
    fn texts_of_any_length_come_back_whole_and_an_unfinished_character_is_refused() {
        let text = "äb€c😀defghijklmnop".repeat(5);
        for length in 0..=text.len() {
            let bytes = &text.as_bytes()[..length];
            let copied = Text::copy_from(bytes);
            assert_eq!(copied.as_deref(), std::str::from_utf8(bytes).ok(), "{length}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_refused_and_leave_nothing_behind() {
        assert_eq!(Text::copy_from(b"no \xff"), None);
        assert_eq!(Text::copy_from("grüß".as_bytes()).unwrap(), "grüß");
    }
}
