//! Tokens and characters, as providers count them.

use super::json;
use super::rules::Reading;
use super::weight::Weight;

/// What one answer cost in tokens and characters, as its provider counts them; `None`: not told. Per field the last number counts: what comes in a stream is cumulative,
/// so nothing is summed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The whole prompt, with what came from a cache and what was written to one.
    pub input: Option<u64>,
    /// Everything that the model made, thoughts included.
    pub output: Option<u64>,
    /// The part of `input` that came from a cache.
    pub cached: Option<u64>,
    /// The part of `input` that was written to a cache.
    pub cache_written: Option<u64>,
    /// The part of `output` that is thoughts.
    pub reasoning: Option<u64>,
    /// Characters that were made speech. They stand in the request or in the answer's head, see [`super::characters`].
    pub characters: Option<u64>,
}

/// A number replaces what is there; anything else leaves it. Whether it was one.
fn set(field: &mut Option<u64>, value: &[u8]) -> bool {
    let number = json::number(value);
    *field = number.or(*field);
    number.is_some()
}

impl Usage {
    /// Adds what another answer cost: of formats that count each for itself.
    pub(crate) fn add(&mut self, other: Self) {
        let add = |sum: &mut Option<u64>, more: Option<u64>| *sum = self::sum([*sum, more]);
        add(&mut self.input, other.input);
        add(&mut self.output, other.output);
        add(&mut self.cached, other.cached);
        add(&mut self.cache_written, other.cache_written);
        add(&mut self.reasoning, other.reasoning);
        add(&mut self.characters, other.characters);
    }

    /// A `usage` object of OpenAI: of Chat Completions, Responses, speech, transcriptions, embeddings, Realtime.
    /// True: it tells the output.
    pub(crate) fn read_openai(&mut self, usage: &[u8]) -> bool {
        let mut tells_output = false;
        for (key, value) in json::members(usage) {
            match key {
                b"prompt_tokens" | b"input_tokens" => _ = set(&mut self.input, value),
                b"completion_tokens" | b"output_tokens" => tells_output |= set(&mut self.output, value),
                b"prompt_tokens_details" | b"input_tokens_details" | b"input_token_details" => {
                    for (key, value) in json::members(value) {
                        match key {
                            b"cached_tokens" => _ = set(&mut self.cached, value),
                            b"cache_write_tokens" => _ = set(&mut self.cache_written, value),
                            _ => {}
                        }
                    }
                }
                b"completion_tokens_details" | b"output_tokens_details" | b"output_token_details" => {
                    if let Some(value) = json::member(value, b"reasoning_tokens") {
                        set(&mut self.reasoning, value);
                    }
                }
                _ => {}
            }
        }
        tells_output
    }
}

/// Counts of which a format's usage is the sum, each as it last came.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Parts {
    /// Input without what the format counts apart.
    input: Option<u64>,
    /// Output without what the format counts apart.
    output: Option<u64>,
    /// What tools put into the prompt.
    tools: Option<u64>,
}

/// Unknown only where all parts are.
fn sum<const N: usize>(parts: [Option<u64>; N]) -> Option<u64> {
    parts.into_iter().flatten().reduce(u64::saturating_add)
}

impl Reading {
    /// As [`Usage::read_openai`].
    pub(super) fn read_openai(&mut self, usage: &[u8]) {
        let tells_output = self.seen.usage.read_openai(usage);
        self.told(tells_output);
    }

    /// The counts of Ollama, which stand beside the answer itself.
    pub(super) fn read_ollama(&mut self, line: &[u8]) {
        let mut tells_output = false;
        for (key, value) in json::members(line) {
            match key {
                b"prompt_eval_count" => _ = set(&mut self.seen.usage.input, value),
                b"eval_count" => tells_output |= set(&mut self.seen.usage.output, value),
                _ => {}
            }
        }
        self.told(tells_output);
    }

    /// The provider's count of output, if that was one, covers all text up to here.
    fn told(&mut self, tells_output: bool) {
        if tells_output {
            self.seen.uncounted = Weight::NONE;
        }
    }

    /// A `usage` object of Anthropic, whose `input_tokens` leave out what came from a cache and what was written to one.
    pub(super) fn read_anthropic(&mut self, usage: &[u8]) {
        let (known, parts, mut tells_output) = (&mut self.seen.usage, &mut self.parts, false);
        for (key, value) in json::members(usage) {
            match key {
                b"input_tokens" => _ = set(&mut parts.input, value),
                b"cache_read_input_tokens" => _ = set(&mut known.cached, value),
                b"cache_creation_input_tokens" => _ = set(&mut known.cache_written, value),
                b"output_tokens" => tells_output |= set(&mut known.output, value),
                _ => {}
            }
        }
        known.input = sum([parts.input, known.cached, known.cache_written]);
        self.told(tells_output);
    }

    /// A `usageMetadata` object of Gemini, whose `candidatesTokenCount` leaves out thoughts (seen: the total is the sum of all four).
    pub(super) fn read_gemini(&mut self, usage: &[u8]) {
        let (known, parts, mut tells_output) = (&mut self.seen.usage, &mut self.parts, false);
        for (key, value) in json::members(usage) {
            match key {
                b"promptTokenCount" => _ = set(&mut parts.input, value),
                b"toolUsePromptTokenCount" => _ = set(&mut parts.tools, value),
                b"candidatesTokenCount" => tells_output |= set(&mut parts.output, value),
                b"thoughtsTokenCount" => _ = set(&mut known.reasoning, value),
                b"cachedContentTokenCount" => _ = set(&mut known.cached, value),
                _ => {}
            }
        }
        known.input = sum([parts.input, parts.tools]);
        known.output = sum([parts.output, known.reasoning]);
        self.told(tells_output);
    }
}
