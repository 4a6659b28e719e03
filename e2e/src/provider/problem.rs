//! Errors before the first byte: each family's status codes, bodies and headers.

use std::time::Duration;

use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::behaviour::{Failure, RetryAfter};
use super::call::Call;
use super::dates::imf_fixdate;
use super::family::Family;
use super::reply::{Reply, set};

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

    /// What a provider says when it breaks down in the middle of an answer.
    pub(super) fn breakdown(family: Family) -> Self {
        match family {
            Family::Anthropic => Self::new(529, "Overloaded"),
            Family::Gemini => Self::new(503, "The model is overloaded. Please try again later."),
            _ => Self::new(500, failure_message(500)),
        }
    }
}

impl Family {
    /// The answer to a missing or wrong key.
    pub(super) fn unauthorized(self, call: &Call, missing: bool) -> Reply {
        let message = match (self, missing) {
            (Self::OpenAi, true) => {
                "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."
            }
            (Self::OpenAi, false) => {
                "Incorrect API key provided. You can find your API key at https://platform.openai.com/account/api-keys."
            }
            (Self::SiliconFlow, _) => "Invalid token",
            (Self::Anthropic, true) => "x-api-key header is required",
            (Self::Anthropic, false) => "invalid x-api-key",
            (Self::Gemini, _) => "API key not valid. Please pass a valid API key.",
            (Self::ElevenLabs, _) => "Invalid API key",
            (Self::Ollama, _) => "unauthorized",
            (Self::AzureSpeech | Self::AzureOpenAi, _) => {
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
        let Problem { status, message, .. } = problem;
        match self {
            Self::OpenAi => {
                let (kind, code) = openai_kind(*status);
                let code = problem.code.map_or(code, Some);
                json!({"error": {"message": message, "type": kind, "param": problem.param, "code": code}})
            }
            // These come as a bare string, says the vendor's own description of the API.
            Self::SiliconFlow if matches!(status, 401 | 404 | 429 | 503 | 504) => json!(message),
            Self::SiliconFlow => json!({"code": siliconflow_code(*status), "message": message, "data": null}),
            Self::AzureOpenAi => json!({"error": {"code": azure_code(problem), "message": message}}),
            Self::Anthropic => {
                let kind = anthropic_kind(*status);
                json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": call.request_id()})
            }
            Self::Gemini => {
                let mut error = json!({"code": status, "message": message, "status": gemini_status(*status)});
                if *status == 429 {
                    error["details"] =
                        json!([{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1s"}]);
                }
                json!({"error": error})
            }
            Self::ElevenLabs => {
                let (kind, code) = elevenlabs_kind(*status);
                let id = call.request_id();
                json!({"detail": {"type": kind, "code": code, "message": message, "status": code, "request_id": id}})
            }
            Self::Ollama => json!({"error": message}),
            Self::AzureSpeech => json!({"error": {"code": status.to_string(), "message": message}}),
        }
    }

    /// The failure that a model name asks for.
    pub(super) fn fail(self, call: &Call, status: u16, failure: Failure, delay: Duration) -> Reply {
        let mut reply =
            if failure.html { html(status) } else { self.error(call, &Problem::new(status, failure_message(status))) };
        retry_headers(&mut reply.headers, status, failure.retry_after, call.unix);
        if status == 429 && self == Self::OpenAi && !failure.html {
            set(&mut reply.headers, "x-ratelimit-remaining-requests", "0");
            set(&mut reply.headers, "x-ratelimit-reset-requests", "1s");
        }
        reply.after(delay)
    }
}

/// What stands in front of providers and answers for them when they do not.
fn html(status: u16) -> Reply {
    let code = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    let title = format!("{status} {}", code.canonical_reason().unwrap_or("Error"));
    let page = format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n\
         <hr><center>cloudflare</center>\r\n</body>\r\n</html>\r\n"
    );
    Reply::whole(code, "text/html", page)
}

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

/// SiliconFlow's number of a status.
pub(super) fn siliconflow_code(status: u16) -> u32 {
    match status {
        400..500 => 20012,
        _ => 50507,
    }
}

fn azure_code(problem: &Problem) -> String {
    match (problem.status, problem.code) {
        (404, Some("model_not_found")) => "DeploymentNotFound".to_owned(),
        (_, Some(code)) => code.to_owned(),
        (status, None) => status.to_string(),
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

/// Google's name of a status.
fn gemini_status(status: u16) -> &'static str {
    match status {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        408 | 504 => "DEADLINE_EXCEEDED",
        429 => "RESOURCE_EXHAUSTED",
        400..500 => "INVALID_ARGUMENT",
        500 => "INTERNAL",
        _ => "UNAVAILABLE",
    }
}

/// ElevenLabs' error type and code of a status.
fn elevenlabs_kind(status: u16) -> (&'static str, &'static str) {
    match status {
        401 => ("authentication_error", "invalid_api_key"),
        404 => ("not_found", "voice_not_found"),
        429 => ("rate_limit_error", "too_many_concurrent_requests"),
        400..500 => ("validation_error", "invalid_request"),
        503 => ("internal_error", "system_busy"),
        _ => ("internal_error", "internal_server_error"),
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

/// Says how long to wait; `unix` is now.
fn retry_headers(headers: &mut HeaderMap, status: u16, after: RetryAfter, unix: u64) {
    let wait = match after {
        RetryAfter::Usual if status == 429 => Duration::from_secs(1),
        RetryAfter::Usual | RetryAfter::Never => return,
        RetryAfter::Wait(wait) => wait,
        RetryAfter::Date(wait) => {
            set(headers, RETRY_AFTER, &imf_fixdate(unix + wait.as_secs()));
            return;
        }
    };
    if wait.subsec_nanos() > 0 {
        set(headers, "retry-after-ms", &wait.as_millis().to_string());
    }
    // Whole seconds only (RFC 9110, 10.2.3); rounded up, so that nobody comes too early.
    set(headers, RETRY_AFTER, &wait.as_millis().div_ceil(1000).to_string());
}

#[cfg(test)]
mod tests;
