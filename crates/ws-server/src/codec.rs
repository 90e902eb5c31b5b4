//! RFC 6455 frames to messages: pure, no socket and no clock. Bytes in, messages, control frames or violations out.

mod assembly;
mod control;
mod event;
mod frames;
mod limits;
mod mask;
mod short;
mod utf8;

pub(crate) use control::may_be_sent;
pub use event::Incoming;
pub(crate) use event::{Event, PeerClose, Violation};
#[allow(unused_imports, reason = "the client and the fuzz targets use it")]
pub(crate) use frames::masked;
pub(crate) use frames::{
    MAX_DATA_HEADER, MAX_SHORT, append_data_frame, append_short_frame, close_frame, compressed_frame,
    data_frame, data_frame_len, first_frame_len, ping_frame, pong_frame, short_frame_len, write_data_header,
};
pub(crate) use limits::Limits;
pub(crate) use short::{begins_with_text, take_short_text};

use std::io::Cursor;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use self::assembly::{Assembly, whole_message};
use self::control::control_event;
use self::mask::unmask;
use crate::deflate::{Inflater, Negotiated};

/// Longest header of a frame: two bytes, an 8-byte length, a 4-byte mask (RFC 6455 §5.2).
const MAX_HEADER: usize = 14;
/// Longest payload of a control frame (RFC 6455 §5.5).
const MAX_CONTROL: u64 = 125;

/// Whose frames are decoded, which decides on their mask (RFC 6455 §5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// We are the server: the peer's frames must be masked.
    Server,
    /// We are the client: the peer's frames must not be masked.
    #[allow(dead_code, reason = "the client and the fuzz targets use it")]
    Client,
}

/// Decodes what one peer sends. Holds only an unfinished header, frame or message; a peer that says nothing
/// costs no buffer.
///
/// In this order, as in the connection it is of: what every message needs first.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Decoder {
    limits: Limits,
    role: Role,
    /// A Close or a violation was seen: every later byte is ignored.
    done: bool,
    /// How many bytes of `head` are set.
    head_len: u8,
    /// The first bytes of a header that is not whole yet.
    head: [u8; MAX_HEADER],
    /// The frame whose payload is being read.
    frame: Option<Frame>,
    /// The fragmented or partly read message.
    message: Option<Assembly>,
    /// Undoes the peer's compression, where permessage-deflate was negotiated.
    inflater: Option<Box<Inflater>>,
    /// Payload of a control frame that is being read.
    control: Vec<u8>,
}

/// A frame that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unfinished {
    /// Length of its payload; 0 while its header is not whole.
    pub(crate) length: u64,
    /// Bytes of it that are here, without those of a whole header.
    pub(crate) read: u64,
}

/// A frame whose header has been checked.
#[derive(Debug)]
struct Frame {
    opcode: OpCode,
    is_final: bool,
    /// Absent in the frames of a server.
    mask: Option<[u8; 4]>,
    read: u64,
    length: u64,
}

impl Decoder {
    /// A decoder for the one end of a connection that refuses messages past these limits.
    pub(crate) fn new(role: Role, limits: Limits) -> Self {
        Self {
            role,
            limits,
            head: [0; MAX_HEADER],
            head_len: 0,
            frame: None,
            message: None,
            inflater: None,
            control: Vec::new(),
            done: false,
        }
    }

    /// The same with permessage-deflate as it was negotiated: RSV1 marks compressed messages (RFC 7692 §6).
    pub(crate) fn with_deflate(mut self, negotiated: Option<&Negotiated>) -> Self {
        self.inflater = negotiated.map(|negotiated| Box::new(Inflater::new(negotiated.incoming)));
        self
    }

    /// Decodes from the front of `input` (whose payload bytes are unmasked in place) until an event is complete
    /// or the input is used up. Gives the number of bytes consumed and the event.
    ///
    /// After a Close or a violation everything is consumed and nothing more comes out.
    pub(crate) fn decode(&mut self, input: &mut [u8]) -> Result<(usize, Option<Event>), Violation> {
        let mut rest = &mut *input;
        if let Some(message) = self.take_short(&mut rest) {
            let left = rest.len();
            return Ok((input.len() - left, Some(Event::Message(message))));
        }
        if self.done {
            return Ok((input.len(), None));
        }
        let outcome = self.advance(input);
        if matches!(outcome, Err(_) | Ok((_, Some(Event::Close(_))))) {
            self.finish();
        }
        outcome
    }

    /// Length of the payload of a frame that is not whole (0 while its header is not) and how many of its bytes are
    /// here.
    pub(crate) fn unfinished(&self) -> Option<Unfinished> {
        match &self.frame {
            Some(frame) => Some(Unfinished {
                length: frame.length,
                read: frame.read,
            }),
            None => (self.head_len > 0).then_some(Unfinished {
                length: 0,
                read: self.head_len.into(),
            }),
        }
    }

    fn finish(&mut self) {
        self.done = true;
        self.frame = None;
        self.message = None;
        self.inflater = None;
        self.control = Vec::new();
    }

    fn advance(&mut self, input: &mut [u8]) -> Result<(usize, Option<Event>), Violation> {
        let mut used = 0;
        loop {
            if self.frame.is_none() {
                used += self.read_header(&input[used..])?;
            }
            let Some(frame) = self.frame.take() else {
                return Ok((used, None));
            };
            let (taken, event) = self.read_payload(frame, &mut input[used..])?;
            used += taken;
            if event.is_some() || (self.frame.is_some() && used == input.len()) {
                return Ok((used, event));
            }
        }
    }

    /// Takes header bytes; sets `self.frame` once the header is whole and lawful.
    fn read_header(&mut self, input: &[u8]) -> Result<usize, Violation> {
        if self.head_len == 0 {
            return self.parse_header(input);
        }
        let before = usize::from(self.head_len);
        let mut joined = [0; MAX_HEADER];
        joined[..before].copy_from_slice(&self.head[..before]);
        let added = input.len().min(MAX_HEADER - before);
        joined[before..before + added].copy_from_slice(&input[..added]);
        self.head_len = 0;
        let used = self.parse_header(&joined[..before + added])?;
        Ok(used - before)
    }

    fn parse_header(&mut self, bytes: &[u8]) -> Result<usize, Violation> {
        if let Some(&first) = bytes.first() {
            self.check_first(first)?;
        }
        if let [first, second, ..] = *bytes {
            self.check_second(first, second)?;
        }
        let mut cursor = Cursor::new(bytes);
        let parsed = FrameHeader::parse(&mut cursor)
            .map_err(|_| Violation::protocol("frame header cannot be read"))?;
        match parsed {
            Some((header, length)) => {
                if cursor.position() != header.len(length) as u64 {
                    return Err(Violation::protocol("length not in its shortest form"));
                }
                self.frame = Some(self.admit(&header, length)?);
                Ok(cursor.position() as usize)
            }
            None => {
                self.head[..bytes.len()].copy_from_slice(bytes);
                self.head_len = bytes.len() as u8;
                Ok(bytes.len())
            }
        }
    }

    /// What the first byte alone can break: reserved bits and opcodes, and the order of fragments.
    fn check_first(&self, first: u8) -> Result<(), Violation> {
        let opcode = OpCode::from(first & 0x0f);
        if first & 0x70 != 0 {
            let begins = matches!(opcode, OpCode::Data(Data::Text | Data::Binary));
            let is_rsv1 = first & 0x70 == 0x40;
            if !(begins && is_rsv1 && self.inflater.is_some()) {
                return Err(Violation::protocol("reserved bit set"));
            }
        }
        match opcode {
            OpCode::Data(Data::Reserved(_)) | OpCode::Control(Control::Reserved(_)) => {
                Err(Violation::protocol("reserved opcode"))
            }
            OpCode::Control(_) if first & 0x80 == 0 => Err(Violation::protocol("fragmented control frame")),
            OpCode::Data(Data::Continue) if self.message.is_none() => {
                Err(Violation::protocol("continuation of nothing"))
            }
            OpCode::Data(Data::Text | Data::Binary) if self.message.is_some() => {
                Err(Violation::protocol("new message inside a fragmented one"))
            }
            _ => Ok(()),
        }
    }

    /// What the second byte can break: the mask and the length of control frames.
    fn check_second(&self, first: u8, second: u8) -> Result<(), Violation> {
        match (self.role, second & 0x80 != 0) {
            (Role::Server, false) => return Err(Violation::protocol("unmasked frame")),
            (Role::Client, true) => return Err(Violation::protocol("masked frame")),
            _ => {}
        }
        let is_control = first & 0x08 != 0;
        if is_control && u64::from(second & 0x7f) > MAX_CONTROL {
            return Err(Violation::protocol("control frame over 125 bytes"));
        }
        Ok(())
    }

    /// The checks that need the whole header: the declared length, before anything of it is buffered.
    fn admit(&mut self, header: &FrameHeader, length: u64) -> Result<Frame, Violation> {
        if length >> 63 != 0 {
            return Err(Violation::protocol("top bit of the length set"));
        }
        if matches!(header.opcode, OpCode::Data(_)) {
            self.admit_data(header, length)?;
        }
        Ok(Frame {
            opcode: header.opcode,
            is_final: header.is_final,
            mask: header.mask,
            read: 0,
            length,
        })
    }

    /// The limits of messages. A message that is one plain frame needs no assembly unless it comes in pieces.
    fn admit_data(&mut self, header: &FrameHeader, length: u64) -> Result<(), Violation> {
        if let Some(message) = &mut self.message {
            return message.admit(length, false, &self.limits);
        }
        if header.is_final && !header.rsv1 {
            return if length > self.limits.message {
                Err(Violation::TOO_BIG)
            } else {
                Ok(())
            };
        }
        let OpCode::Data(data) = header.opcode else {
            return Ok(());
        };
        let mut message = Assembly::new(data, header.rsv1);
        message.admit(length, header.is_final, &self.limits)?;
        self.message = Some(message);
        Ok(())
    }

    fn read_payload(
        &mut self,
        mut frame: Frame,
        input: &mut [u8],
    ) -> Result<(usize, Option<Event>), Violation> {
        let missing = frame.length - frame.read;
        let here = usize::try_from(missing).map_or(input.len(), |missing| missing.min(input.len()));
        let piece = &mut input[..here];
        if let Some(key) = frame.mask {
            unmask(piece, key, frame.read);
        }
        let is_whole = frame.read == 0 && here as u64 == frame.length;
        frame.read += here as u64;
        let event = match frame.opcode {
            OpCode::Control(control) => self.control_piece(&frame, control, piece, is_whole)?,
            OpCode::Data(data) => self.data_piece(&frame, data, piece, is_whole)?,
        };
        if frame.read < frame.length {
            self.frame = Some(frame);
        }
        Ok((here, event))
    }

    fn data_piece(
        &mut self,
        frame: &Frame,
        data: Data,
        piece: &[u8],
        is_whole: bool,
    ) -> Result<Option<Event>, Violation> {
        if is_whole && frame.is_final && self.message.is_none() {
            return whole_message(data, piece).map(|message| Some(Event::Message(message)));
        }
        let mut message = match self.message.take() {
            Some(message) => message,
            None => Assembly::new(data, false),
        };
        let is_end = frame.is_final && frame.read == frame.length;
        self.append(&mut message, piece, is_end)?;
        if is_end {
            return message.finish().map(|message| Some(Event::Message(message)));
        }
        self.message = Some(message);
        Ok(None)
    }

    fn append(&mut self, message: &mut Assembly, piece: &[u8], is_end: bool) -> Result<(), Violation> {
        match &mut self.inflater {
            Some(inflater) if message.is_compressed => {
                let room = self.limits.message.saturating_sub(message.len());
                inflater.push(piece, room, |inflated| message.push(inflated))?;
                match is_end {
                    true => inflater.finish(message.is_blank()),
                    false => Ok(()),
                }
            }
            _ => message.push(piece),
        }
    }

    fn control_piece(
        &mut self,
        frame: &Frame,
        control: Control,
        piece: &[u8],
        is_whole: bool,
    ) -> Result<Option<Event>, Violation> {
        if is_whole {
            return control_event(control, piece).map(Some);
        }
        self.control.extend_from_slice(piece);
        if frame.read < frame.length {
            return Ok(None);
        }
        let payload = std::mem::take(&mut self.control);
        control_event(control, &payload).map(Some)
    }
}

#[cfg(test)]
#[path = "codec/deflate_tests.rs"]
mod deflate_tests;
#[cfg(test)]
#[path = "codec/limit_tests.rs"]
mod limit_tests;
#[cfg(test)]
#[path = "codec/tests.rs"]
mod tests;
