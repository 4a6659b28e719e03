//! The answer to one request, as the proxy tells it.

use super::account::{Admitted, Level, Limit, Line};
use super::plan::{LineUnit, PlanLine};
use super::reservation::Reservation;
use std::sync::Arc;
use std::time::Duration;

/// The answer to one request.
#[derive(Debug)]
pub struct Decision {
    /// Whether it may begin.
    pub verdict: Verdict,
    /// How each limit stands behind the decision, in the order of the plan: the tenant's, then the route's. Empty where nothing was decided
    /// ([`Mode::Allow`], [`Verdict::Unavailable`], no limits).
    pub standings: Vec<Standing>,
    /// What was applied.
    pub mode: Mode,
    /// The call to Redis; `None` when none was made.
    pub store: Option<StoreCall>,
}

/// Whether a request may begin.
#[derive(Debug)]
pub enum Verdict {
    /// It may; what it costs is charged. The reservation is there when something of it is settled at its end.
    Admitted(Option<Reservation>),
    /// A limit is reached; nothing is charged.
    Refused {
        /// Which: of those that are reached, the one with the longest wait.
        limit: Refused,
        /// How long until a request of this cost may pass, if nothing else is used: rounded up to a microsecond; a second for streams, where nobody
        /// knows. `None`: never (amount 0, or a cost beyond the whole budget).
        retry_after: Option<Duration>,
    },
    /// Redis can't be asked, and the tenant's `onRedisUnavailable` is `Deny`.
    Unavailable,
}

/// The limit that refused a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// As in [`Standing::key`].
    pub key: Arc<str>,
    /// What it counts.
    pub unit: LineUnit,
    /// Whether it is a budget.
    pub budget: bool,
    /// Its size.
    pub limit: u64,
    /// What is left of it.
    pub remaining: u64,
    /// What the request would have cost.
    pub cost: u64,
}

/// How a limit stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// `requests`, `tokens`, `characters`, `streams` or `budget/NAME`; a route's are `NAMESPACE/NAME:requests` and so on.
    pub key: Arc<str>,
    /// What it counts.
    pub unit: LineUnit,
    /// Whether it is a budget.
    pub budget: bool,
    /// Its size: a bucket's burst, the most streams, a budget's amount; or this proxy's share of it under [`Mode::Local`].
    pub limit: u64,
    /// How much may follow at once.
    pub remaining: u64,
    /// Until all of it is there again, if nothing more is used: rounded up to a microsecond; for a budget the end of its window. Zero for streams.
    pub reset: Duration,
}

/// Which limit was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// The whole limit: by Redis for all proxies, or by the only process there is.
    Shared,
    /// This proxy's share of the limit, since Redis did not answer, or since several proxies run without one.
    Local,
    /// None: Redis did not answer, and the tenant's `onRedisUnavailable` is `Allow`.
    Allow,
}

impl Mode {
    /// The value in metrics and headers.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Local => "local",
            Self::Allow => "allow",
        }
    }
}

/// A call to Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreCall {
    /// How it ended.
    pub result: StoreResult,
    /// How long the request waited for it.
    pub elapsed: Duration,
}

/// How a call to Redis ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StoreResult {
    /// It decided.
    Ok,
    /// It did not answer, or there was no connection, within the budget.
    Timeout,
    /// The connection failed, or Redis answered with an error.
    Error,
}

impl StoreResult {
    /// The value in metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Timeout => "timeout",
            Self::Error => "error",
        }
    }
}

/// How long a client waits for a place when all streams are taken: one may end at any moment.
const STREAM_WAIT: Duration = Duration::from_secs(1);

impl Decision {
    /// Of a request that nothing limits, or that goes on without limits.
    pub(super) fn free(reservation: Option<Reservation>, mode: Mode, store: Option<StoreCall>) -> Self {
        Self { verdict: Verdict::Admitted(reservation), standings: Vec::new(), mode, store }
    }

    /// Of a tenant that rather has none than one that may be wrong.
    pub(super) fn unavailable(store: Option<StoreCall>) -> Self {
        Self { verdict: Verdict::Unavailable, standings: Vec::new(), mode: Mode::Local, store }
    }

    /// What an account said. `verdict` when it allowed.
    pub(super) fn of(asked: &Asked<'_>, reply: &Admitted, verdict: impl FnOnce() -> Verdict, mode: Mode) -> Self {
        let verdict = if reply.allowed { verdict() } else { asked.refusal(reply) };
        Self { verdict, standings: asked.standings(reply), mode, store: None }
    }
}

/// The lines of a plan with what a request costs by them, side by side.
pub(super) struct Asked<'a> {
    pub(super) plan: Vec<&'a PlanLine>,
    pub(super) lines: Vec<Line>,
}

impl Asked<'_> {
    /// A limit that lets nothing through, whoever is asked.
    pub(super) fn never(&self) -> Option<Decision> {
        let never = self.lines.iter().position(|line| line.limit == Limit::Never)?;
        let reply = Admitted { allowed: false, now: 0, standings: Vec::new() };
        let standings = vec![self.standing(never, Level::Never, &reply)];
        let limit = self.refused(never, Level::Never);
        let verdict = Verdict::Refused { limit, retry_after: None };
        // All proxies agree on it without asking, so it is never degraded.
        Some(Decision { verdict, standings, mode: Mode::Shared, store: None })
    }

    fn refusal(&self, reply: &Admitted) -> Verdict {
        let failed = reply.standings.iter().enumerate().filter(|(_, standing)| !standing.ok);
        let waits = failed.filter_map(|(index, standing)| {
            let line = self.lines.get(index)?;
            let wait = match line.limit {
                Limit::Streams { .. } => Some(STREAM_WAIT),
                _ => line.wait(standing.level, reply.now),
            };
            Some((index, standing.level, wait))
        });
        // The first of equals, so that a refusal does not depend on anything but the plan.
        let longest = waits.reduce(|a, b| {
            let longer = b.2.unwrap_or(Duration::MAX) > a.2.unwrap_or(Duration::MAX);
            if longer { b } else { a }
        });
        match longest {
            Some((index, level, retry_after)) => Verdict::Refused { limit: self.refused(index, level), retry_after },
            // An account that refuses names a line; without one there is nothing to tell the client.
            None => Verdict::Unavailable,
        }
    }

    fn refused(&self, index: usize, level: Level) -> Refused {
        let (plan, line) = (self.plan[index], &self.lines[index]);
        Refused {
            key: Arc::clone(&plan.key),
            unit: plan.unit,
            budget: plan.is_budget(),
            limit: line.size(),
            remaining: line.remaining(level),
            cost: line.cost,
        }
    }

    fn standings(&self, reply: &Admitted) -> Vec<Standing> {
        let levels = reply.standings.iter().map(|standing| standing.level);
        levels.enumerate().take(self.plan.len()).map(|(index, level)| self.standing(index, level, reply)).collect()
    }

    fn standing(&self, index: usize, level: Level, reply: &Admitted) -> Standing {
        let (plan, line) = (self.plan[index], &self.lines[index]);
        Standing {
            key: Arc::clone(&plan.key),
            unit: plan.unit,
            budget: plan.is_budget(),
            limit: line.size(),
            remaining: line.remaining(level),
            reset: line.reset(level, reply.now),
        }
    }
}
