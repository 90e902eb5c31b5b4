//! What an error of HTTP/2 says about the end of its connection.

use crate::CloseReason;
use std::error::Error;
use std::io;

/// Whether reading or writing failed, rather than what was read.
pub(super) fn is_of_transport(error: &hyper::Error) -> bool {
    error.source().is_some_and(|source| source.is::<io::Error>())
}

/// Why a connection is over whose HTTP/2 failed; nothing for an error that is not of HTTP/2.
pub(crate) fn reason_of(error: &hyper::Error) -> Option<CloseReason> {
    let error = error.source()?.downcast_ref::<h2::Error>()?;
    if error.is_io() {
        return Some(CloseReason::PeerLeft);
    }
    match (error.is_remote(), error.reason()) {
        (true, Some(h2::Reason::NO_ERROR)) => Some(CloseReason::Finished),
        (true, _) => Some(CloseReason::PeerLeft),
        (false, _) => Some(CloseReason::BadRequest),
    }
}
