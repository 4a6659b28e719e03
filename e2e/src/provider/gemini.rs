//! Gemini: `POST /v1beta/models/MODEL:generateContent` and `:streamGenerateContent`.

use bytes::Bytes;
use serde_json::{Value, json};

use super::behaviour::{LineEnd, Usage};
use super::call::{Call, Carries, words};
use super::family::Family;
use super::plan::{InBand, Kind, Unit};
use super::problem::Problem;
use super::reply::{Played, Reply};
use super::sse::Event;
use super::{in_band, script};

const FAMILY: Family = Family::Gemini;

/// What of a request decides the answer.
struct Content {
    id: String,
    model: String,
    tokens: usize,
    /// `maxOutputTokens` ended it.
    bounded: bool,
    prompt: usize,
    thoughts: usize,
    cached: usize,
    usage: Usage,
}

pub(super) fn answer(call: &Call, stream: bool) -> Result<Reply, Problem> {
    let (content, mut played) = Content::read(call)?;
    if let Some(reply) = call.failure(FAMILY, &played, Carries::of(stream)) {
        return Ok(reply);
    }
    // It writes CRLF.
    played.behaviour.text.line_end.get_or_insert(LineEnd::Crlf);
    let count = content.tokens;
    let error = in_band::error(call, FAMILY, json!({}), played.behaviour.shape).to_string();
    let reply = if !stream {
        Reply::generated(&content.whole(), count, &played)
    } else if call.asks("alt") == Some("sse") {
        let error = Event { kind: Kind::Tail, name: None, data: error }.encode(played.behaviour.text);
        let events = content.chunks().map(|(kind, data)| Event { kind, name: None, data });
        // No terminal event: the last chunk says that it is the last.
        Reply::events(events, count, &played, InBand { error: Some(error), terminal: None })
    } else {
        let in_band = InBand { error: Some(Bytes::from(format!(",\r\n{error}]"))), terminal: None };
        Reply::units("application/json; charset=UTF-8", content.array(), count, &played, in_band)
    };
    Ok(call.good(FAMILY, reply))
}

impl Content {
    fn read(call: &Call) -> Result<(Self, Played), Problem> {
        let refuse = |message: &str| Problem::new(400, message);
        let model = call.target.model.unwrap_or_default();
        let json = call.json.filter(|json| json.is_object()).ok_or_else(|| refuse("Invalid JSON payload received."))?;
        let contents = json.get("contents").and_then(Value::as_array).filter(|contents| !contents.is_empty());
        let contents =
            contents.ok_or_else(|| refuse("* GenerateContentRequest.contents: contents is not specified"))?;
        let played = call.played(model)?;
        let most = json.pointer("/generationConfig/maxOutputTokens").and_then(Value::as_u64);
        let most = most.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
        let content = Self {
            id: format!("fake{:020}", call.n),
            model: model.to_owned(),
            tokens: played.tokens.min(most),
            bounded: played.tokens > most,
            prompt: contents.iter().filter_map(|content| content.get("parts")).map(words).sum(),
            thoughts: played.behaviour.reasoning,
            cached: played.behaviour.cached,
            usage: played.behaviour.usage,
        };
        Ok((content, played))
    }

    /// One answer with this text; running usage, so far `tokens`.
    fn chunk(&self, text: &str, tokens: usize, last: bool) -> Value {
        let mut candidate = json!({"content": {"parts": [{"text": text}], "role": "model"}, "index": 0});
        if last {
            candidate["finishReason"] = json!(if self.bounded { "MAX_TOKENS" } else { "STOP" });
        }
        let mut chunk = json!({"candidates": [candidate], "modelVersion": self.model, "responseId": self.id});
        if self.usage != Usage::Never {
            let mut usage = json!({
                "promptTokenCount": self.prompt, "candidatesTokenCount": tokens,
                "totalTokenCount": self.prompt + self.thoughts + tokens,
                "promptTokensDetails": [{"modality": "TEXT", "tokenCount": self.prompt}],
            });
            if self.thoughts > 0 {
                usage["thoughtsTokenCount"] = json!(self.thoughts);
            }
            if self.cached > 0 {
                usage["cachedContentTokenCount"] = json!(self.cached);
            }
            chunk["usageMetadata"] = usage;
        }
        chunk
    }

    fn whole(&self) -> Value {
        self.chunk(&script::text(self.tokens), self.tokens, true)
    }

    /// A chunk per token, and one with the reason of the end.
    fn chunks(self) -> impl Iterator<Item = (Kind, String)> + Send {
        (0..=self.tokens).map(move |i| {
            if i == self.tokens {
                (Kind::Tail, self.chunk("", i, true).to_string())
            } else {
                (Kind::Token, self.chunk(&script::token(i), i + 1, false).to_string())
            }
        })
    }

    /// The same as one JSON array, as it comes without `alt=sse`.
    fn array(self) -> impl Iterator<Item = Unit> + Send {
        self.chunks().enumerate().map(|(i, (kind, chunk))| {
            let before = if i == 0 { "[" } else { ",\r\n" };
            let behind = if kind == Kind::Tail { "\n]" } else { "" };
            Unit { kind, bytes: Bytes::from(format!("{before}{chunk}{behind}")) }
        })
    }
}
