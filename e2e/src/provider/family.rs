//! What the APIs of one family share: where the key stands, the headers of every answer, the shape of an error.

use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::behaviour::{Failure, RetryAfter};
use super::call::Call;
use super::reply::{Reply, set};

/// A provider's style.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    OpenAi,
    Anthropic,
    AzureSpeech,
}

/// An error as the code that finds it says it; the family shapes it.
#[derive(Debug, Clone, Default)]
pub(super) struct Problem {
    pub(super) status: u16,
    pub(super) message: String,
    /// OpenAI's `param`.
    pub(super) param: Option<&'static str>,
    /// OpenAI's `code`; none is what the status has.
    pub(super) code: Option<&'static str>,
}

impl Problem {
    pub(super) fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), ..Self::default() }
    }
}

impl Family {
    /// By path; `/v1/models` and unknown paths by the headers that only Anthropic's clients send.
    pub(super) fn of(path: &str, headers: &HeaderMap) -> Self {
        if path.starts_with("/cognitiveservices") || path.starts_with("/sts/") {
            Self::AzureSpeech
        } else if path.starts_with("/v1/messages") || headers.contains_key("anthropic-version") {
            Self::Anthropic
        } else {
            Self::OpenAi
        }
    }

    /// The key, from where the family's clients put it. Empty ones are none.
    pub(super) fn credential(self, headers: &HeaderMap) -> Option<&str> {
        let own = match self {
            Self::OpenAi => None,
            Self::Anthropic => headers.get("x-api-key"),
            Self::AzureSpeech => headers.get("ocp-apim-subscription-key"),
        };
        let bearer = || {
            let value = headers.get("authorization")?.to_str().ok()?;
            let (scheme, key) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(key)
        };
        own.and_then(|value| value.to_str().ok()).or_else(bearer).map(str::trim).filter(|key| !key.is_empty())
    }

    /// The answer to a missing or wrong key.
    pub(super) fn unauthorized(self, call: &Call, missing: bool) -> Reply {
        let message = match (self, missing) {
            (Self::OpenAi, true) => {
                "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."
            }
            (Self::OpenAi, false) => {
                "Incorrect API key provided. You can find your API key at https://platform.openai.com/account/api-keys."
            }
            (Self::Anthropic, true) => "x-api-key header is required",
            (Self::Anthropic, false) => "invalid x-api-key",
            (Self::AzureSpeech, _) => {
                "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an active subscription and use a correct regional API endpoint for your resource."
            }
        };
        self.error(call, &Problem::new(401, message))
    }

    /// An error in the family's shape.
    pub(super) fn error(self, call: &Call, problem: &Problem) -> Reply {
        let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let reply = match self {
            Self::AzureSpeech if problem.status != 401 => {
                Reply::whole(status, "text/plain; charset=utf-8", problem.message.clone())
            }
            _ => Reply::json(status, &self.error_value(call, problem)),
        };
        reply.with(self.headers(call, Duration::ZERO))
    }

    /// The JSON of an error.
    pub(super) fn error_value(self, call: &Call, problem: &Problem) -> Value {
        let message = &problem.message;
        match self {
            Self::OpenAi => {
                let (kind, code) = openai_kind(problem.status);
                let code = problem.code.map_or(code, Some);
                json!({"error": {"message": message, "type": kind, "param": problem.param, "code": code}})
            }
            Self::Anthropic => {
                let kind = anthropic_kind(problem.status);
                json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": call.request_id()})
            }
            Self::AzureSpeech => json!({"error": {"code": problem.status.to_string(), "message": message}}),
        }
    }

    /// The failure that a model name asks for.
    pub(super) fn fail(self, call: &Call, status: u16, failure: Failure, delay: Duration) -> Reply {
        let mut reply = if failure.html {
            let code = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
            let title = format!("{status} {}", code.canonical_reason().unwrap_or("Error"));
            let page = format!(
                "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n\
                 <hr><center>cloudflare</center>\r\n</body>\r\n</html>\r\n"
            );
            Reply::whole(code, "text/html", page)
        } else {
            self.error(call, &Problem::new(status, failure_message(status)))
        };
        retry_headers(&mut reply.headers, status, failure.retry_after);
        if status == 429 && self == Self::OpenAi && !failure.html {
            set(&mut reply.headers, "x-ratelimit-remaining-requests", "0");
            set(&mut reply.headers, "x-ratelimit-reset-requests", "1s");
        }
        reply.after(delay)
    }

    /// The headers of every answer of the family. `took` is what it says it worked before the head.
    pub(super) fn headers(self, call: &Call, took: Duration) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let id = call.request_id();
        match self {
            Self::OpenAi => {
                set(&mut headers, "x-request-id", &id);
                set(&mut headers, "openai-processing-ms", &(took.as_millis() + 7).to_string());
                for (name, value) in OPENAI {
                    set(&mut headers, *name, value);
                }
            }
            Self::Anthropic => {
                set(&mut headers, "request-id", &id);
                let reset = rfc3339(call.unix + 1);
                for kind in ANTHROPIC_LIMITS {
                    set(&mut headers, kind.limit, "4000");
                    set(&mut headers, kind.remaining, "3999");
                    set(&mut headers, kind.reset, &reset);
                }
                set(&mut headers, "anthropic-organization-id", "org-fake");
            }
            Self::AzureSpeech => set(&mut headers, "x-requestid", &id),
        }
        headers
    }
}

const OPENAI: &[(&str, &str)] = &[
    ("openai-version", "2020-10-01"),
    ("openai-organization", "org-fake"),
    ("openai-project", "proj_fake"),
    ("x-ratelimit-limit-requests", "10000"),
    ("x-ratelimit-remaining-requests", "9999"),
    ("x-ratelimit-reset-requests", "6ms"),
    ("x-ratelimit-limit-tokens", "2000000"),
    ("x-ratelimit-remaining-tokens", "1999982"),
    ("x-ratelimit-reset-tokens", "1ms"),
    ("alt-svc", "h3=\":443\"; ma=86400"),
    ("server", "cloudflare"),
    ("set-cookie", "__cf_bm=fake; path=/; HttpOnly; Secure; SameSite=None"),
];

struct LimitNames {
    limit: &'static str,
    remaining: &'static str,
    reset: &'static str,
}

const ANTHROPIC_LIMITS: [LimitNames; 2] = [
    LimitNames {
        limit: "anthropic-ratelimit-requests-limit",
        remaining: "anthropic-ratelimit-requests-remaining",
        reset: "anthropic-ratelimit-requests-reset",
    },
    LimitNames {
        limit: "anthropic-ratelimit-tokens-limit",
        remaining: "anthropic-ratelimit-tokens-remaining",
        reset: "anthropic-ratelimit-tokens-reset",
    },
];

/// OpenAI's error type and code of a status.
fn openai_kind(status: u16) -> (&'static str, Option<&'static str>) {
    match status {
        401 => ("invalid_request_error", Some("invalid_api_key")),
        408 => ("timeout", None),
        429 => ("requests", Some("rate_limit_exceeded")),
        400..500 => ("invalid_request_error", None),
        _ => ("server_error", None),
    }
}

/// Anthropic's error type of a status.
fn anthropic_kind(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        408 | 504 => "timeout_error",
        409 => "conflict_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        400..500 => "invalid_request_error",
        529 => "overloaded_error",
        _ => "api_error",
    }
}

fn failure_message(status: u16) -> &'static str {
    match status {
        429 => "Rate limit reached for this model: Limit 3, Used 3, Requested 1. Please try again in 1s.",
        503 | 529 => "Overloaded",
        400..500 => "The request was refused, as the model name asked for.",
        _ => "The server had an error while processing your request. Sorry about that!",
    }
}

fn retry_headers(headers: &mut HeaderMap, status: u16, after: RetryAfter) {
    let wait = match after {
        RetryAfter::Usual if status == 429 => Duration::from_secs(1),
        RetryAfter::Usual | RetryAfter::Never => return,
        RetryAfter::Wait(wait) => wait,
    };
    if wait.subsec_nanos() > 0 {
        set(headers, "retry-after-ms", &wait.as_millis().to_string());
    }
    // Whole seconds only (RFC 9110, 10.2.3); rounded up, so that nobody comes too early.
    set(headers, RETRY_AFTER, &wait.as_millis().div_ceil(1000).to_string());
}

/// Unix seconds as RFC 3339 in UTC; the calendar by Howard Hinnant's `civil_from_days`.
fn rfc3339(unix: u64) -> String {
    let (days, second) = (unix / 86_400 + 719_468, unix % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests;
