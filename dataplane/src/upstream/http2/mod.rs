//! HTTP/2 (RFC 9113), where TLS agreed on it. A connection is a task of its own and carries many requests; dropping an answer resets its stream and
//! leaves the others alone.

mod connection;
mod lanes;
mod sending;
mod streamed;

pub(super) use connection::Place;
pub(super) use lanes::{Dialled, Lanes};
pub(super) use streamed::{Streamed, Undone, send};

use super::UpstreamError;

/// How much of an exchange waits in memory, in bytes: of the answer for a client that does not read, and before it of the request's body, to be sent
/// elsewhere. What a proxy takes on at once reckons with it.
pub const AHEAD: usize = 128 << 10;

impl UpstreamError {
    /// What becomes of an exchange by an error of its stream. Whatever the other side's reason is (`NO_ERROR` and `CANCEL` too), the stream did not come
    /// to its own end.
    fn of(error: &h2::Error) -> Self {
        if error.is_library() { Self::Protocol } else { Self::Reset }
    }
}
