//! May this request begin: what is asked of the limits, what its client is told of them, and what it holds from then on.

use super::peek::Peeked;
use super::reading;
use super::refusal::Refusal;
use super::rewrite::PrefixRewrite;
use super::{Proxy, too_large};
use crate::exchange::Exchange;
use crate::format::Family;
use crate::limits::{Decision, Estimate, LineUnit, Mode, Refused, Standing, TenantPlan, Verdict};
use crate::reason::Reason;
use crate::table::{RouteEntry, TenantEntry};
use http::request::Parts;
use std::time::Duration;

/// What clients are told of the limits behind a decision.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) standings: Vec<Standing>,
    pub(super) mode: Mode,
}

/// Where a request is admitted, and for whom.
pub(super) struct Admission<'a> {
    pub(super) tenant: &'a TenantEntry,
    pub(super) route: &'a RouteEntry,
    pub(super) prefix: Option<PrefixRewrite<'a>>,
    pub(super) family: Family,
}

impl Proxy {
    /// Asks the limits of the tenant and of its route, if there are any. Reads the body first where they count what is in it. What is reserved goes with
    /// the exchange. Dropped while it waits: what was reserved is given back.
    pub(super) async fn admit(
        &self,
        admission: &Admission<'_>,
        head: &Parts,
        body: &mut Peeked,
        exchange: &mut Exchange,
    ) -> Result<Option<Told>, Refusal> {
        let Admission { tenant, route, prefix, family } = *admission;
        let (plan, on_route) = (&tenant.plan, Some(&route.plan));
        if plan.is_empty(on_route) {
            return Ok(None);
        }
        let mut estimate = Estimate::default();
        if plan.counts_tokens(on_route) || plan.counts_characters(on_route) {
            let read = reading::estimate(route, prefix, head, body, exchange).await;
            let refuse = |error| Refusal::of_body(error, family, too_large(&route.label, route.body_max));
            estimate = read.map_err(refuse)?;
        }
        let decision = self.limiter.admit(plan, on_route, estimate).await;
        if let Some(call) = &decision.store {
            self.metrics.decided(call);
        }
        self.count_decision(tenant, route, &decision);
        let Decision { verdict, standings, mode, .. } = decision;
        match verdict {
            Verdict::Admitted(reservation) => {
                let spends = reservation.as_ref().and_then(|_| spends(plan));
                exchange.reserve(reservation, spends);
                exchange.streams = exchange.stop().is_some() && reading::streams(route, prefix, head, body);
                Ok(Some(Told { standings, mode }))
            }
            Verdict::Refused { limit, retry_after } => {
                tracing::debug!(tenant = %tenant.label, route = %route.label, limit = &*limit.key, "refused by a limit");
                let message = message(&tenant.label, &limit, retry_after);
                let told = Told { standings, mode };
                Err(Refusal::new(reason(&limit), family, message).limited(told, retry_after))
            }
            Verdict::Unavailable => {
                let message = format!(
                    "the limits of tenant {} can't be asked now, and it lets nothing through without them: please retry",
                    tenant.label
                );
                Err(Refusal::new(Reason::LimitsUnavailable, family, message))
            }
        }
    }

    /// Each kind of limit once: of a refusal, the one that refused.
    fn count_decision(&self, tenant: &TenantEntry, route: &RouteEntry, decision: &Decision) {
        let count = |limit: &str, outcome: &str| {
            let labels = [&*tenant.label, limit, outcome, decision.mode.label()];
            self.metrics.limit_decisions.with_label_values(&labels).inc();
        };
        match &decision.verdict {
            Verdict::Refused { limit, .. } => count(kind(limit.unit, limit.budget), "denied"),
            Verdict::Admitted(_) => {
                for known in KINDS {
                    let mut lines = tenant.plan.all(Some(&route.plan));
                    if lines.any(|line| kind(line.unit, line.is_budget()) == known) {
                        count(known, "allowed");
                    }
                }
            }
            Verdict::Unavailable => {}
        }
    }
}

/// Every label value of a limit.
const KINDS: [&str; 5] = ["requests", "tokens", "characters", "streams", "budget"];

/// The label value of a limit.
const fn kind(unit: LineUnit, is_budget: bool) -> &'static str {
    match unit {
        _ if is_budget => "budget",
        LineUnit::Requests => "requests",
        LineUnit::Tokens(_) => "tokens",
        LineUnit::Characters => "characters",
        LineUnit::Streams => "streams",
    }
}

const fn reason(limit: &Refused) -> Reason {
    match limit.unit {
        _ if limit.budget => Reason::BudgetSpent,
        LineUnit::Requests => Reason::RequestsLimited,
        LineUnit::Tokens(_) => Reason::TokensLimited,
        LineUnit::Characters => Reason::CharactersLimited,
        LineUnit::Streams => Reason::StreamsLimited,
    }
}

/// What the client reads: whose limit it is and which one, what was asked of it, what is left, and what to do.
fn message(tenant: &str, limit: &Refused, retry_after: Option<Duration>) -> String {
    let Refused { key, unit, cost, limit: size, remaining, .. } = limit;
    let name = format!("limit {key} of tenant {tenant}");
    if *size == 0 {
        return format!("{name} is 0: no request passes");
    }
    let wait = match retry_after {
        Some(wait) => format!("wait {} s", super::headers::ceil_seconds(wait).max(1)),
        None => "waiting does not help".to_owned(),
    };
    match unit {
        LineUnit::Requests => format!("{name} is reached: {remaining} of {size} requests are left; {wait}"),
        LineUnit::Streams => format!("{name} is reached: {size} requests are in flight; {wait}, or until one is over"),
        LineUnit::Tokens(_) => format!(
            "{name} is reached: the request asks for up to {cost} tokens, and {remaining} of {size} are left; {wait}, or send less and name a \
             smaller maximum of the answer, such as max_tokens"
        ),
        LineUnit::Characters => format!(
            "{name} is reached: the request asks for {cost} characters, and {remaining} of {size} are left; {wait}, or send a shorter text"
        ),
    }
}

/// What clients are told when a budget ends their streams; `None`: none does.
fn spends(plan: &TenantPlan) -> Option<Box<str>> {
    let stopping = plan.all(None).filter(|line| line.stops_streams());
    let names: Vec<&str> = stopping.filter_map(|line| line.key.strip_prefix("budget/")).collect();
    match names.as_slice() {
        [] => None,
        [name] => {
            Some(format!("budget {name} of tenant {} is spent, which ends its running streams", plan.tenant).into())
        }
        names => Some(
            format!(
                "one of the budgets {} of tenant {} is spent, which ends its running streams",
                names.join(", "),
                plan.tenant
            )
            .into(),
        ),
    }
}
