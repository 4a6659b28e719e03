//! Limits: from what users write to what proxies count.

use crate::backend::NAME_FORM;
use crate::lexical::is_label;
use crate::problem::{Problem, ensure, ensure_distinct, ensure_length};
use jiff::tz::TimeZone;
use relay_crds as crds;
use relay_crds::{AtLimit, BudgetPeriod, BudgetUnit, OnRedisUnavailable, Period, TokenCount, rules};
use relay_snapshot::{Budget, Calendar, Count, Limits, RateLimit, TokenLimit, Unavailable, Unit};

/// The largest `amount` and `burst` of a rate.
const AMOUNT_MAX: u32 = 1_000_000_000;
/// The most requests in flight at once.
const STREAMS_MAX: u32 = 1_000_000;
/// The most budgets of a tenant: each is a line of every decision.
const BUDGETS_MAX: usize = 8;
/// The largest `amount` of a budget: the largest number up to which Redis' scripts count exactly.
const BUDGET_MAX: u64 = (1 << 53) - 1;
/// The requests limit of a tenant that names none.
const DEFAULT_REQUESTS: RateLimit = RateLimit { amount: 100, per_seconds: Period::Minute.seconds(), burst: 20 };

/// The limits of a tenant, field by field in the order of the documentation.
pub(crate) fn of_tenant(raw: Option<&crds::Limits>, budgets: &[crds::Budget]) -> Result<Limits, Problem> {
    let default = crds::Limits::default();
    let raw = raw.unwrap_or(&default);
    let requests = raw.requests.as_ref();
    let requests = requests.map_or(Ok(Some(DEFAULT_REQUESTS)), |raw| rate("spec.limits.requests", raw))?;
    let (tokens, characters, streams) = (raw.tokens.as_ref(), raw.characters.as_ref(), raw.streams.as_ref());
    Ok(Limits { requests, budgets: self::budgets(budgets)?, ..without_default(tokens, characters, streams)? })
}

/// What becomes of them while Redis can't be asked.
pub(crate) fn on_unavailable(raw: Option<&crds::Limits>) -> Unavailable {
    match raw.and_then(|limits| limits.on_redis_unavailable).unwrap_or_default() {
        OnRedisUnavailable::Local => Unavailable::Local,
        OnRedisUnavailable::Allow => Unavailable::Allow,
        OnRedisUnavailable::Deny => Unavailable::Deny,
    }
}

/// The limits of each tenant on a route.
pub(crate) fn of_route(raw: Option<&crds::RouteLimits>) -> Result<Limits, Problem> {
    let Some(raw) = raw else { return Ok(Limits::default()) };
    let requests = raw.requests.as_ref().map_or(Ok(None), |raw| rate("spec.limits.requests", raw))?;
    let (tokens, characters, streams) = (raw.tokens.as_ref(), raw.characters.as_ref(), raw.streams.as_ref());
    Ok(Limits { requests, ..without_default(tokens, characters, streams)? })
}

fn without_default(
    raw_tokens: Option<&crds::TokensLimit>,
    raw_characters: Option<&crds::RateLimit>,
    raw_streams: Option<&crds::StreamsLimit>,
) -> Result<Limits, Problem> {
    Ok(Limits {
        tokens: raw_tokens.map_or(Ok(None), |raw| tokens("spec.limits.tokens", raw))?,
        characters: raw_characters.map_or(Ok(None), |raw| rate("spec.limits.characters", raw))?,
        streams: raw_streams.map(|raw| streams("spec.limits.streams", raw)).transpose()?,
        ..Limits::default()
    })
}

/// `None`: unlimited.
fn rate(at: &str, raw: &crds::RateLimit) -> Result<Option<RateLimit>, Problem> {
    let unlimited = raw.unlimited == Some(true);
    ensure(unlimited != raw.amount.is_some(), at, "", rules::LIMIT_ONE_OF.1)?;
    let pair = raw.amount.is_some() == raw.per.is_some() && (raw.burst.is_none() || raw.amount.is_some());
    ensure(pair, at, "", rules::LIMIT_PER.1)?;
    let (Some(amount), Some(per)) = (raw.amount, raw.per) else { return Ok(None) };
    ensure(amount <= AMOUNT_MAX, at, ".amount", "must be at most 1000000000")?;
    let burst = raw.burst.unwrap_or(amount.max(1));
    let fine = (1..=AMOUNT_MAX).contains(&burst);
    ensure(fine, at, ".burst", "must be 1 to 1000000000; amount: 0 lets nothing pass")?;
    Ok(Some(RateLimit { amount, per_seconds: per.seconds(), burst }))
}

/// `None`: unlimited.
fn tokens(at: &str, raw: &crds::TokensLimit) -> Result<Option<TokenLimit>, Problem> {
    let plain = crds::RateLimit { amount: raw.amount, per: raw.per, burst: raw.burst, unlimited: raw.unlimited };
    let rate = rate(at, &plain)?;
    ensure(raw.count.is_none() || raw.amount.is_some(), at, "", rules::TOKENS_COUNT.1)?;
    let count = match raw.count.unwrap_or_default() {
        TokenCount::Input => Count::Input,
        TokenCount::Output => Count::Output,
        TokenCount::Total => Count::Total,
    };
    Ok(rate.map(|rate| TokenLimit { rate, count }))
}

fn streams(at: &str, raw: &crds::StreamsLimit) -> Result<u32, Problem> {
    let fine = (1..=STREAMS_MAX).contains(&raw.max);
    ensure(fine, at, ".max", "must be 1 to 1000000; leave streams out for no limit")?;
    Ok(raw.max)
}

fn budgets(raw: &[crds::Budget]) -> Result<Vec<Budget>, Problem> {
    let at = "spec.budgets";
    ensure_length(raw.len(), 0, BUDGETS_MAX, at)?;
    let budgets = raw.iter().enumerate().map(|(index, raw)| budget(&format!("{at}[{index}]"), raw));
    let mut budgets = budgets.collect::<Result<Vec<_>, _>>()?;
    let names: Vec<&str> = budgets.iter().map(|budget| budget.name.as_str()).collect();
    ensure_distinct(&names, at, ".name")?;
    // Server-side apply orders such a list by who wrote first: an order that means nothing must change no revision.
    budgets.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(budgets)
}

fn budget(at: &str, raw: &crds::Budget) -> Result<Budget, Problem> {
    ensure(is_label(&raw.name), at, ".name", NAME_FORM)?;
    ensure((1..=BUDGET_MAX).contains(&raw.amount), at, ".amount", "must be 1 to 9007199254740991")?;
    let time_zone = zone(raw.time_zone.as_deref().unwrap_or("UTC"));
    let time_zone = time_zone.ok_or_else(|| Problem::invalid(format!("{at}.timeZone"), rules::TIME_ZONE))?;
    let stops_streams = raw.at_limit == Some(AtLimit::StopStreams);
    ensure(!stops_streams || raw.unit != BudgetUnit::Requests, at, ".atLimit", rules::BUDGET_STOP.1)?;
    Ok(Budget {
        name: raw.name.clone(),
        unit: match raw.unit {
            BudgetUnit::Tokens => Unit::Tokens,
            BudgetUnit::Characters => Unit::Characters,
            BudgetUnit::Requests => Unit::Requests,
        },
        amount: raw.amount,
        per: match raw.per {
            BudgetPeriod::Day => Calendar::Day,
            BudgetPeriod::Month => Calendar::Month,
        },
        time_zone,
        stops_streams,
    })
}

/// The zone's own spelling of its name; `None` where the database has no such zone. Upper and lower case mean the same to it.
fn zone(name: &str) -> Option<String> {
    let zone = TimeZone::get(name).ok().filter(|zone| !zone.is_unknown())?;
    zone.iana_name().map(str::to_owned)
}
