//! The leader's work: one reconcile of the whole fleet after every burst of changes.
//!
//! ```text
//! resolve -> compile -> fit -> build -> plan -> (tell the reporter) -> apply -> (hurry the followers)
//! ```

pub mod apply;
pub mod build;
pub mod debounce;
pub mod fit;
pub mod plan;
pub mod resolve;
pub mod seed;
pub mod written;

use crate::confirm::Acknowledged;
use crate::history::{History, digests};
use crate::metrics::{Metrics, milliseconds};
use crate::report::Desired;
use crate::stores::Stores;
use apply::{Applier, ApplyError};
use build::{Prepared, build};
use fit::{FitError, Fitted, ages, fit};
use kube::Client;
use plan::plan;
use relay_compile::{Compiled, ObjectKey, Verdict, compile};
use resolve::{Resolved, resolve};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::{error, info, warn};
use written::Written;

/// First and longest pause before a write that failed is tried again. A change does not wait for it.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// Objects that somebody else changed are put right at most this often, so that a fight with another writer stays cheap.
const REPAIR_EVERY: Duration = Duration::from_secs(1);

/// What a leadership works with.
pub struct Controller {
    stores: Arc<Stores>,
    written: Arc<Written>,
    acknowledged: Arc<Acknowledged>,
    applier: Applier,
    watched: Vec<String>,
    metrics: Metrics,
    desired: watch::Sender<Option<Arc<Desired>>>,
}

/// Why a set is not in the cluster.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    /// Nothing helps but another set.
    #[error(transparent)]
    Fit(#[from] FitError),
    /// Trying again may help.
    #[error(transparent)]
    Apply(#[from] ApplyError),
}

/// What a reconcile did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Done {
    Written,
    Unchanged,
}

/// What a controller remembers between two reconciles.
struct Course {
    history: History,
    /// When the newest set was first wanted.
    started: Instant,
    /// See [`Desired::measured`].
    measured: bool,
}

/// Where and of what a controller writes.
pub struct Scope<'a> {
    /// Namespace of the objects that it writes.
    pub config_namespace: &'a str,
    /// Namespaces that are watched; empty: all.
    pub watched: &'a [String],
}

impl Controller {
    /// Makes a controller; what it wants can be followed by the receiver.
    pub fn new(
        client: &Client,
        scope: &Scope,
        stores: Arc<Stores>,
        written: Arc<Written>,
        acknowledged: Arc<Acknowledged>,
        metrics: Metrics,
    ) -> (Self, watch::Receiver<Option<Arc<Desired>>>) {
        let (desired, receiver) = watch::channel(None);
        let applier = Applier::new(client, scope.config_namespace, Arc::clone(&written), metrics.clone());
        let watched = scope.watched.to_vec();
        (Self { stores, written, acknowledged, applier, watched, metrics, desired }, receiver)
    }

    /// Reconciles until it is dropped.
    pub async fn run(&self) {
        self.complete().await;
        let history = seed::seed(&self.written.take_found(), &self.stores);
        let mut course = Course { history, started: Instant::now(), measured: false };
        let mut pause = PAUSES.0;
        loop {
            let started = Instant::now();
            let outcome = self.reconcile(&mut course).await;
            self.metrics.reconcile_ms.observe(milliseconds(started.elapsed()));
            self.metrics.reconciles.with_label_values(&[label(&outcome)]).inc();
            let retry = match outcome {
                Ok(_) => None,
                Err(Trouble::Fit(error)) => {
                    error!(%error, "the set is not written; proxies keep what they have");
                    None
                }
                Err(Trouble::Apply(error)) => {
                    warn!(%error, pause_ms = pause.as_millis(), "trying again");
                    Some(started + pause)
                }
            };
            pause = if retry.is_some() { (pause * 2).min(PAUSES.1) } else { PAUSES.0 };
            self.next(started, retry).await;
        }
    }

    /// Returns once everything was listed: a set of half the objects would take the other half from the proxies.
    async fn complete(&self) {
        while !self.stores.complete() {
            self.stores.wakes.fleet.notified().await;
        }
        while !self.written.listed() {
            self.written.changed.notified().await;
        }
    }

    /// Returns when there is something to do.
    async fn next(&self, started: Instant, retry: Option<Instant>) {
        let repair = async {
            self.written.changed.notified().await;
            sleep_until(started + REPAIR_EVERY).await;
        };
        let retry = async {
            match retry {
                Some(retry) => sleep_until(retry).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = debounce::settle(&self.stores.wakes.fleet) => {}
            () = repair => {}
            () = retry => {}
        }
    }

    async fn reconcile(&self, course: &mut Course) -> Result<Done, Trouble> {
        let started = Instant::now();
        let Resolved { inputs, unreadable } = resolve(&self.stores, &self.watched);
        let mut compiled = compile(&inputs);
        compiled.verdicts.extend(unreadable);
        let fitted = fit(&mut compiled, || ages(&inputs));
        let Compiled { snapshot, verdicts } = compiled;
        let prepared = match fitted {
            Ok(Fitted { shards, left_out }) => {
                self.tell_left_out(left_out);
                build(shards)
            }
            Err(error) => {
                course.history.push_unwritten(digests(&snapshot));
                self.tell(course, Arc::new(verdicts), Some(error.to_string()));
                return Err(error.into());
            }
        };
        let plan = plan(&prepared, &self.written.known(), unix_ms());
        // The history knows the set before the first proxy can have it: its answer must be understood.
        if course.wants_other(&prepared.shards.revision) {
            (course.started, course.measured) = (started, plan.index.is_some());
        }
        course.history.push(&prepared.shards.revision, digests(&snapshot));
        let verdicts = Arc::new(verdicts);
        self.tell(course, Arc::clone(&verdicts), None);
        if plan.is_empty() {
            return Ok(Done::Unchanged);
        }
        if let Err(error) = self.write(&prepared, &plan, started).await {
            self.tell(course, verdicts, Some(error.to_string()));
            return Err(error.into());
        }
        Ok(Done::Written)
    }

    /// Says how many objects are too large for their shards; in the log where that changed.
    fn tell_left_out(&self, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        if count != self.metrics.left_out.get() {
            self.metrics.left_out.set(count);
            warn!(
                objects = count,
                "objects left out of the set, since their shards would be too large; their conditions tell"
            );
        }
    }

    /// Tells the reporter what is wanted.
    fn tell(&self, course: &Course, verdicts: Arc<BTreeMap<ObjectKey, Verdict>>, trouble: Option<String>) {
        let Course { history, started, measured } = course;
        let desired = Desired { verdicts, history: history.clone(), trouble, started: *started, measured: *measured };
        self.desired.send_replace(Some(Arc::new(desired)));
    }

    async fn write(&self, prepared: &Prepared, plan: &plan::Plan, started: Instant) -> Result<(), ApplyError> {
        self.applier.apply(prepared, plan).await?;
        self.acknowledged.hurry();
        let (revision, shards) = (&prepared.shards.revision, plan.shards.len());
        let took_ms = milliseconds(started.elapsed());
        info!(revision, shards, sequence = plan.index.as_ref().map(|index| index.sequence), took_ms, "written");
        Ok(())
    }
}

impl Course {
    fn wants_other(&self, revision: &str) -> bool {
        self.history.newest().is_none_or(|newest| &*newest.revision != revision)
    }
}

fn label(outcome: &Result<Done, Trouble>) -> &'static str {
    match outcome {
        Ok(Done::Written) => "written",
        Ok(Done::Unchanged) => "unchanged",
        Err(Trouble::Fit(_) | Trouble::Apply(_)) => "error",
    }
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
