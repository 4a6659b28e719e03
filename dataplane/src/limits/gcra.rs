//! GCRA, the token bucket that needs one number: the time at which the bucket is full again. Pure, exact, in whole numbers.
//!
//! Time runs in ticks of 1/`amount` microsecond. So a microsecond gives back `amount` ticks and a token costs
//! `period * 1_000_000` of them, whatever the limit (7 a day, too): no interval is ever rounded, the burst is exact and the sustained
//! rate is neither exceeded nor missed. `gcra.lua` does the same with pairs of doubles; a test holds the two together.

use relay_snapshot::RateLimit;
use std::time::Duration;

#[cfg(test)]
mod tests;

const MICROS: u128 = 1_000_000;
/// The longest period of the contract, a day. The arithmetic of `gcra.lua` is proved up to it.
const PERIOD_MAX: u64 = 86_400;

/// A limit that lets something through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    amount: u32,
    period: u32,
    burst: u32,
}

/// What is kept of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bucket {
    /// When it is full again, in ticks of `amount` since the clock's beginning.
    full_at: u128,
    amount: u32,
    period: u32,
}

/// One answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Whether the token was taken.
    pub(super) allowed: bool,
    /// Whole tokens left.
    pub(super) remaining: u32,
    /// Until the bucket is full again, rounded up to a microsecond.
    pub(super) reset: Duration,
    /// When denied: until a token is there, rounded up to a microsecond, at least one.
    pub(super) retry_after: Option<Duration>,
}

impl Rule {
    /// `None` for amount 0: nothing passes, ever. Burst is at least 1 and the period at most a day, as the snapshot promises.
    pub(super) fn new(limit: &RateLimit) -> Option<Self> {
        let period = u32::try_from(limit.per_seconds.clamp(1, PERIOD_MAX)).unwrap_or(u32::MAX);
        (limit.amount > 0).then(|| Self { amount: limit.amount, period, burst: limit.burst.max(1) })
    }

    /// The part of one of `replicas` proxies: amount and burst divided and rounded down, but at least 1.
    pub(super) fn share(self, replicas: u32) -> Self {
        let part = |whole: u32| (whole / replicas.max(1)).max(1);
        Self { amount: part(self.amount), burst: part(self.burst), ..self }
    }

    /// Tokens per period.
    pub(super) fn amount(self) -> u32 {
        self.amount
    }

    /// The period in seconds.
    pub(super) fn period(self) -> u32 {
        self.period
    }

    /// The bucket's size in tokens.
    pub(super) fn burst(self) -> u32 {
        self.burst
    }

    /// Ticks until one token is back.
    fn token(self) -> u128 {
        u128::from(self.period) * MICROS
    }

    /// Ticks until an empty bucket is full.
    fn capacity(self) -> u128 {
        u128::from(self.burst) * self.token()
    }

    /// What to tell of a bucket that is full again in `backlog` ticks.
    fn outcome(self, allowed: bool, backlog: u128) -> Outcome {
        let room = self.capacity().saturating_sub(backlog);
        let lacking = self.token().saturating_sub(room);
        Outcome {
            allowed,
            remaining: u32::try_from(room / self.token()).unwrap_or(u32::MAX),
            reset: self.duration(backlog),
            retry_after: (!allowed).then(|| self.duration(lacking)),
        }
    }

    /// The outcome that `gcra.lua` reports: the bucket is full again in `seconds` and `parts` of 1/(1e6 * amount) second.
    pub(super) fn outcome_of_script(self, allowed: bool, seconds: u64, parts: u64) -> Outcome {
        self.outcome(allowed, u128::from(seconds) * MICROS * u128::from(self.amount) + u128::from(parts))
    }

    fn duration(self, ticks: u128) -> Duration {
        let micros = ticks.div_ceil(u128::from(self.amount));
        let seconds = u64::try_from(micros / MICROS).unwrap_or(u64::MAX);
        Duration::new(seconds, u32::try_from(micros % MICROS).unwrap_or_default() * 1000)
    }
}

impl Bucket {
    /// Ticks of its own amount until it is full again.
    fn backlog(&self, now: u64) -> u128 {
        self.full_at.saturating_sub(u128::from(now) * u128::from(self.amount))
    }

    /// True when forgetting it changes nothing. `now` in microseconds since the clock's beginning.
    pub(super) fn is_full(&self, now: u64) -> bool {
        self.backlog(now) == 0
    }
}

/// Takes one token if there is one. `None` is a full bucket; `now` is in microseconds since the clock's beginning.
///
/// A limit that changed holds from this decision on: the tokens that are out stay out (at most all of the new burst) and come back at
/// the new rate.
pub(super) fn admit(rule: Rule, bucket: Option<Bucket>, now: u64) -> (Outcome, Bucket) {
    let backlog = bucket.map_or(0, |bucket| {
        let own_token = u128::from(bucket.period) * MICROS;
        let backlog = bucket.backlog(now);
        let carried = if (bucket.amount, bucket.period) == (rule.amount, rule.period) {
            backlog
        } else {
            // Up, so that a change never gives a tick away.
            (backlog * rule.token()).div_ceil(own_token)
        };
        carried.min(rule.capacity())
    });
    let taken = backlog + rule.token();
    let allowed = taken <= rule.capacity();
    let backlog = if allowed { taken } else { backlog };
    let full_at = u128::from(now) * u128::from(rule.amount) + backlog;
    (rule.outcome(allowed, backlog), Bucket { full_at, amount: rule.amount, period: rule.period })
}
