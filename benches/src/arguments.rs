//! The command line of the measuring programs: words, and `--name value` pairs or `--name` flags.

use std::collections::BTreeMap;
use std::str::FromStr;

use thiserror::Error;

/// What is wrong with a command line.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum UsageError {
    /// A word is missing.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A value does not have the form its option needs.
    #[error("--{0} {1}: not what this option takes")]
    Unreadable(String, String),
    /// An option nobody asked for.
    #[error("there is no option --{0}")]
    Unknown(String),
}

/// A command line that was taken apart. Every option must be asked for, so a misspelt one is an error.
#[derive(Debug)]
pub struct Arguments {
    words: std::vec::IntoIter<String>,
    options: BTreeMap<String, String>,
}

impl Arguments {
    /// Takes the words behind the program's name. `flags` are the options without a value.
    #[must_use]
    pub fn parse(arguments: impl IntoIterator<Item = String>, flags: &[&str]) -> Self {
        let (mut words, mut options) = (Vec::new(), BTreeMap::new());
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            match argument.strip_prefix("--") {
                None => words.push(argument),
                Some(name) if flags.contains(&name) => {
                    options.insert(name.to_owned(), String::new());
                }
                Some(name) => {
                    options.insert(name.to_owned(), arguments.next().unwrap_or_default());
                }
            }
        }
        Self {
            words: words.into_iter(),
            options,
        }
    }

    /// The next word.
    ///
    /// # Errors
    /// There is none; `what` says what it would have been.
    pub fn word(&mut self, what: &'static str) -> Result<String, UsageError> {
        self.words.next().ok_or(UsageError::Missing(what))
    }

    /// The value of an option, or `default`.
    ///
    /// # Errors
    /// The value cannot be read.
    pub fn value<T: FromStr>(&mut self, name: &str, default: T) -> Result<T, UsageError> {
        Ok(self.optional(name)?.unwrap_or(default))
    }

    /// The value of an option that may be absent.
    ///
    /// # Errors
    /// The value cannot be read.
    pub fn optional<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, UsageError> {
        let Some(value) = self.options.remove(name) else {
            return Ok(None);
        };
        match value.parse() {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(UsageError::Unreadable(name.to_owned(), value)),
        }
    }

    /// Whether a flag was given.
    pub fn flag(&mut self, name: &str) -> bool {
        self.options.remove(name).is_some()
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// An option or a word was given that nothing asked for.
    pub fn finish(mut self) -> Result<(), UsageError> {
        if let Some((name, _)) = self.options.pop_first() {
            return Err(UsageError::Unknown(name));
        }
        match self.words.next() {
            Some(word) => Err(UsageError::Unknown(word)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Arguments;

    fn parse(line: &str) -> Arguments {
        Arguments::parse(line.split(' ').map(str::to_owned), &["deflate"])
    }

    #[test]
    fn words_values_and_flags_are_told_apart() {
        let mut arguments = parse("echo --size 20 --deflate somewhere");
        assert_eq!(arguments.word("mode").unwrap(), "echo");
        assert_eq!(arguments.value("size", 1).unwrap(), 20);
        assert_eq!(arguments.value("seconds", 3).unwrap(), 3);
        assert!(arguments.flag("deflate") && !arguments.flag("binary"));
        assert_eq!(arguments.word("where").unwrap(), "somewhere");
        arguments.finish().unwrap();
    }

    #[test]
    fn a_misspelt_option_is_an_error() {
        assert!(parse("echo --sice 20").finish().is_err());
        assert!(parse("echo --size many").value("size", 1).is_err());
        assert!(Arguments::parse([], &[]).word("mode").is_err());
    }
}
