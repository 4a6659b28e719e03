//! A client's socket: counted while it is open, and closed when its client does not read.

#[cfg(test)]
mod tests;

use crate::relay::Turn;
use bytes::{Buf, Bytes};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// A socket. `T` is the stream below, `G` what is given back when it is closed.
pub(super) struct Socket<T, G> {
    stream: T,
    /// Read already, and not yet given on.
    early: Bytes,
    stall: Stall,
    _guard: G,
}

impl<T, G> Socket<T, G> {
    /// A write that makes no progress for as long as `stall` fails.
    pub(super) fn new(stream: T, stall: Duration, guard: G) -> Self {
        let stall = Stall { limit: stall, sleep: None, is_armed: false, turn: Arc::default() };
        Self { stream, early: Bytes::new(), stall, _guard: guard }
    }

    /// What is told when a write fails for that.
    pub(super) fn turn(&self) -> Arc<Turn> {
        Arc::clone(&self.stall.turn)
    }

    /// Puts bytes back that were read from it.
    pub(super) fn put_back(&mut self, early: Bytes) {
        self.early = early;
    }
}

/// How long a write waits.
struct Stall {
    limit: Duration,
    /// Kept for the next time: a slow client needs it often.
    sleep: Option<Pin<Box<Sleep>>>,
    is_armed: bool,
    turn: Arc<Turn>,
}

impl Stall {
    /// What a write came to; an error once nothing went out for too long.
    fn check<V>(&mut self, written: Poll<io::Result<V>>, cx: &mut Context<'_>) -> Poll<io::Result<V>> {
        if written.is_ready() {
            self.is_armed = false;
            return written;
        }
        let limit = self.limit;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + limit)));
        if !std::mem::replace(&mut self.is_armed, true) {
            sleep.as_mut().reset(Instant::now() + limit);
        }
        ready!(sleep.as_mut().poll(cx));
        self.turn.stall();
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read")))
    }
}

impl<T: AsyncRead + Unpin, G: Unpin> AsyncRead for Socket<T, G> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.early.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let bytes = self.early.len().min(buf.remaining());
        buf.put_slice(&self.early[..bytes]);
        self.early.advance(bytes);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin, G: Unpin> AsyncWrite for Socket<T, G> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.stall.check(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, slices);
        this.stall.check(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
