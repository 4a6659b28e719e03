//! A token bucket's rule, in whole numbers.
//!
//! Time runs in ticks of 1/`amount` microsecond. So a microsecond gives back `amount` ticks and a token costs `period * 1_000_000` of them,
//! whatever the limit (7 a day, too): no interval is ever rounded, the burst is exact and the sustained rate is neither exceeded nor missed.

use relay_snapshot::RateLimit;
use std::time::Duration;

/// Microseconds of a second.
const MICROS: u128 = 1_000_000;
/// The longest period of the contract, a day. The arithmetic of the script is proved up to it.
const PERIOD_MAX: u64 = 86_400;

/// A limit by token bucket that lets something through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    amount: u32,
    period: u32,
    burst: u32,
}

/// How long until a bucket is full: ticks of 1/`amount` microsecond of its rule. More than the bucket holds is a debt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Backlog(pub u128);

impl Rule {
    /// `None` for amount 0: nothing passes, ever. Burst is at least 1 and the period at most a day, as the snapshot promises.
    pub fn new(limit: &RateLimit) -> Option<Self> {
        let period = u32::try_from(limit.per_seconds.clamp(1, PERIOD_MAX)).unwrap_or(u32::MAX);
        (limit.amount > 0).then(|| Self { amount: limit.amount, period, burst: limit.burst.max(1) })
    }

    /// The part of one of `proxies`: amount and burst divided and rounded down, but at least 1. 0 counts as 1.
    #[must_use]
    pub fn share(self, proxies: u32) -> Self {
        let part = |whole: u32| (whole / proxies.max(1)).max(1);
        Self { amount: part(self.amount), burst: part(self.burst), ..self }
    }

    /// Tokens per period.
    pub fn amount(self) -> u32 {
        self.amount
    }

    /// The period in seconds.
    pub fn period(self) -> u32 {
        self.period
    }

    /// The bucket's size in tokens.
    pub fn burst(self) -> u32 {
        self.burst
    }

    /// Whole tokens that are there.
    pub fn remaining(self, backlog: Backlog) -> u64 {
        let room = self.capacity().saturating_sub(backlog.0);
        u64::try_from(room / self.token()).unwrap_or(u64::MAX)
    }

    /// Until the bucket is full, rounded up to a microsecond.
    pub fn reset(self, backlog: Backlog) -> Duration {
        self.duration(backlog.0)
    }

    /// Until `cost` tokens pass (all that the bucket holds, if it holds fewer), rounded up to a microsecond; zero when they pass now.
    pub fn wait(self, backlog: Backlog, cost: u64) -> Duration {
        self.duration((backlog.0 + self.needs(cost)).saturating_sub(self.capacity()))
    }

    /// Whether `cost` tokens pass.
    pub fn admits(self, backlog: Backlog, cost: u64) -> bool {
        cost == 0 || backlog.0 + self.needs(cost) <= self.capacity()
    }

    /// Ticks that must be there before `cost` tokens pass: more than all could never be.
    fn needs(self, cost: u64) -> u128 {
        u128::from(cost.min(self.burst.into())) * self.token()
    }

    /// Ticks until one token is back.
    pub fn token(self) -> u128 {
        u128::from(self.period) * MICROS
    }

    /// Ticks until an empty bucket is full.
    pub fn capacity(self) -> u128 {
        u128::from(self.burst) * self.token()
    }

    fn duration(self, ticks: u128) -> Duration {
        let micros = ticks.div_ceil(u128::from(self.amount));
        let seconds = u64::try_from(micros / MICROS).unwrap_or(u64::MAX);
        Duration::new(seconds, u32::try_from(micros % MICROS).unwrap_or_default() * 1000)
    }
}
