//! How requests and answers are handled: from what users write to the policy of a route.

use crate::lexical::has_length;
use crate::matches::is_path;
use crate::problem::{Problem, ensure, ensure_length};
use relay_crds as crds;
use relay_crds::{ClientGoneMode, RelayRouteSpec, ScalarError, rules};
use relay_snapshot::{Hedge, Match, PathRule, Policy, Retries, Timeouts, WireFormat};
use std::ops::RangeInclusive;

/// The default of `body.max`, in bytes.
const BODY_MAX: u64 = 10 << 20;
/// The most tokens of an answer that may be reserved for a request.
const MAX_OUTPUT: u32 = 10_000_000;
/// The default of `hedge.maxPercent`.
const HEDGE_PERCENT: u32 = 5;
/// The default of `onClientGone.limit`, in milliseconds.
const DRAIN_MS: u64 = 30_000;
/// Where the waits of [`rules::KEEP_ALIVE_BOUND`] and [`rules::DRAIN_LIMIT`] lie, in milliseconds.
const SECOND_TO_HOUR: RangeInclusive<u64> = 1000..=3_600_000;

/// The prefix that replaces the matched one, without slashes at the end; `/` for none.
pub(crate) fn rewrite(raw: &crds::Rewrite, matches: &[Match]) -> Result<String, Problem> {
    let at = "spec.rewrite.prefix";
    ensure(is_path(&raw.prefix), at, "", rules::REWRITE_FORM.1)?;
    ensure(has_length(&raw.prefix, 1, 1024), at, "", "must have at most 1024 characters")?;
    let by_prefix = matches.iter().all(|rule| matches!(rule.path, PathRule::Prefix(_)));
    ensure(by_prefix, at, "", rules::REWRITE_MATCHES.1)?;
    let trimmed = raw.prefix.trim_end_matches('/');
    Ok(if trimmed.is_empty() { "/" } else { trimmed }.to_owned())
}

/// The waits, with their defaults.
pub(crate) fn timeouts(raw: Option<&crds::Timeouts>) -> Result<Timeouts, Problem> {
    let default = Timeouts::default();
    let Some(raw) = raw else { return Ok(default) };
    let wait = |leaf: &str, raw: &Option<crds::Duration>, default| match raw {
        Some(raw) => timeout(&format!("spec.timeouts.{leaf}"), raw),
        None => Ok(default),
    };
    Ok(Timeouts {
        connect_ms: wait("connect", &raw.connect, default.connect_ms)?,
        first_byte_ms: wait("firstByte", &raw.first_byte, default.first_byte_ms)?,
        idle_ms: wait("idle", &raw.idle, default.idle_ms)?,
        total_ms: wait("total", &raw.total, default.total_ms)?,
    })
}

/// The policy, field by field in the order of the documentation.
pub(crate) fn policy(spec: &RelayRouteSpec, rewrite_prefix: Option<String>) -> Result<Policy, Problem> {
    Ok(Policy {
        format: spec.format.and_then(format),
        rewrite_prefix,
        keep_alive_ms: spec.keep_alive.as_ref().map_or(Ok(0), |raw| keep_alive(raw, spec))?,
        retries: spec.retries.as_ref().map_or_else(|| Ok(Retries::default()), retries)?,
        hedge: spec.hedge.as_ref().map(|raw| hedge(raw, spec)).transpose()?,
        drain_ms: spec.on_client_gone.as_ref().map_or(Ok(0), drain)?,
        ask_usage: spec.usage == Some(crds::Usage::Ask),
        max_output: max_output(spec.max_output)?,
    })
}

fn max_output(raw: Option<u32>) -> Result<u64, Problem> {
    let Some(raw) = raw else { return Ok(Policy::default().max_output) };
    ensure((1..=MAX_OUTPUT).contains(&raw), "spec.maxOutput", "", "must be 1 to 10000000")?;
    Ok(u64::from(raw))
}

/// The largest request body, in bytes.
pub(crate) fn body_max(raw: Option<&crds::BodyLimits>) -> Result<u64, Problem> {
    let Some(raw) = raw.and_then(|body| body.max.as_ref()) else { return Ok(BODY_MAX) };
    let message = |error| match error {
        ScalarError::Form => "is not a size in bytes: write it like 10Mi, 500k or 1048576",
        ScalarError::Bound => rules::BODY_BOUND.1,
    };
    raw.parse().map_err(|error| Problem::invalid("spec.body.max", message(error)))
}

/// `None`: by the provider and the path.
const fn format(raw: crds::WireFormat) -> Option<WireFormat> {
    Some(match raw {
        crds::WireFormat::Auto => return None,
        crds::WireFormat::OpenAIChat => WireFormat::OpenAIChat,
        crds::WireFormat::OpenAIResponses => WireFormat::OpenAIResponses,
        crds::WireFormat::OpenAISpeech => WireFormat::OpenAISpeech,
        crds::WireFormat::OpenAIRealtime => WireFormat::OpenAIRealtime,
        crds::WireFormat::AnthropicMessages => WireFormat::AnthropicMessages,
        crds::WireFormat::GeminiStream => WireFormat::GeminiStream,
        crds::WireFormat::AzureSpeech => WireFormat::AzureSpeech,
        crds::WireFormat::ElevenLabsSpeech => WireFormat::ElevenLabsSpeech,
        crds::WireFormat::NDJSON => WireFormat::NDJSON,
        crds::WireFormat::Opaque => WireFormat::Opaque,
    })
}

fn keep_alive(raw: &crds::KeepAlive, spec: &RelayRouteSpec) -> Result<u64, Problem> {
    let at = "spec.keepAlive";
    let gemini = spec.format == Some(crds::WireFormat::GeminiStream)
        || spec.backends.iter().any(|backend| backend.provider == crds::Provider::Gemini);
    ensure(!gemini, at, "", rules::KEEP_ALIVE_GEMINI.1)?;
    let interval = duration(&format!("{at}.interval"), &raw.interval)?;
    ensure(SECOND_TO_HOUR.contains(&interval), at, ".interval", rules::KEEP_ALIVE_BOUND.1)?;
    Ok(interval)
}

fn retries(raw: &crds::Retries) -> Result<Retries, Problem> {
    let at = "spec.retries";
    let default = Retries::default();
    let attempts = raw.attempts.unwrap_or(default.attempts);
    ensure(attempts <= 5, at, ".attempts", "must be 0 to 5")?;
    let mut statuses = raw.statuses.clone().unwrap_or(default.statuses);
    ensure_length(statuses.len(), 0, 16, "spec.retries.statuses")?;
    for (index, status) in statuses.iter().enumerate() {
        let fine = (400..=599).contains(status);
        ensure(fine, at, &format!(".statuses[{index}]"), "must be the status of an error, 400 to 599")?;
    }
    crate::problem::ensure_distinct(&statuses, "spec.retries.statuses", "")?;
    statuses.sort_unstable();
    let budget_percent = raw.budget_percent.unwrap_or(default.budget_percent);
    ensure(budget_percent <= 100, at, ".budgetPercent", "must be 0 to 100")?;
    Ok(Retries { attempts, statuses, budget_percent })
}

fn hedge(raw: &crds::Hedge, spec: &RelayRouteSpec) -> Result<Hedge, Problem> {
    let at = "spec.hedge";
    ensure(spec.backends.len() >= 2, at, "", rules::HEDGE_BACKENDS.1)?;
    let after_ms = duration(&format!("{at}.after"), &raw.after)?;
    ensure(after_ms > 0, at, ".after", rules::HEDGE_AFTER.1)?;
    let max_percent = raw.max_percent.unwrap_or(HEDGE_PERCENT);
    ensure((1..=100).contains(&max_percent), at, ".maxPercent", "must be 1 to 100; leave hedge out for none")?;
    Ok(Hedge { after_ms, max_percent })
}

/// 0: the upstream is cancelled.
fn drain(raw: &crds::OnClientGone) -> Result<u64, Problem> {
    let field = "spec.onClientGone.limit";
    let limit = raw.limit.as_ref().map(|limit| duration(field, limit)).transpose()?;
    let fine = limit.is_none_or(|limit| raw.mode == ClientGoneMode::Drain && SECOND_TO_HOUR.contains(&limit));
    ensure(fine, field, "", rules::DRAIN_LIMIT.1)?;
    Ok(match raw.mode {
        ClientGoneMode::Cancel => 0,
        ClientGoneMode::Drain => limit.unwrap_or(DRAIN_MS),
    })
}

fn timeout(field: &str, raw: &crds::Duration) -> Result<u64, Problem> {
    parse(field, raw, "is not a duration: write it like 90s, 5m or 1h30m; 0s switches the timeout off")
}

fn duration(field: &str, raw: &crds::Duration) -> Result<u64, Problem> {
    parse(field, raw, "is not a duration: write it like 90s, 5m or 1h30m")
}

/// In milliseconds.
fn parse(field: &str, raw: &crds::Duration, form: &'static str) -> Result<u64, Problem> {
    let message = |error| match error {
        ScalarError::Form => form,
        ScalarError::Bound => rules::DURATION_BOUND.1,
    };
    let duration = raw.parse().map_err(|error| Problem::invalid(field, message(error)))?;
    // At most 24 h by the parser, so that the conversion holds.
    Ok(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}
