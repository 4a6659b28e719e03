//! Which object stood how in which revision: what an acknowledged revision is worth to one object.
//!
//! A proxy acknowledges a revision, that is a whole set. An object is served as it stands where the acknowledged set has the same digest of it, whatever
//! else changed since. So a change of one object leaves the conditions of all others alone.

use relay_compile::{Kind, ObjectKey};
use relay_snapshot::shards::{digest_of_route, digest_of_tenant};
use relay_snapshot::{ObjectId, Snapshot};
use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How many revisions are remembered at least.
pub const REVISIONS: usize = 64;
/// How long a revision is remembered at least after another was wanted in its place, within the two bounds below. A proxy that lags by more is as one that
/// serves nothing known.
pub const REMEMBERED: Duration = Duration::from_mins(5);
/// How many revisions are remembered at most.
const REVISIONS_MAX: usize = 4096;
/// How many objects those beyond [`REVISIONS`] may bring the sum over all sets to, at some 40 bytes each: changes that come all the time in a large
/// fleet must not fill the memory.
const OBJECTS_MAX: usize = 1_000_000;

/// Stands for the revision of a set that can't be written. No proxy ever serves it.
const UNWRITTEN: &str = "unwritten";

/// Digest of what an object contributes to a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(u64);

/// Object to digest, of one snapshot.
pub type Digests = BTreeMap<ObjectKey, Digest>;

/// The digests of all objects in a snapshot. That of a tenant covers which routes serve it: a set in which they do not is none that serves the tenant
/// as it stands, though they, and not the tenant, carry it.
pub fn digests(snapshot: &Snapshot) -> Digests {
    let mut served: BTreeMap<&ObjectId, DefaultHasher> = BTreeMap::new();
    let routes = snapshot.routes.iter().map(|route| {
        for tenant in &route.tenants {
            route.id.hash(served.entry(tenant).or_default());
        }
        let key = ObjectKey { kind: Kind::Route, id: route.id.clone() };
        (key, digest(&digest_of_route(route)))
    });
    let mut digests: Digests = routes.collect();
    digests.extend(snapshot.tenants.iter().map(|tenant| {
        let key = ObjectKey { kind: Kind::Tenant, id: tenant.id.clone() };
        let Digest(own) = digest(&digest_of_tenant(tenant));
        (key, Digest(own ^ served.get(&tenant.id).map_or(0, Hasher::finish)))
    }));
    digests
}

/// The contract gives 16 hex digits; as a number 64 sets of 10,000 objects fit into some 25 MB.
fn digest(hex: &str) -> Digest {
    Digest(u64::from_str_radix(hex, 16).unwrap_or_default())
}

/// An object in a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// How it stands.
    pub digest: Digest,
    /// The revision in which it last changed.
    pub since: Arc<str>,
}

/// A set.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its revision.
    pub revision: Arc<str>,
    /// When it was added.
    at: Instant,
    objects: BTreeMap<Arc<ObjectKey>, Standing>,
}

impl Entry {
    /// An object of the set.
    pub fn object(&self, key: &ObjectKey) -> Option<&Standing> {
        self.objects.get(key)
    }
}

/// The last sets, oldest first. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct History(VecDeque<Arc<Entry>>);

impl History {
    /// A history that begins with the set that is in the cluster. `since` tells of an object in which revision it last changed, where that is known.
    pub fn seeded(revision: &str, digests: Digests, since: impl Fn(&ObjectKey) -> Option<String>) -> Self {
        let revision: Arc<str> = revision.into();
        let standing = |(key, digest): (ObjectKey, Digest)| {
            let since = since(&key).map_or_else(|| Arc::clone(&revision), Arc::from);
            (Arc::new(key), Standing { digest, since })
        };
        let objects = digests.into_iter().map(standing).collect();
        Self(VecDeque::from([Arc::new(Entry { revision, at: Instant::now(), objects })]))
    }

    /// Adds a set. One with the revision of the newest is the newest; an older one of that revision is moved. The oldest go, as
    /// [`REVISIONS`] and [`REMEMBERED`] have it.
    pub fn push(&mut self, revision: &str, digests: Digests) {
        self.0.retain(|entry| &*entry.revision != UNWRITTEN);
        if self.newest().is_some_and(|newest| &*newest.revision == revision) {
            return;
        }
        let entry = self.entry(revision.into(), digests);
        self.0.retain(|entry| &*entry.revision != revision);
        self.0.push_back(Arc::new(entry));
        self.forget();
    }

    fn forget(&mut self) {
        let mut objects: usize = self.0.iter().map(|entry| entry.objects.len()).sum();
        while self.0.len() > REVISIONS {
            // A set went out of use when the next one came.
            let old = self.0.get(1).is_none_or(|next| next.at.elapsed() >= REMEMBERED);
            if !old && self.0.len() <= REVISIONS_MAX && objects <= OBJECTS_MAX {
                return;
            }
            objects -= self.0.pop_front().map_or(0, |oldest| oldest.objects.len());
        }
    }

    /// Adds a set that can't be written; it is the newest until the next push.
    pub fn push_unwritten(&mut self, digests: Digests) {
        self.0.retain(|entry| &*entry.revision != UNWRITTEN);
        let entry = self.entry(UNWRITTEN.into(), digests);
        self.0.push_back(Arc::new(entry));
    }

    fn entry(&self, revision: Arc<str>, digests: Digests) -> Entry {
        let newest = self.newest();
        let standing =
            |(key, digest): (ObjectKey, Digest)| match newest.and_then(|newest| newest.objects.get_key_value(&key)) {
                Some((key, before)) if before.digest == digest => (Arc::clone(key), before.clone()),
                Some((key, _)) => (Arc::clone(key), Standing { digest, since: Arc::clone(&revision) }),
                None => (Arc::new(key), Standing { digest, since: Arc::clone(&revision) }),
            };
        let objects = digests.into_iter().map(standing).collect();
        Entry { revision, at: Instant::now(), objects }
    }

    /// The set that is wanted now.
    pub fn newest(&self) -> Option<&Arc<Entry>> {
        self.0.back()
    }

    /// The set of a revision, if it is remembered.
    pub fn of(&self, revision: &str) -> Option<&Arc<Entry>> {
        self.0.iter().rev().find(|entry| &*entry.revision == revision && revision != UNWRITTEN)
    }
}

#[cfg(test)]
mod tests;
