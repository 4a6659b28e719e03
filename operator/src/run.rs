//! Puts the parts together.

use crate::admin::{Admin, serve};
use crate::brief::brief;
use crate::cli::RunOptions;
use crate::confirm::{self, Acknowledged};
use crate::controller::written::Written;
use crate::controller::{Controller, Scope};
use crate::election::Election;
use crate::lease::TIMING;
use crate::metrics::Metrics;
use crate::report::reporter::Reporter;
use crate::stores::Stores;
use kube::{Api, Client};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

/// Why the operator can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Neither in a pod nor with a kubeconfig.
    #[error("no way to the API server: {0}; run in a pod with a service account, or set KUBECONFIG")]
    Client(String),
    /// The admin port is taken or not allowed.
    #[error("can't listen on {address}: {cause}; choose another --admin")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        cause: std::io::Error,
    },
    /// No signal handler.
    #[error("can't wait for signals: {0}")]
    Signals(std::io::Error),
    /// A figure was registered twice.
    #[error("can't set up metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// Runs until SIGTERM or SIGINT; then gives the leadership away.
pub async fn run(options: RunOptions) -> Result<(), StartError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(StartError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(StartError::Signals)?;
    let listen = |cause| StartError::Listen { address: options.admin, cause };
    let listener = TcpListener::bind(options.admin).await.map_err(listen)?;
    let client = Client::try_default().await.map_err(|error| StartError::Client(brief(&error)))?;
    let shutdown = CancellationToken::new();
    let operator = operate(client, options, listener, shutdown.clone(), Metrics::new()?);
    tokio::pin!(operator);
    tokio::select! {
        () = &mut operator => return Ok(()),
        _ = terminate.recv() => info!("SIGTERM: ending"),
        _ = interrupt.recv() => info!("SIGINT: ending"),
    }
    shutdown.cancel();
    operator.await;
    Ok(())
}

/// The operator itself, until `shutdown`.
pub async fn operate(
    client: Client,
    options: RunOptions,
    listener: TcpListener,
    shutdown: CancellationToken,
    metrics: Metrics,
) {
    info!(
        version = env!("CARGO_PKG_VERSION"),
        config_namespace = options.config_namespace,
        watch_namespaces = ?options.watch_namespaces,
        identity = options.identity,
        admin = %options.admin,
        "relay-operator"
    );
    let stores = Arc::new(Stores::new(options.watch_namespaces.len()));
    let mut watches = stores.watch(&client, &options, &metrics);
    let ready = Arc::clone(&stores);
    let admin = Admin { metrics: metrics.clone(), ready: Arc::new(move || ready.ready()) };
    let election = Election {
        api: Api::namespaced(client.clone(), &options.config_namespace),
        me: options.identity.clone(),
        timing: TIMING,
        metrics: metrics.clone(),
    };
    let lead = || lead(&client, &options, &stores, &metrics);
    tokio::select! {
        () = election.run(shutdown, lead) => {}
        () = serve(listener, admin) => {}
        // A watch never ends; if one panics, a restart is better than a store that stands still.
        _ = watches.join_next() => error!("a watch ended"),
    }
}

/// What the leader does, until it is dropped.
async fn lead(client: &Client, options: &RunOptions, stores: &Arc<Stores>, metrics: &Metrics) {
    let written = Arc::new(Written::new());
    let acknowledged = Arc::new(Acknowledged::default());
    let mut watches = written.watch(client, &options.config_namespace, metrics);
    let scope = Scope { config_namespace: &options.config_namespace, watched: &options.watch_namespaces };
    let (controller, desired) = Controller::new(
        client,
        &scope,
        Arc::clone(stores),
        Arc::clone(&written),
        Arc::clone(&acknowledged),
        metrics.clone(),
    );
    let reporter = Reporter::new(client.clone(), Arc::clone(stores), Arc::clone(&acknowledged), metrics.clone());
    let confirm = confirm::follow(Arc::clone(stores), acknowledged, options.proxy_admin_port);
    // Tasks of their own, so that one does not wait for the other's computing.
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move { controller.run().await });
    tasks.spawn(async move { reporter.run(desired).await });
    tasks.spawn(confirm);
    tokio::select! {
        _ = tasks.join_next() => error!("a part of the leader ended; giving the leadership away"),
        _ = watches.join_next() => error!("a watch ended; giving the leadership away"),
    }
}
