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
///
/// What Redis was asked about and charged behind this proxy's back is owed and credited. In a bucket both are paid back by the same rate: so a late charge
/// does not excuse what was admitted since.
pub(super) struct Owed {
    line: Line,
    /// Of a bucket in ticks of 1/`amount` microsecond, as [`Rule::token`] counts; else in units of the limit.
    amount: u128,
    /// In the same units.
    credit: u128,
    /// Up to when both are paid back.
    paid: Instant,
}

impl Owed {
    pub(super) fn new(line: Line, now: Instant) -> Self {
        Self { line, amount: 0, credit: 0, paid: now }
    }

    /// So much more, by this form of the limit. `full_at`: when the bucket is full again in Redis, if nobody uses it.
    pub(super) fn add(&mut self, line: &Line, amount: u64, full_at: Instant, proxies: u32, now: Instant) {
        self.pay(full_at, proxies, now);
        self.become_of(line);
        self.amount = self.amount.saturating_add(u128::from(amount) * unit(line));
    }

    /// Redis has charged so much of it.
    pub(super) fn credit(&mut self, line: &Line, amount: u64, full_at: Instant, proxies: u32, now: Instant) {
        self.pay(full_at, proxies, now);
        self.become_of(line);
        self.credit = self.credit.saturating_add(u128::from(amount) * unit(line));
    }

    /// Whether there is something to charge.
    pub(super) const fn is_due(&self) -> bool {
        self.amount > self.credit
    }

    /// Whether nothing is left of it.
    pub(super) const fn is_over(&self) -> bool {
        self.amount == 0 && self.credit == 0
    }

    fn become_of(&mut self, line: &Line) {
        if let (Some(before), Some(rule)) = (rule(&self.line), rule(line))
            && before != rule
        {
            // Whole tokens stay what they are under another rule.
            self.amount = self.amount.div_ceil(before.token()) * rule.token();
            self.credit = self.credit.div_ceil(before.token()) * rule.token();
        }
        self.line = line.clone();
    }

    /// What the refill has paid back by now is no longer owed.
    fn pay(&mut self, full_at: Instant, proxies: u32, now: Instant) {
        let from = self.paid.max(full_at);
        self.paid = now;
        let Some(rule) = rule(&self.line) else { return };
        let passed = u128::from(micros(now.saturating_duration_since(from))) * u128::from(rule.amount());
        let back = passed / u128::from(proxies.max(1));
        (self.amount, self.credit) = (self.amount.saturating_sub(back), self.credit.saturating_sub(back));
    }

    /// Takes what is owed by now, in parts of at most [`COST_MAX`]. What was credited beyond it stays.
    pub(super) fn take(&mut self, full_at: Instant, proxies: u32, now: Instant) -> Vec<(Line, u64)> {
        self.pay(full_at, proxies, now);
        let due = self.amount.saturating_sub(self.credit);
        (self.amount, self.credit) = (0, self.credit.saturating_sub(self.amount));
        let mut left = u64::try_from(due.div_ceil(unit(&self.line))).unwrap_or(u64::MAX);
        let mut parts = Vec::new();
        while left > 0 {
            let part = left.min(COST_MAX);
            left -= part;
            parts.push((self.line.clone(), part));
        }
        parts
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
