//! What the proxy serves, ready for requests: keys to tenants, and each tenant's own routes. Built whole from a snapshot and swapped whole.

mod entry;
mod matching;
#[cfg(test)]
mod tests;

pub use entry::{BackendEntry, Origin, RouteEntry, TenantEntry};
pub use matching::{Chosen, Found, ModelNeed};

use aws_lc_rs::digest::{SHA256, digest};
use relay_snapshot::{ObjectId, Snapshot};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// SHA-256 of a tenant's key.
pub type Digest = [u8; 32];

/// A whole configuration, immutable.
#[derive(Default)]
pub struct Table {
    /// Digest of its content, 12 hex digits; empty before the first.
    pub revision: Arc<str>,
    /// All tenants, also those without a key.
    pub(crate) tenants: Vec<Arc<TenantEntry>>,
    /// All routes, also those that serve no tenant.
    routes: Vec<Arc<RouteEntry>>,
    keys: HashMap<Digest, Key>,
}

struct Key {
    tenant: Arc<TenantEntry>,
    /// From then on it is refused, in seconds since 1970.
    not_after: Option<i64>,
}

/// What a key is that somebody showed.
pub enum Shown<'a> {
    /// The tenant's own.
    Valid(Caller<'a>),
    /// It was the tenant's own; its time is over.
    Expired(Caller<'a>),
    /// Nobody's.
    Unknown,
}

/// Somebody who showed a tenant's key.
pub struct Caller<'a> {
    /// Whose key it is.
    pub tenant: &'a Arc<TenantEntry>,
    /// First 8 hex digits of the key's digest, for the log.
    pub key_id: String,
}

impl Table {
    /// Builds the table of a snapshot.
    pub fn new(snapshot: &Snapshot, revision: &str) -> Self {
        let mut per_tenant: HashMap<&ObjectId, Vec<Arc<RouteEntry>>> = HashMap::new();
        let mut routes = Vec::with_capacity(snapshot.routes.len());
        for route in &snapshot.routes {
            let entry = Arc::new(RouteEntry::new(route));
            for tenant in &route.tenants {
                per_tenant.entry(tenant).or_default().push(Arc::clone(&entry));
            }
            routes.push(entry);
        }
        let mut keys = HashMap::new();
        let mut tenants = Vec::with_capacity(snapshot.tenants.len());
        for tenant in &snapshot.tenants {
            let routes = per_tenant.remove(&tenant.id).unwrap_or_default();
            let entry = Arc::new(TenantEntry::new(tenant, &routes));
            for key in &tenant.keys {
                let Some(digest) = decode(&key.sha256) else { continue };
                keys.entry(digest).or_insert_with(|| Key { tenant: Arc::clone(&entry), not_after: key.not_after });
            }
            tenants.push(entry);
        }
        Self { revision: revision.into(), tenants, routes, keys }
    }

    /// All routes, in the order of their names.
    pub fn routes(&self) -> &[Arc<RouteEntry>] {
        &self.routes
    }

    /// Takes over what `before` knows of the backends that both name: their turn, their health, what is left of the retries. Only before the table
    /// is served.
    pub fn carry_over(&self, before: &Self) {
        let known: HashMap<&str, &Arc<RouteEntry>> = before.routes.iter().map(|route| (&*route.label, route)).collect();
        for route in &self.routes {
            if let Some(before) = known.get(&*route.label) {
                route.carry_over(before);
            }
        }
    }

    /// Whose key this is, and whether it is valid at `now`, by this proxy's own clock. Only the SHA-256 of the text is ever compared: how long that takes tells of the digest, which nobody can steer towards a
    /// stored one, and nothing of the key.
    pub fn caller(&self, key: &[u8], now: SystemTime) -> Shown<'_> {
        let hashed = digest(&SHA256, key);
        let Some((digest, known)) = self.keys.get_key_value(hashed.as_ref()) else { return Shown::Unknown };
        let caller = Caller { tenant: &known.tenant, key_id: hex::encode(&digest[..4]) };
        match known.not_after {
            Some(end) if seconds(now) >= end => Shown::Expired(caller),
            _ => Shown::Valid(caller),
        }
    }
}

/// Since 1970; a clock that stands before is at 0.
fn seconds(now: SystemTime) -> i64 {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn decode(sha256: &str) -> Option<Digest> {
    let mut digest = [0; 32];
    hex::decode_to_slice(sha256, &mut digest).ok().map(|()| digest)
}
