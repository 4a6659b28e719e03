//! The body that the client gets.

use super::Aborted;
use super::guard::{Guarded, Source};
use super::read_on;
use super::stream::{Manner, Stream};
use crate::exchange::Exchange;
use crate::reason::StreamEnd;
use crate::upstream::Answer;
use bytes::Bytes;
use http_body::SizeHint;
use std::task::{Context, Poll};

/// An upstream's answer on its way to the client. Dropped before its end: the client went away.
pub struct Relayed<B: Source = Answer> {
    /// Taken on drop.
    stream: Option<Box<Stream<B>>>,
}

impl<B: Source> Relayed<B> {
    /// Relays `source`. In the task of the HTTP/2 stream, or of the HTTP/1.1 connection: see [`Turn`](super::Turn).
    pub fn new(source: Guarded<B>, manner: Manner, exchange: Exchange) -> Self {
        Self { stream: Some(Box::new(Stream::new(source, manner, exchange))) }
    }

    /// The next piece for the client.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Aborted>>> {
        self.stream.as_mut().map_or(Poll::Ready(None), |stream| stream.poll(cx))
    }

    /// As [`http_body::Body::is_end_stream`].
    pub(super) fn is_end_stream(&self) -> bool {
        self.stream.as_ref().is_none_or(|stream| stream.is_end_stream())
    }

    /// As [`http_body::Body::size_hint`].
    pub(super) fn size_hint(&self) -> SizeHint {
        self.stream.as_ref().map_or_else(SizeHint::default, |stream| stream.size_hint())
    }
}

impl<B: Source> Drop for Relayed<B> {
    fn drop(&mut self) {
        let Some(mut stream) = self.stream.take() else { return };
        if stream.leave() {
            if let Some(limit) = stream.read_on() {
                read_on::begin(stream, limit);
            } else {
                // Its last words may tell what it cost.
                stream.take_tail();
                stream.finish(StreamEnd::ClientGone, None);
            }
        }
    }
}
