//! The report of an end, as the last line of an example's log tells it.

use crate::example::Example;

/// The line of the report.
pub struct Report(String);

impl Example {
    /// Waits for the report of the end.
    pub fn report(&mut self) -> Report {
        Report(self.wait_for_line(|line| line.contains("summary=stopped in ")))
    }
}

impl Report {
    /// The number before this text, which is in the report once.
    pub fn count(&self, text: &str) -> u64 {
        let mut parts = self.0.split(text);
        let before = parts.next().unwrap_or_default();
        assert_eq!(parts.count(), 1, "{text:?} once in {}", self.0);
        let number = before.rsplit([' ', '(']).next().unwrap_or_default();
        number
            .parse()
            .unwrap_or_else(|_| panic!("a number before {text:?} in {}", self.0))
    }

    /// The line itself.
    pub fn line(&self) -> &str {
        &self.0
    }
}
