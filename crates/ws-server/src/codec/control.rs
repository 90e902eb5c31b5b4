//! Control frames: pings, pongs and the Close with its code and reason (RFC 6455 §5.5, §7.4).

use bytes::Bytes;
use tungstenite::protocol::frame::coding::{CloseCode, Control};

use super::event::{Event, PeerClose, Violation};

pub(super) fn control_event(control: Control, payload: &[u8]) -> Result<Event, Violation> {
    match control {
        Control::Close => peer_close(payload).map(Event::Close),
        Control::Ping => Ok(Event::Ping(Bytes::copy_from_slice(payload))),
        Control::Pong | Control::Reserved(_) => Ok(Event::Pong),
    }
}

/// RFC 6455 §5.5.1 and §7.4: no body, or a code that may be sent and a reason in UTF-8.
fn peer_close(payload: &[u8]) -> Result<Option<PeerClose>, Violation> {
    let [high, low, reason @ ..] = payload else {
        return match payload {
            [] => Ok(None),
            _ => Err(Violation::protocol("close body of one byte")),
        };
    };
    let code = u16::from_be_bytes([*high, *low]);
    if !may_be_sent(code) {
        return Err(Violation::protocol("close code that may not be sent"));
    }
    let reason = str::from_utf8(reason).map_err(|_| Violation::not_utf8("close reason is not UTF-8"))?;
    Ok(Some(PeerClose {
        code,
        reason: reason.to_owned(),
    }))
}

/// Whether a close code may stand in a Close frame (RFC 6455 §7.4.2, and 1014 from the IANA registry).
pub(crate) fn may_be_sent(code: u16) -> bool {
    code == 1014 || CloseCode::from(code).is_allowed()
}
