//! A request's body on its way into a stream.

use super::AHEAD;
use crate::upstream::RequestBody;
use bytes::Bytes;
use h2::{Reason, SendStream};
use http_body::Body;
use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// How much of a body is kept until its answer begins, to be sent elsewhere if the stream is refused: twice what a server takes of it by default
/// before it says anything (RFC 9113, section 6.9.2).
const MAX_KEPT: usize = AHEAD;

/// Sends a body as fast as the other side takes it.
pub(super) struct Sending {
    stream: SendStream<Bytes>,
    body: RequestBody,
    /// Taken of the body, and not sent.
    piece: Bytes,
    /// Taken of the body; `None`: too much to keep.
    kept: Option<VecDeque<Bytes>>,
    kept_bytes: usize,
    over: bool,
}

impl Sending {
    pub(super) fn new(stream: SendStream<Bytes>, body: RequestBody) -> Self {
        let over = body.is_end_stream();
        Self { stream, body, piece: Bytes::new(), kept: Some(VecDeque::new()), kept_bytes: 0, over }
    }

    /// The body is not needed any more for another try.
    pub(super) fn keep_nothing(&mut self) {
        self.kept = None;
    }

    /// The whole body as it was before it was sent. `None`: too much of it was sent.
    pub(super) fn into_body(self) -> Option<RequestBody> {
        let mut body = self.body;
        body.put_back(self.kept?);
        Some(body)
    }

    /// Ready when all is sent, or no more will be: that the other side wants no more is not a failure of the exchange.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.over {
            if self.piece.is_empty() {
                ready!(self.poll_piece(cx));
            } else {
                ready!(self.poll_send(cx));
            }
        }
        Poll::Ready(())
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Poll::Ready(next) = Pin::new(&mut self.body).poll_frame(cx) else {
            // Whoever resets the stream wants no more of a body that may come for long.
            self.over = self.stream.poll_reset(cx).is_ready();
            return if self.over { Poll::Ready(()) } else { Poll::Pending };
        };
        match next {
            Some(Ok(frame)) => {
                self.piece = frame.into_data().unwrap_or_default();
                self.keep();
            }
            Some(Err(_told_by_the_body)) => {
                self.stream.send_reset(Reason::CANCEL);
                self.over = true;
            }
            None => {
                // Fails only where the stream is over.
                let _ = self.stream.send_data(Bytes::new(), true);
                self.over = true;
            }
        }
        Poll::Ready(())
    }

    fn keep(&mut self) {
        self.kept_bytes += self.piece.len();
        if self.kept_bytes > MAX_KEPT {
            self.kept = None;
        } else if let Some(kept) = &mut self.kept {
            kept.push_back(self.piece.clone());
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.stream.reserve_capacity(self.piece.len());
        if self.stream.capacity() == 0 && !matches!(ready!(self.stream.poll_capacity(cx)), Some(Ok(_))) {
            self.over = true;
            return Poll::Ready(());
        }
        let length = self.stream.capacity().min(self.piece.len());
        let part = self.piece.split_to(length);
        let last = self.piece.is_empty() && self.body.is_end_stream();
        self.over = self.stream.send_data(part, last).is_err() || last;
        Poll::Ready(())
    }
}
