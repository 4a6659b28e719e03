//! Accounts in this process.

use super::call::{Call, Reply};
use super::tenant::Tenant;
use relay_snapshot::ObjectId;
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

const SHARDS: usize = 32;
/// A shard with fewer entries is not worth a sweep.
const SWEEP_MIN: usize = 64;

/// The accounts of all tenants, in memory. Idle ones are swept as others come, so that a shard holds at most twice the tenants that have
/// something to remember, or [`SWEEP_MIN`]; tenants come from the configuration, never from clients.
#[derive(Default)]
pub struct Account {
    hasher: RandomState,
    shards: [Mutex<Shard>; SHARDS],
}

#[derive(Default)]
struct Shard {
    tenants: HashMap<ObjectId, Tenant>,
    /// Sweep before growing beyond this.
    sweep_at: usize,
}

impl Account {
    /// Accounts of which nothing is known.
    pub fn new() -> Self {
        Self::default()
    }

    /// One change of a tenant's account, at `now` in microseconds since 1970.
    pub fn apply(&self, tenant: &ObjectId, now: u64, call: &Call<'_>) -> Reply {
        self.shard(tenant).tenant(tenant, now).apply(now, call)
    }

    /// Forgets all of a tenant's account: it begins anew.
    pub fn forget(&self, tenant: &ObjectId) {
        self.shard(tenant).tenants.remove(tenant);
    }

    // The lock is held for a microsecond or two, but for a sweep, and never across an await.
    fn shard(&self, tenant: &ObjectId) -> MutexGuard<'_, Shard> {
        let index = usize::try_from(self.hasher.hash_one(tenant) % SHARDS as u64).unwrap_or_default();
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn tenants(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).tenants.len()).sum()
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").finish_non_exhaustive()
    }
}

impl Shard {
    fn tenant(&mut self, id: &ObjectId, now: u64) -> &mut Tenant {
        if !self.tenants.contains_key(id) {
            // Doubling the mark after each sweep keeps the cost of sweeping constant per new tenant.
            if self.tenants.len() >= self.sweep_at.max(SWEEP_MIN) {
                self.tenants.retain(|_, tenant| !tenant.is_idle(now));
                self.sweep_at = 2 * self.tenants.len();
            }
            self.tenants.insert(id.clone(), Tenant::default());
        }
        self.tenants.entry(id.clone()).or_default()
    }
}
