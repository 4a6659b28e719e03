//! One connection: which protocol it speaks, and its life from the first byte to the last.

#[cfg(test)]
mod tests;

use super::Shared;
use super::requests::{Load, Requests};
use super::socket::Socket;
use super::strict::{Guard, Link};
use super::tls::{HANDSHAKE, Tls};
use crate::relay::{StreamTasks, Turn};
use bytes::Bytes;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

/// What a client that speaks HTTP/2 without TLS sends first (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Buffers of an HTTP/1.1 connection, each way. Less than hyper's default, and room for the longest head.
const HTTP1_BUFFER: usize = 64 * 1024;

/// Requests on one HTTP/2 connection at once.
const HTTP2_STREAMS: u32 = 128;
/// Bytes of one request's body that may come unread.
const HTTP2_STREAM_WINDOW: u32 = 64 * 1024;
/// Bytes of all requests' bodies on one connection that may come unread.
const HTTP2_CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Bytes of the headers of one request.
const HTTP2_HEADERS: u32 = 32 * 1024;
/// Bytes of one answer that wait to be written.
const HTTP2_SEND_BUFFER: usize = 64 * 1024;
/// Streams that the client opened and reset before anybody looked at them (CVE-2023-44487), and streams that it made the relay reset
/// (CVE-2025-8671). Beyond, the connection is closed.
const HTTP2_RESETS: usize = 256;
/// A client that does not answer a ping in time is gone.
const HTTP2_PING: Duration = Duration::from_secs(20);

/// How connections speak.
pub(super) struct Protocols {
    http1: http1::Builder,
    http2: http2::Builder<StreamTasks>,
}

impl Protocols {
    /// `keep_alive`: how long a connection of HTTP/1.1 may wait for its next request.
    /// `write_stall`: how long a stream of HTTP/2 may stand still by flow control.
    pub(super) fn new(keep_alive: Duration, write_stall: Duration) -> Self {
        let mut http1 = http1::Builder::new();
        // hyper takes 100 headers of a request at most; setting the same number would put them on the heap. A timeout without a timer is a panic.
        // writev off: small frames are copied into one buffer and leave in one write, and the upstream's read buffer is free again.
        http1.timer(TokioTimer::new()).header_read_timeout(keep_alive).max_buf_size(HTTP1_BUFFER).writev(false);
        let mut http2 = http2::Builder::new(StreamTasks::new(write_stall));
        http2
            .timer(TokioTimer::new())
            .keep_alive_interval(HTTP2_PING)
            .keep_alive_timeout(HTTP2_PING)
            .initial_stream_window_size(HTTP2_STREAM_WINDOW)
            .initial_connection_window_size(HTTP2_CONNECTION_WINDOW)
            .max_header_list_size(HTTP2_HEADERS)
            .max_concurrent_streams(HTTP2_STREAMS)
            .max_send_buf_size(HTTP2_SEND_BUFFER)
            .max_pending_accept_reset_streams(HTTP2_RESETS)
            .max_local_error_reset_streams(HTTP2_RESETS);
        Self { http1, http2 }
    }
}

/// Serves a connection to its end. Dropped: the connection is closed, and its requests are cancelled.
pub(super) async fn serve<T, G>(shared: Arc<Shared>, socket: Socket<T, G>)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    G: Unpin + Send + 'static,
{
    let first = Instant::now() + shared.options.first_head;
    let closing = shared.proxy.drain.closing.clone();
    let chosen = async {
        match &shared.options.tls {
            // Boxed: the connection would keep room for the handshake as long as it lives.
            Some(tls) => Box::pin(encrypted(&shared, tls, socket, first)).await,
            None => clear(&shared, socket, first).await,
        }
    };
    let connection = tokio::select! {
        chosen = chosen => chosen,
        () = closing.cancelled() => return,
    };
    if let Some(connection) = connection {
        connection.await;
    }
}

type Running = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

async fn encrypted<T, G>(shared: &Arc<Shared>, tls: &Tls, socket: Socket<T, G>, first: Instant) -> Option<Running>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    G: Unpin + Send + 'static,
{
    let turn = socket.turn();
    let stream = match timeout(HANDSHAKE, tls.accept(socket)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            tracing::debug!(%error, "no TLS connection");
            return None;
        }
        Err(_) => {
            tracing::debug!("closed a connection whose TLS handshake took too long");
            return None;
        }
    };
    // Without ALPN it is HTTP/1.1 (RFC 9113, section 3.3).
    let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let shared = Arc::clone(shared);
    Some(if is_h2 { Box::pin(http2(shared, stream, first)) } else { over_http1(shared, stream, first, turn) })
}

async fn clear<T, G>(shared: &Arc<Shared>, mut socket: Socket<T, G>, first: Instant) -> Option<Running>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    G: Unpin + Send + 'static,
{
    let shared = Arc::clone(shared);
    match timeout_at(first, has_preface(&mut socket)).await {
        Ok(Ok(true)) => Some(Box::pin(http2(shared, socket, first))),
        Ok(Ok(false)) => {
            let turn = socket.turn();
            Some(over_http1(shared, socket, first, turn))
        }
        Ok(Err(_)) => None,
        Err(_) => {
            tracing::debug!("closed a connection that sent no request");
            None
        }
    }
}

/// Whether the client begins HTTP/2. Reads no further than it has to, and puts back what it read.
async fn has_preface<T: AsyncRead + Unpin, G: Unpin>(socket: &mut Socket<T, G>) -> io::Result<bool> {
    let (mut begin, mut length) = ([0; PREFACE.len()], 0);
    while length < begin.len() && begin[..length] == PREFACE[..length] {
        match socket.read(&mut begin[length..]).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            more => length += more,
        }
    }
    socket.put_back(Bytes::copy_from_slice(&begin[..length]));
    Ok(begin == PREFACE)
}

fn over_http1<S>(shared: Arc<Shared>, stream: S, first: Instant, turn: Arc<Turn>) -> Running
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    Box::pin(Arc::clone(&turn).over_http1(http1(shared, stream, first, turn)))
}

async fn http1<S>(shared: Arc<Shared>, stream: S, first: Instant, turn: Arc<Turn>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let link = Arc::new(Link::default());
    let guard = Guard::new(stream, Arc::clone(&link), first, shared.options.head);
    let requests = Requests::over_http1(&shared, link);
    let connection = shared.protocols.http1.serve_connection(TokioIo::new(guard), requests).with_upgrades();
    tokio::pin!(connection);
    let closing = shared.proxy.drain.closing.clone();
    // The connection first: what it leaves undone is looked at behind it.
    tokio::select! {
        biased;
        // Errors of a connection are its client's: gone, or not speaking HTTP. Requests under way log their own end.
        ended = &mut connection => return log_end(ended),
        () = turn.broken() => return,
        () = closing.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        biased;
        ended = &mut connection => log_end(ended),
        () = turn.broken() => {}
    }
}

async fn http2<S>(shared: Arc<Shared>, stream: S, first: Instant)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (load, mut carried) = watch::channel(Load::default());
    let requests = Requests::over_http2(&shared, Arc::new(load));
    let connection = shared.protocols.http2.serve_connection(TokioIo::new(stream), requests);
    tokio::pin!(connection);
    let closing = shared.proxy.drain.closing.clone();
    let mut begun = carried.clone();
    let has_request = async { timeout_at(first, begun.wait_for(|load| load.begun > 0)).await.is_ok() };
    tokio::pin!(has_request);
    let mut is_closing = false;
    loop {
        tokio::select! {
            ended = &mut connection => return log_end(ended),
            has_request = &mut has_request => if has_request {
                break;
            } else {
                tracing::debug!("closed a connection that sent no request");
                return;
            },
            // A client that has not even begun to speak HTTP/2 hears no GOAWAY: the drain waits for its first request no longer than others do.
            () = closing.cancelled(), if !is_closing => {
                is_closing = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
    tokio::select! {
        ended = &mut connection => return log_end(ended),
        () = closing.cancelled() => {}
        () = idle(&mut carried, shared.options.keep_alive) => tracing::debug!("closing an idle connection"),
    }
    // GOAWAY; streams that run may end.
    connection.as_mut().graceful_shutdown();
    log_end(connection.await);
}

/// Waits until the connection has carried nothing for so long.
async fn idle(carried: &mut watch::Receiver<Load>, limit: Duration) {
    loop {
        let Ok(Load { begun, .. }) = carried.wait_for(|load| load.active == 0).await.map(|load| *load) else {
            return std::future::pending().await;
        };
        if timeout(limit, carried.wait_for(|load| load.begun != begun)).await.is_err() {
            return;
        }
    }
}

fn log_end<E: std::fmt::Debug>(ended: Result<(), E>) {
    if let Err(error) = ended {
        tracing::debug!(?error, "connection ended");
    }
}
