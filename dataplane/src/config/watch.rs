//! The fast path: one watch on the index by its name, then a `get` of the shards that changed.
//!
//! ```text
//! watch event -> Index::parse -> get what is not held by its hash (at most 8 at once) -> assemble -> Sink
//!                                  ^ a shard that belongs to another write: again, soon, then slower, until it fits or the next event comes
//! ```
//!
//! Nothing here is needed to serve: while the API server is away the proxy serves what it has, and this loop comes back within
//! [`RECONNECT_MAX`] of its return.

use super::{Outcome, Sink};
use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::utils::Backoff;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Config};
use relay_snapshot::shards::{INDEX_KEY, INDEX_NAME};
use std::pin::pin;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

mod fetch;
mod set;

/// The first pause before a watch that failed is set up again.
pub const RECONNECT_MIN: Duration = Duration::from_millis(50);
/// The longest such pause.
pub const RECONNECT_MAX: Duration = Duration::from_secs(5);
/// How long the API server keeps one watch open. A connection that died silently is noticed 5 s later at the latest.
const WATCH_SECONDS: u32 = 30;
/// Connecting takes no longer, or the API server is away.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// An answer takes no longer than the longest silence of a healthy watch.
const READ_TIMEOUT: Duration = Duration::from_secs(WATCH_SECONDS as u64 + 10);

/// How far the first list has come; what readiness waits for. It stays `Listed` through later outages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Synced {
    /// No answer yet.
    #[default]
    Pending,
    /// The API server has said what there is, and it was taken or refused whole.
    Listed,
    /// The API server does not answer, or refuses.
    Unreachable {
        /// What it said.
        error: String,
    },
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Not in a pod, or without a service account.
    #[error("no API server to watch: {0}; run in a pod with a service account, or leave --config-namespace out")]
    NotInCluster(#[from] kube::config::InClusterError),
    /// The client can't be built, for example because of a bad certificate.
    #[error("cannot set up the client of the API server: {0}")]
    Client(#[from] kube::Error),
}

/// A client for the pod's own API server, with bounds on every wait. Call it inside a tokio runtime.
pub fn in_cluster() -> Result<Client, ClientError> {
    let mut config = Config::incluster()?;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = Some(READ_TIMEOUT);
    config.reset_reader_on_write = true;
    // The loop below retries by itself, and knows better when.
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}

/// Waits until the first list is answered and tried, at most `patience`, and says how far it came.
pub async fn first_sync(synced: &mut tokio::sync::watch::Receiver<Synced>, patience: Duration) -> Synced {
    // Both errors, time over and sender gone, mean the same: go on with what there is.
    _ = tokio::time::timeout(patience, synced.wait_for(|synced| *synced == Synced::Listed)).await;
    synced.borrow().clone()
}

/// Pauses between attempts to watch: doubling from [`RECONNECT_MIN`] to [`RECONNECT_MAX`], from the start again when the last one is long ago.
struct Reconnect {
    next: Duration,
    last: Option<Instant>,
}

impl Default for Reconnect {
    fn default() -> Self {
        Self { next: RECONNECT_MIN, last: None }
    }
}

impl Iterator for Reconnect {
    type Item = Duration;
    fn next(&mut self) -> Option<Duration> {
        // A watch that works for long without an event gives no item that would reset the pause.
        if self.last.is_some_and(|last| last.elapsed() > 3 * RECONNECT_MAX) {
            self.reset();
        }
        self.last = Some(Instant::now());
        let pause = self.next;
        self.next = (pause * 2).min(RECONNECT_MAX);
        // Many proxies lose one API server at the same moment: they must not come back at the same moment.
        Some(pause.mul_f64(rand::random_range(0.75..1.0)))
    }
}

impl Backoff for Reconnect {
    fn reset(&mut self) {
        self.next = RECONNECT_MIN;
    }
}

/// Watches the index in `namespace` and hands each new set to `sink`. Ends with `shutdown`.
pub async fn run(
    client: Client,
    namespace: String,
    sink: Sink,
    synced: tokio::sync::watch::Sender<Synced>,
    shutdown: CancellationToken,
) {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
    let config = watcher::Config::default().fields(&format!("metadata.name={INDEX_NAME}")).timeout(WATCH_SECONDS);
    let mut events = pin!(watcher(api, config).backoff(Reconnect::default()));
    let mut set = set::Set::new(fetch::Fetcher::new(client, &namespace), sink.clone());
    let mut link = Link { sink, namespace, synced, up: None, listed: false };
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            event = events.next() => match event {
                Some(Ok(event)) => link.event(event, &mut set),
                Some(Err(error)) => link.down(&error),
                // The watcher has no end; were it to have one, the mounted volume goes on.
                None => return,
            },
            () = set.step() => {}
        }
        link.tell(&set);
    }
}

/// What is known of the API server.
struct Link {
    sink: Sink,
    namespace: String,
    synced: tokio::sync::watch::Sender<Synced>,
    /// `None` before the first answer or error.
    up: Option<bool>,
    /// The current list is complete.
    listed: bool,
}

impl Link {
    fn event(&mut self, event: watcher::Event<ConfigMap>, set: &mut set::Set) {
        match event {
            // Comes before the request is sent: it tells nothing.
            watcher::Event::Init => self.listed = false,
            watcher::Event::InitApply(index) | watcher::Event::Apply(index) => {
                self.answered();
                match index.data.as_ref().and_then(|data| data.get(INDEX_KEY)) {
                    Some(text) if !text.trim().is_empty() => set.want(text),
                    _ => debug!(namespace = self.namespace, "the index is empty: the operator has not written yet"),
                }
            }
            watcher::Event::InitDone => {
                self.answered();
                self.listed = true;
            }
            watcher::Event::Delete(_) => {
                let text = format!("ConfigMap {}/{INDEX_NAME} was deleted", self.namespace);
                self.sink.reject(super::Source::Watch, Outcome::Missing, &text);
            }
        }
    }

    fn answered(&mut self) {
        if self.up != Some(true) {
            info!(namespace = self.namespace, "watching the configuration");
        }
        self.up = Some(true);
    }

    fn down(&mut self, error: &watcher::Error) {
        // The API server ends watches as a matter of course, and old ones with 410; the next list tells whether it is there.
        if matches!(error, watcher::Error::WatchError(_) | watcher::Error::WatchFailed(_)) {
            debug!(%error, "the watch ended");
            return;
        }
        if self.up != Some(false) {
            let namespace = &self.namespace;
            warn!(%error, namespace, "cannot watch the configuration; serving what is there and trying on");
        }
        self.up = Some(false);
        self.synced.send_if_modified(|synced| {
            let first = *synced != Synced::Listed;
            if first {
                *synced = Synced::Unreachable { error: error.to_string() };
            }
            first
        });
    }

    fn tell(&self, set: &set::Set) {
        if self.listed && self.up == Some(true) && set.is_idle() {
            self.synced.send_if_modified(|synced| std::mem::replace(synced, Synced::Listed) != Synced::Listed);
        }
    }
}

#[cfg(test)]
mod tests;
