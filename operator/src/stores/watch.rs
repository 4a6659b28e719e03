//! One watch: list, follow, heal.

use crate::election::brief;
use crate::metrics::Metrics;
use futures::StreamExt;
use kube::runtime::WatchStreamExt;
use kube::runtime::utils::{Backoff, ResetTimerBackoff};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::pin::pin;
use std::time::Duration;
use tokio::time::Instant;
use tracing::{info, warn};

/// What it means that the API server does not let the operator read a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// Nothing can be decided without it: keep what there is and try again.
    Wait,
    /// As if there were no such object, once it was denied for [`DENIED_AFTER`].
    Empty,
}

/// An API server that starts denies everything for a moment, until it has read its roles. Only a denial that lasts is believed, so that a restart of
/// the API server takes no credential from the proxies.
pub const DENIED_AFTER: Duration = Duration::from_secs(10);

/// First and longest pause between two attempts. Shorter than kube's 0.8 s and 30 s: a change must not wait half a minute after the API server is back.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// After this long without an error, pauses start short again.
const RESET: Duration = Duration::from_mins(1);

/// Pauses that double, from the first to the longest of [`PAUSES`].
struct Pauses(Duration);

impl Iterator for Pauses {
    type Item = Duration;
    fn next(&mut self) -> Option<Duration> {
        let pause = self.0;
        self.0 = (pause * 2).min(PAUSES.1);
        Some(pause)
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        self.0 = PAUSES.0;
    }
}

/// Gives every event to `handle`, for ever. Errors are logged, counted and retried.
pub async fn follow<K>(
    api: Api<K>,
    config: watcher::Config,
    name: &'static str,
    denied: Denied,
    metrics: &Metrics,
    mut handle: impl FnMut(Event<K>),
) where
    K: Resource<DynamicType: Default> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let pauses = ResetTimerBackoff::new(Pauses(PAUSES.0), RESET);
    let mut events = pin!(watcher::watcher(api, config).backoff(pauses));
    let mut denials = Denials::default();
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                metrics.watch_events.with_label_values(&[name, "event"]).inc();
                if !matches!(event, Event::Init) && denials.end() {
                    info!(watch = name, "readable again");
                }
                handle(event);
            }
            Err(error) if forbidden(&error) => {
                metrics.watch_events.with_label_values(&[name, "denied"]).inc();
                if denials.lasts(Instant::now()) && denied == Denied::Empty {
                    warn!(watch = name, error = %told(&error), "denied: treated as if there were none; grant list and watch, or set --watch-namespaces");
                    handle(Event::Init);
                    handle(Event::InitDone);
                } else {
                    warn!(watch = name, error = %told(&error), "denied");
                }
            }
            Err(error) => {
                metrics.watch_events.with_label_values(&[name, "error"]).inc();
                warn!(watch = name, error = %told(&error), "watch failed; trying again");
            }
        }
    }
}

/// How long reading was denied, without a success between.
#[derive(Debug, Default)]
struct Denials(Option<Instant>);

impl Denials {
    /// Notes a denial; true when it lasts for [`DENIED_AFTER`].
    fn lasts(&mut self, now: Instant) -> bool {
        now.duration_since(*self.0.get_or_insert(now)) >= DENIED_AFTER
    }

    /// Notes a success; true when there was a denial before it.
    fn end(&mut self) -> bool {
        self.0.take().is_some()
    }
}

fn forbidden(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => status.is_forbidden(),
        _ => false,
    }
}

fn told(error: &watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => brief(error),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests;
