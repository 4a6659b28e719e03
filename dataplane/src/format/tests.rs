mod anthropic;
mod asking;
mod characters;
mod chat;
mod family;
mod gemini;
mod json;
mod ndjson;
mod prompt;
mod requests;
mod responses;
mod speech;
mod splits;
mod tokens;
mod units;
mod usage;

use super::{Format, Observer, Seen, Usage};
use crate::reason::Reason;
use serde_json::Value;

const REASONS: [Reason; 28] = [
    Reason::BadRequest,
    Reason::ConflictingCredentials,
    Reason::KeyMissing,
    Reason::KeyUnknown,
    Reason::KeyExpired,
    Reason::TenantSuspended,
    Reason::NoRoute,
    Reason::BodyTooLarge,
    Reason::RequestTooSlow,
    Reason::Overloaded,
    Reason::RequestsLimited,
    Reason::TokensLimited,
    Reason::CharactersLimited,
    Reason::StreamsLimited,
    Reason::BudgetSpent,
    Reason::LimitsUnavailable,
    Reason::RouteNotReady,
    Reason::NoBackend,
    Reason::UpstreamConnect,
    Reason::UpstreamReset,
    Reason::UpstreamProtocol,
    Reason::UpstreamError,
    Reason::UpstreamStatus,
    Reason::FirstByteTimeout,
    Reason::IdleTimeout,
    Reason::TotalTimeout,
    Reason::ClientStalled,
    Reason::Draining,
];

/// An observer that saw these whole units.
fn watched(format: Format, units: &str) -> Observer {
    let mut observer = Observer::new(format);
    observer.push(units.as_bytes(), true);
    observer
}

fn seen(format: Format, units: &str) -> Seen {
    *watched(format, units).seen()
}

/// What went by, in short: t(erminal), e(rror), c(ontent).
fn told(format: Format, units: &str) -> String {
    let seen = seen(format, units);
    [(seen.terminal, 't'), (seen.error, 'e'), (seen.content, 'c')]
        .iter()
        .filter(|(is, _)| *is)
        .map(|(_, c)| c)
        .collect()
}

/// What a whole JSON answer tells.
fn body(format: Format, text: &str) -> Seen {
    let mut observer = Observer::of_json(format);
    let (head, tail) = text.split_at(text.len() / 2);
    observer.push(head.as_bytes(), false);
    observer.push(tail.as_bytes(), false);
    assert_eq!(*observer.seen(), Seen::default(), "nothing is known before the end");
    observer.end(b"");
    *observer.seen()
}

/// Input, output, cached, cache written, reasoning.
const fn usage(counts: [Option<u64>; 5]) -> Usage {
    let [input, output, cached, cache_written, reasoning] = counts;
    Usage { input, output, cached, cache_written, reasoning, characters: None }
}

/// The one event of a text that ends with `end`: its name and its JSON.
fn event<'a>(text: &'a [u8], end: &str) -> (Option<&'a str>, Value) {
    let text = std::str::from_utf8(text).unwrap();
    let event = text.strip_suffix(end).unwrap();
    assert!(!event.contains("\n\n") && !event.contains('\r'));
    let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
    (field("event: "), serde_json::from_str(field("data: ").unwrap()).unwrap())
}
