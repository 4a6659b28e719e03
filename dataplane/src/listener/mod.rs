//! Accepts client connections, HTTP/1.1 and HTTP/2, in the clear or over TLS; bounds them; closes them when the proxy drains.
//!
//! ```text
//! reserve     accepts, also when no descriptor is left
//! capacity    how many connections and requests at once
//! socket      a write that makes no progress fails
//! tls         the certificate, reloaded
//! connection  which protocol, and its life
//! strict      HTTP/1.1: nothing passes that two readers could take for different requests
//! semantics   the same for what HTTP/2 leaves open
//! requests    from the connection to the proxy
//! ```

mod capacity;
mod connection;
mod requests;
mod reserve;
mod semantics;
mod socket;
mod strict;
#[cfg(test)]
mod tests;
mod tls;

pub use capacity::Capacity;
pub(crate) use reserve::{Arrived, Reserve};
pub use tls::{Tls, TlsError};

use crate::drain::Drain;
use crate::metrics::Metrics;
use crate::proxy::Proxy;
use crate::reason::Reason;
use connection::Protocols;
use requests::UnderWay;
use socket::Socket;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// How long a new connection has until the head of its first request is whole: a client that drips headers holds nothing for longer.
pub const FIRST_HEAD: Duration = Duration::from_secs(10);
/// How long the head of a further request may take from its first byte on.
pub const HEAD: Duration = Duration::from_secs(10);
/// How long a connection may wait for its next request.
pub const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long a client may take none of the bytes that wait for its connection, or for a stream of it.
pub const WRITE_STALL: Duration = crate::relay::WRITE_STALL;

/// How long answers are read on behind the last client when the proxy drains; then they end with what was seen of them.
pub const READING_ON: Duration = Duration::from_secs(5);

/// What a listener may take on, and how long its clients may take.
#[derive(Clone)]
pub struct Options {
    /// Speak TLS only.
    pub tls: Option<Arc<Tls>>,
    /// How much at once.
    pub capacity: Capacity,
    /// [`FIRST_HEAD`].
    pub first_head: Duration,
    /// [`HEAD`].
    pub head: Duration,
    /// [`KEEP_ALIVE`].
    pub keep_alive: Duration,
    /// [`WRITE_STALL`].
    pub write_stall: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tls: None,
            capacity: Capacity::default(),
            first_head: FIRST_HEAD,
            head: HEAD,
            keep_alive: KEEP_ALIVE,
            write_stall: WRITE_STALL,
        }
    }
}

/// What connections share.
struct Shared {
    proxy: Arc<Proxy>,
    options: Options,
    protocols: Protocols,
    under_way: UnderWay,
}

/// [`run_with`] the defaults.
pub async fn run(listener: TcpListener, proxy: Arc<Proxy>) {
    run_with(listener, proxy, Options::default()).await;
}

/// Accepts until `drain.closing`, then waits until every connection has ended, tunnels too, and for at most [`READING_ON`] more until no answer is
/// read on without its client. Cancel-safe in that dropping it closes the listener;
/// connections are tasks of their own and go on.
pub async fn run_with(listener: TcpListener, proxy: Arc<Proxy>, options: Options) {
    let places = Arc::new(Semaphore::new(options.capacity.connections.min(Semaphore::MAX_PERMITS)));
    let closing = proxy.drain.closing.clone();
    let protocols = Protocols::new(options.keep_alive, options.write_stall);
    let shared = Arc::new(Shared { proxy, options, protocols, under_way: UnderWay::default() });
    let connections = TaskTracker::new();
    let mut reserve = Reserve::new();
    loop {
        let arrived = tokio::select! {
            arrived = reserve.accept(&listener) => arrived,
            () = closing.cancelled() => break,
        };
        let place = Arc::clone(&places).try_acquire_owned().ok();
        match (arrived, place) {
            (Arrived::Freely(stream), Some(place)) => {
                let open = Open::new(&shared.proxy.metrics, place, connections.token());
                // Without it, small events wait for the client's acknowledgement. A socket that refuses is closed already.
                let _ = stream.set_nodelay(true);
                let socket = Socket::new(stream, shared.options.write_stall, open);
                tokio::spawn(connection::serve(Arc::clone(&shared), socket));
            }
            (Arrived::Freely(stream) | Arrived::OnReserve(stream), _) => shed(stream, &shared.proxy.metrics),
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
    // Behind the connections: each may still become one, and a tunnel's own end comes behind that of its connection.
    let drain = &shared.proxy.drain;
    drain.tunnels.close();
    drain.tunnels.wait().await;
    // Behind the last client: what is still read on is read for what it cost.
    drain.answers.close();
    if timeout(READING_ON, drain.answers.wait()).await.is_err() {
        drain.cut.cancel();
        drain.answers.wait().await;
    }
}

/// Closes a connection that there is no room for. In the backlog its client would wait and not know; closed, it can go to another proxy. It is
/// told nothing, since what it speaks is not known yet.
fn shed(stream: TcpStream, metrics: &Metrics) {
    metrics.errors.with_label_values(&["none", "none", Reason::Overloaded.name()]).inc();
    tracing::debug!("closed a connection: there are as many as the relay can take");
    drop(stream);
}

/// Counts an open connection for as long as it lives, and takes its place. It lies in the socket, so that a tunnel is counted too.
struct Open {
    metrics: Arc<Metrics>,
    _place: OwnedSemaphorePermit,
    _tracked: TaskTrackerToken,
}

impl Open {
    fn new(metrics: &Arc<Metrics>, place: OwnedSemaphorePermit, tracked: TaskTrackerToken) -> Self {
        metrics.active_connections.inc();
        Self { metrics: Arc::clone(metrics), _place: place, _tracked: tracked }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.metrics.active_connections.dec();
    }
}

/// Runs the stages of a shutdown: unready, then after `lame_duck` no new work, then after `timeout` the end of running streams. Returns when the
/// streams were told to end; the caller still waits for [`run_with`].
pub async fn shut_down(drain: &Drain, lame_duck: Duration, timeout: Duration) {
    drain.unready.cancel();
    tokio::time::sleep(lame_duck).await;
    drain.closing.cancel();
    tokio::time::sleep(timeout).await;
    drain.cut.cancel();
}
