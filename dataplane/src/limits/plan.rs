//! What limits a tenant, worked out once per entry of the table, and what a request costs by each of them.

use super::account::{Limit, Line, Rule};
use super::calendar::Windows;
use relay_snapshot::{Budget, Count, Limits, ObjectId, RateLimit, Route, Tenant, Unavailable, Unit};
use std::sync::Arc;

#[cfg(test)]
mod tests;

/// The limits of a tenant, over all its routes.
#[derive(Debug)]
pub struct TenantPlan {
    /// Whose they are; all that is counted for it lies together.
    pub tenant: ObjectId,
    lines: Vec<PlanLine>,
    /// What becomes of its limits while Redis can't be asked.
    pub on_unavailable: Unavailable,
}

/// The limits of each tenant on one route. They are counted with the tenant that asks.
#[derive(Debug)]
pub struct RoutePlan {
    lines: Vec<PlanLine>,
}

/// One limit.
#[derive(Debug)]
pub struct PlanLine {
    /// `requests`, `tokens`, `characters`, `streams` or `budget/NAME`; a route's are `NAMESPACE/NAME:requests` and so on.
    pub key: Arc<str>,
    /// Under which name its state is kept: the key, for budgets with the unit behind it, so that a budget that counts something else than
    /// before begins anew.
    pub field: Arc<str>,
    /// What it counts.
    pub unit: LineUnit,
    /// How it counts.
    pub kind: Kind,
}

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LineUnit {
    /// Requests that were admitted.
    Requests,
    /// Tokens of a model.
    Tokens(Count),
    /// Characters that a provider of speech bills.
    Characters,
    /// Requests in flight.
    Streams,
}

/// How a limit counts.
#[derive(Debug)]
pub enum Kind {
    /// Nothing passes: the amount is 0.
    Never,
    /// A token bucket.
    Bucket(Rule),
    /// This many at once.
    Streams(u32),
    /// A budget by calendar.
    Window {
        /// How much a window has.
        amount: u64,
        /// True: a running stream ends when it is spent.
        stops: bool,
        /// When windows begin and end.
        windows: Windows,
    },
}

/// What a request will use at most, as far as can be told before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    /// Tokens of the prompt.
    pub input: u64,
    /// The most tokens that the answer may have.
    pub output: u64,
    /// Characters that a provider of speech will bill.
    pub characters: u64,
}

/// What a request used, in all so far. Estimated where the provider did not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Tokens of the prompt.
    pub input: u64,
    /// Tokens of the answer.
    pub output: u64,
    /// Characters that a provider of speech bills.
    pub characters: u64,
}

impl TenantPlan {
    /// Reads the tenant's limits.
    pub fn new(tenant: &Tenant) -> Self {
        Self { tenant: tenant.id.clone(), lines: lines("", &tenant.limits), on_unavailable: tenant.on_unavailable }
    }

    /// Whether neither the tenant nor the route limits anything.
    pub fn is_empty(&self, route: Option<&RoutePlan>) -> bool {
        self.all(route).next().is_none()
    }

    /// Whether an [`Estimate`] needs its tokens: a body must be read to count them.
    pub fn counts_tokens(&self, route: Option<&RoutePlan>) -> bool {
        self.all(route).any(|line| matches!(line.unit, LineUnit::Tokens(_)))
    }

    /// Whether an [`Estimate`] needs its characters: a body must be read to count them.
    pub fn counts_characters(&self, route: Option<&RoutePlan>) -> bool {
        self.all(route).any(|line| line.unit == LineUnit::Characters)
    }

    /// The tenant's lines, then the route's.
    pub fn all<'a>(&'a self, route: Option<&'a RoutePlan>) -> impl Iterator<Item = &'a PlanLine> {
        self.lines.iter().chain(route.into_iter().flat_map(|route| &route.lines))
    }

    /// What a request that comes at `now` (seconds since 1970, by this machine's clock) costs by each line, in the order of
    /// [`all`](Self::all).
    pub fn request(&self, route: Option<&RoutePlan>, estimate: Estimate, now: i64) -> Vec<Line> {
        self.all(route).map(|line| line.request(estimate, now)).collect()
    }
}

impl RoutePlan {
    /// Reads the route's limits.
    pub fn new(route: &Route) -> Self {
        Self { lines: lines(&format!("{}:", route.id), &route.limits) }
    }
}

impl PlanLine {
    fn new(prefix: &str, name: &str, unit: LineUnit, kind: Kind) -> Self {
        let key: Arc<str> = format!("{prefix}{name}").into();
        Self { field: key.clone(), key, unit, kind }
    }

    fn rate(prefix: &str, name: &str, unit: LineUnit, limit: &RateLimit) -> Self {
        Self::new(prefix, name, unit, Rule::new(limit).map_or(Kind::Never, Kind::Bucket))
    }

    fn budget(prefix: &str, budget: &Budget) -> Self {
        let (unit, suffix) = match budget.unit {
            Unit::Tokens => (LineUnit::Tokens(Count::Total), "tokens"),
            Unit::Characters => (LineUnit::Characters, "characters"),
            Unit::Requests => (LineUnit::Requests, "requests"),
        };
        let windows = Windows::new(budget.per, &budget.time_zone);
        let kind = Kind::Window { amount: budget.amount, stops: budget.stops_streams, windows };
        let line = Self::new(prefix, &format!("budget/{}", budget.name), unit, kind);
        Self { field: format!("{}/{suffix}", line.key).into(), ..line }
    }

    /// Whether it is a budget.
    pub fn is_budget(&self) -> bool {
        matches!(self.kind, Kind::Window { .. })
    }

    /// Whether it ends running streams when it is spent.
    pub fn stops_streams(&self) -> bool {
        matches!(self.kind, Kind::Window { stops: true, .. }) && self.unit.is_settled()
    }

    /// What a request that comes at `now` (seconds since 1970) costs by this line.
    pub fn request(&self, estimate: Estimate, now: i64) -> Line {
        // A running stream draws its output from such a budget as it goes.
        let output = if self.stops_streams() { 0 } else { estimate.output };
        let cost = self.unit.of(Used { input: estimate.input, output, characters: estimate.characters });
        let limit = match &self.kind {
            Kind::Never => Limit::Never,
            Kind::Bucket(rule) => Limit::Bucket(*rule),
            Kind::Streams(max) => Limit::Streams { max: *max, of_route: self.key.contains(':') },
            Kind::Window { amount, stops, windows } => {
                Limit::Window { amount: *amount, stops: *stops, spans: windows.around(now) }
            }
        };
        Line::new(self.field.clone(), self.unit, limit, cost)
    }
}

impl LineUnit {
    /// How much of this unit a request took that used so much.
    pub fn of(self, used: Used) -> u64 {
        match self {
            Self::Requests | Self::Streams => 1,
            Self::Tokens(Count::Input) => used.input,
            Self::Tokens(Count::Output) => used.output,
            Self::Tokens(Count::Total) => used.input.saturating_add(used.output),
            Self::Characters => used.characters,
        }
    }

    /// Whether the cost is known only at the end of a request, or given back then.
    pub fn is_settled(self) -> bool {
        self != Self::Requests
    }
}

/// In the order in which refusals are told when waits are equal: requests, tokens, characters, streams, budgets as they are written.
fn lines(prefix: &str, limits: &Limits) -> Vec<PlanLine> {
    let mut lines = Vec::new();
    if let Some(limit) = &limits.requests {
        lines.push(PlanLine::rate(prefix, "requests", LineUnit::Requests, limit));
    }
    if let Some(limit) = &limits.tokens {
        lines.push(PlanLine::rate(prefix, "tokens", LineUnit::Tokens(limit.count), &limit.rate));
    }
    if let Some(limit) = &limits.characters {
        lines.push(PlanLine::rate(prefix, "characters", LineUnit::Characters, limit));
    }
    if let Some(max) = limits.streams {
        lines.push(PlanLine::new(prefix, "streams", LineUnit::Streams, Kind::Streams(max)));
    }
    lines.extend(limits.budgets.iter().map(|budget| PlanLine::budget(prefix, budget)));
    lines
}
