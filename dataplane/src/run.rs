//! Puts the parts together and runs them until the process is told to stop.

#[cfg(test)]
mod tests;

use crate::admin::{self, Admin};
use crate::balance;
use crate::cli::{ConfigSource, Serve};
use crate::config::{Sink, Update, manifests, mount, watch};
use crate::drain::Drain;
use crate::limits::{Limiter, LimiterError, RedisOptions};
use crate::listener::{self, Capacity, Tls, TlsError};
use crate::metrics::Metrics;
use crate::proxy::Proxy;
use crate::serving::Serving;
use crate::table::Table;
use crate::upstream::{Connector, ConnectorOptions, Upstreams};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;

/// How long a start waits for the API server before it serves the mounted copy, which may be a minute old.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often idle upstream connections are looked at.
const SWEEP: Duration = Duration::from_secs(10);
/// How long connections have to write the last event of a stream that the drain ended.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Why the proxy does not start, or does not go on.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Neither --config-dir nor --manifests.
    #[error("nothing to serve: give --manifests DIR (without a cluster) or --config-dir DIR (in one)")]
    NoSource,
    /// An address is taken, or not this machine's.
    #[error("can't listen on {address}: {error}{}", hint(.error, .flag))]
    Listen {
        /// Which one.
        address: SocketAddr,
        /// The flag that sets it.
        flag: &'static str,
        /// What the system said.
        error: std::io::Error,
    },
    /// The manifests have errors, which were printed.
    #[error("the manifests in {} have errors", .0.display())]
    Manifests(PathBuf),
    /// `--redis-url`, or what stands beside it, can't be used.
    #[error("--redis-url: {0}")]
    Redis(#[from] LimiterError),
    /// `--tls-dir` has no certificate that can be used.
    #[error("--tls-dir: {0}")]
    Tls(#[from] TlsError),
    /// Two metrics have one name.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// Signals can't be waited for.
    #[error("signals: {0}")]
    Signals(std::io::Error),
    /// The task that accepts connections panicked.
    #[error("no connection is accepted any more, by an error of this program; the log has it")]
    Accepting,
}

fn hint(error: &std::io::Error, flag: &str) -> String {
    if error.kind() == std::io::ErrorKind::AddrInUse {
        format!("; another program has this port: stop it, or choose another with {flag} ADDRESS")
    } else {
        String::new()
    }
}

/// Serves until SIGTERM or SIGINT, then drains. A second signal ends at once, and so does an error of the program in accepting.
pub async fn serve(options: Serve) -> Result<(), StartError> {
    // First of all: the system drops a signal to the first process of a container that nobody waits for.
    let signals = Signals::new().map_err(StartError::Signals)?;
    let source = options.source().ok_or(StartError::NoSource)?;
    let (listen, admin_address) = options.addresses();
    let metrics = Arc::new(Metrics::new()?);
    let serving = Arc::new(Serving::default());
    let drain = Drain::default();
    let stop = CancellationToken::new();
    let limiter = Arc::new(limiter(&options)?);
    let sink = sink(&serving, &metrics);
    let clients = clients(&options)?;
    let listener = bind(listen, "--listen").await?;
    let admin_listener = bind(admin_address, "--admin").await?;

    let (ready, is_ready) = tokio::sync::watch::channel(false);
    let stats = sink.clone();
    // One at a time: two scrapes at once would both add the same difference.
    let one_at_a_time = Mutex::new(());
    let served = Arc::clone(&serving);
    let counted = Arc::clone(&limiter);
    let refresh = Box::new(move |metrics: &Metrics| {
        let _turn = one_at_a_time.lock().unwrap_or_else(PoisonError::into_inner);
        count_reloads(metrics, &stats);
        counted.publish(metrics);
        balance::publish(served.table().routes(), metrics);
    });
    let admin = Admin {
        serving: Arc::clone(&serving),
        metrics: Arc::clone(&metrics),
        drain: drain.clone(),
        ready: is_ready,
        limits: limiter.mode(),
        refresh,
    };
    tokio::spawn(admin::run(admin_listener, Arc::new(admin)));
    start_source(source, sink, &serving, ready, &stop)?;

    let destinations =
        ConnectorOptions { overrides: options.resolve, allow: options.allow_cidr, deny: options.deny_cidr };
    let upstreams = Arc::new(Upstreams::new(Connector::new(destinations)));
    tokio::spawn(sweep(Arc::clone(&upstreams)));
    if let Some(tls) = &clients.tls {
        tokio::spawn(Arc::clone(tls).run(Arc::clone(&metrics), stop.clone()));
    }
    let settles = Arc::clone(&limiter);
    let proxy = Arc::new(Proxy { serving, limiter, upstreams, metrics, drain: drain.clone() });
    let Capacity { connections, requests } = clients.capacity;
    let (tls, version) = (clients.tls.is_some(), env!("CARGO_PKG_VERSION"));
    tracing::info!(%listen, tls, admin = %admin_address, connections, requests, version, "listening");
    let accepting = tokio::spawn(listener::run_with(listener, proxy, clients));
    let ended = drain_on_signal(signals, &drain, options.lame_duck, options.drain_timeout, accepting, &settles).await;
    stop.cancel();
    ended
}

fn limiter(options: &Serve) -> Result<Limiter, LimiterError> {
    let Some(url) = &options.redis_url else { return Ok(Limiter::memory_share(options.replicas)) };
    Limiter::redis(&RedisOptions {
        username: options.redis_username.clone(),
        password: options.redis_password.clone(),
        ca: options.redis_ca.clone(),
        replicas: options.replicas,
        ..RedisOptions::new(url.clone())
    })
}

/// What clients may do, by the machine and by flags.
fn clients(options: &Serve) -> Result<listener::Options, TlsError> {
    let mut capacity = Capacity::of_this_process();
    let given = |given: Option<u32>, found| given.and_then(|given| usize::try_from(given).ok()).unwrap_or(found);
    capacity.connections = given(options.max_connections, capacity.connections);
    capacity.requests = given(options.max_requests, capacity.requests);
    let tls = options.tls_dir.as_deref().map(Tls::load).transpose()?.map(Arc::new);
    Ok(listener::Options { tls, capacity, write_stall: options.write_stall, ..listener::Options::default() })
}

async fn bind(address: SocketAddr, flag: &'static str) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|error| StartError::Listen { address, flag, error })
}

fn sink(serving: &Arc<Serving>, metrics: &Arc<Metrics>) -> Sink {
    let (serving, metrics) = (Arc::clone(serving), Arc::clone(metrics));
    Sink::new(Arc::new(move |update: Update| {
        serving.swap(Table::new(&update.snapshot, &update.revision), update.sequence);
        metrics.serves(&update.revision);
    }))
}

fn count_reloads(metrics: &Metrics, sink: &Sink) {
    for (outcome, count) in sink.stats() {
        let counter = metrics.reloads.with_label_values(&[outcome.name()]);
        counter.inc_by(count.saturating_sub(counter.get()));
    }
}

/// Starts what brings configuration, and says when the proxy may be called ready.
fn start_source(
    source: ConfigSource,
    sink: Sink,
    serving: &Arc<Serving>,
    ready: tokio::sync::watch::Sender<bool>,
    stop: &CancellationToken,
) -> Result<(), StartError> {
    match source {
        ConfigSource::Manifests(dir) => {
            manifests::start(&dir, &sink).map_err(|()| StartError::Manifests(dir.clone()))?;
            ready.send_replace(true);
            tokio::spawn(manifests::run(dir, sink, stop.clone()));
        }
        ConfigSource::Cluster { dir, namespace } => {
            tokio::spawn(mount::run(dir, sink.clone(), stop.clone()));
            let (synced, mut heard) = tokio::sync::watch::channel(watch::Synced::default());
            if let Some(namespace) = namespace {
                start_watch(namespace, sink, synced, stop.clone());
            } else {
                drop(synced);
            }
            let mut revision = serving.watch();
            tokio::spawn(async move {
                let state = watch::first_sync(&mut heard, PATIENCE).await;
                tracing::debug!(?state, "first look at the API server");
                // Ends with an error only when nobody serves any more.
                if revision.wait_for(|current| !current.revision.is_empty()).await.is_ok() {
                    ready.send_replace(true);
                }
            });
        }
    }
    Ok(())
}

fn start_watch(
    namespace: String,
    sink: Sink,
    synced: tokio::sync::watch::Sender<watch::Synced>,
    stop: CancellationToken,
) {
    match watch::in_cluster() {
        Ok(client) => {
            tokio::spawn(watch::run(client, namespace, sink, synced, stop));
        }
        Err(error) => tracing::error!(%error, "changes arrive with the mounted volume alone, which takes a minute"),
    }
}

async fn sweep(upstreams: Arc<Upstreams>) {
    let mut tick = tokio::time::interval(SWEEP);
    loop {
        tick.tick().await;
        upstreams.sweep();
    }
}

/// What tells the process to stop.
struct Signals {
    term: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { term: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// The next one; those that come before this is called wait for it. Cancel-safe.
    async fn next(&mut self) -> &'static str {
        tokio::select! { _ = self.term.recv() => "SIGTERM", _ = self.interrupt.recv() => "SIGINT" }
    }
}

async fn drain_on_signal(
    mut signals: Signals,
    drain: &Drain,
    lame_duck: Duration,
    timeout: Duration,
    accepting: JoinHandle<()>,
    settles: &Limiter,
) -> Result<(), StartError> {
    let abort = accepting.abort_handle();
    tokio::pin!(accepting);
    let signal = tokio::select! {
        biased;
        // Nobody can connect any more, and whoever restarts the process should know at once.
        ended = &mut accepting => {
            settles.close().await;
            return how_it_ended(ended);
        }
        signal = signals.next() => signal,
    };
    tracing::info!(signal, ?lame_duck, ?timeout, "draining; a second signal ends at once");
    let drained = async {
        let stages = listener::shut_down(drain, lame_duck, timeout);
        tokio::pin!(stages);
        let whole = tokio::select! {
            biased;
            ended = &mut accepting => how_it_ended(ended).map(|()| true),
            () = &mut stages => {
                let last = tokio::time::timeout(LAST_WORDS, &mut accepting).await;
                last.map_or(Ok(false), |ended| how_it_ended(ended).map(|()| true))
            }
        };
        settles.close().await;
        whole
    };
    let whole = tokio::select! {
        whole = drained => whole,
        signal = signals.next() => {
            tracing::warn!(signal, "ended by a second signal");
            abort.abort();
            return Ok(());
        }
    };
    abort.abort();
    whole.map(|whole| tracing::info!(whole, "drained"))
}

/// Nobody aborts the task that accepts before this is asked: it ends in order, or by a panic.
fn how_it_ended(accepting: Result<(), JoinError>) -> Result<(), StartError> {
    accepting.map_err(|error| {
        tracing::error!(%error, "the task that accepts connections failed");
        StartError::Accepting
    })
}
