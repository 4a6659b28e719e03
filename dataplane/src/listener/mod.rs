//! Accepts client connections, HTTP/1.1 and HTTP/2 without TLS, and closes them when the proxy drains.

#[cfg(test)]
mod tests;

use crate::drain::Drain;
use crate::metrics::Metrics;
use crate::proxy::Proxy;
use crate::relay::StreamTasks;
use http::header::{CONNECTION, HeaderValue};
use http::{Response, StatusCode, Version};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// How long a new connection has for the head of its first request: a client that drips headers holds nothing for longer.
pub const FIRST_HEAD: Duration = Duration::from_secs(10);
/// How long a connection may wait for its next request; hyper's header timeout covers both the pause and the head.
pub const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long accepting pauses after an error such as too many open files: at once it would fail again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts until `drain.closing`, then waits until every connection has ended. Cancel-safe in that dropping it closes the listener; connections are
/// tasks of their own and go on.
pub async fn run(listener: TcpListener, proxy: Arc<Proxy>) {
    let connections = GracefulShutdown::new();
    let builder = builder();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => serve(&builder, stream, &proxy, &connections),
                Err(error) => {
                    tracing::warn!(%error, "could not accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            () = proxy.drain.closing.cancelled() => break,
        }
    }
    drop(listener);
    connections.shutdown().await;
    // Behind the connections: each may still become one.
    proxy.drain.tunnels.close();
    proxy.drain.tunnels.wait().await;
}

fn builder() -> auto::Builder<StreamTasks> {
    let mut builder = auto::Builder::new(StreamTasks::default());
    // hyper takes 100 headers of a request at most; setting the same number would put them on the heap.
    // writev off: small frames are copied into one buffer and leave in one write, and the upstream's read buffer is free again.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(KEEP_ALIVE).writev(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(20))
        .max_header_list_size(32 * 1024)
        .max_concurrent_streams(128)
        .max_send_buf_size(64 * 1024);
    builder
}

/// Counts an open connection for as long as it lives.
pub(crate) struct Open(Arc<Metrics>);

impl Open {
    pub(crate) fn new(metrics: &Arc<Metrics>) -> Self {
        metrics.active_connections.inc();
        Self(Arc::clone(metrics))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.active_connections.dec();
    }
}

fn serve(builder: &auto::Builder<StreamTasks>, stream: TcpStream, proxy: &Arc<Proxy>, connections: &GracefulShutdown) {
    let open = Open::new(&proxy.metrics);
    // Without it, small events wait for the client's acknowledgement. A socket that refuses is closed already.
    let _ = stream.set_nodelay(true);
    let first_request = CancellationToken::new();
    let service = {
        let (proxy, first_request) = (Arc::clone(proxy), first_request.clone());
        hyper::service::service_fn(move |request| {
            first_request.cancel();
            let proxy = Arc::clone(&proxy);
            // Boxed: the connection would keep room for it as long as the answer streams.
            Box::pin(async move {
                let is_h1 = request.version() <= Version::HTTP_11;
                let mut response = Arc::clone(&proxy).serve(request).await;
                // From the first stage of the drain on, so that no client reuses a connection that is about to close.
                if is_h1 && proxy.drain.unready.is_cancelled() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
                    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<Response<_>, Infallible>(response)
            })
        })
    };
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
    let connection = connections.watch(connection);
    tokio::spawn(async move {
        let _open = open;
        tokio::pin!(connection);
        tokio::select! {
            // Errors of a connection are its client's: gone, or not speaking HTTP. Requests under way log their own end.
            ended = &mut connection => return log_end(ended),
            () = first_request.cancelled() => {}
            () = tokio::time::sleep(FIRST_HEAD) => {
                tracing::debug!("closed a connection that sent no request");
                return;
            }
        }
        log_end(connection.await);
    });
}

fn log_end<E: std::fmt::Debug>(ended: Result<(), E>) {
    if let Err(error) = ended {
        tracing::debug!(?error, "connection ended");
    }
}

/// Runs the stages of a shutdown: unready, then after `lame_duck` no new work, then after `timeout` the end of running streams. Returns when the
/// streams were told to end; the caller still waits for [`run`].
pub async fn shut_down(drain: &Drain, lame_duck: Duration, timeout: Duration) {
    drain.unready.cancel();
    tokio::time::sleep(lame_duck).await;
    drain.closing.cancel();
    tokio::time::sleep(timeout).await;
    drain.cut.cancel();
}
