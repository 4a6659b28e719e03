//! Where an answer's body comes from.

use super::connection::{Closed, Connection};
use super::http2::Streamed;
use super::pool::Pool;
use super::{Key, UpstreamError};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// The body with what brings it. Dropped before its end, it cancels the upstream: a connection of HTTP/1.1 is closed, a stream of HTTP/2 is reset.
pub(super) enum Source {
    Http1(Http1),
    Http2(Box<Streamed>),
}

/// A body of HTTP/1.1 with its connection, which goes back to the pool at the end.
pub(super) struct Http1 {
    pub(super) body: Incoming,
    pub(super) connection: Option<Connection>,
    pub(super) key: Key,
    pub(super) pool: Arc<Pool>,
}

impl Source {
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        match self {
            Self::Http1(http1) => http1.poll_frame(cx),
            Self::Http2(streamed) => streamed.poll_frame(cx),
        }
    }

    pub(super) fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(http1) => http1.body.is_end_stream(),
            Self::Http2(streamed) => streamed.is_end_stream(),
        }
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(http1) => http1.body.size_hint(),
            // A length stands in the head, which goes to the client as it is.
            Self::Http2(_) => SizeHint::default(),
        }
    }
}

impl Http1 {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        let body = &mut self.body;
        let polled = match &mut self.connection {
            None => return Poll::Ready(None),
            Some(connection) => ready!(connection.drive(cx, |cx| Pin::new(&mut *body).poll_frame(cx))),
        };
        Poll::Ready(match polled {
            Ok(Some(Ok(frame))) => Some(Ok(frame)),
            Ok(None) => {
                self.give_back();
                None
            }
            Ok(Some(Err(error))) => {
                self.connection = None;
                Some(Err(error.into()))
            }
            Err(Closed) => {
                self.connection = None;
                Some(Err(UpstreamError::Reset))
            }
        })
    }

    fn give_back(&mut self) {
        if let Some(mut connection) = self.connection.take()
            && connection.is_reusable()
        {
            self.pool.put(&self.key, connection);
        }
    }
}

impl Drop for Http1 {
    fn drop(&mut self) {
        // A body of known length is dropped after its last byte and never polled to its end.
        if self.body.is_end_stream() {
            self.give_back();
        }
    }
}
