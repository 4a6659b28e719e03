//! How many retries and hedges a route's requests may have. Counted by each proxy for itself: over all replicas the shares are the same, since
//! each counts its own requests too.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;

/// Requests and retries of so many seconds are counted, as Finagle and Linkerd do.
pub(super) const WINDOW_SECONDS: usize = 10;
/// So many retries in a window are free, so that a route with few requests has any: one a second.
pub(super) const FREE: u64 = 10;

/// Retries in any ten seconds: at most [`FREE`] and a share of the requests in the same time. When a provider fails as a whole, the relay adds no
/// more than that to its load.
#[derive(Debug)]
pub struct RetryBudget {
    start: Instant,
    slots: Mutex<[Slot; WINDOW_SECONDS]>,
}

/// What happened in one second.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    second: u64,
    requests: u64,
    retries: u64,
}

impl RetryBudget {
    pub(super) fn new(now: Instant) -> Self {
        Self { start: now, slots: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, [Slot; WINDOW_SECONDS]> {
        // No invariant spans the lock: a panic inside leaves whole counts.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request began.
    pub fn request(&self, now: Instant) {
        let second = self.second(now);
        slot(&mut self.lock(), second).requests += 1;
    }

    /// Whether a retry would be within the budget of `percent`; 0: never.
    pub fn allows(&self, percent: u32, now: Instant) -> bool {
        let second = self.second(now);
        has_room(&self.lock(), percent, second)
    }

    /// Takes a retry out of the budget; false where it is spent.
    pub fn take(&self, percent: u32, now: Instant) -> bool {
        let second = self.second(now);
        let mut slots = self.lock();
        let allowed = has_room(&slots, percent, second);
        if allowed {
            slot(&mut slots, second).retries += 1;
        }
        allowed
    }

    fn second(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.start).as_secs()
    }
}

/// The slot of a second; what it held of an earlier round is forgotten.
fn slot(slots: &mut [Slot; WINDOW_SECONDS], second: u64) -> &mut Slot {
    // The remainder is below 10.
    #[allow(clippy::cast_possible_truncation)]
    let slot = &mut slots[(second % WINDOW_SECONDS as u64) as usize];
    if slot.second != second {
        *slot = Slot { second, ..Slot::default() };
    }
    slot
}

fn has_room(slots: &[Slot; WINDOW_SECONDS], percent: u32, second: u64) -> bool {
    let in_window = slots.iter().filter(|slot| slot.second + WINDOW_SECONDS as u64 > second);
    let (requests, retries) =
        in_window.fold((0, 0), |(requests, retries), slot| (requests + slot.requests, retries + slot.retries));
    percent > 0 && (retries + 1) * 100 <= FREE * 100 + requests * u64::from(percent)
}

/// Hedges: one, and then never more than a share of all requests so far.
#[derive(Debug)]
pub struct HedgeBudget {
    /// In hundredths of a hedge.
    saved: AtomicU32,
}

/// So many hedges are saved up at most, in hundredths.
const SAVED_MAX: u32 = 10 * 100;

impl Default for HedgeBudget {
    fn default() -> Self {
        Self { saved: AtomicU32::new(100) }
    }
}

impl HedgeBudget {
    /// A request began, of which `percent` of 100 may be hedged.
    pub fn request(&self, percent: u32) {
        let add = |saved: u32| Some(saved.saturating_add(percent).min(SAVED_MAX));
        // It never fails: the closure always gives a value.
        let _ = self.saved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// Takes a hedge out of the budget; false where it is spent.
    pub fn take(&self) -> bool {
        self.saved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |saved| saved.checked_sub(100)).is_ok()
    }
}
