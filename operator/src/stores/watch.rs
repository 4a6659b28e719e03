//! One watch: list, follow, heal.

use crate::brief::brief;
use crate::metrics::Metrics;
use futures::StreamExt;
use kube::runtime::WatchStreamExt;
use kube::runtime::utils::{Backoff, ResetTimerBackoff};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Resource};
use prometheus::IntGauge;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::time::Duration;
use tokio::time::Instant;
use tracing::{debug, info, warn};

/// What it means that the API server does not let the operator read a kind, from the start on. Once something was listed it is kept in any case: a right
/// that was lost takes no credential from the proxies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// Nothing can be decided without it: try again.
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

/// Gives every event to `handle`, for ever, with whether the API server said so: false is an empty list that stands for a denial. Errors are logged,
/// counted and retried.
pub async fn follow<K>(
    api: Api<K>,
    config: watcher::Config,
    name: &'static str,
    denied: Denied,
    metrics: &Metrics,
    mut handle: impl FnMut(Event<K>, bool),
) where
    K: Resource<DynamicType: Default> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let stream = || {
        let pauses = ResetTimerBackoff::new(Pauses(PAUSES.0), RESET);
        watcher::watcher(api.clone(), config.clone()).backoff(pauses).boxed()
    };
    let mut events = stream();
    let mut health = Health::default();
    let mut stale = None;
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                metrics.watch_events.with_label_values(&[name, "event"]).inc();
                if !matches!(event, Event::Init) {
                    drop(stale.take());
                    if health.good() {
                        info!(watch = name, "watching again");
                    }
                }
                health.listed |= matches!(event, Event::InitDone);
                handle(event, true);
            }
            Err(error) => match failed(&error, name, denied, &mut health, metrics) {
                Then::Retry => {}
                // Whether what is known may still be read, a list tells.
                Then::List => events = stream(),
                Then::Keep => stale = Some(Stale::new(metrics.stale_watches.with_label_values(&[name]))),
                Then::Empty => {
                    handle(Event::Init, false);
                    handle(Event::InitDone, false);
                }
            },
        }
    }
}

/// Counts a watch as out of date, until it is dropped.
struct Stale(IntGauge);

impl Stale {
    fn new(gauge: IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Stale {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// What follows from a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Retry,
    List,
    /// What was listed is out of date from now on.
    Keep,
    Empty,
}

/// Counts and tells a failure.
fn failed(error: &watcher::Error, name: &str, denied: Denied, health: &mut Health, metrics: &Metrics) -> Then {
    let refused = forbidden(error);
    let result = if refused { "denied" } else { "error" };
    metrics.watch_events.with_label_values(&[name, result]).inc();
    let text = told(error);
    if health.bad() {
        warn!(watch = name, error = text, "watch failed; trying again until it works");
    } else {
        debug!(watch = name, error = text, "watch failed");
    }
    if !refused || !health.denied(Instant::now()) {
        return Then::Retry;
    }
    if !matches!(error, watcher::Error::InitialListFailed(_)) {
        return Then::List;
    }
    if health.listed {
        if !health.believe() {
            return Then::Retry;
        }
        let cure = "grant list and watch again; to give the objects up, restart the operator";
        warn!(watch = name, error = text, cure, "denied: what was read before is kept");
        return Then::Keep;
    }
    if denied == Denied::Wait {
        return Then::Retry;
    }
    if health.believe() {
        let cure = "make the namespace, grant list and watch in it, or take it from --watch-namespaces";
        warn!(watch = name, error = text, cure, "denied: as if there were none");
    }
    Then::Empty
}

/// How a watch is doing.
#[derive(Debug, Default)]
struct Health {
    failing: bool,
    /// The first and the last denial of a row.
    denials: Option<(Instant, Instant)>,
    believed: bool,
    /// Whether a list ever ended.
    listed: bool,
}

impl Health {
    /// Notes a success; true when it was failing before.
    fn good(&mut self) -> bool {
        let listed = self.listed;
        std::mem::replace(self, Self { listed, ..Self::default() }).failing
    }

    /// Notes a failure; true when it was not failing before.
    fn bad(&mut self) -> bool {
        !std::mem::replace(&mut self.failing, true)
    }

    /// Notes a denial; true when it lasts for [`DENIED_AFTER`]. A watch that works shows that only by its next event, which may be days away: so
    /// a denial long after another begins a new row.
    fn denied(&mut self, now: Instant) -> bool {
        let row = self.denials.filter(|(_, last)| now.duration_since(*last) < DENIED_AFTER);
        let first = row.map_or(now, |(first, _)| first);
        self.denials = Some((first, now));
        now.duration_since(first) >= DENIED_AFTER
    }

    /// Notes that a denial is believed; true the first time.
    fn believe(&mut self) -> bool {
        !std::mem::replace(&mut self.believed, true)
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
