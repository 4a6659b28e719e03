//! A connection that can be told to end with a reset, and to put bytes on the wire that are no HTTP.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// Tells the task that owns a connection to reset it: a body has no way to the socket, hyper hides it.
#[derive(Debug, Default)]
pub(super) struct Control {
    reset: AtomicBool,
    garble: AtomicBool,
    wake: Notify,
}

impl Control {
    /// Asks for the reset.
    pub(super) fn reset(&self) {
        self.reset.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    /// Asks for bytes that are no HTTP in front of the next write.
    pub(super) fn garble(&self) {
        self.garble.store(true, Ordering::Release);
    }

    /// Resolves once the reset is asked for. Cancel-safe.
    pub(super) async fn reset_asked(&self) {
        self.wake.notified().await;
    }
}

/// The socket. Dropped after [`Control::reset`], it closes with a RST instead of a FIN.
#[derive(Debug)]
pub(super) struct Wire {
    tcp: TcpStream,
    control: Arc<Control>,
}

impl Wire {
    pub(super) fn new(tcp: TcpStream, control: Arc<Control>) -> Self {
        Self { tcp, control }
    }

    fn tcp(self: Pin<&mut Self>) -> Pin<&mut TcpStream> {
        Pin::new(&mut self.get_mut().tcp)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.control.reset.load(Ordering::Acquire) {
            // SO_LINGER with time 0 makes close send RST (socket(7)); bytes already received stay readable.
            let _ = self.tcp.set_zero_linger();
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.tcp().poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.tcp().poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tcp().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.tcp().poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.tcp().poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }
}

/// Neither a chunk size nor the head of an HTTP/2 frame that anybody takes.
const GARBAGE: &[u8] = b"ZZ\r\n no chunk size \r\n";

/// A connection, above TLS where there is TLS, that puts [`GARBAGE`] in front of a write when [`Control::garble`] says so.
#[derive(Debug)]
pub(super) struct Garbled<S> {
    stream: S,
    control: Arc<Control>,
    /// What of the garbage is still to be written.
    left: &'static [u8],
}

impl<S> Garbled<S> {
    pub(super) fn new(stream: S, control: Arc<Control>) -> Self {
        Self { stream, control, left: &[] }
    }
}

impl<S: AsyncWrite + Unpin> Garbled<S> {
    fn poll_garbage(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.control.garble.swap(false, Ordering::AcqRel) {
            self.left = GARBAGE;
        }
        while !self.left.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, self.left))?;
            self.left = self.left.get(written..).unwrap_or_default();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Garbled<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Garbled<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_garbage(cx))?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_garbage(cx))?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
