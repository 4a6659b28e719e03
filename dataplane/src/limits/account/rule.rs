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

/// The longest debt, in tokens beyond the burst: ten times what one request can be charged. The arithmetic of the script is proved up to it.
const DEBT_MAX: u64 = 10_000_000_000;

/// A bucket, under the rule that it was last used with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bucket {
    rule: Rule,
    /// When it is full, in ticks of its rule since 1970.
    full_at: u128,
    /// When it was last changed, in seconds since 1970.
    written: u64,
}

impl Bucket {
    /// A bucket with this backlog. `now` in microseconds since 1970.
    pub(super) fn new(rule: Rule, backlog: Backlog, now: u64) -> Self {
        let full_at = u128::from(now) * u128::from(rule.amount) + backlog.0;
        Self { rule, full_at, written: now / 1_000_000 }
    }

    /// How long until it is full.
    pub(super) fn backlog(&self, now: u64) -> Backlog {
        // The clock may have been set back: nobody waits longer for it.
        let set_back = u128::from(self.written.saturating_sub(now / 1_000_000)) * MICROS;
        let ticks = (u128::from(now) + set_back) * u128::from(self.rule.amount);
        Backlog(self.full_at.saturating_sub(ticks))
    }

    /// The same bucket as of now, so that a clock that was set back runs on from here.
    pub(super) fn at(&self, now: u64) -> Self {
        if self.written > now / 1_000_000 { Self::new(self.rule, self.backlog(now), now) } else { *self }
    }

    /// The same bucket under this rule: the tokens that are out stay out, at most all that there are, and come back at the new rate.
    pub(super) fn under(&self, rule: Rule, now: u64) -> Self {
        if self.rule == rule {
            return self.at(now);
        }
        // Up, so that a change never gives a tick away.
        let carried = (self.backlog(now).0 * rule.token()).div_ceil(self.rule.token());
        Self::new(rule, Backlog(carried.min(rule.capacity())), now)
    }

    /// The same bucket with tokens taken, down to the longest debt, or given back, up to full.
    pub(super) fn plus(&self, tokens: i64, now: u64) -> Self {
        let backlog = self.backlog(now).0;
        let ticks = u128::from(tokens.unsigned_abs()) * self.rule.token();
        let changed = if tokens < 0 {
            backlog.saturating_sub(ticks)
        } else {
            let most = (u128::from(self.rule.burst) + u128::from(DEBT_MAX)) * self.rule.token();
            (backlog + ticks).min(most)
        };
        Self::new(self.rule, Backlog(changed), now)
    }

    /// When it is full, in seconds since 1970, rounded up.
    pub(super) fn full_at(&self) -> u64 {
        u64::try_from(self.full_at.div_ceil(u128::from(self.rule.amount) * MICROS)).unwrap_or(u64::MAX)
    }
}
