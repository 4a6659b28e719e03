//! The answer's body on its way to the client: one wrapper per concern.
//!
//! ```text
//! upstream::Answer  ->  Guarded (idle, total, drain, suspension)  ->  Stream (boundaries, keep-alive, what is seen, the end)  ->  Relayed  ->  client
//! ```
//!
//! The upstream is polled when the client has room, and not else: that is the whole backpressure. A client that stops reading is ended by its
//! socket (HTTP/1.1) or by [`StreamTasks`] (HTTP/2); what ends the stream itself meanwhile, by its [`Turn`].

mod deadline;
mod ending;
mod events;
mod guard;
mod held;
mod keep_alive;
mod leash;
mod lines;
mod read_on;
mod relayed;
mod splitter;
mod stall;
mod stream;
#[cfg(test)]
mod tests;
mod usage_event;

pub use deadline::Deadline;
pub use ending::{Stop, of_refusal};
pub use events::EventSplitter;
pub use guard::{Cuts, Guarded, Source};
pub use lines::LineSplitter;
pub use read_on::{MAX_READ_ON, MAX_READING_ON};
pub use relayed::Relayed;
pub use splitter::Splitter;
pub use stall::{StreamTasks, Turn, WRITE_STALL};
pub use stream::Manner;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};

/// The framing of the answer must be broken off: nothing else tells this client that it is not whole.
#[derive(Debug, thiserror::Error)]
#[error("the answer is not whole")]
pub struct Aborted;

/// Every body that the proxy sends.
pub enum AnswerBody {
    /// A whole text that the relay made.
    Whole(Option<Bytes>),
    /// An upstream's answer.
    Relayed(Relayed),
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Relayed(relayed) => relayed.poll(cx).map(|next| next.map(|piece| piece.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Relayed(relayed) => relayed.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Relayed(relayed) => relayed.size_hint(),
        }
    }
}
