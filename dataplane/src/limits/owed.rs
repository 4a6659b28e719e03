//! What Redis is to be charged for requests that it was not asked about.

use super::account::{COST_MAX, Limit, Line, Rule};
use super::clock::micros;
use std::time::Duration;
use tokio::time::Instant;

#[cfg(test)]
mod tests;

/// What is owed of one limit.
///
/// A budget is owed all of it. A bucket is owed what its refill has not paid back meanwhile: the tokens of an outage came back in Redis, too, and who was
/// charged all at once at its end would have to wait for as long as it lasted, and pay twice. This proxy's share of the rate pays, from when the
/// bucket is full again by what is known of it: until then the rate pays for what was out before.
pub(super) struct Owed {
    pub(super) line: Line,
    /// Of a bucket in ticks of 1/`amount` microsecond, as [`Rule::token`] counts; else in units of the limit.
    amount: u128,
    /// Up to when it is paid back.
    paid: Instant,
}

impl Owed {
    pub(super) fn new(line: Line, now: Instant) -> Self {
        Self { line, amount: 0, paid: now }
    }

    /// So much more, by this form of the limit. `full_at`: when the bucket is full again in Redis, if nobody uses it.
    pub(super) fn add(&mut self, line: &Line, amount: u64, full_at: Instant, proxies: u32, now: Instant) {
        self.pay(full_at, proxies, now);
        if let (Some(before), Some(rule)) = (rule(&self.line), rule(line))
            && before != rule
        {
            // Whole tokens stay what they are under another rule.
            self.amount = self.amount.div_ceil(before.token()) * rule.token();
        }
        self.line = line.clone();
        self.amount = self.amount.saturating_add(u128::from(amount) * unit(line));
    }

    /// What the refill has paid back by now is no longer owed.
    fn pay(&mut self, full_at: Instant, proxies: u32, now: Instant) {
        let from = self.paid.max(full_at);
        if now <= from {
            return;
        }
        if let Some(rule) = rule(&self.line) {
            let passed = u128::from(micros(now.duration_since(from))) * u128::from(rule.amount());
            self.amount = self.amount.saturating_sub(passed / u128::from(proxies.max(1)));
        }
        self.paid = now;
    }

    /// What is owed by now, in parts of at most [`COST_MAX`].
    pub(super) fn parts(mut self, full_at: Instant, proxies: u32, now: Instant) -> impl Iterator<Item = (Line, u64)> {
        self.pay(full_at, proxies, now);
        let mut left = u64::try_from(self.amount.div_ceil(unit(&self.line))).unwrap_or(u64::MAX);
        std::iter::from_fn(move || {
            let part = left.min(COST_MAX);
            left -= part;
            (part > 0).then(|| (self.line.clone(), part))
        })
    }
}

fn rule(line: &Line) -> Option<Rule> {
    if let Limit::Bucket(rule) = line.limit { Some(rule) } else { None }
}

fn unit(line: &Line) -> u128 {
    rule(line).map_or(1, Rule::token)
}

/// When a bucket with this backlog is full again, if nobody uses it.
pub(super) fn full_at(reset: Duration, at: Instant) -> Instant {
    // A time that no clock reaches: it is never full.
    at.checked_add(reset).unwrap_or_else(|| at + Duration::from_hours(24 * 365))
}
