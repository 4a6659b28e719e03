//! Writes statuses: at most [`CONCURRENCY`] at once, beside the controller, so that no change waits for the words about the one before it.

use super::status::{Facts, OURS, Status, kind_of, status};
use super::{Desired, SETTLING};
use crate::brief::brief;
use crate::confirm::Acknowledged;
use crate::controller::apply::FIELD_MANAGER;
use crate::metrics::{Metrics, milliseconds};
use crate::programmed::Fleet;
use crate::sharing::{Sharing, Told};
use crate::stores::kinds::version_of;
use crate::stores::{Stores, Watched};
use futures::StreamExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::{Client, Resource};
use relay_compile::{Kind, ObjectKey, Verdict};
use relay_crds::{RelayRoute, RelayTenant};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, warn};

/// How many statuses are written at once.
pub const CONCURRENCY: usize = 8;
/// How long one write may take.
const PATCH_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause before writes that failed are tried again.
const RETRY: Duration = Duration::from_secs(1);

/// A status that somebody else wrote over is put right at most this often, so that two releases that watch one namespace do not write against each other
/// as fast as they can.
const REPAIR_EVERY: Duration = Duration::from_secs(10);

/// Writes statuses of all objects.
pub struct Reporter {
    client: Client,
    stores: Arc<Stores>,
    acknowledged: Arc<Acknowledged>,
    metrics: Metrics,
    /// Own writes that the stores may not show yet.
    own: Mutex<HashMap<ObjectKey, Own>>,
    /// What is told of the proxies that do not share the limits.
    sharing: Mutex<Sharing>,
}

/// An own write.
struct Own {
    uid: String,
    version: u64,
    status: Status,
    /// When it was written.
    at: Instant,
}

/// An object as the reporter finds it.
struct Found {
    uid: String,
    generation: Option<i64>,
    previous: Option<Status>,
    /// The own status that somebody else wrote over, and when that was written.
    lost: Option<(Status, Instant)>,
}

/// What the world looks like at one moment.
struct Sight {
    desired: Arc<Desired>,
    fleet: Fleet,
    settling: bool,
    sharing: Told,
}

/// What came of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Done, or there is nothing to be done any more.
    Done,
    /// To be tried again.
    Again,
}

impl Found {
    /// Until when `target` waits: where it says nothing that was not said before somebody else wrote over it. What is new never waits.
    fn held_until(&self, target: &Status) -> Option<Instant> {
        let (status, at) = self.lost.as_ref()?;
        Some(*at + REPAIR_EVERY).filter(|until| *until > Instant::now() && target.says(status))
    }
}

impl Reporter {
    /// Makes a reporter that has written nothing yet.
    pub fn new(client: Client, stores: Arc<Stores>, acknowledged: Arc<Acknowledged>, metrics: Metrics) -> Self {
        Self { client, stores, acknowledged, metrics, own: Mutex::default(), sharing: Mutex::default() }
    }

    /// Reports until it is dropped, or until the controller is.
    pub async fn run(&self, mut desired: watch::Receiver<Option<Arc<Desired>>>) {
        let mut confirmed = None;
        loop {
            let current = desired.borrow_and_update().clone();
            let wake = match current {
                Some(current) if self.stores.ready() => self.pass(&desired, &current, &mut confirmed).await,
                _ => None,
            };
            let waited = async {
                match wake {
                    Some(wake) => sleep_until(wake).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = desired.changed() => if changed.is_err() { return },
                () = self.stores.wakes.report.notified() => {}
                () = waited => {}
            }
        }
    }

    /// Looks at all objects and writes what differs. Gives when to look again although nothing changes.
    async fn pass(
        &self,
        latest: &watch::Receiver<Option<Arc<Desired>>>,
        desired: &Arc<Desired>,
        confirmed: &mut Option<Instant>,
    ) -> Option<Instant> {
        let mut sight = self.look(Arc::clone(desired));
        let steady = self.share(&mut sight);
        self.measure(&sight, confirmed);
        let now = now();
        let mut counts = BTreeMap::new();
        let mut writes = Vec::new();
        let (mut waiting, mut repair) = (false, None);
        for (key, verdict) in desired.verdicts.iter() {
            let Some(found) = self.find(key) else { continue };
            let target = Self::target(&sight, key, verdict, &found, &now);
            count(&mut counts, verdict, &target);
            waiting |= sight.settling && target.pending();
            if differs(&sight, &found, verdict, &target) {
                match found.held_until(&target) {
                    Some(later) => repair = repair.into_iter().chain([later]).min(),
                    None => writes.push(self.write(latest, key)),
                }
            }
        }
        self.publish(&counts);
        self.own().retain(|key, _| desired.verdicts.contains_key(key));
        let outcomes: Vec<Outcome> = futures::stream::iter(writes).buffer_unordered(CONCURRENCY).collect().await;
        let again = outcomes.contains(&Outcome::Again).then(|| Instant::now() + RETRY);
        let settled = waiting.then(|| desired.started + SETTLING);
        again.or(settled).into_iter().chain(repair).chain(steady).min()
    }

    fn look(&self, desired: Arc<Desired>) -> Sight {
        // Pods first: a pod that turns ready between the two looks is met as ready by the next pass, with what it serves.
        let pods = self.stores.proxies.state();
        let fleet = Fleet::new(pods.values().map(|pod| &**pod), &self.acknowledged.acks(), &desired.history);
        let settling = desired.started.elapsed() < SETTLING;
        let sharing = self.sharing().told().clone();
        Sight { desired, fleet, settling, sharing }
    }

    /// Takes what the proxies say of the limits, once all were asked. Gives when to look again.
    fn share(&self, sight: &mut Sight) -> Option<Instant> {
        if !sight.fleet.asked() {
            return None;
        }
        let mut sharing = self.sharing();
        let again = sharing.take(sight.fleet.apart().cloned(), Instant::now());
        sight.sharing = sharing.told().clone();
        again
    }

    /// Notes how long it took until every ready proxy served the wanted set; once a set.
    fn measure(&self, sight: &Sight, confirmed: &mut Option<Instant>) {
        let desired = &sight.desired;
        let Some(newest) = desired.history.newest() else { return };
        if desired.measured && *confirmed != Some(desired.started) && sight.fleet.all_at(&newest.revision) {
            *confirmed = Some(desired.started);
            self.metrics.ack_ms.observe(milliseconds(desired.started.elapsed()));
        }
    }

    fn target(sight: &Sight, key: &ObjectKey, verdict: &Verdict, found: &Found, now: &Time) -> Status {
        let standing = sight.desired.history.newest().and_then(|newest| newest.object(key));
        let serving = match standing {
            Some(standing) => sight.fleet.serving(key, standing.digest),
            None => crate::programmed::Serving { ready: sight.fleet.ready(), serving: 0 },
        };
        let trouble = sight.desired.trouble.as_deref();
        let (settling, sharing) = (sight.settling, &sight.sharing);
        let facts = Facts { verdict, standing, serving, settling, trouble, sharing };
        status(&facts, found.previous.as_ref(), now)
    }

    /// The object in the stores, or in the own writes where those are newer.
    fn find(&self, key: &ObjectKey) -> Option<Found> {
        match key.kind {
            Kind::Route => {
                let watched = self.stores.routes.get(&key.id)?;
                Some(self.found(key, &watched, |route| route.status.clone().map(Status::Route)))
            }
            Kind::Tenant => {
                let watched = self.stores.tenants.get(&key.id)?;
                Some(self.found(key, &watched, |tenant| tenant.status.clone().map(Status::Tenant)))
            }
        }
    }

    fn found<K>(&self, key: &ObjectKey, watched: &Watched<K>, stored: impl Fn(&K) -> Option<Status>) -> Found {
        let own = self.own();
        // The status of an object that is not readable is not, either: there the own memory is all there is.
        let newer = own
            .get(key)
            .filter(|own| own.uid == watched.uid && (own.version > watched.version || watched.object.is_err()));
        let stored = watched.object.as_ref().ok().and_then(|object| stored(object));
        let lost = own
            .get(key)
            .filter(|own| own.uid == watched.uid && own.version < watched.version)
            .filter(|own| stored.as_ref().is_some_and(|stored| *stored != own.status))
            .map(|own| (own.status.clone(), own.at));
        let previous = newer.map(|own| own.status.clone()).or(stored);
        Found { uid: watched.uid.clone(), generation: watched.generation, previous, lost }
    }

    /// Writes one status. What is true is looked up again: with many objects in a pass, a proxy may have come or gone since it began.
    async fn write(&self, latest: &watch::Receiver<Option<Arc<Desired>>>, key: &ObjectKey) -> Outcome {
        let Some(desired) = latest.borrow().clone() else { return Outcome::Done };
        let sight = self.look(desired);
        let (Some(verdict), Some(found)) = (sight.desired.verdicts.get(key), self.find(key)) else {
            return Outcome::Done;
        };
        let target = Self::target(&sight, key, verdict, &found, &now());
        if !differs(&sight, &found, verdict, &target) || found.held_until(&target).is_some() {
            return Outcome::Done;
        }
        let Ok(body) = target.patch(&found.uid) else { return Outcome::Done };
        let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let api = self.api(key);
        let patch = Patch::Merge(&body);
        let (label, outcome) = match timeout(PATCH_TIMEOUT, api.patch_status(&key.id.name, &parameters, &patch)).await {
            Ok(Ok(object)) => {
                let version = version_of(object.meta());
                self.own().insert(key.clone(), Own { uid: found.uid, version, status: target, at: Instant::now() });
                ("ok", Outcome::Done)
            }
            // Deleted, or made anew under its name: the stores will tell.
            Ok(Err(kube::Error::Api(status))) if status.is_not_found() || status.is_conflict() => {
                ("gone", Outcome::Done)
            }
            Ok(Err(error)) => {
                warn!(object = %key, error = %brief(&error), "status not written; trying again");
                ("error", Outcome::Again)
            }
            Err(_) => {
                warn!(object = %key, "status not written in time; trying again");
                ("error", Outcome::Again)
            }
        };
        self.metrics.status_patches.with_label_values(&[label]).inc();
        debug!(object = %key, result = label, "status");
        outcome
    }

    /// Untyped, so that the answer is readable where the object is not.
    fn api(&self, key: &ObjectKey) -> Api<DynamicObject> {
        let resource = match key.kind {
            Kind::Route => ApiResource::erase::<RelayRoute>(&()),
            Kind::Tenant => ApiResource::erase::<RelayTenant>(&()),
        };
        Api::namespaced_with(self.client.clone(), &key.id.namespace, &resource)
    }

    fn own(&self) -> MutexGuard<'_, HashMap<ObjectKey, Own>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sharing(&self) -> MutexGuard<'_, Sharing> {
        self.sharing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, counts: &Counts) {
        for kind in [Kind::Route, Kind::Tenant] {
            for (type_, status) in OURS.iter().flat_map(|c| ["True", "False", "Unknown"].map(|status| (*c, status))) {
                let count = counts.get(&(kind, type_.to_owned(), status.to_owned())).copied().unwrap_or(0);
                self.metrics.objects.with_label_values(&[kind.to_string().as_str(), type_, status]).set(count);
            }
        }
    }
}

type Counts = BTreeMap<(Kind, String, String), i64>;

fn count(counts: &mut Counts, verdict: &Verdict, target: &Status) {
    for condition in target.conditions() {
        let key = (kind_of(verdict), condition.type_.clone(), condition.status.clone());
        *counts.entry(key).or_default() += 1;
    }
}

/// Whether `target` is to be written. Not where a newer generation waits for its verdict, not merely to tell how far a young set got, and not to take
/// back that an object is served before the proxies were asked (a new leader has asked none).
fn differs(sight: &Sight, found: &Found, verdict: &Verdict, target: &Status) -> bool {
    if found.generation != verdict.generation {
        return false;
    }
    let current = |previous: &&Status| previous.observed_generation() == verdict.generation;
    let hold = match found.previous.as_ref().filter(current) {
        Some(previous) if previous.served() && target.lags() => !sight.fleet.asked(),
        Some(previous) if previous.pending() && target.pending() => sight.settling,
        _ => false,
    };
    !hold && found.previous.as_ref() != Some(target)
}

/// Times in statuses are whole seconds.
fn now() -> Time {
    let now = Timestamp::now();
    Time(Timestamp::from_second(now.as_second()).unwrap_or(now))
}

#[cfg(test)]
mod tests;
