//! Buckets in this process.

use super::gcra::{self, Bucket, Outcome, Rule};
use relay_snapshot::ObjectId;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};
use tokio::time::Instant;

const SHARDS: usize = 32;
/// A shard with fewer entries is not worth a sweep.
const SWEEP_MIN: usize = 64;

/// Buckets by tenant. Full ones are swept as others come, so that a shard holds at most twice the tenants that were seen since their
/// buckets were last full, or [`SWEEP_MIN`]; tenants come from the configuration, never from clients.
pub(super) struct Memory {
    epoch: Instant,
    hasher: RandomState,
    shards: [Mutex<Shard>; SHARDS],
}

#[derive(Default)]
struct Shard {
    buckets: HashMap<ObjectId, Bucket>,
    /// Sweep before growing beyond this.
    sweep_at: usize,
}

impl Memory {
    pub(super) fn new() -> Self {
        Self { epoch: Instant::now(), hasher: RandomState::new(), shards: std::array::from_fn(|_| Mutex::default()) }
    }

    /// Takes one token of the tenant's bucket, if there is one.
    pub(super) fn admit(&self, tenant: &ObjectId, rule: Rule) -> Outcome {
        let now = self.now();
        // The lock is held for some tens of nanoseconds, but for a sweep, and never across an await.
        let mut shard = self.shard(tenant).lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = shard.buckets.get_mut(tenant) {
            let (outcome, after) = gcra::admit(rule, Some(*bucket), now);
            *bucket = after;
            return outcome;
        }
        shard.make_room(now);
        let (outcome, after) = gcra::admit(rule, None, now);
        shard.buckets.insert(tenant.clone(), after);
        outcome
    }

    fn shard(&self, tenant: &ObjectId) -> &Mutex<Shard> {
        let hash = self.hasher.hash_one(tenant);
        let index = usize::try_from(hash % SHARDS as u64).unwrap_or_default();
        &self.shards[index]
    }

    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    #[cfg(test)]
    pub(super) fn entries(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).buckets.len()).sum()
    }
}

impl Shard {
    /// Doubling the mark after each sweep keeps the cost of sweeping constant per new tenant.
    fn make_room(&mut self, now: u64) {
        if self.buckets.len() < self.sweep_at.max(SWEEP_MIN) {
            return;
        }
        self.buckets.retain(|_, bucket| !bucket.is_full(now));
        self.sweep_at = 2 * self.buckets.len();
    }
}
