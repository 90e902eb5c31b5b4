//! A message on its way into an outbox, in the form in which its sender has it.

use std::io::{self, IoSlice};

use tokio::net::tcp::OwnedWriteHalf;
use tungstenite::protocol::frame::coding::Data;

use crate::codec::{MAX_DATA_HEADER, append_data_frame, data_frame_len, write_data_header};
use crate::encoded::Encoded;
use crate::fan_out::Receipt;
use crate::socket;

/// Bodies up to this length are framed on the stack to be written; a longer one is written from where it is.
const ON_STACK: usize = 120;

/// A message that is framed, or copied, no earlier than it must be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Offer<'a> {
    /// The body of a message to one session.
    Body(Data, &'a [u8]),
    /// A framed message, which others may get too.
    Framed(&'a Encoded),
    /// The same of a publication that is measured.
    Measured(&'a Encoded, &'a Receipt),
}

impl Offer<'_> {
    /// Length of its frame: what it counts in an outbox.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Body(_, body) => data_frame_len(body.len()),
            Self::Framed(message) | Self::Measured(message, _) => message.len(),
        }
    }

    /// What waits with the message where it waits.
    pub(super) fn receipt(&self) -> Option<Receipt> {
        match self {
            Self::Body(..) | Self::Framed(_) => None,
            Self::Measured(_, receipt) => Some((*receipt).clone()),
        }
    }

    pub(super) fn is_measured(&self) -> bool {
        matches!(self, Self::Measured(..))
    }

    /// It has been written without a wait.
    #[inline]
    pub(crate) fn had(&self) {
        if let Self::Measured(_, receipt) = self {
            receipt.had();
        }
    }

    /// The message to be kept.
    pub(super) fn into_encoded(self) -> Encoded {
        match self {
            Self::Body(data, body) => Encoded::framed(data, body),
            Self::Framed(message) | Self::Measured(message, _) => message.clone(),
        }
    }

    /// Writes its frame behind others.
    pub(crate) fn append_to(&self, frames: &mut Vec<u8>) {
        match self {
            Self::Body(data, body) => append_data_frame(*data, body, frames),
            Self::Framed(message) | Self::Measured(message, _) => frames.extend_from_slice(message.frame()),
        }
    }

    /// Writes as much of its frame as the socket takes. Gives the length of the frame too.
    #[inline(always)]
    pub(super) fn try_write(&self, socket: &OwnedWriteHalf) -> (usize, io::Result<usize>) {
        let (data, body) = match self {
            Self::Body(data, body) => (*data, *body),
            Self::Framed(message) | Self::Measured(message, _) => {
                let frame = message.frame();
                return (frame.len(), socket::send(socket.as_ref(), frame));
            }
        };
        let mut space = [0; MAX_DATA_HEADER + ON_STACK];
        let header = write_data_header(data, body.len(), &mut space);
        let end = header + body.len();
        if body.len() > ON_STACK {
            let slices = [IoSlice::new(&space[..header]), IoSlice::new(body)];
            return (end, socket.try_write_vectored(&slices));
        }
        space[header..end].copy_from_slice(body);
        (end, socket::send(socket.as_ref(), &space[..end]))
    }
}
