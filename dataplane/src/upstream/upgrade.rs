//! Requests that may turn their connection into something else than HTTP (RFC 9110, section 7.8).

use super::connector::Stream;
use super::source::{Http1, Source};
use super::{Answer, Failed, Key, RequestBody, Target, UpstreamError, Upstreams};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection that left HTTP behind, to read and write. Dropping it closes it.
pub struct Switched {
    io: TokioIo<Stream>,
    /// What the upstream sent right behind its 101: read first.
    early: Bytes,
}

impl AsyncRead for Switched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.early.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, buffer);
        }
        let count = self.early.len().min(buffer.remaining());
        buffer.put_slice(&self.early.split_to(count));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Switched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl Upstreams {
    /// Sends such a request on a connection of its own, which is HTTP/1.1, and waits for the answer's head; without bound of its own. The connection
    /// comes with a 101, which has no body. Cancel-safe: dropping it closes the connection.
    pub async fn upgrade(
        &self,
        target: &Target,
        request: Request<RequestBody>,
    ) -> Result<(Response<Answer>, Option<Box<Switched>>), Failed> {
        let trust = match self.connector.trust(target) {
            Ok(trust) => trust,
            Err(error) => return Err(Failed { error, unsent: Some(Box::new(request)) }),
        };
        let connection = match self.dial_http1(target).await {
            Ok(connection) => connection,
            Err(error) => return Err(Failed { error, unsent: Some(Box::new(request)) }),
        };
        let (head, body, connection) = connection.send(request).await?;
        let (connection, switched) = if head.status == StatusCode::SWITCHING_PROTOCOLS {
            let lost = Failed { error: UpstreamError::Reset, unsent: None };
            let (io, early) = connection.into_stream().await.ok_or(lost)?;
            (None, Some(Box::new(Switched { io: TokioIo::new(io), early })))
        } else {
            (Some(connection), None)
        };
        let key = Key { origin: target.origin.clone(), trust: trust.id };
        let source = Source::Http1(Http1 { body, connection, key, pool: Arc::clone(&self.pool) });
        Ok((Response::from_parts(head, Answer::new(source)), switched))
    }
}
