//! Chat Completions of OpenAI, Azure OpenAI and SiliconFlow: `POST …/chat/completions`.

use serde_json::{Value, json};

use super::behaviour::{Behaviour, ErrorShape, Usage};
use super::call::{Call, Carries, words};
use super::family::Family;
use super::plan::{InBand, Kind};
use super::problem::Problem;
use super::reply::{Played, Reply};
use super::sse::Event;
use super::{in_band, script};

/// What Azure's filters say of a text.
const FILTERED: &str = r#"{"hate":{"filtered":false,"severity":"safe"},"self_harm":{"filtered":false,"severity":"safe"},"sexual":{"filtered":false,"severity":"safe"},"violence":{"filtered":false,"severity":"safe"}}"#;

/// What of a request decides the answer.
struct Chat {
    family: Family,
    id: String,
    created: u64,
    model: String,
    stream: bool,
    include_usage: bool,
    tokens: usize,
    finish: &'static str,
    prompt_tokens: usize,
    reasoning: usize,
    cached: usize,
    usage: Usage,
}

pub(super) fn answer(call: &Call) -> Result<Reply, Problem> {
    let (chat, played) = Chat::read(call)?;
    if let Some(reply) = call.failure(chat.family, &played, Carries::of(chat.stream)) {
        return Ok(reply);
    }
    let reply = if chat.stream {
        let text = played.behaviour.text;
        let error = match played.behaviour.shape {
            ErrorShape::Chunk => chat.failed_chunk(),
            _ => error_event(call, &played.behaviour),
        };
        let in_band = InBand { error: Some(error.encode(text)), terminal: Some(done().encode(text)) };
        let count = chat.shown();
        Reply::events(chat.events(), count, &played, in_band)
    } else {
        Reply::generated(&chat.whole(), chat.tokens, &played)
    };
    Ok(call.good(call.target.family, reply))
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
    if call.target.family == Family::AzureOpenAi && !call.path.starts_with("/openai/v1/") {
        call.asks("api-version").ok_or_else(|| Problem::new(404, "Resource not found"))?;
    }
    let model = call.target.model.or_else(|| call.text("model"));
    model.ok_or_else(|| Problem::new(400, "you must provide a model parameter"))
}

/// The complaint about a parameter that is not there.
pub(super) fn missing(param: &'static str) -> Problem {
    let message = format!("Missing required parameter: '{param}'.");
    Problem { param: Some(param), code: Some("missing_required_parameter"), ..Problem::new(400, message) }
}

/// The error event of OpenAI's streams.
pub(super) fn error_event(call: &Call, behaviour: &Behaviour) -> Event {
    let data = in_band::error(call, call.target.family, json!({}), behaviour.shape).to_string();
    Event { kind: Kind::Tail, name: None, data }
}

/// What Azure's filters say of the prompt, in front of everything: a chunk without choices, as captured.
fn filter_chunk() -> Event {
    let data = format!(
        r#"{{"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[{{"prompt_index":0,"content_filter_results":{FILTERED}}}]}}"#
    );
    Event { kind: Kind::Head, name: None, data }
}

fn done() -> Event {
    Event { kind: Kind::Tail, name: None, data: "[DONE]".to_owned() }
}

impl Chat {
    fn read(call: &Call) -> Result<(Self, Played), Problem> {
        let model = model(call)?;
        let field = |name: &str| call.field(name);
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
            family: call.target.family,
            id: format!("chatcmpl-fake{:020}", call.n),
            created: call.unix,
            model: model.to_owned(),
            stream,
            include_usage: options.and_then(|options| options.get("include_usage")).is_some_and(|ask| ask == true),
            tokens: played.tokens.min(most),
            finish: if played.tokens > most { "length" } else { "stop" },
            prompt_tokens: messages.iter().filter_map(|message| message.get("content")).map(words).sum(),
            reasoning: played.behaviour.reasoning,
            cached: played.behaviour.cached,
            usage: match (call.target.family, played.behaviour.usage) {
                (Family::SiliconFlow, Usage::AsAsked) => Usage::EveryChunk,
                (_, usage) => usage,
            },
        };
        Ok((chat, played))
    }

    /// Tokens that the stream shows.
    fn shown(&self) -> usize {
        self.tokens + if self.family == Family::SiliconFlow { self.reasoning } else { 0 }
    }

    /// Usage when so many of [`Self::shown`] are out; reasoning comes first.
    fn usage(&self, shown: usize) -> Value {
        let hidden = self.reasoning + self.tokens - self.shown();
        let (completion, reasoning) = (hidden + shown, (hidden + shown).min(self.reasoning));
        json!({
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": completion,
            "total_tokens": self.prompt_tokens + completion,
            "prompt_tokens_details": {"cached_tokens": self.cached, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": reasoning, "audio_tokens": 0, "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0
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
            whole["usage"] = self.usage(self.shown());
        }
        whole
    }

    /// The role, the tokens, the finish, the usage if asked for, `[DONE]`; Azure's filters speak first.
    fn events(self) -> impl Iterator<Item = Event> + Send {
        let tokens = self.shown();
        let last = tokens + 1;
        let filter = (self.family == Family::AzureOpenAi).then(filter_chunk);
        let own = (0..tokens + 4).filter_map(move |i| {
            if i == 0 {
                Some(self.chunk(Kind::Head, &self.role(), None, 0))
            } else if i < last {
                Some(self.chunk(Kind::Token, &self.delta(i - 1), None, i))
            } else if i == last {
                Some(self.chunk(Kind::Tail, "{}", Some(self.finish), tokens))
            } else if i == last + 1 {
                let own = self.family != Family::SiliconFlow;
                let asked = self.include_usage && self.usage != Usage::Never && own;
                asked.then(|| self.event(Kind::Tail, "[]", &self.usage(tokens).to_string()))
            } else {
                Some(done())
            }
        });
        filter.into_iter().chain(own)
    }

    fn role(&self) -> String {
        let last = if self.family == Family::SiliconFlow { "reasoning_content" } else { "refusal" };
        format!(r#"{{"role":"assistant","content":"","{last}":null}}"#)
    }

    /// No word of the script needs escaping.
    fn delta(&self, i: usize) -> String {
        if self.family != Family::SiliconFlow {
            return format!(r#"{{"content":"{}"}}"#, script::token(i));
        }
        match i.checked_sub(self.reasoning) {
            Some(i) => format!(r#"{{"content":"{}","reasoning_content":null}}"#, script::token(i)),
            None => format!(r#"{{"content":null,"reasoning_content":"{}"}}"#, script::token(i)),
        }
    }

    fn chunk(&self, kind: Kind, delta: &str, finish: Option<&str>, completed: usize) -> Event {
        let finish = finish.map_or_else(|| "null".to_owned(), |finish| format!("\"{finish}\""));
        let more = match self.family {
            Family::AzureOpenAi => format!(r#","content_filter_results":{FILTERED}"#),
            _ => String::new(),
        };
        let choices = format!(r#"[{{"index":0,"delta":{delta},"logprobs":null,"finish_reason":{finish}{more}}}]"#);
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

    /// The error of OpenRouter: the last chunk has it beside its choices.
    fn failed_chunk(&self) -> Event {
        let Self { id, created, .. } = self;
        let model = Value::from(self.model.as_str());
        let data = format!(
            r#"{{"id":"{id}","object":"chat.completion.chunk","created":{created},"model":{model},"provider":"Fake","choices":[{{"index":0,"delta":{{"role":"assistant","content":""}},"finish_reason":"error","native_finish_reason":"error"}}],"error":{{"code":502,"message":"Provider returned error","metadata":{{"provider_name":"Fake"}}}}}}"#
        );
        Event { kind: Kind::Tail, name: None, data }
    }
}
