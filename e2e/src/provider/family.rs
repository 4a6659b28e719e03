//! What the APIs of one family share: where the key stands, and the headers of every answer.

use std::time::Duration;

use http::HeaderMap;

use super::call::Call;
use super::dates::rfc3339;
use super::reply::set;

/// A provider's style.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    OpenAi,
    SiliconFlow,
    AzureOpenAi,
    Anthropic,
    Gemini,
    ElevenLabs,
    Ollama,
    AzureSpeech,
}

impl Family {
    /// By path; `/v1/models` and unknown paths by the headers that only one family's clients send.
    pub(super) fn of(path: &str, headers: &HeaderMap) -> Self {
        if path.starts_with("/cognitiveservices") || path.starts_with("/sts/") {
            Self::AzureSpeech
        } else if path.starts_with("/openai/") {
            Self::AzureOpenAi
        } else if path.starts_with("/v1beta/") || path.starts_with("/v1/models/") {
            Self::Gemini
        } else if path.starts_with("/v1/text-to-speech/") || headers.contains_key("xi-api-key") {
            Self::ElevenLabs
        } else if path.starts_with("/api/") {
            Self::Ollama
        } else if ["/v1/chat/", "/v1/responses", "/v1/audio/", "/v1/realtime"].iter().any(|own| path.starts_with(own)) {
            Self::OpenAi
        } else if path.starts_with("/v1/messages") || headers.contains_key("anthropic-version") {
            Self::Anthropic
        } else {
            Self::OpenAi
        }
    }

    /// Whether requests without a key are refused; a local model asks nobody for one.
    pub(super) fn wants_key(self) -> bool {
        self != Self::Ollama
    }

    /// The key, from where the family's clients put it. Empty ones are none.
    pub(super) fn credential(self, headers: &HeaderMap) -> Option<&str> {
        let own = match self {
            Self::OpenAi | Self::SiliconFlow | Self::Ollama => None,
            Self::AzureOpenAi => headers.get("api-key"),
            Self::Anthropic => headers.get("x-api-key"),
            Self::Gemini => headers.get("x-goog-api-key"),
            Self::ElevenLabs => headers.get("xi-api-key"),
            Self::AzureSpeech => headers.get("ocp-apim-subscription-key"),
        };
        let bearer = || {
            let value = headers.get("authorization")?.to_str().ok()?;
            let (scheme, key) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(key)
        };
        own.and_then(|value| value.to_str().ok()).or_else(bearer).map(str::trim).filter(|key| !key.is_empty())
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
            Self::SiliconFlow => set(&mut headers, "x-siliconcloud-trace-id", &id),
            Self::AzureOpenAi => {
                set(&mut headers, "apim-request-id", &id);
                set(&mut headers, "x-request-id", &id);
                for (name, value) in AZURE {
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
            Self::Gemini => {
                set(&mut headers, "server", "scaffolding on HTTPServer2");
                set(&mut headers, "server-timing", &format!("gfet4t7; dur={}", took.as_millis() + 7));
                set(&mut headers, "x-content-type-options", "nosniff");
            }
            Self::ElevenLabs => set(&mut headers, "request-id", &id),
            Self::Ollama => {}
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

const AZURE: &[(&str, &str)] = &[
    ("x-ms-region", "Fake Central"),
    ("x-ratelimit-remaining-requests", "99"),
    ("x-ratelimit-remaining-tokens", "99982"),
    ("azureml-model-session", "d000-fake"),
    ("strict-transport-security", "max-age=31536000; includeSubDomains; preload"),
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

#[cfg(test)]
mod tests;
