//! A chunked body (RFC 9112 §7.1): sizes, extensions, data, trailer section.

use super::scan::Kind;
use super::{Bounds, Refusal};

/// Most digits of a chunk's size: what fits into 64 bits.
const MOST_DIGITS: u32 = 16;
/// Bytes of extensions that one body may have. Nobody needs them; they exist to be skipped.
const MOST_EXTENSION_BYTES: usize = 4096;

/// Where in a chunked body the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Size {
        digits: u32,
        value: u64,
    },
    /// White space behind the size: only an extension may follow it.
    BehindSize {
        value: u64,
    },
    Extension {
        value: u64,
    },
    SizeEnd {
        value: u64,
    },
    Data {
        left: u64,
    },
    DataCr,
    DataLf,
    TrailerBegin,
    TrailerName,
    TrailerValue,
    TrailerEnd,
    LastLf,
    Over,
}

/// Follows one chunked body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunks {
    place: Place,
    extension_bytes: usize,
    trailer_bytes: usize,
    trailer_fields: usize,
}

impl Chunks {
    pub(super) fn new() -> Self {
        Self {
            place: Place::Size { digits: 0, value: 0 },
            extension_bytes: 0,
            trailer_bytes: 0,
            trailer_fields: 0,
        }
    }

    /// The body is complete.
    pub(super) fn is_over(&self) -> bool {
        self.place == Place::Over
    }

    /// How many of these bytes belong to the body.
    pub(super) fn take(&mut self, bytes: &[u8], bounds: &Bounds) -> Result<usize, Refusal> {
        let mut taken = 0;
        while taken < bytes.len() && !self.is_over() {
            if let Place::Data { left } = self.place {
                let now = usize::try_from(left)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len() - taken);
                taken += now;
                self.place = match left - now as u64 {
                    0 => Place::DataCr,
                    left => Place::Data { left },
                };
            } else {
                self.place = self.next(bytes[taken], bounds)?;
                taken += 1;
            }
        }
        Ok(taken)
    }

    fn next(&mut self, byte: u8, bounds: &Bounds) -> Result<Place, Refusal> {
        const MALFORMED: Refusal = Refusal::bad("invalid chunk");
        match (self.place, byte) {
            (Place::Size { digits, value }, _) if byte.is_ascii_hexdigit() => add_digit(digits, value, byte),
            (Place::Size { digits: 1.., value }, b'\r') => Ok(Place::SizeEnd { value }),
            (Place::Size { digits: 1.., value }, b';') => Ok(Place::Extension { value }),
            (Place::Size { digits: 1.., value }, b' ' | b'\t') => self.extension(Place::BehindSize { value }),
            (Place::BehindSize { .. }, b' ' | b'\t') => self.extension(self.place),
            (Place::BehindSize { value }, b';') => Ok(Place::Extension { value }),
            (Place::Extension { value }, b'\r') => Ok(Place::SizeEnd { value }),
            (Place::Extension { .. }, _) if is_text(byte) => self.extension(self.place),
            (Place::SizeEnd { value: 0 }, b'\n') => Ok(Place::TrailerBegin),
            (Place::SizeEnd { value }, b'\n') => Ok(Place::Data { left: value }),
            (Place::DataCr, b'\r') => Ok(Place::DataLf),
            (Place::DataLf, b'\n') => Ok(Place::Size { digits: 0, value: 0 }),
            (Place::TrailerBegin, b'\r') => Ok(Place::LastLf),
            (Place::LastLf, b'\n') => Ok(Place::Over),
            (Place::TrailerBegin, _) if Kind::Token.has(byte) => {
                self.trailer_fields += 1;
                if self.trailer_fields > bounds.headers {
                    return Err(Refusal::too_many_fields());
                }
                self.trailer(Place::TrailerName, bounds)
            }
            (Place::TrailerName, _) if Kind::Token.has(byte) => self.trailer(self.place, bounds),
            (Place::TrailerName, b':') => self.trailer(Place::TrailerValue, bounds),
            (Place::TrailerValue, b'\r') => Ok(Place::TrailerEnd),
            (Place::TrailerValue, _) if is_text(byte) => self.trailer(self.place, bounds),
            (Place::TrailerEnd, b'\n') => Ok(Place::TrailerBegin),
            (Place::TrailerBegin | Place::TrailerName | Place::TrailerValue | Place::TrailerEnd, _) => {
                Err(Refusal::bad("invalid trailer"))
            }
            _ => Err(MALFORMED),
        }
    }

    fn extension(&mut self, place: Place) -> Result<Place, Refusal> {
        self.extension_bytes += 1;
        if self.extension_bytes > MOST_EXTENSION_BYTES {
            return Err(Refusal::bad("chunk extensions too long"));
        }
        Ok(place)
    }

    fn trailer(&mut self, place: Place, bounds: &Bounds) -> Result<Place, Refusal> {
        self.trailer_bytes += 1;
        if self.trailer_bytes > bounds.head {
            return Err(Refusal::head_too_long());
        }
        Ok(place)
    }
}

fn add_digit(digits: u32, value: u64, byte: u8) -> Result<Place, Refusal> {
    const TOO_LARGE: Refusal = Refusal::bad("chunk too large");
    let digit = char::from(byte).to_digit(16).ok_or(TOO_LARGE)?;
    if digits == MOST_DIGITS {
        return Err(TOO_LARGE);
    }
    let value = value.checked_mul(16).ok_or(TOO_LARGE)? + u64::from(digit);
    i64::try_from(value).map_err(|_| TOO_LARGE)?;
    Ok(Place::Size {
        digits: digits + 1,
        value,
    })
}

/// Text of a field or an extension: anything but control bytes, tabs allowed.
fn is_text(byte: u8) -> bool {
    byte == b'\t' || !byte.is_ascii_control()
}
