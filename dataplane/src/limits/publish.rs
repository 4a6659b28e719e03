//! What is seen of the limits: metrics, and the word for the operator.

use super::Limiter;
use super::account::Level;
use crate::metrics::Metrics;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Whether limits are shared by all proxies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitsMode {
    /// There is no Redis: this process counts for itself.
    None,
    /// By Redis.
    Shared,
    /// Not now.
    Local {
        /// Why, for people.
        reason: &'static str,
    },
}

impl LimitsMode {
    const ALL: [&'static str; 3] = ["none", "shared", "local"];

    /// The value in metrics and on the admin port.
    pub const fn label(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Shared => "shared",
            Self::Local { .. } => "local",
        }
    }

    /// Why they are not shared; empty where they are.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::None => "no Redis is configured: each proxy counts for itself",
            Self::Shared => "",
            Self::Local { reason } => reason,
        }
    }
}

/// What became of a settle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    /// Taken by the account of all proxies.
    Shared,
    /// Taken by this proxy's share, and owed to Redis.
    Local,
    /// Redis did not know the reservation any more, since it was emptied or is another one by now: charged all the same.
    Late,
    /// Never sent: it waited too long, or too many waited, or the process ended before Redis was back (what was taken by this proxy's share is counted
    /// there, too).
    Lost,
}

impl Settled {
    const ALL: [Self; 4] = [Self::Shared, Self::Local, Self::Late, Self::Lost];

    const fn label(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Local => "local",
            Self::Late => "late",
            Self::Lost => "lost",
        }
    }
}

/// How many settles came to which end, since the start.
#[derive(Default)]
pub(super) struct Counts([AtomicU64; 4]);

impl Counts {
    pub(super) fn add(&self, settled: Settled, count: usize) {
        if count > 0 {
            self.0[settled as usize].fetch_add(count as u64, Relaxed);
        }
    }

    pub(super) fn of(&self, settled: Settled) -> u64 {
        self.0[settled as usize].load(Relaxed)
    }
}

impl Limiter {
    /// Writes the figures that are read and not counted. For one scrape at a time.
    pub fn publish(&self, metrics: &Metrics) {
        let mode = self.inner.mode.borrow().label();
        for label in LimitsMode::ALL {
            metrics.limits_mode.with_label_values(&[label]).set(i64::from(label == mode));
        }
        for settled in Settled::ALL {
            let counter = metrics.limit_settles.with_label_values(&[settled.label()]);
            counter.inc_by(self.inner.counts.of(settled).saturating_sub(counter.get()));
        }
        self.publish_remaining(metrics);
    }

    fn publish_remaining(&self, metrics: &Metrics) {
        // Limits that are gone, and tenants that are forgotten, are no longer told.
        metrics.limit_remaining.reset();
        for state in self.inner.tenants.all() {
            let tenant = state.id.to_string();
            for known in state.lock().known.values() {
                let remaining = match known.level() {
                    Level::Never => 0,
                    level => known.line.remaining(level),
                };
                let (route, limit) = known.key.rsplit_once(':').unwrap_or(("", &known.key));
                let gauge = metrics.limit_remaining.with_label_values(&[&tenant, route, limit]);
                gauge.set(i64::try_from(remaining).unwrap_or(i64::MAX));
            }
        }
    }
}
