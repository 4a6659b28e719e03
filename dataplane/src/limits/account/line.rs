//! One limit of a call, and how it stands.

use super::super::calendar::Spans;
use super::super::plan::{LineUnit, Used};
use super::call::WindowLevel;
use super::rule::{Backlog, Rule};
use std::sync::Arc;
use std::time::Duration;

/// The most that one request is charged to one line. What is beyond is not counted: no model's answer comes near.
pub const COST_MAX: u64 = 1_000_000_000;

/// One limit of a call, and what the request costs by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Under which name its state is kept, within its tenant: [`PlanLine::field`](super::super::plan::PlanLine::field).
    pub field: Arc<str>,
    /// What it counts.
    pub unit: LineUnit,
    /// How it counts.
    pub limit: Limit,
    /// What is reserved; at most [`COST_MAX`].
    pub cost: u64,
}

/// How a line counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Nothing passes, whatever it costs.
    Never,
    /// A token bucket. A request passes when its cost is there, or all that the bucket holds; its whole cost is taken, and what was not there is a
    /// debt that those who come next wait for.
    Bucket(Rule),
    /// At most so many held at once: of the tenant, or of the tenant on one route.
    Streams {
        /// How many.
        max: u32,
        /// Whether those of one route are counted.
        of_route: bool,
    },
    /// A budget.
    Window {
        /// How much a window has.
        amount: u64,
        /// True: requests pass while something is left. False: while their whole cost is left.
        stops: bool,
        /// The windows around now.
        spans: Spans,
    },
}

/// How a line stands after a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Whether the line let the request through (another may have refused it).
    pub ok: bool,
    /// What is used of it now.
    pub level: Level,
}

/// What is used of a line. Its kind is that of the line's [`Limit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Of [`Limit::Never`].
    Never,
    /// Of [`Limit::Bucket`].
    Bucket(Backlog),
    /// Of [`Limit::Streams`]: how many are held.
    Streams(u64),
    /// Of [`Limit::Window`].
    Window(WindowLevel),
}

impl Line {
    /// Cuts the cost to [`COST_MAX`].
    pub fn new(field: Arc<str>, unit: LineUnit, limit: Limit, cost: u64) -> Self {
        Self { field, unit, limit, cost: cost.min(COST_MAX) }
    }

    /// What a request that used so much is charged in the end, by [`LineUnit::of`]; at most [`COST_MAX`].
    pub fn truth(&self, used: Used) -> u64 {
        self.unit.of(used).min(COST_MAX)
    }

    /// Whether what it charges is held until the request is settled. A count of requests is charged for good at once.
    pub fn is_held(&self) -> bool {
        self.unit.is_settled() && self.limit != Limit::Never
    }

    /// The line of one of `proxies` that share it: amounts, bursts and maxima divided and rounded down, but at least 1. 0 counts as 1.
    #[must_use]
    pub fn share(&self, proxies: u32) -> Self {
        let proxies = proxies.max(1);
        let limit = match self.limit {
            Limit::Never => Limit::Never,
            Limit::Bucket(rule) => Limit::Bucket(rule.share(proxies)),
            Limit::Streams { max, of_route } => Limit::Streams { max: (max / proxies).max(1), of_route },
            Limit::Window { amount, stops, spans } => {
                Limit::Window { amount: (amount / u64::from(proxies)).max(1), stops, spans }
            }
        };
        Self { limit, ..self.clone() }
    }

    /// The size of the limit: a bucket's burst, the most streams, a budget's amount.
    pub fn size(&self) -> u64 {
        match self.limit {
            Limit::Never => 0,
            Limit::Bucket(rule) => rule.burst().into(),
            Limit::Streams { max, .. } => max.into(),
            Limit::Window { amount, .. } => amount,
        }
    }

    /// How much of it is left.
    pub fn remaining(&self, level: Level) -> u64 {
        match (self.limit, level) {
            (Limit::Bucket(rule), Level::Bucket(backlog)) => rule.remaining(backlog),
            (_, Level::Streams(used) | Level::Window(WindowLevel { used, .. })) => self.size().saturating_sub(used),
            _ => 0,
        }
    }

    /// Until all of it is there again, if nothing more is used: for a bucket rounded up to a microsecond, for a budget the window's end. Zero for
    /// streams, where nobody knows, and for [`Limit::Never`]. `now` is [`Admitted::now`](super::Admitted::now).
    pub fn reset(&self, level: Level, now: u64) -> Duration {
        match (self.limit, level) {
            (Limit::Bucket(rule), Level::Bucket(backlog)) => rule.reset(backlog),
            (Limit::Window { spans, .. }, Level::Window(window)) => {
                let (_, end) = window.times(&spans);
                Duration::from_secs(u64::try_from(end).unwrap_or_default()).saturating_sub(Duration::from_micros(now))
            }
            _ => Duration::ZERO,
        }
    }

    /// How long a request that this line refuses has to wait, at least. `None`: nobody knows (streams), or it will never pass
    /// ([`Limit::Never`], or a cost beyond the whole budget).
    pub fn wait(&self, level: Level, now: u64) -> Option<Duration> {
        match (self.limit, level) {
            (Limit::Bucket(rule), Level::Bucket(backlog)) => Some(rule.wait(backlog, self.cost)),
            (Limit::Window { amount, stops, .. }, Level::Window(_)) if stops || self.cost <= amount => {
                Some(self.reset(level, now))
            }
            _ => None,
        }
    }
}
