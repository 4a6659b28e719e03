//! OpenAI Responses: `POST …/responses`.

use serde_json::{Value, json};

use super::behaviour::{Behaviour, ErrorShape, Fault, Usage};
use super::call::{Call, Carries, words};
use super::chat::{missing, model};
use super::plan::{InBand, Kind};
use super::problem::Problem;
use super::reply::{Played, Reply};
use super::sse::Event;
use super::{in_band, script};

/// Events in front of the first token.
const LEAD: usize = 4;

/// What of a request decides the answer.
struct Answer {
    id: String,
    item: String,
    created: u64,
    model: String,
    tokens: usize,
    /// `max_output_tokens` ended it.
    bounded: bool,
    input_tokens: usize,
    reasoning: usize,
    cached: usize,
    usage: Usage,
}

pub(super) fn answer(call: &Call) -> Result<Reply, Problem> {
    let (answer, played) = Answer::read(call)?;
    let family = call.target.family;
    let stream = call.field("stream").is_some_and(|stream| *stream == true);
    if let Some(reply) = call.failure(family, &played, Carries::of(stream)) {
        return Ok(reply);
    }
    let reply = if stream {
        let text = played.behaviour.text;
        let count = answer.tokens;
        let error = answer.error_event(call, &played.behaviour);
        let terminal = answer.terminal(LEAD + count + 4);
        let in_band = InBand { error: Some(error.encode(text)), terminal: Some(terminal.encode(text)) };
        Reply::events(answer.events(), count, &played, in_band)
    } else {
        Reply::generated(&answer.response(answer.status()), answer.tokens, &played)
    };
    Ok(call.good(family, reply))
}

/// Words of `input`: a text, or items with a content.
fn input_words(input: &Value) -> usize {
    match input {
        Value::Array(items) => items.iter().filter_map(|item| item.get("content")).map(words).sum(),
        _ => words(input),
    }
}

fn event(kind: Kind, name: &'static str, number: usize, mut data: Value) -> Event {
    data["type"] = json!(name);
    data["sequence_number"] = json!(number);
    Event { kind, name: Some(name), data: data.to_string() }
}

fn part(text: &str) -> Value {
    json!({"type": "output_text", "annotations": [], "logprobs": [], "text": text})
}

impl Answer {
    fn read(call: &Call) -> Result<(Self, Played), Problem> {
        let model = model(call)?;
        let input = call.field("input").ok_or_else(|| missing("input"))?;
        let played = call.played(model)?;
        let most = call.field("max_output_tokens").and_then(Value::as_u64);
        let most = most.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
        let answer = Self {
            id: format!("resp_fake{:020}", call.n),
            item: format!("msg_fake{:020}", call.n),
            created: call.unix,
            model: model.to_owned(),
            tokens: played.tokens.min(most),
            bounded: played.tokens > most,
            input_tokens: input_words(input) + call.field("instructions").map_or(0, words),
            reasoning: played.behaviour.reasoning,
            cached: played.behaviour.cached,
            usage: played.behaviour.usage,
        };
        Ok((answer, played))
    }

    fn status(&self) -> &'static str {
        if self.bounded { "incomplete" } else { "completed" }
    }

    fn usage(&self) -> Value {
        let output = self.tokens + self.reasoning;
        json!({
            "input_tokens": self.input_tokens, "input_tokens_details": {"cached_tokens": self.cached},
            "output_tokens": output, "output_tokens_details": {"reasoning_tokens": self.reasoning},
            "total_tokens": self.input_tokens + output,
        })
    }

    /// The response object in this status; only a finished one has output and usage.
    fn response(&self, status: &str) -> Value {
        let finished = status == self.status();
        let reason = (finished && self.bounded).then(|| json!({"reason": "max_output_tokens"}));
        let error = (status == "failed")
            .then(|| json!({"code": "server_error", "message": "The model had an error while it answered."}));
        let output = if finished { json!([self.message(status)]) } else { json!([]) };
        let usage = (finished && self.usage != Usage::Never).then(|| self.usage());
        json!({
            "id": self.id, "object": "response", "created_at": self.created, "status": status, "background": false,
            "error": error, "incomplete_details": reason, "instructions": null, "max_output_tokens": null,
            "model": self.model, "output": output, "parallel_tool_calls": true, "previous_response_id": null,
            "reasoning": {"effort": null, "summary": null}, "service_tier": "default", "store": true,
            "temperature": 1.0, "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [], "top_p": 1.0,
            "truncation": "disabled", "usage": usage, "user": null, "metadata": {},
        })
    }

    fn message(&self, status: &str) -> Value {
        let content = match status {
            "in_progress" => json!([]),
            _ => json!([part(&script::text(self.tokens))]),
        };
        json!({"id": self.item, "type": "message", "status": status, "role": "assistant", "content": content})
    }

    /// Where in the response a text stands, with one more field.
    fn at(&self, name: &str, value: Value) -> Value {
        let mut data = json!({"item_id": self.item, "output_index": 0, "content_index": 0});
        data[name] = value;
        data
    }

    /// The lead-in, the tokens, what closes them, the terminal event.
    fn events(self) -> impl Iterator<Item = Event> + Send {
        let tokens = self.tokens;
        (0..tokens + 2).flat_map(move |i| {
            if i == 0 {
                self.lead()
            } else if i <= tokens {
                let mut data = self.at("delta", json!(script::token(i - 1)));
                data["logprobs"] = json!([]);
                vec![event(Kind::Token, "response.output_text.delta", LEAD + i - 1, data)]
            } else {
                self.close()
            }
        })
    }

    fn lead(&self) -> Vec<Event> {
        let response = json!({"response": self.response("in_progress")});
        let item = json!({"output_index": 0, "item": self.message("in_progress")});
        vec![
            event(Kind::Head, "response.created", 0, response.clone()),
            event(Kind::Head, "response.in_progress", 1, response),
            event(Kind::Head, "response.output_item.added", 2, item),
            event(Kind::Head, "response.content_part.added", 3, self.at("part", part(""))),
        ]
    }

    fn close(&self) -> Vec<Event> {
        let text = script::text(self.tokens);
        let n = LEAD + self.tokens;
        let item = json!({"output_index": 0, "item": self.message(self.status())});
        let mut done = self.at("text", json!(text));
        done["logprobs"] = json!([]);
        vec![
            event(Kind::Tail, "response.output_text.done", n, done),
            event(Kind::Tail, "response.content_part.done", n + 1, self.at("part", part(&text))),
            event(Kind::Tail, "response.output_item.done", n + 2, item),
            self.terminal(n + 3),
        ]
    }

    fn terminal(&self, number: usize) -> Event {
        let name = if self.bounded { "response.incomplete" } else { "response.completed" };
        event(Kind::Tail, name, number, json!({"response": self.response(self.status())}))
    }

    /// Live OpenAI nests the error although its reference shows it flat.
    fn error_event(&self, call: &Call, behaviour: &Behaviour) -> Event {
        let number = match behaviour.fault {
            Some(Fault::ErrorFirst) => 0,
            _ => LEAD + behaviour.at(self.tokens),
        };
        if behaviour.shape == ErrorShape::Failed {
            return event(Kind::Tail, "response.failed", number, json!({"response": self.response("failed")}));
        }
        let fields = json!({"type": "error"});
        event(Kind::Tail, "error", number, in_band::error(call, call.target.family, fields, behaviour.shape))
    }
}
