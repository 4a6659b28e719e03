//! OpenAI Chat Completions and its many clones.
//!
//! Source: OpenAI's API reference, "Streaming"; what SDKs do with it was tried.
//!
//! | | |
//! |---|---|
//! | complete | `data: [DONE]`; or, with a clean end of the framing, a `finish_reason` for every choice |
//! | usage | the last `usage` that is not null, in whatever chunk: some clones count in every one |
//! | failed | a chunk with a top-level `error`, also where `[DONE]` follows (vLLM, SGLang) or `finish_reason` is "error" (OpenRouter) |
//! | lead-in | chunks whose deltas are empty but for the role |
//!
//! Many clones never send `[DONE]`, and no SDK misses it. Every choice that says why it finished is whole; the end of the framing was regular; to call
//! that a failure would make clients throw a good answer away. What may be lost is the count of tokens. Where the framing breaks off, the end is the
//! failure that it looks like.

use super::family::{Family, openai_error};
use super::framing::Framing;
use super::rules::{Failure, Reading, Rules};
use super::tokens::{self, Tokens};
use super::units::Unit;
use super::weight::Weight;
use super::{is_openai, json, opaque};
use bytes::Bytes;
use memchr::memmem::Finder;
use relay_snapshot::WireFormat;
use std::sync::LazyLock;

pub(super) const RULES: Rules = Rules {
    name: WireFormat::OpenAIChat,
    is_spoken: |provider, path| is_openai(provider) && path.ends_with("/chat/completions"),
    family: Some(Family::OpenAI),
    framing: Framing::Events,
    has_terminal: true,
    takes_comments: true,
    wants_identity: true,
    tokens: Tokens::Text { asks: tokens::of_chat, unit: text_of_chunk, body: |body| Weight::of_members(body, TEXT) },
    read,
    read_body: read_chunk,
    // SDKs stop at the line (tried).
    takes_unfinished: |unit| unit.data.trim_ascii() == DONE,
    failure: Some(failure),
    ..opaque::RULES
};

/// What a model writes: its answer, its thoughts, what it calls, why it does not.
const TEXT: &[&[u8]] = &[b"content", b"reasoning_content", b"reasoning", b"arguments", b"refusal"];

/// Behind the first `delta` of a chunk there is nothing else with these names.
fn text_of_chunk(unit: &Unit<'_>) -> Weight {
    static DELTA: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new(r#""delta""#));
    let text = DELTA.find(&unit.data).and_then(|at| unit.data.get(at..)).unwrap_or_default();
    Weight::of_members(text, TEXT)
}

const DONE: &[u8] = b"[DONE]";

fn read(reading: &mut Reading, unit: &Unit<'_>) {
    if unit.data.starts_with(DONE) {
        reading.seen.terminal = true;
    } else if !unit.whole {
        reading.seen.content = true;
        reading.seen.error |= unit.data.starts_with(br#"{"error""#);
    } else if !reading.seen.content || reading.has_ended() || is_marked(&unit.data) {
        read_chunk(reading, &unit.data);
    }
}

/// Whether a chunk carries more than text.
fn is_marked(chunk: &[u8]) -> bool {
    static MARKS: LazyLock<[Finder<'_>; 3]> =
        LazyLock::new(|| [r#""finish_reason""#, r#""usage""#, r#""error""#].map(Finder::new));
    static INDEX: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new(r#""index""#));
    MARKS.iter().any(|mark| json::stands(mark, chunk, |value| !value.starts_with(b"null")))
        || json::stands(&INDEX, chunk, |value| !value.starts_with(b"0"))
}

fn read_chunk(reading: &mut Reading, chunk: &[u8]) {
    let (mut error, mut is_chunk) = (false, false);
    for (key, value) in json::members(chunk) {
        match key {
            b"error" => error |= json::is_something(value),
            // Flat errors, of Mistral and older vLLM.
            b"object" => error |= json::text(value) == b"error",
            b"choices" => {
                is_chunk = true;
                for choice in json::elements(value) {
                    error |= read_choice(reading, choice);
                }
            }
            b"usage" => reading.read_openai(value),
            b"x_groq" => {
                if let Some(usage) = json::member(value, b"usage") {
                    reading.read_openai(usage);
                }
            }
            _ => {}
        }
    }
    reading.seen.error |= error;
    // What it is, is not known: it may be shown.
    reading.seen.content |= !is_chunk && !error;
}

/// Whether the choice says that it failed.
fn read_choice(reading: &mut Reading, choice: &[u8]) -> bool {
    let (mut index, mut finish, mut content) = (0, &b""[..], false);
    for (key, value) in json::members(choice) {
        match key {
            b"index" => index = json::number(value).unwrap_or(0),
            b"finish_reason" => finish = json::text(value),
            b"delta" => content |= json::members(value).any(|(key, value)| key != b"role" && is_shown(value)),
            b"message" | b"text" => content |= is_shown(value),
            _ => {}
        }
    }
    let failed = finish == b"error";
    reading.saw_choice(index, !finish.is_empty() && !failed);
    reading.seen.content |= content || !(finish.is_empty() || failed);
    failed
}

fn is_shown(value: &[u8]) -> bool {
    json::is_something(value) && !matches!(value, b"[]" | b"{}")
}

/// SDKs raise `APIError` for an event with a top-level `error` object. No `[DONE]` behind it: the stream did not end well.
fn failure(failure: &Failure<'_>) -> Bytes {
    Bytes::from(format!("data: {}\n\n", openai_error(failure.reason, failure.message)))
}
