//! Settings from `.env`, `.env.local` and the process environment.

use crate::env_file::{self, Entry};
use crate::{EnvError, KEYS, PREFIXES};
use std::collections::HashMap;
use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

/// The settings as found. The process environment wins over `.env.local`, which wins over `.env`.
///
/// Every getter takes the key and the default used when the key is absent. A key that is present with a value of the
/// wrong form is an error, never the default.
///
/// ```
/// use core_executor::Env;
///
/// let env = Env::from_pairs([("SERVER_IO_THREADS", "4")])?;
/// assert_eq!(env.number("SERVER_IO_THREADS", 0, 0..=1024)?, 4);
/// assert_eq!(env.string("SERVER_HOST", "127.0.0.1")?, "127.0.0.1");
///
/// let error = env.flag("SERVER_IO_THREADS", false).expect_err("4 is neither true nor false");
/// assert!(error.to_string().contains("SERVER_IO_THREADS"));
/// # Ok::<(), core_executor::EnvError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Env {
    values: HashMap<String, Found>,
}

#[derive(Clone)]
struct Found {
    value: String,
    /// `file:line`, `environment` or `pairs`, for error messages.
    origin: String,
}

/// Values may be secrets, so they are left out.
impl std::fmt::Debug for Found {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.origin)
    }
}

impl Env {
    /// Reads `.env` and `.env.local` of the working directory, when they exist, and the process environment.
    ///
    /// # Errors
    /// A file that cannot be read or has a line that is not `KEY=value`, and a key with one of our prefixes that is
    /// not in [`KEYS`] (in a file; the process environment belongs to others too). A variable of ours that is not
    /// UTF-8.
    pub fn load() -> Result<Self, EnvError> {
        Self::load_from(Path::new("."))
    }

    /// The same, with the files of another directory.
    ///
    /// # Errors
    /// As [`Env::load`].
    pub fn load_from(directory: &Path) -> Result<Self, EnvError> {
        let mut env = Self::default();
        for name in [".env", ".env.local"] {
            let path = match directory {
                here if here == Path::new(".") => Path::new(name).to_path_buf(),
                other => other.join(name),
            };
            env.read_file(&path)?;
        }
        for Known(name) in known_names() {
            if let Some(value) = std::env::var_os(name) {
                env.insert(name, text_of(name, value)?, "environment".to_owned());
            }
        }
        Ok(env)
    }

    /// Settings from pairs, as if they stood in the process environment. For tests and for programs that keep their
    /// settings elsewhere.
    ///
    /// # Errors
    /// A key with one of our prefixes that is not in [`KEYS`].
    pub fn from_pairs<K, V>(pairs: impl IntoIterator<Item = (K, V)>) -> Result<Self, EnvError>
    where
        K: AsRef<str>,
        V: Into<String>,
    {
        let mut env = Self::default();
        for (index, (key, value)) in pairs.into_iter().enumerate() {
            check_known(Path::new("pairs"), index + 1, key.as_ref())?;
            env.insert(key.as_ref(), value.into(), "pairs".to_owned());
        }
        Ok(env)
    }

    /// A text. An empty value counts as given.
    ///
    /// # Errors
    /// [`EnvError::Undeclared`] only.
    pub fn string(&self, key: &'static str, default: &str) -> Result<String, EnvError> {
        Ok(self
            .find(key)?
            .map_or_else(|| default.to_owned(), |found| found.value.clone()))
    }

    /// A bind address: a host name, an IPv4 or an IPv6 address, not empty.
    ///
    /// # Errors
    /// [`EnvError::Invalid`] when it is empty or has white space.
    pub fn host(&self, key: &'static str, default: &str) -> Result<String, EnvError> {
        self.parse(key, default.to_owned(), "a host name or an IP address", |value| {
            (!value.is_empty() && !value.contains(char::is_whitespace)).then(|| value.to_owned())
        })
    }

    /// A TCP port, 0 to 65535.
    ///
    /// # Errors
    /// [`EnvError::Invalid`] for anything else.
    pub fn port(&self, key: &'static str, default: u16) -> Result<u16, EnvError> {
        self.parse(key, default, "a port from 0 to 65535", |value| {
            whole(value).and_then(|number| number.try_into().ok())
        })
    }

    /// A switch: `true`, `on`, `yes`, `1` or `false`, `off`, `no`, `0`, in any case.
    ///
    /// # Errors
    /// [`EnvError::Invalid`] for anything else.
    pub fn flag(&self, key: &'static str, default: bool) -> Result<bool, EnvError> {
        self.parse(key, default, "true or false", |value| {
            match value.to_ascii_lowercase().as_str() {
                "true" | "on" | "yes" | "1" => Some(true),
                "false" | "off" | "no" | "0" => Some(false),
                _ => None,
            }
        })
    }

    /// A whole number within `range`.
    ///
    /// # Errors
    /// [`EnvError::Invalid`] for anything else.
    pub fn number(
        &self,
        key: &'static str,
        default: u64,
        range: RangeInclusive<u64>,
    ) -> Result<u64, EnvError> {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        self.parse(key, default, &expected, |value| {
            whole(value).filter(|number| range.contains(number))
        })
    }

    /// A number of seconds, 0 to 31 536 000 (a year). A unit `ms`, `s`, `m` or `h` may follow the number.
    ///
    /// # Errors
    /// [`EnvError::Invalid`] for anything else.
    pub fn seconds(&self, key: &'static str, default: u64) -> Result<Duration, EnvError> {
        self.duration(
            key,
            Duration::from_secs(default),
            "seconds (or with a unit: 500ms, 30s, 5m, 1h)",
            "s",
        )
    }

    /// A number of milliseconds, up to a year. A unit `ms`, `s`, `m` or `h` may follow the number.
    ///
    /// # Errors
    /// [`EnvError::Invalid`] for anything else.
    pub fn millis(&self, key: &'static str, default: u64) -> Result<Duration, EnvError> {
        let expected = "milliseconds (or with a unit: 500ms, 30s, 5m, 1h)";
        self.duration(key, Duration::from_millis(default), expected, "ms")
    }

    /// One of a few words, in lower case.
    ///
    /// # Errors
    /// [`EnvError::Invalid`] for anything else; the message lists the words.
    pub fn choice<T: Copy>(
        &self,
        key: &'static str,
        default: T,
        choices: &[(&'static str, T)],
    ) -> Result<T, EnvError> {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let expected = format!("one of: {}", words.join(", "));
        self.parse(key, default, &expected, |value| {
            choices
                .iter()
                .find(|(word, _)| *word == value)
                .map(|(_, choice)| *choice)
        })
    }

    /// A list, separated by commas; empty parts are left out; absent means empty.
    ///
    /// # Errors
    /// [`EnvError::Undeclared`] only.
    pub fn list(&self, key: &'static str) -> Result<Vec<String>, EnvError> {
        let text = self.string(key, "")?;
        Ok(text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect())
    }

    /// The error for a value that has the right form and a wrong meaning. `expected` says what would be right.
    ///
    /// It is [`EnvError::Invalid`], about the default when the key is absent, [`EnvError::Secret`] for a secret, and
    /// [`EnvError::Undeclared`] for a key that is not in [`KEYS`].
    pub fn invalid(&self, key: &'static str, expected: &str) -> EnvError {
        let Some(known) = KEYS.iter().find(|known| known.name == key) else {
            return EnvError::Undeclared { key };
        };
        match self.values.get(key) {
            Some(found) => invalid(key, found, expected),
            None => {
                let value = known.default.to_owned();
                let origin = "default".to_owned();
                invalid(key, &Found { value, origin }, expected)
            }
        }
    }

    fn duration(
        &self,
        key: &'static str,
        default: Duration,
        expected: &str,
        unit: &str,
    ) -> Result<Duration, EnvError> {
        self.parse(key, default, expected, |value| parse_duration(value, unit))
    }

    fn parse<T>(
        &self,
        key: &'static str,
        default: T,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, EnvError> {
        match self.find(key)? {
            None => Ok(default),
            Some(found) => parse(found.value.trim()).ok_or_else(|| invalid(key, found, expected)),
        }
    }

    fn find(&self, key: &'static str) -> Result<Option<&Found>, EnvError> {
        if !KEYS.iter().any(|known| known.name == key) {
            return Err(EnvError::Undeclared { key });
        }
        Ok(self.values.get(key))
    }

    fn read_file(&mut self, path: &Path) -> Result<(), EnvError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(source) => {
                return Err(EnvError::Unreadable {
                    path: path.to_path_buf(),
                    source,
                });
            }
        };
        for Entry { key, value, line } in env_file::parse(path, &text)? {
            check_known(path, line, &key)?;
            self.insert(&key, value, format!("{}:{line}", path.display()));
        }
        Ok(())
    }

    fn insert(&mut self, key: &str, value: String, origin: String) {
        self.values.insert(key.to_owned(), Found { value, origin });
    }
}

struct Known(&'static str);

fn known_names() -> impl Iterator<Item = Known> {
    KEYS.iter().map(|key| Known(key.name))
}

fn check_known(path: &Path, line: usize, key: &str) -> Result<(), EnvError> {
    let ours = PREFIXES.iter().any(|prefix| key.starts_with(prefix));
    if !ours || known_names().any(|Known(name)| name == key) {
        return Ok(());
    }
    let nearest = known_names()
        .map(|Known(name)| (strsim::normalized_damerau_levenshtein(name, key), name))
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .filter(|(likeness, _)| *likeness > 0.6)
        .map(|(_, name)| name);
    Err(EnvError::Unknown {
        path: path.to_path_buf(),
        line,
        key: key.to_owned(),
        nearest,
    })
}

fn invalid(key: &'static str, found: &Found, expected: &str) -> EnvError {
    if KEYS.iter().any(|known| known.name == key && known.is_secret) {
        return EnvError::Secret {
            origin: found.origin.clone(),
            key,
            expected: expected.to_owned(),
        };
    }
    let value = found.value.chars().take(64).collect();
    EnvError::Invalid {
        origin: found.origin.clone(),
        key,
        value,
        expected: expected.to_owned(),
    }
}

fn text_of(key: &'static str, value: OsString) -> Result<String, EnvError> {
    value.into_string().map_err(|value| {
        let value = value.to_string_lossy().into_owned();
        let origin = "environment".to_owned();
        invalid(key, &Found { value, origin }, "text in UTF-8")
    })
}

/// Digits only: the standard parser would take a plus sign too.
fn whole(value: &str) -> Option<u64> {
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| u64::from_str(value).ok()).flatten()
}

fn parse_duration(value: &str, default_unit: &str) -> Option<Duration> {
    let digits = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let number = whole(&value[..digits])?;
    let unit = match value[digits..].trim() {
        "" => default_unit,
        unit => unit,
    };
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    const YEAR: u64 = 365 * 24 * 3_600_000;
    number
        .checked_mul(millis)
        .filter(|total| *total <= YEAR)
        .map(Duration::from_millis)
}
