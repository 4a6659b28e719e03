//! What can be told of a request's tokens without its provider's word: before, what it asks for; while it is answered, what went by.

use super::units::Unit;
use super::weight::Weight;
use super::{Format, json};

/// The largest number that a request is taken at its word for.
const MOST: u64 = 1_000_000_000;

/// What a format's requests and answers tell of tokens.
#[derive(Debug)]
pub(super) enum Tokens {
    /// Nothing: its providers do not count tokens, or tell them.
    Told,
    /// Its requests are prompts, and its answers have text.
    Text {
        /// The most output that a JSON request allows; `None`: it does not say.
        asks: fn(&[u8]) -> Option<u64>,
        /// The text that the model made in one unit of a stream.
        unit: fn(&Unit<'_>) -> Weight,
        /// The text that the model made in a whole JSON answer.
        body: fn(&[u8]) -> Weight,
    },
    /// Nobody knows: requests that look like prompts are taken for some, and the answers are not looked into.
    Unknown,
}

/// What a request asks for, in tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// For nothing that is made of tokens, or nobody can tell before.
    Nothing,
    /// Its prompt is answered.
    Answer {
        /// The most that the answer may have; `None`: the request does not say.
        most: Option<u64>,
    },
}

impl Format {
    /// What a request asks for by its body, uncompressed. `path`: the one that goes to the provider.
    pub fn asks(self, path: &str, body: &[u8]) -> Asked {
        match &self.rules().tokens {
            Tokens::Told => Asked::Nothing,
            Tokens::Text { asks, .. } => Asked::Answer { most: asks(body) },
            Tokens::Unknown => unknown(path, body),
        }
    }

    /// Whether a request is answered by a stream, by the path that goes to the provider and the whole body, uncompressed. `false` where nobody can
    /// tell.
    pub fn streams(self, path: &str, body: &[u8]) -> bool {
        (self.rules().streams)(path, body)
    }

    /// Whether its requests are prompts, whatever their bodies say: where the provider does not tell, they are weighed.
    pub const fn is_prompt(self) -> bool {
        matches!(self.rules().tokens, Tokens::Text { .. })
    }
}

impl Tokens {
    pub(super) fn of_unit(&self, unit: &Unit<'_>) -> Weight {
        if let Self::Text { unit: weigh, .. } = self { weigh(unit) } else { Weight::NONE }
    }

    pub(super) fn of_body(&self, body: &[u8]) -> Weight {
        if let Self::Text { body: weigh, .. } = self { weigh(body) } else { Weight::NONE }
    }

    /// Of an answer that can't be looked into.
    pub(super) const fn of_unread(&self, bytes: u64) -> Weight {
        if matches!(self, Self::Text { .. }) { Weight::of_bytes(bytes) } else { Weight::NONE }
    }
}

/// The member `stream`, where it is one of these two words.
pub(super) fn of_stream(body: &[u8]) -> Option<bool> {
    match value(body, "stream")? {
        b"true" => Some(true),
        b"false" => Some(false),
        _ => None,
    }
}

/// `max_completion_tokens` or `max_tokens`, for each of `n` answers: Chat Completions, and what came before them.
pub(super) fn of_chat(body: &[u8]) -> Option<u64> {
    let [new, old, n] = numbers(body, ["max_completion_tokens", "max_tokens", "n"]);
    each(new.max(old), n)
}

/// `max_output_tokens`, of Responses.
pub(super) fn of_responses(body: &[u8]) -> Option<u64> {
    let [most] = numbers(body, ["max_output_tokens"]);
    most
}

/// `max_tokens`, of Anthropic.
pub(super) fn of_messages(body: &[u8]) -> Option<u64> {
    let [most] = numbers(body, ["max_tokens"]);
    most
}

/// `generationConfig.maxOutputTokens`, for each of `candidateCount` answers: of Gemini, whose JSON has names in both styles.
pub(super) fn of_gemini(body: &[u8]) -> Option<u64> {
    let config = ["generationConfig", "generation_config"].into_iter().find_map(|name| value(body, name))?;
    of_gemini_config(config)
}

fn of_gemini_config(config: &[u8]) -> Option<u64> {
    let [most, most_2, n, n_2] =
        numbers(config, ["maxOutputTokens", "max_output_tokens", "candidateCount", "candidate_count"]);
    each(most.max(most_2), n.max(n_2))
}

/// `options.num_predict`, of Ollama, where numbers below 1 mean no bound.
pub(super) fn of_ollama(body: &[u8]) -> Option<u64> {
    let [most] = numbers(value(body, "options")?, ["num_predict"]);
    most.filter(|most| *most > 0)
}

/// Requests of no known format: those with a prompt or a bound of the answer are to be answered; other ones, such as for embeddings or lists, are not.
/// What only counts costs nothing. One pass: nobody knows how long the body is.
fn unknown(path: &str, body: &[u8]) -> Asked {
    const PROMPTS: [&str; 6] = ["messages", "prompt", "contents", "message", "inputText", "inputs"];
    if path.ends_with("/count_tokens") || path.ends_with(":countTokens") {
        return Asked::Nothing;
    }
    let (mut is_prompt, mut n) = (false, None);
    let mut most = None;
    for (key, value) in json::members(body) {
        match key {
            b"max_completion_tokens" | b"max_tokens" | b"max_output_tokens" => most = most.max(number(value)),
            b"generationConfig" => most = most.max(of_gemini_config(value)),
            b"n" => n = number(value),
            _ => is_prompt |= PROMPTS.iter().any(|name| json::is_named(key, name)),
        }
    }
    if is_prompt || most.is_some() { Asked::Answer { most: each(most, n) } } else { Asked::Nothing }
}

fn each(most: Option<u64>, n: Option<u64>) -> Option<u64> {
    most.map(|most| most.saturating_mul(n.unwrap_or(1).max(1)).min(MOST))
}

/// The value of a member of a JSON object, however its name is written; of several the last, which is the one that parsers take.
fn value<'a>(body: &'a [u8], name: &str) -> Option<&'a [u8]> {
    json::members(body).filter(|(key, _)| json::is_named(key, name)).last().map(|(_, value)| value)
}

/// Numbers of an object by their names, no more than [`MOST`]. What is no whole number is none.
fn numbers<const N: usize>(object: &[u8], names: [&str; N]) -> [Option<u64>; N] {
    let mut found = [None; N];
    for (key, value) in json::members(object) {
        for (name, found) in names.iter().zip(&mut found) {
            if json::is_named(key, name) {
                *found = number(value);
            }
        }
    }
    found
}

/// A number that is whole and not negative, of whatever length.
fn number(value: &[u8]) -> Option<u64> {
    let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    is_number.then(|| json::number(value).unwrap_or(MOST).min(MOST))
}
