//! Ollama's own API: `POST /api/chat` and `/api/generate`, a JSON text a line. Streams unless told not to.

use bytes::Bytes;
use serde_json::{Value, json};

use super::behaviour::Usage;
use super::call::{Call, Carries, words};
use super::dates::rfc3339;
use super::family::Family;
use super::plan::{InBand, Kind, Unit};
use super::problem::Problem;
use super::reply::{Played, Reply};
use super::{in_band, script};

const FAMILY: Family = Family::Ollama;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    /// `/api/chat`.
    Chat,
    /// `/api/generate`.
    Generate,
}

/// What of a request decides the answer.
struct Answer {
    operation: Operation,
    model: String,
    created: String,
    tokens: usize,
    finish: &'static str,
    prompt: usize,
    usage: Usage,
}

pub(super) fn answer(call: &Call, operation: Operation) -> Result<Reply, Problem> {
    let (answer, played) = Answer::read(call, operation)?;
    let stream = call.field("stream").and_then(Value::as_bool).unwrap_or(true);
    if let Some(reply) = call.failure(FAMILY, &played, Carries::of(stream)) {
        return Ok(reply);
    }
    let count = answer.tokens;
    let reply = if stream {
        let error = in_band::error(call, FAMILY, json!({}), played.behaviour.shape);
        let in_band = InBand { error: Some(line(&error)), terminal: Some(line(&answer.last())) };
        Reply::units("application/x-ndjson", answer.lines(), count, &played, in_band)
    } else {
        Reply::generated(&answer.whole(), count, &played)
    };
    Ok(call.good(FAMILY, reply))
}

fn line(value: &Value) -> Bytes {
    Bytes::from(format!("{value}\n"))
}

impl Answer {
    fn read(call: &Call, operation: Operation) -> Result<(Self, Played), Problem> {
        let model = call.text("model").ok_or_else(|| Problem::new(400, "model is required"))?;
        let played = call.played(model)?;
        let most = call.json.and_then(|json| json.pointer("/options/num_predict")).and_then(Value::as_u64);
        let most = most.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
        let messages = call.field("messages").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let prompt = match operation {
            Operation::Chat => messages.iter().filter_map(|message| message.get("content")).map(words).sum(),
            Operation::Generate => call.field("prompt").map_or(0, words),
        };
        let answer = Self {
            operation,
            model: model.to_owned(),
            created: rfc3339(call.unix),
            tokens: played.tokens.min(most),
            finish: if played.tokens > most { "length" } else { "stop" },
            prompt,
            usage: played.behaviour.usage,
        };
        Ok((answer, played))
    }

    fn part(&self, text: &str, done: bool) -> Value {
        let mut part = json!({"model": self.model, "created_at": self.created, "done": done});
        match self.operation {
            Operation::Chat => part["message"] = json!({"role": "assistant", "content": text}),
            Operation::Generate => part["response"] = json!(text),
        }
        part
    }

    /// The last one: why it ended, and the counts.
    fn finished(&self, text: &str) -> Value {
        let mut part = self.part(text, true);
        part["done_reason"] = json!(self.finish);
        part["total_duration"] = json!(4_883_583_458_u64);
        part["load_duration"] = json!(1_334_875);
        if self.usage != Usage::Never {
            part["prompt_eval_count"] = json!(self.prompt);
            part["prompt_eval_duration"] = json!(342_546_000);
            part["eval_count"] = json!(self.tokens);
            part["eval_duration"] = json!(4_535_599_000_u64);
        }
        part
    }

    fn last(&self) -> Value {
        self.finished("")
    }

    fn whole(&self) -> Value {
        self.finished(&script::text(self.tokens))
    }

    fn lines(self) -> impl Iterator<Item = Unit> + Send {
        (0..=self.tokens).map(move |i| {
            if i == self.tokens {
                Unit { kind: Kind::Tail, bytes: line(&self.last()) }
            } else {
                Unit { kind: Kind::Token, bytes: line(&self.part(&script::token(i), false)) }
            }
        })
    }
}
