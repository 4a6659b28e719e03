//! OpenAI Chat Completions: `POST /v1/chat/completions`.

use serde_json::{Value, json};

use super::behaviour::Usage;
use super::call::{Call, Carries, words};
use super::family::{Family, Problem};
use super::plan::{InBand, Kind};
use super::reply::{Played, Reply};
use super::script;
use super::sse::Event;

const FAMILY: Family = Family::OpenAi;

/// What of a request decides the answer.
struct Chat {
    id: String,
    created: u64,
    model: String,
    stream: bool,
    include_usage: bool,
    tokens: usize,
    finish: &'static str,
    prompt_tokens: usize,
    usage: Usage,
}

pub(super) fn answer(call: &Call) -> Result<Reply, Problem> {
    let (chat, played) = Chat::read(call)?;
    if let Some(reply) = call.failure(FAMILY, &played, Carries::of(chat.stream)) {
        return Ok(reply);
    }
    let reply = if chat.stream {
        let text = played.behaviour.text;
        let in_band = InBand { error: Some(error_event(call).encode(text)), terminal: Some(done().encode(text)) };
        let count = chat.tokens;
        Reply::events(chat.events(), count, &played, in_band)
    } else {
        Reply::generated(&chat.whole(), chat.tokens, &played)
    };
    Ok(call.good(FAMILY, reply))
}

/// Checks that every JSON endpoint of OpenAI makes; then the model.
pub(super) fn model<'a>(call: &'a Call) -> Result<&'a str, Problem> {
    let given = call.content_type();
    if given != "application/json" {
        let message = format!(
            "Unsupported content type: '{given}'. This API method only accepts 'application/json' requests. \
             Please try again with a supported content type."
        );
        return Err(Problem { code: Some("unsupported_content_type"), ..Problem::new(400, message) });
    }
    if !call.json.is_some_and(Value::is_object) {
        return Err(Problem::new(
            400,
            "We could not parse the JSON body of your request. The OpenAI API expects a JSON payload.",
        ));
    }
    call.text("model").ok_or_else(|| Problem::new(400, "you must provide a model parameter"))
}

/// The complaint about a parameter that is not there.
pub(super) fn missing(param: &'static str) -> Problem {
    let message = format!("Missing required parameter: '{param}'.");
    Problem { param: Some(param), code: Some("missing_required_parameter"), ..Problem::new(400, message) }
}

/// The error event of OpenAI's streams.
pub(super) fn error_event(call: &Call) -> Event {
    let problem = Problem::new(500, "The server had an error while processing your request. Sorry about that!");
    Event { kind: Kind::Tail, name: None, data: FAMILY.error_value(call, &problem).to_string() }
}

fn done() -> Event {
    Event { kind: Kind::Tail, name: None, data: "[DONE]".to_owned() }
}

impl Chat {
    fn read(call: &Call) -> Result<(Self, Played), Problem> {
        let model = model(call)?;
        let field = |name: &str| call.json.and_then(|json| json.get(name));
        let messages = field("messages").and_then(Value::as_array).ok_or_else(|| missing("messages"))?;
        if messages.is_empty() {
            let message = "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.";
            return Err(Problem { param: Some("messages"), code: Some("empty_array"), ..Problem::new(400, message) });
        }
        let stream = field("stream").and_then(Value::as_bool).unwrap_or(false);
        let options = field("stream_options").filter(|options| !options.is_null());
        if options.is_some() && !stream {
            let message = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
            return Err(Problem { param: Some("stream_options"), ..Problem::new(400, message) });
        }
        let played = call.played(model)?;
        let most = field("max_completion_tokens").or(field("max_tokens")).and_then(Value::as_u64);
        let most = most.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
        let chat = Self {
            id: format!("chatcmpl-fake{:020}", call.n),
            created: call.unix,
            model: model.to_owned(),
            stream,
            include_usage: options.and_then(|options| options.get("include_usage")).is_some_and(|ask| ask == true),
            tokens: played.tokens.min(most),
            finish: if played.tokens > most { "length" } else { "stop" },
            prompt_tokens: messages.iter().filter_map(|message| message.get("content")).map(words).sum(),
            usage: played.behaviour.usage,
        };
        Ok((chat, played))
    }

    fn usage(&self, completion: usize) -> Value {
        json!({
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": completion,
            "total_tokens": self.prompt_tokens + completion,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": 0, "audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0
            },
        })
    }

    fn whole(&self) -> Value {
        let message =
            json!({"role": "assistant", "content": script::text(self.tokens), "refusal": null, "annotations": []});
        let mut whole = json!({
            "id": self.id, "object": "chat.completion", "created": self.created, "model": self.model,
            "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": self.finish}],
            "service_tier": "default", "system_fingerprint": "fp_fake",
        });
        if self.usage != Usage::Never {
            whole["usage"] = self.usage(self.tokens);
        }
        whole
    }

    /// The role, the tokens, the finish, the usage if asked for, `[DONE]`.
    fn events(self) -> impl Iterator<Item = Event> + Send {
        let tokens = self.tokens;
        let last = tokens + 1;
        (0..tokens + 4).filter_map(move |i| {
            if i == 0 {
                let delta = r#"{"role":"assistant","content":"","refusal":null}"#;
                Some(self.chunk(Kind::Head, delta, None, 0))
            } else if i < last {
                // No word of the script needs escaping.
                let delta = format!(r#"{{"content":"{}"}}"#, script::token(i - 1));
                Some(self.chunk(Kind::Token, &delta, None, i))
            } else if i == last {
                Some(self.chunk(Kind::Tail, "{}", Some(self.finish), tokens))
            } else if i == last + 1 {
                let asked = self.include_usage && self.usage != Usage::Never;
                asked.then(|| self.event(Kind::Tail, "[]", &self.usage(tokens).to_string()))
            } else {
                Some(done())
            }
        })
    }

    fn chunk(&self, kind: Kind, delta: &str, finish: Option<&str>, completed: usize) -> Event {
        let finish = finish.map_or_else(|| "null".to_owned(), |finish| format!("\"{finish}\""));
        let choices = format!(r#"[{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{finish}}}]"#);
        let usage = match self.usage {
            Usage::EveryChunk => self.usage(completed).to_string(),
            Usage::AsAsked if self.include_usage => "null".to_owned(),
            Usage::AsAsked | Usage::Never => String::new(),
        };
        self.event(kind, &choices, &usage)
    }

    /// Written by hand, since it is what a benchmark's provider does most; `usage` empty leaves the field out.
    fn event(&self, kind: Kind, choices: &str, usage: &str) -> Event {
        let Self { id, created, .. } = self;
        let model = Value::from(self.model.as_str());
        let usage = if usage.is_empty() { String::new() } else { format!(r#","usage":{usage}"#) };
        let data = format!(
            r#"{{"id":"{id}","object":"chat.completion.chunk","created":{created},"model":{model},"service_tier":"default","system_fingerprint":"fp_fake","choices":{choices}{usage}}}"#
        );
        Event { kind, name: None, data }
    }
}
