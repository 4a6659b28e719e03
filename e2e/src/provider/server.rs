//! The listener and its connections.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::record::{Log, Recorded};
use super::serve::{self, State};
use super::tls::Tls;
use super::wire::{Control, Garbled, Wire};

/// Streams that one HTTP/2 connection may have open.
const H2_STREAMS: u32 = 10_000;
/// Rest after a failed accept: the usual reason, no file descriptors left, does not go away at once.
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// How a provider is.
#[derive(Clone)]
pub struct Config {
    /// Where to listen; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Keys it accepts; none is any key that is not empty.
    pub keys: Vec<String>,
    /// What the header `x-fake-identity` of every response says; none leaves it out.
    pub identity: Option<String>,
    /// Tokens of an answer whose model name does not say.
    pub tokens: usize,
    /// Gap between tokens where the model name does not say.
    pub gap: Duration,
    /// How long [`Provider::stop`] lets running streams go on.
    pub grace: Duration,
    /// How many bytes of each answer the record keeps as they were sent; a piece is never kept in part.
    pub keep: usize,
    /// What it proves itself with; none is without TLS.
    pub tls: Option<Tls>,
}

impl Default for Config {
    /// `127.0.0.1:0` without TLS, any key, 16 tokens without a gap, 5 s of grace, keeps no answers.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            keys: Vec::new(),
            identity: None,
            tokens: 16,
            gap: Duration::ZERO,
            grace: Duration::from_secs(5),
            keep: 0,
            tls: None,
        }
    }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("listen", &self.listen)
            .field("keys", &self.keys.len())
            .field("identity", &self.identity)
            .field("tokens", &self.tokens)
            .field("gap", &self.gap)
            .field("grace", &self.grace)
            .field("keep", &self.keep)
            .field("tls", &self.tls.is_some())
            .finish()
    }
}

/// A running provider. Dropping it aborts its connections.
#[derive(Debug)]
pub struct Provider {
    addr: SocketAddr,
    state: Arc<State>,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Provider {
    /// Binds and serves. The error is that of the bind.
    pub async fn start(config: Config) -> io::Result<Self> {
        let listener = TcpListener::bind(config.listen).await?;
        let addr = listener.local_addr()?;
        let state = Arc::new(State { config, log: Arc::new(Log::new()), sessions: CancellationToken::new() });
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(accept(listener, state.clone(), shutdown.clone()));
        Ok(Self { addr, state, shutdown, task })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The PEM text of what a client must trust to speak TLS with it; none without TLS.
    pub fn ca(&self) -> Option<&str> {
        self.state.config.tls.as_ref().map(Tls::ca)
    }

    /// Everything it received and still remembers, oldest first.
    pub fn requests(&self) -> Vec<Recorded> {
        self.state.log.requests(0)
    }

    /// Forgets what it received.
    pub fn forget(&self) {
        self.state.log.clear();
    }

    /// Answers that have begun and not ended.
    pub fn live(&self) -> usize {
        self.state.log.live()
    }

    /// Waits until `holds` says so of the requests, and returns them. Looks at every change (a new request, a
    /// head, a piece, an end) and never by time. It waits for ever if need be: put a time limit around it.
    /// Cancel-safe.
    pub async fn wait_for(&self, mut holds: impl FnMut(&[Recorded]) -> bool) -> Vec<Recorded> {
        let mut changes = self.state.log.watch();
        loop {
            let requests = self.requests();
            // The log, with its sender, lives as long as `self`: waiting cannot fail.
            if holds(&requests) || changes.changed().await.is_err() {
                return requests;
            }
        }
    }

    /// Takes no new connections, lets running streams end for [`Config::grace`], then closes what is left.
    pub async fn stop(mut self) {
        self.shutdown.cancel();
        if let Err(error) = (&mut self.task).await {
            tracing::warn!(%error, "the provider did not stop well");
        }
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.task.abort();
        self.state.sessions.cancel();
    }
}

async fn accept(listener: TcpListener, state: Arc<State>, shutdown: CancellationToken) {
    // Owns the connections: aborting this task aborts them.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((tcp, _)) => {
                    connections.spawn(connection(tcp, state.clone(), shutdown.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "accept");
                    sleep(ACCEPT_REST).await;
                }
            },
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if timeout(state.config.grace, drained).await.is_err() {
        tracing::info!(left = connections.len(), "closing the connections that are left");
    }
    connections.shutdown().await;
}

async fn connection(tcp: TcpStream, state: Arc<State>, shutdown: CancellationToken) {
    if let Err(error) = tcp.set_nodelay(true) {
        tracing::debug!(%error, "set_nodelay");
    }
    let control = Arc::new(Control::default());
    let wire = Wire::new(tcp, control.clone());
    let Some(tls) = state.config.tls.clone() else {
        return serve(wire, control, state, shutdown).await;
    };
    tokio::select! {
        () = shutdown.cancelled() => {}
        shaken = tls.accept(wire) => match shaken {
            Ok(stream) => serve(stream, control, state, shutdown.clone()).await,
            Err(error) => tracing::debug!(%error, "handshake"),
        },
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    stream: S,
    control: Arc<Control>,
    state: Arc<State>,
    shutdown: CancellationToken,
) {
    let io = TokioIo::new(Garbled::new(stream, control.clone()));
    let service = {
        let control = control.clone();
        service_fn(move |request| serve::handle(state.clone(), control.clone(), request))
    };
    let mut builder = Builder::new(TokioExecutor::new());
    // hyper's own timers would move a paused clock on while nothing happens.
    builder.http1().header_read_timeout(None);
    builder.http2().max_concurrent_streams(H2_STREAMS);
    let mut served = pin!(builder.serve_connection_with_upgrades(io, service));
    let mut draining = false;
    loop {
        tokio::select! {
            // First, so that what the body handed out leaves before the reset.
            biased;
            ended = served.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "connection");
                }
                return;
            }
            () = control.reset_asked() => return,
            () = shutdown.cancelled(), if !draining => {
                draining = true;
                served.as_mut().graceful_shutdown();
            }
        }
    }
}
