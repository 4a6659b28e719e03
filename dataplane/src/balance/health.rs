//! Passive health of a backend: what its answers to real requests tell.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// So many failures in a row, and a backend is passed over.
pub(super) const FAILURES: u32 = 5;
/// How long it is passed over the first time. Twice as long after each probe that fails.
pub(super) const EJECTION: Duration = Duration::from_secs(5);
/// The longest time between two probes, jitter not counted.
pub(super) const EJECTION_MAX: Duration = Duration::from_mins(5);
/// A fifth is added at most, at random, so that the probes of many proxies do not meet.
const JITTER: f64 = 0.2;

/// What an attempt tells of its backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// It answered; also with 429 or another 4xx, which speak of the request or of the account.
    Well,
    /// No connection, a connection that broke before the first byte, no first byte in time though it had half of that time or more, 502, 503, 504 or
    /// 529, or an error of the provider's own in place of a stream.
    Ill,
}

/// Health of one backend of one route; shared by all tables that name it.
#[derive(Debug, Default)]
pub struct Health {
    state: Mutex<State>,
}

#[derive(Debug, PartialEq)]
enum State {
    Well {
        /// In a row.
        failures: u32,
    },
    Out {
        until: Instant,
        /// Ejections in a row.
        times: u32,
        /// A request is under way that shows whether it is well again.
        probing: bool,
    },
}

impl Default for State {
    fn default() -> Self {
        Self::Well { failures: 0 }
    }
}

impl Health {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No invariant spans the lock: a panic inside leaves a whole state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it takes requests as usual.
    pub fn is_well(&self) -> bool {
        matches!(*self.lock(), State::Well { .. })
    }

    /// Whether a request may go there now: it is well, or a probe is due.
    pub fn fits(&self, now: Instant) -> bool {
        match *self.lock() {
            State::Well { .. } => true,
            State::Out { until, probing, .. } => !probing && now >= until,
        }
    }

    /// A request goes there. True: it is the probe, and must be followed by [`Health::report`] or [`Health::release`].
    pub(super) fn enter(&self, now: Instant) -> bool {
        match &mut *self.lock() {
            State::Out { until, probing, .. } if !*probing && now >= *until => {
                *probing = true;
                true
            }
            _ => false,
        }
    }

    /// The probe ended without a result, such as when its client went away: the next request is one.
    pub(super) fn release(&self) {
        if let State::Out { probing, .. } = &mut *self.lock() {
            *probing = false;
        }
    }

    /// What came of a request. `jitter` is in 0..1. True: it is well, and was not before, or the other way round.
    pub(super) fn report(&self, sign: Sign, is_probe: bool, now: Instant, jitter: f64) -> bool {
        let mut state = self.lock();
        match (&mut *state, sign) {
            (State::Well { failures }, Sign::Well) => {
                *failures = 0;
                false
            }
            (State::Well { failures }, Sign::Ill) => {
                *failures += 1;
                let is_out = *failures >= FAILURES;
                if is_out {
                    *state = State::Out { until: now + ejection(1, jitter), times: 1, probing: false };
                }
                is_out
            }
            // Also of a request that was sent before, or because all were out: it does answer.
            (State::Out { .. }, Sign::Well) => {
                *state = State::default();
                true
            }
            (State::Out { until, times, probing }, Sign::Ill) => {
                if is_probe {
                    *times = times.saturating_add(1);
                    *until = now + ejection(*times, jitter);
                    *probing = false;
                }
                false
            }
        }
    }
}

/// How long the ejection with this number, from 1, lasts.
fn ejection(number: u32, jitter: f64) -> Duration {
    let doubled = EJECTION.saturating_mul(1_u32.checked_shl(number.saturating_sub(1)).unwrap_or(u32::MAX));
    doubled.min(EJECTION_MAX).mul_f64(1.0 + JITTER * jitter.clamp(0.0, 1.0))
}
