//! Anthropic Messages: `POST /v1/messages`.

use serde_json::{Value, json};

use super::behaviour::{ErrorShape, Usage};
use super::call::{Call, Carries, words};
use super::family::Family;
use super::plan::{InBand, Kind};
use super::problem::Problem;
use super::reply::{Played, Reply};
use super::sse::Event;
use super::{in_band, script};

const FAMILY: Family = Family::Anthropic;

/// What of a request decides the answer.
struct Message {
    id: String,
    model: String,
    stream: bool,
    tokens: usize,
    stop_reason: &'static str,
    input_tokens: usize,
    cached: usize,
    usage: Usage,
}

pub(super) fn answer(call: &Call) -> Result<Reply, Problem> {
    let (message, played) = Message::read(call)?;
    if let Some(reply) = call.failure(FAMILY, &played, Carries::of(message.stream)) {
        return Ok(reply);
    }
    let reply = if message.stream {
        let text = played.behaviour.text;
        let in_band = InBand {
            error: Some(error_event(call, played.behaviour.shape).encode(text)),
            terminal: Some(stop().encode(text)),
        };
        let count = message.tokens;
        Reply::events(message.events(), count, &played, in_band)
    } else {
        Reply::generated(&message.whole(), message.tokens, &played)
    };
    Ok(call.good(FAMILY, reply))
}

fn error_event(call: &Call, shape: ErrorShape) -> Event {
    let fields = json!({"type": "error", "request_id": call.request_id()});
    event(Kind::Tail, "error", &in_band::error(call, FAMILY, fields, shape))
}

fn stop() -> Event {
    event(Kind::Tail, "message_stop", &json!({"type": "message_stop"}))
}

fn event(kind: Kind, name: &'static str, data: &Value) -> Event {
    Event { kind, name: Some(name), data: data.to_string() }
}

impl Message {
    fn read(call: &Call) -> Result<(Self, Played), Problem> {
        let refuse = |message: &str| Problem::new(400, message);
        if !call.headers.contains_key("anthropic-version") {
            return Err(refuse("anthropic-version: header is required"));
        }
        if call.content_type() != "application/json" {
            return Err(refuse("content-type: must be application/json"));
        }
        let json =
            call.json.filter(|json| json.is_object()).ok_or_else(|| refuse("The request body is not valid JSON"))?;
        let model = call.text("model").ok_or_else(|| refuse("model: Field required"))?;
        let most =
            json.get("max_tokens").and_then(Value::as_u64).ok_or_else(|| refuse("max_tokens: Field required"))?;
        if most == 0 {
            return Err(refuse("max_tokens: Input should be greater than or equal to 1"));
        }
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let messages =
            json.get("messages").and_then(Value::as_array).ok_or_else(|| refuse("messages: Field required"))?;
        if messages.is_empty() {
            return Err(refuse("messages: at least one message is required"));
        }
        let played = call.played(model)?;
        let prompt = messages.iter().filter_map(|message| message.get("content")).chain(json.get("system"));
        let message = Self {
            id: format!("msg_fake{:020}", call.n),
            model: model.to_owned(),
            stream: json.get("stream").and_then(Value::as_bool).unwrap_or(false),
            tokens: played.tokens.min(most),
            stop_reason: if played.tokens > most { "max_tokens" } else { "end_turn" },
            input_tokens: prompt.map(words).sum(),
            cached: played.behaviour.cached,
            usage: played.behaviour.usage,
        };
        Ok((message, played))
    }

    fn body(&self, content: &Value, stop_reason: Option<&str>, output: usize) -> Value {
        let mut body = json!({
            "id": self.id, "type": "message", "role": "assistant", "model": self.model, "content": content,
            "stop_reason": stop_reason, "stop_sequence": null,
        });
        if self.usage != Usage::Never {
            body["usage"] = json!({
                "input_tokens": self.input_tokens, "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": self.cached,
                "output_tokens": output, "service_tier": "standard",
            });
        }
        body
    }

    fn whole(&self) -> Value {
        let content = json!([{"type": "text", "text": script::text(self.tokens)}]);
        self.body(&content, Some(self.stop_reason), self.tokens)
    }

    /// The start, a ping behind it, the tokens, the stop. With running usage a `message_delta` follows each token.
    fn events(self) -> impl Iterator<Item = Event> + Send {
        let tokens = self.tokens;
        (0..tokens + 2).flat_map(move |i| {
            if i == 0 {
                self.start()
            } else if i <= tokens {
                let delta = json!({"type": "text_delta", "text": script::token(i - 1)});
                let delta = json!({"type": "content_block_delta", "index": 0, "delta": delta});
                let mut events = vec![event(Kind::Token, "content_block_delta", &delta)];
                if self.usage == Usage::EveryChunk {
                    events.push(Event { kind: Kind::Head, ..self.delta(None, i) });
                }
                events
            } else {
                let block = json!({"type": "content_block_stop", "index": 0});
                vec![
                    event(Kind::Tail, "content_block_stop", &block),
                    self.delta(Some(self.stop_reason), tokens),
                    stop(),
                ]
            }
        })
    }

    fn start(&self) -> Vec<Event> {
        let message = self.body(&json!([]), None, 1);
        let block = json!({"type": "text", "text": ""});
        vec![
            event(Kind::Head, "message_start", &json!({"type": "message_start", "message": message})),
            event(
                Kind::Head,
                "content_block_start",
                &json!({"type": "content_block_start", "index": 0, "content_block": block}),
            ),
            event(Kind::Head, "ping", &json!({"type": "ping"})),
        ]
    }

    /// `message_delta`; its usage is cumulative.
    fn delta(&self, stop_reason: Option<&str>, output: usize) -> Event {
        let delta = json!({"stop_reason": stop_reason, "stop_sequence": null});
        let mut data = json!({"type": "message_delta", "delta": delta});
        if self.usage != Usage::Never {
            data["usage"] = json!({"output_tokens": output});
        }
        event(Kind::Tail, "message_delta", &data)
    }
}
