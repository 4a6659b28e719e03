//! One request with everything that answering it needs. Answering is pure: no clock, no socket.

use http::{HeaderMap, Method, StatusCode};
use serde_json::Value;

use super::behaviour::{Behaviour, Fault};
use super::family::Family;
use super::problem::Problem;
use super::reply::{Played, Reply};
use super::server::Config;
use super::target::{Api, Target};
use super::{azure, chat, elevenlabs, gemini, messages, models, ollama, responses, speech};

/// What the body of an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carries {
    Events,
    Audio,
    Json,
}

impl Carries {
    /// A JSON answer, streamed or not.
    pub(super) fn of(stream: bool) -> Self {
        if stream { Self::Events } else { Self::Json }
    }
}

/// A request, read to its end.
pub(super) struct Call<'a> {
    pub(super) n: u64,
    pub(super) config: &'a Config,
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    /// What the path says.
    pub(super) target: Target<'a>,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a [u8],
    /// The body as JSON, if it is.
    pub(super) json: Option<&'a Value>,
    /// Now, in Unix seconds.
    pub(super) unix: u64,
}

impl Call<'_> {
    /// Answers the request.
    pub(super) fn answer(&self) -> Reply {
        if let Some(refusal) = self.refusal() {
            return refusal;
        }
        let family = self.target.family;
        let answer = match self.target.api {
            Api::Chat => chat::answer(self),
            Api::Responses => responses::answer(self),
            Api::Speech => speech::answer(self),
            Api::Messages => messages::answer(self),
            Api::Gemini { stream } => gemini::answer(self, stream),
            Api::ElevenLabs => elevenlabs::answer(self),
            Api::AzureSpeech => azure::answer(self),
            Api::OllamaChat => ollama::answer(self, ollama::Operation::Chat),
            Api::OllamaGenerate => ollama::answer(self, ollama::Operation::Generate),
            Api::Models => Ok(models::list(self, family)),
            Api::Unknown => Err(self.no_such_path(family)),
        };
        answer.unwrap_or_else(|problem| family.error(self, &problem))
    }

    /// The answer to a request without a key that is known.
    pub(super) fn refusal(&self) -> Option<Reply> {
        let family = self.target.family;
        let key = family.credential(self.headers);
        let known = |key: &str| self.config.keys.is_empty() || self.config.keys.iter().any(|known| known == key);
        (family.wants_key() && !key.is_some_and(known)).then(|| family.unauthorized(self, key.is_none()))
    }

    fn no_such_path(&self, family: Family) -> Problem {
        match family {
            Family::OpenAi => Problem::new(404, format!("Invalid URL ({} {})", self.method, self.path)),
            Family::AzureOpenAi | Family::AzureSpeech => Problem::new(404, "Resource not found"),
            Family::Ollama => Problem::new(404, "404 page not found"),
            Family::SiliconFlow | Family::Anthropic | Family::Gemini | Family::ElevenLabs => {
                Problem::new(404, "Not Found")
            }
        }
    }

    /// The id of the answer: the same for the same number.
    pub(super) fn request_id(&self) -> String {
        format!("req_fake{:020}", self.n)
    }

    /// The media type of the body, without parameters, in lower case.
    pub(super) fn content_type(&self) -> String {
        let value = self.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
        value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// A text field of the JSON body that is there and not empty.
    pub(super) fn text(&self, field: &str) -> Option<&str> {
        self.json?.get(field)?.as_str().filter(|text| !text.is_empty())
    }

    /// What the model name asks for, with the provider's defaults.
    pub(super) fn played(&self, model: &str) -> Result<Played, Problem> {
        let behaviour = Behaviour::parse(model).map_err(|error| Problem {
            param: Some("model"),
            code: Some("model_not_found"),
            ..Problem::new(404, error.to_string())
        })?;
        let (tokens, gap) = (behaviour.tokens.unwrap_or(self.config.tokens), behaviour.gap.unwrap_or(self.config.gap));
        Ok(Played { behaviour, tokens, gap })
    }

    /// The failure before the first byte that the model name asks for: a status, or the 500 of an answer that
    /// cannot carry the error event asked for.
    pub(super) fn failure(&self, family: Family, played: &Played, carries: Carries) -> Option<Reply> {
        let behaviour = &played.behaviour;
        if behaviour.failure.as_ok {
            let value = family.error_value(self, &Problem::breakdown(family));
            let reply = Reply::json(StatusCode::OK, &value).with(family.headers(self, behaviour.slow_first));
            return Some(reply.after(behaviour.slow_first));
        }
        let status = behaviour.failure.status.or(match (carries, behaviour.fault) {
            (Carries::Json | Carries::Audio, Some(Fault::ErrorFirst))
            | (Carries::Json, Some(Fault::ErrorMidway | Fault::ErrorThenDone)) => Some(500),
            _ => None,
        })?;
        Some(family.fail(self, status, behaviour.failure, behaviour.slow_first))
    }

    /// A field of the JSON body.
    pub(super) fn field(&self, name: &str) -> Option<&Value> {
        self.json?.get(name)
    }

    /// The value of a parameter of the query.
    pub(super) fn asks(&self, name: &str) -> Option<&str> {
        self.query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|pair| pair.1)
    }

    /// The family's headers and the provider's on a good answer.
    pub(super) fn good(&self, family: Family, reply: Reply) -> Reply {
        let headers = family.headers(self, reply.delay);
        reply.with(headers)
    }
}

/// Words in a message content: a text, or parts of which some are texts. The prompt's token count is the number
/// of words in all of them.
pub(super) fn words(content: &Value) -> usize {
    match content {
        Value::String(text) => text.split_whitespace().count(),
        Value::Array(parts) => parts.iter().filter_map(|part| part.get("text")).map(words).sum(),
        _ => 0,
    }
}

/// Pieces of the audio, and how many they are.
pub(super) fn audio_pieces(played: &Played) -> (impl Iterator<Item = bytes::Bytes> + Send + use<>, usize, usize) {
    let total = played.behaviour.bytes.unwrap_or(64 << 10);
    let chunk = played.behaviour.chunk.unwrap_or(4 << 10);
    let pieces = (0..total).step_by(chunk).map(move |start| super::script::audio(start, chunk.min(total - start)));
    (pieces, total.div_ceil(chunk), total)
}
