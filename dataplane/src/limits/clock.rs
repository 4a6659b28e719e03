//! What time it is here: for accounts in this process, and for the windows that Redis chooses from.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// How far the system's clock may be ahead before it is believed: it was set, or the machine slept.
const LEAP: u64 = 30_000_000;

/// The system's time as it was at the start, carried on by tokio's clock, so that tests can move it. It follows the system's where that leaps ahead, and
/// never goes back.
pub(super) struct Clock {
    epoch: Instant,
    /// Microseconds since 1970 at `epoch`.
    base: AtomicU64,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self { epoch: Instant::now(), base: AtomicU64::new(system()) }
    }

    /// Microseconds since 1970.
    pub(super) fn micros(&self) -> u64 {
        let elapsed = micros(self.epoch.elapsed());
        let now = self.base.load(Relaxed).saturating_add(elapsed);
        let system = system();
        if system.saturating_sub(now) > LEAP {
            self.base.fetch_max(system.saturating_sub(elapsed), Relaxed);
            return system;
        }
        now
    }

    /// Seconds since 1970.
    pub(super) fn seconds(&self) -> i64 {
        i64::try_from(self.micros() / 1_000_000).unwrap_or(i64::MAX)
    }
}

fn system() -> u64 {
    micros(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
