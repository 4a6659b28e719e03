//! Stops asking a Redis that does not answer.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::Instant;

#[cfg(test)]
mod tests;

/// Misses in a row that open it.
pub(super) const MISSES: u32 = 5;
/// From one probe to the next while it is open.
const PROBE_EVERY: Duration = Duration::from_millis(250);

/// Closed: every decision asks Redis. Open, after [`MISSES`] misses in a row: one decision per interval does, the others go on at
/// once. The first answer closes it. Probes leave nothing behind that a cancelled one could leak.
pub(super) struct Circuit {
    epoch: Instant,
    interval: u64,
    misses: AtomicU32,
    /// Microseconds since `epoch`.
    next_probe: AtomicU64,
}

impl Circuit {
    /// A probe lasts for `budget` at most: with an interval no shorter, there is one at a time.
    pub(super) fn new(budget: Duration) -> Self {
        let interval = u64::try_from(PROBE_EVERY.max(budget).as_micros()).unwrap_or(u64::MAX);
        Self { epoch: Instant::now(), interval, misses: AtomicU32::new(0), next_probe: AtomicU64::new(0) }
    }

    /// Whether to ask Redis now. When open, a `true` is the one probe of this interval.
    pub(super) fn lets_through(&self, now: Instant) -> bool {
        if self.misses.load(Relaxed) < MISSES {
            return true;
        }
        let due = self.next_probe.load(Relaxed);
        let now = self.micros(now);
        now >= due && self.next_probe.compare_exchange(due, now.saturating_add(self.interval), Relaxed, Relaxed).is_ok()
    }

    /// Redis answered.
    pub(super) fn hit(&self) {
        // The load keeps the cache line shared between cores as long as all is well.
        if self.misses.load(Relaxed) != 0 && self.misses.swap(0, Relaxed) >= MISSES {
            tracing::info!("Redis answers again: limits are shared by all proxies");
        }
    }

    /// Redis did not answer in time, or with an error.
    pub(super) fn miss(&self, now: Instant) {
        let add = |misses: u32| Some(misses.saturating_add(1));
        let before = self.misses.fetch_update(Relaxed, Relaxed, add).unwrap_or_default();
        if before.saturating_add(1) == MISSES {
            self.next_probe.store(self.micros(now).saturating_add(self.interval), Relaxed);
            tracing::warn!("Redis does not answer in time: each proxy keeps its own share of the limits");
        }
    }

    /// There is a new connection: the next decision may probe it.
    pub(super) fn probe_soon(&self) {
        self.next_probe.store(0, Relaxed);
    }

    fn micros(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.epoch).as_micros()).unwrap_or(u64::MAX)
    }
}
