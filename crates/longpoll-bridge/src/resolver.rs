//! Which mailbox a request means, and whether it may have it.

use crate::refusal::Refusal;

/// The mailbox of who names none; it gets what is for everybody.
pub(crate) const BROADCAST: &str = "broadcast";
/// Longest id and longest name of a room, in bytes.
const MAX_LEN: usize = 128;
const ROOM: &str = "room:";
/// Ids given by the server begin with this; 32 hexadecimal digits follow, 128 random bits.
const ISSUED: &str = "lps_";
const ISSUED_DIGITS: usize = 32;

/// The name of a mailbox, of a form that can be.
///
/// ```text
/// broadcast            for everybody
/// room:<name>          a room; any name of 1 to 128 bytes without control characters
/// lps_<32 hex digits>  given by the server
/// anything else        a name of the client's: 1 to 128 of A–Z a–z 0–9 - _ . : @
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MailboxName {
    /// Given by the server.
    Issued(String),
    /// Named by a client; also `broadcast`.
    Open(String),
    /// A room's; the text is that of the whole name, with `room:`.
    Room(String),
}

impl MailboxName {
    /// Reads a `session_id`; an empty one means `broadcast`.
    ///
    /// # Errors
    /// [`Refusal::MailboxName`] for a wrong length or character.
    pub(crate) fn parse(id: &str) -> Result<Self, Refusal> {
        if id.is_empty() {
            return Ok(Self::Open(BROADCAST.to_owned()));
        }
        if let Some(room) = id.strip_prefix(ROOM) {
            return Self::room(room);
        }
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.:@".contains(c);
        if id.len() > MAX_LEN || !id.chars().all(is_plain) {
            return Err(Refusal::MailboxName);
        }
        match id.strip_prefix(ISSUED) {
            None => Ok(Self::Open(id.to_owned())),
            Some(digits) if is_hex(digits, ISSUED_DIGITS) => Ok(Self::Issued(id.to_owned())),
            Some(_) => Err(Refusal::MailboxName),
        }
    }

    /// The mailbox of a room.
    ///
    /// # Errors
    /// [`Refusal::MailboxName`] for a wrong length or character.
    pub(crate) fn room(room: &str) -> Result<Self, Refusal> {
        // What was no UTF-8 in a query has become a replacement character: it names nothing.
        let is_odd = |c: char| c.is_control() || c == char::REPLACEMENT_CHARACTER;
        if room.is_empty() || room.len() > MAX_LEN || room.contains(is_odd) {
            return Err(Refusal::MailboxName);
        }
        Ok(Self::Room(room_mailbox(room)))
    }

    /// The room, if it is a room's.
    pub(crate) fn as_room(&self) -> Option<&str> {
        match self {
            Self::Room(name) => name.strip_prefix(ROOM),
            Self::Issued(_) | Self::Open(_) => None,
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Issued(name) | Self::Open(name) | Self::Room(name) => name,
        }
    }

    /// Whether the mailbox has to be there already, or is made when it is new.
    ///
    /// # Errors
    /// [`Refusal::MailboxesClosed`] for a name of the client's while those are not served.
    pub(crate) fn access(&self, open_mailboxes: bool) -> Result<Access, Refusal> {
        match self {
            Self::Issued(_) => Ok(Access::MustExist),
            Self::Open(_) | Self::Room(_) if open_mailboxes => Ok(Access::MadeWhenNew),
            Self::Open(_) | Self::Room(_) => Err(Refusal::MailboxesClosed),
        }
    }
}

/// How a mailbox comes about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    MustExist,
    MadeWhenNew,
}

/// The name of a room's mailbox.
pub(crate) fn room_mailbox(room: &str) -> String {
    format!("{ROOM}{room}")
}

/// Whether a text is exactly so many lower-case hexadecimal digits.
pub(crate) fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::{Access, MailboxName, Refusal};

    #[test]
    fn names_of_clients_and_rooms() {
        for name in [
            "lp-1",
            "broadcast",
            "a.b_c:d@e-F9",
            "lps",
            "x:room:y",
            &"x".repeat(128),
        ] {
            assert_eq!(
                MailboxName::parse(name),
                Ok(MailboxName::Open(name.to_owned())),
                "{name}"
            );
        }
        assert_eq!(MailboxName::parse("").unwrap().as_str(), "broadcast");
        for room in ["general", "a b", "grüß", "room:x", "\"'<>/..", &"x".repeat(128)] {
            let name = MailboxName::parse(&format!("room:{room}")).unwrap();
            assert_eq!(
                (name.as_room(), name.as_str()),
                (Some(room), format!("room:{room}").as_str())
            );
        }
    }

    #[test]
    fn malformed_ones() {
        let digits = "0123456789abcdef0123456789abcdef";
        for name in [
            "a b".to_owned(),
            "a/b".to_owned(),
            "a\0".to_owned(),
            "é".to_owned(),
            "<x>".to_owned(),
            "x".repeat(129),
            "room:".to_owned(),
            "room:a\nb".to_owned(),
            "room:\u{fffd}".to_owned(),
            format!("room:{}", "x".repeat(129)),
            "lps_".to_owned(),
            format!("lps_{}", &digits[1..]),
            format!("lps_{}", digits.to_uppercase()),
            format!("lps_{digits}0"),
        ] {
            assert_eq!(MailboxName::parse(&name), Err(Refusal::MailboxName), "{name}");
        }
    }

    #[test]
    fn who_may_have_what() {
        let issued = MailboxName::parse("lps_0123456789abcdef0123456789abcdef").unwrap();
        let named = MailboxName::parse("lp-1").unwrap();
        let room = MailboxName::parse("room:general").unwrap();
        for open in [false, true] {
            assert_eq!(issued.access(open), Ok(Access::MustExist));
        }
        for client_named in [named, room] {
            assert_eq!(client_named.access(false), Err(Refusal::MailboxesClosed));
            assert_eq!(client_named.access(true), Ok(Access::MadeWhenNew));
        }
    }
}
