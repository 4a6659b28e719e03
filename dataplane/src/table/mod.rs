//! What the proxy serves, ready for requests: keys to tenants, and each tenant's own routes. Built whole from a snapshot and swapped whole.

mod entry;
mod matching;
#[cfg(test)]
mod tests;

pub use entry::{BackendEntry, Origin, RouteEntry, TenantEntry};
pub use matching::{Found, ModelNeed};

use aws_lc_rs::digest::{SHA256, digest};
use relay_snapshot::{ObjectId, Snapshot};
use std::collections::HashMap;
use std::sync::Arc;

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
    keys: HashMap<Digest, Arc<TenantEntry>>,
}

/// A caller that showed a valid key.
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
            for digest in tenant.keys.iter().filter_map(|key| decode(&key.sha256)) {
                keys.entry(digest).or_insert_with(|| Arc::clone(&entry));
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

    /// Whose key this is. Only the SHA-256 of the text is ever compared: how long that takes tells of the digest, which nobody can steer towards a
    /// stored one, and nothing of the key.
    pub fn caller(&self, key: &[u8]) -> Option<Caller<'_>> {
        let hashed = digest(&SHA256, key);
        let (digest, tenant) = self.keys.get_key_value(hashed.as_ref())?;
        Some(Caller { tenant, key_id: hex::encode(&digest[..4]) })
    }
}

fn decode(sha256: &str) -> Option<Digest> {
    let mut digest = [0; 32];
    hex::decode_to_slice(sha256, &mut digest).ok().map(|()| digest)
}
