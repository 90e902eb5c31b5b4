//! Numbers that may arrive as strings.

use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};

#[derive(Deserialize, Serialize)]
#[serde(untagged)]
enum Number {
    Plain(u64),
    Text(String),
}

/// For `#[serde(deserialize_with = "number")]`.
pub(crate) fn number<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    match Number::deserialize(from)? {
        Number::Plain(number) => Ok(number),
        Number::Text(text) => text.trim().parse().map_err(D::Error::custom),
    }
}
