//! Offers and answers (RFC 7692 §5, §7.1): what cannot be honoured is declined, never answered wrongly.

use http::HeaderMap;

use super::config::{DECOMPRESSOR_MEMORY, compressor_memory};
use super::extensions::{Extension, Malformed, extensions};
use super::{DeflateConfig, Direction, MAX_WINDOW_BITS, MIN_OUR_WINDOW_BITS, Negotiated};

const NAME: &str = "permessage-deflate";
/// What a client of ours offers: everything, and no wish to keep contexts.
#[allow(dead_code, reason = "the client and the fuzz targets use it")]
pub(crate) const OFFER: &str = "permessage-deflate; client_no_context_takeover; client_max_window_bits";

/// The parameters of an offer or an answer; each may stand once.
#[derive(Debug, Default, PartialEq, Eq)]
struct Params {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    client_max_window_bits: Option<ClientWindow>,
}

/// `client_max_window_bits` with or without a value (RFC 7692 §7.1.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ClientWindow {
    Any,
    Bits(u8),
}

impl Params {
    /// `None`: a parameter is unknown, stands twice or has a value it cannot have, so the extension is declined
    /// (RFC 7692 §7.1).
    fn read(extension: &Extension) -> Option<Self> {
        let mut params = Self::default();
        for (name, value) in &extension.params {
            let value = value.as_deref();
            let is_new = match name.as_str() {
                "server_no_context_takeover" => set(&mut params.server_no_context_takeover, value)?,
                "client_no_context_takeover" => set(&mut params.client_no_context_takeover, value)?,
                "server_max_window_bits" => {
                    let bits = window_bits(value?)?;
                    params.server_max_window_bits.replace(bits).is_none()
                }
                "client_max_window_bits" => {
                    let window = match value {
                        None => ClientWindow::Any,
                        Some(value) => ClientWindow::Bits(window_bits(value)?),
                    };
                    params.client_max_window_bits.replace(window).is_none()
                }
                _ => return None,
            };
            if !is_new {
                return None;
            }
        }
        Some(params)
    }
}

/// A parameter without a value; whether it is new.
fn set(flag: &mut bool, value: Option<&str>) -> Option<bool> {
    match value {
        Some(_) => None,
        None => Some(!std::mem::replace(flag, true)),
    }
}

/// A decimal number from 8 to 15 without leading zeros (RFC 7692 §7.1.2).
fn window_bits(value: &str) -> Option<u8> {
    match value {
        "8" => Some(8),
        "9" => Some(9),
        "10" => Some(10),
        "11" => Some(11),
        "12" => Some(12),
        "13" => Some(13),
        "14" => Some(14),
        "15" => Some(15),
        _ => None,
    }
}

/// Takes the first offer that can be honoured. Gives what is agreed on and the answer's header; `None` when no offer
/// can be, and the connection goes on without the extension.
pub(crate) fn answer(
    headers: &HeaderMap,
    config: &DeflateConfig,
) -> Result<Option<(Negotiated, String)>, Malformed> {
    let offers = extensions(headers)?;
    Ok(offers
        .iter()
        .filter(|extension| extension.name == NAME)
        .filter_map(Params::read)
        .find_map(|offer| agree(&offer, config)))
}

fn agree(offer: &Params, config: &DeflateConfig) -> Option<(Negotiated, String)> {
    let asked = offer.server_max_window_bits.unwrap_or(MAX_WINDOW_BITS);
    // The compressor cannot keep to 256 bytes, so an offer that insists on it is declined.
    if asked < MIN_OUR_WINDOW_BITS {
        return None;
    }
    let window_bits = asked.min(config.bounded_window());
    let memory = if config.context_takeover {
        config.session_memory
    } else {
        0
    };
    let keeps_peers = memory >= DECOMPRESSOR_MEMORY && !offer.client_no_context_takeover;
    let left = if keeps_peers {
        memory - DECOMPRESSOR_MEMORY
    } else {
        memory
    };
    let keeps_ours = left >= compressor_memory(window_bits) && !offer.server_no_context_takeover;
    let outgoing = Direction {
        context_takeover: keeps_ours,
        window_bits,
    };
    // Whatever window the client uses, ours reads it: there is nothing to ask for.
    let incoming = Direction {
        context_takeover: keeps_peers,
        window_bits: MAX_WINDOW_BITS,
    };
    let says_window = offer.server_max_window_bits.is_some() || window_bits < MAX_WINDOW_BITS;
    Some((
        Negotiated { outgoing, incoming },
        header(&outgoing, &incoming, says_window),
    ))
}

fn header(outgoing: &Direction, incoming: &Direction, says_window: bool) -> String {
    let mut header = NAME.to_owned();
    if !outgoing.context_takeover {
        header += "; server_no_context_takeover";
    }
    if !incoming.context_takeover {
        header += "; client_no_context_takeover";
    }
    if says_window {
        header += &format!("; server_max_window_bits={}", outgoing.window_bits);
    }
    header
}

/// What a server made of [`OFFER`], as the client sees it: `None` when it declined.
///
/// # Errors
/// The answer is malformed, names what was not offered, or has parameters that an answer cannot have: the client
/// fails the connection (RFC 6455 §4.1, RFC 7692 §7.1).
#[allow(dead_code, reason = "the client and the fuzz targets use it")]
pub(crate) fn accept_answer(headers: &HeaderMap) -> Result<Option<Negotiated>, Malformed> {
    let answered = extensions(headers)?;
    let extension = match &answered[..] {
        [] => return Ok(None),
        [extension] if extension.name == NAME => extension,
        _ => return Err(Malformed),
    };
    let params = Params::read(extension).ok_or(Malformed)?;
    let client_bits = match params.client_max_window_bits {
        None => MAX_WINDOW_BITS,
        Some(ClientWindow::Bits(bits)) => bits,
        // In an answer it needs a value (RFC 7692 §7.1.2.2).
        Some(ClientWindow::Any) => return Err(Malformed),
    };
    Ok(Some(Negotiated {
        outgoing: Direction {
            context_takeover: false,
            window_bits: client_bits,
        },
        incoming: Direction {
            context_takeover: !params.server_no_context_takeover,
            window_bits: params.server_max_window_bits.unwrap_or(MAX_WINDOW_BITS),
        },
    }))
}

#[cfg(test)]
#[path = "negotiation/tests.rs"]
mod tests;
