//! Which headers go up, which come back, and which the relay adds.

use super::admit::Told;
use super::credentials::KEY_HEADERS;
use crate::limits::LineUnit;
use crate::table::BackendEntry;
use crate::tunnel;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use std::time::Duration;

/// RFC 9110, section 7.6.1, and its predecessors: they speak of one connection only.
static HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// What clients say of themselves to the relay, which is none of the provider's business.
static CLIENT_ONLY: [HeaderName; 7] = [
    header::AUTHORIZATION,
    header::PROXY_AUTHORIZATION,
    header::COOKIE,
    header::HOST,
    header::EXPECT,
    header::FORWARDED,
    HeaderName::from_static("x-real-ip"),
];
/// What only the relay may say of its own request.
static RELAY_OWN: [HeaderName; 3] = [header::HOST, header::CONTENT_LENGTH, header::EXPECT];
/// What proxies between the client and the relay say of the client. A prefix of names.
const FORWARDED: &str = "x-forwarded-";

/// What providers say of the account behind the credential, which is none of the tenant's business. Prefixes of names.
const ACCOUNT: [&str; 8] = [
    "x-ratelimit-",
    "anthropic-ratelimit-",
    "openai-organization",
    "openai-project",
    "anthropic-organization-id",
    "anthropic-workspace-id",
    "set-cookie",
    "x-relay-",
];

const RELAY_ERROR: HeaderName = HeaderName::from_static("x-relay-error");
const RELAY_REVISION: HeaderName = HeaderName::from_static("x-relay-revision");
const LIMITS_MODE: HeaderName = HeaderName::from_static("x-relay-limits-mode");
const REQUESTS: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit-requests"),
    HeaderName::from_static("x-ratelimit-remaining-requests"),
    HeaderName::from_static("x-ratelimit-reset-requests"),
];
const TOKENS: [HeaderName; 3] = [
    HeaderName::from_static("x-ratelimit-limit-tokens"),
    HeaderName::from_static("x-ratelimit-remaining-tokens"),
    HeaderName::from_static("x-ratelimit-reset-tokens"),
];
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
/// The relay's name of a request; the client's own, if it sent a sane one.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Some SDKs obey a `retry-after` of hours and sleep. Longer waits than this are not told, and the SDK is asked not to retry.
const LONGEST_RETRY_AFTER: Duration = Duration::from_mins(1);

fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
        .collect();
    for name in HOP_BY_HOP.iter().chain(&named) {
        headers.remove(name);
    }
}

/// Makes the headers of a client's request those of the relay's request to a backend.
pub(super) fn to_upstream(headers: &mut HeaderMap, backend: &BackendEntry, identity: bool, request_id: &str) {
    strip_hop_by_hop(headers);
    tunnel::strip(headers);
    for name in CLIENT_ONLY.iter().chain(&KEY_HEADERS) {
        headers.remove(name);
    }
    remove_by_prefix(headers, &[FORWARDED]);
    apply_rules(headers, backend);
    // The length is told anew by the body itself.
    headers.remove(header::CONTENT_LENGTH);
    if identity {
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    headers.insert(header::HOST, backend.host.clone());
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, id);
    }
    if let Some((name, value)) = &backend.credential {
        headers.insert(name, value.clone());
    }
}

/// What the route says of headers. Never of those that frame the request or say where it goes, and before the relay sets its own.
fn apply_rules(headers: &mut HeaderMap, backend: &BackendEntry) {
    for name in &backend.remove_headers {
        headers.remove(name);
    }
    for (name, value) in &backend.set_headers {
        if !HOP_BY_HOP.contains(name) && !RELAY_OWN.contains(name) {
            headers.insert(name, value.clone());
        }
    }
}

/// Makes the headers of an upstream's answer those of the relay's.
pub(super) fn to_client(headers: &mut HeaderMap, request_id: &str) {
    // RFC 9112, section 6.3: where both are there, the length does not count; alone it would, and cut the body.
    if headers.contains_key(header::TRANSFER_ENCODING) {
        headers.remove(header::CONTENT_LENGTH);
    }
    strip_hop_by_hop(headers);
    remove_by_prefix(headers, &ACCOUNT);
    add_request_id(headers, request_id);
}

fn remove_by_prefix(headers: &mut HeaderMap, prefixes: &[&str]) {
    let has_prefix = |name: &&HeaderName| prefixes.iter().any(|prefix| name.as_str().starts_with(prefix));
    let found: Vec<HeaderName> = headers.keys().filter(has_prefix).cloned().collect();
    for name in found {
        headers.remove(name);
    }
}

/// The upstream's own id stays: SDKs show it, and the provider's support asks for it.
pub(super) fn add_request_id(headers: &mut HeaderMap, request_id: &str) {
    if !headers.contains_key(REQUEST_ID)
        && let Ok(id) = HeaderValue::from_str(request_id)
    {
        headers.insert(REQUEST_ID, id);
    }
}

/// `x-relay-error`: the reason of an answer that the relay made.
pub(super) fn add_error(headers: &mut HeaderMap, reason: crate::reason::Reason) {
    headers.insert(RELAY_ERROR, HeaderValue::from_static(reason.name()));
}

/// `x-relay-revision`: the configuration that the request began with.
pub(super) fn add_revision(headers: &mut HeaderMap, revision: &str) {
    if let Ok(revision) = HeaderValue::from_str(revision) {
        headers.insert(RELAY_REVISION, revision);
    }
}

/// `x-ratelimit-*` of requests and tokens, in OpenAI's form: of each, the limit of which the least is left. And who decided.
pub(super) fn add_limits(headers: &mut HeaderMap, told: Option<&Told>) {
    let Some(Told { standings, mode }) = told else { return };
    headers.insert(LIMITS_MODE, HeaderValue::from_static(mode.label()));
    let tightest = |is_of: fn(LineUnit) -> bool| standings.iter().filter(|s| is_of(s.unit)).min_by_key(|s| s.remaining);
    let units = [
        (REQUESTS, tightest(|unit| unit == LineUnit::Requests)),
        (TOKENS, tightest(|unit| matches!(unit, LineUnit::Tokens(_)))),
    ];
    for ([limit, remaining, reset], standing) in units {
        let Some(standing) = standing else { continue };
        headers.insert(limit, HeaderValue::from(standing.limit));
        headers.insert(remaining, HeaderValue::from(standing.remaining));
        if let Ok(value) = HeaderValue::from_str(&format!("{}s", ceil_seconds(standing.reset))) {
            headers.insert(reset, value);
        }
    }
}

/// `retry-after` where a client should wait that long, else the word not to retry.
pub(super) fn add_retry(headers: &mut HeaderMap, retry_after: Option<Duration>) {
    match retry_after {
        Some(wait) if wait <= LONGEST_RETRY_AFTER => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(ceil_seconds(wait).max(1)));
        }
        _ => {
            headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
        }
    }
}

/// Whole seconds that are not too short.
pub(super) fn ceil_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
