//! Bodies on their way: the request's to the upstream, the answer's back.

use super::source::Source;
use super::{UpstreamError, breaks_http};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::SemaphorePermit;
use tokio::time::timeout;

/// The request's body: what was read of it already, then what comes; never more than `max` bytes.
pub struct RequestBody {
    head: VecDeque<Bytes>,
    rest: Option<Incoming>,
    left: u64,
    fault: Arc<OnceLock<RequestBodyError>>,
    /// The place in memory of what was read already.
    room: Option<SemaphorePermit<'static>>,
    /// The client waits for the word to send it, and has not got it.
    is_held_back: bool,
}

/// Why a request body can't be sent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestBodyError {
    /// Longer than the route allows.
    #[error("the request body is longer than the route allows")]
    TooLarge,
    /// It did not come in time.
    #[error("the request body came too slowly")]
    TooSlow,
    /// There is no memory to read it into.
    #[error("the relay is reading too many request bodies at once; please retry")]
    NoRoom,
    /// It names its model twice.
    #[error("the request body names its model twice")]
    Ambiguous,
    /// Its framing is broken.
    #[error("the request body is not framed as HTTP wants it")]
    Malformed,
    /// The client went away in its middle.
    #[error("the client broke off the request body")]
    Gone,
}

impl From<hyper::Error> for RequestBodyError {
    fn from(error: hyper::Error) -> Self {
        if breaks_http(&error) { Self::Malformed } else { Self::Gone }
    }
}

impl RequestBody {
    /// `head` was read already and counts towards `max`. `fault` is set when the body fails, since the connection that sends it tells only that
    /// it failed too.
    pub fn new(
        head: VecDeque<Bytes>,
        rest: Option<Incoming>,
        max: u64,
        fault: Arc<OnceLock<RequestBodyError>>,
    ) -> Self {
        Self { head, rest, left: max, fault, room: None, is_held_back: false }
    }

    /// Holds on to `room` as long as the body lives. `is_held_back`: the client sends it only when it is asked for.
    #[must_use]
    pub fn holding(mut self, room: Option<SemaphorePermit<'static>>, is_held_back: bool) -> Self {
        self.room = room;
        self.is_held_back = is_held_back;
        self
    }

    /// Puts back what was taken of it, in its order, to be sent elsewhere.
    pub(super) fn put_back(&mut self, taken: VecDeque<Bytes>) {
        self.left += taken.iter().map(|bytes| bytes.len() as u64).sum::<u64>();
        for bytes in taken.into_iter().rev() {
            self.head.push_front(bytes);
        }
    }

    fn fail(&self, error: RequestBodyError) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        // It fails once: the connection does not ask again.
        let _ = self.fault.set(error);
        Poll::Ready(Some(Err(error)))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        let this = &mut *self;
        let bytes = loop {
            if let Some(bytes) = this.head.pop_front() {
                break bytes;
            }
            let Some(rest) = &mut this.rest else { return Poll::Ready(None) };
            this.is_held_back = false;
            match ready!(Pin::new(rest).poll_frame(cx)) {
                None => {
                    this.rest = None;
                    return Poll::Ready(None);
                }
                Some(Err(error)) => return this.fail(error.into()),
                // Trailers of a request are dropped: no provider reads them, and they are a way to smuggle.
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) => break bytes,
                    Err(_trailers) => {}
                },
            }
        };
        match this.left.checked_sub(bytes.len() as u64) {
            Some(left) => {
                this.left = left;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            None => this.fail(RequestBodyError::TooLarge),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.head.is_empty() && self.rest.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let head = self.head.iter().map(|bytes| bytes.len() as u64).sum();
        match self.rest.as_ref().map(Body::size_hint) {
            None => SizeHint::with_exact(head),
            Some(hint) => hint.exact().map_or_else(SizeHint::default, |rest| SizeHint::with_exact(head + rest)),
        }
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Some(rest) = self.rest.take().filter(|_| !self.is_held_back) {
            discard(rest);
        }
    }
}

/// How long, and how much, is read of a request body that nobody wants any more.
const DISCARD_TIME: Duration = Duration::from_secs(5);
const DISCARD_BYTES: usize = 64 << 20;

/// Reads on, within bounds, and forgets what comes. A connection that is closed while its client still sends is reset, and a client that meets the
/// reset may never read its answer.
pub fn discard(mut body: Incoming) {
    if body.is_end_stream() {
        return;
    }
    // Without a runtime the process is at its end, and the connection with it.
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    runtime.spawn(timeout(DISCARD_TIME, async move {
        let mut read = 0;
        while let Some(Ok(frame)) = body.frame().await
            && read < DISCARD_BYTES
        {
            read += frame.data_ref().map_or(0, Bytes::len);
        }
    }));
}

/// The answer's body, with the connection that brings it. At its end the connection may serve again; dropped before, the upstream is cancelled.
pub struct Answer {
    source: Source,
    /// Read already, and not yet given on.
    first: Option<Frame<Bytes>>,
}

impl Answer {
    pub(super) fn new(source: Source) -> Self {
        Self { source, first: None }
    }

    /// Waits until the first piece of the body is there, which stays in the body, or its end, or its failure. Cancel-safe.
    pub async fn wait_for_first(&mut self) -> Result<(), UpstreamError> {
        if self.first.is_none() && !self.is_end_stream() {
            self.first = poll_fn(|cx| self.source.poll_frame(cx)).await.transpose()?;
        }
        Ok(())
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(first))),
            None => self.source.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.source.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.first.is_none() { self.source.size_hint() } else { SizeHint::default() }
    }
}
