//! The answer's body, and what becomes of a request's that nobody wants.

use super::source::Source;
use super::{UpstreamError, breaks_http};
use bytes::Bytes;
use http::Version;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::timeout;

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

/// A request's body as its client sends it.
pub struct Received {
    body: Incoming,
    is_http2: bool,
}

impl Received {
    /// Of a request in this version.
    pub const fn new(body: Incoming, version: Version) -> Self {
        Self { body, is_http2: matches!(version, Version::HTTP_2) }
    }
}

impl Body for Received {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        // hyper takes a stream that its client reset with NO_ERROR for one that ended: half a body would go up as a whole one.
        if frame.is_none() && self.is_http2 && !self.body.is_end_stream() {
            return Poll::Ready(Some(Err(RequestBodyError::Gone)));
        }
        Poll::Ready(frame.map(|frame| frame.map_err(RequestBodyError::from)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// How long, and how much, is read of a request body that nobody wants any more.
const DISCARD_TIME: Duration = Duration::from_secs(5);
const DISCARD_BYTES: usize = 64 << 20;

/// Reads on, within bounds, and forgets what comes. A connection that is closed while its client still sends is reset, and a client that meets the
/// reset may never read its answer.
pub fn discard<B>(mut body: B)
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
{
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
    held: VecDeque<Frame<Bytes>>,
    /// Comes behind what is held.
    broken: Option<UpstreamError>,
}

impl Answer {
    pub(super) fn new(source: Source) -> Self {
        Self { source, held: VecDeque::new(), broken: None }
    }

    /// Waits until the first piece of the body is there, which stays in the body, or its end, or its failure. Cancel-safe.
    pub async fn wait_for_first(&mut self) -> Result<(), UpstreamError> {
        if self.held.is_empty() && !self.is_end_stream() {
            self.held.extend(poll_fn(|cx| self.source.poll_frame(cx)).await.transpose()?);
        }
        Ok(())
    }

    /// The data that was read already and is still in the body.
    pub fn held(&self) -> impl Iterator<Item = &Bytes> {
        self.held.iter().filter_map(Frame::data_ref)
    }

    /// Waits for one more piece of data, which stays in the body. `None`: there is none, or the body failed, which is told behind what is held. It has
    /// no bound of its own: whoever calls it counts. Cancel-safe.
    pub async fn read_ahead(&mut self) -> Option<Bytes> {
        while self.broken.is_none() {
            match poll_fn(|cx| self.source.poll_frame(cx)).await? {
                Ok(frame) => {
                    let data = frame.data_ref().cloned();
                    self.held.push_back(frame);
                    if data.is_some() {
                        return data;
                    }
                }
                Err(error) => self.broken = Some(error),
            }
        }
        None
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        if let Some(frame) = self.held.pop_front() {
            return Poll::Ready(Some(Ok(frame)));
        }
        match self.broken.take() {
            Some(error) => Poll::Ready(Some(Err(error))),
            None => self.source.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_empty() && self.broken.is_none() && self.source.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        if self.held.is_empty() { self.source.size_hint() } else { SizeHint::default() }
    }
}
