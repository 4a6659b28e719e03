//! What requests ask for, and what the answers weigh that nobody counted.

use super::*;
use crate::format::Asked;
use Format::{
    AnthropicMessages, AzureSpeech, ElevenLabsSpeech, GeminiStream, Ndjson, Opaque, OpenAIChat, OpenAIRealtime,
    OpenAIResponses, OpenAISpeech,
};

const fn most(most: Option<u64>) -> Asked {
    Asked::Answer { most }
}

#[test]
fn the_largest_answer_stands_where_each_format_has_it() {
    for (format, body, expected) in [
        (OpenAIChat, r#"{"max_tokens":10}"#, Some(10)),
        (OpenAIChat, r#"{"max_completion_tokens":20,"messages":[{"content":"\"max_tokens\":5"}]}"#, Some(20)),
        (OpenAIChat, r#"{"max_completion_tokens":20,"max_tokens":30}"#, Some(30)),
        (OpenAIChat, r#"{"max_tokens":10,"n":3}"#, Some(30)),
        (OpenAIChat, r#"{"max_tokens":10,"n":0}"#, Some(10)),
        (OpenAIChat, r#"{"max_tokens":10,"n":"3"}"#, Some(10)),
        (OpenAIChat, r#"{"max_tokens":10,"max_tokens":11}"#, Some(11)),
        (OpenAIChat, r#"{"max_\u0074okens":12}"#, Some(12)),
        (OpenAIChat, r#"{"n":3}"#, None),
        (OpenAIChat, r#"{"max_tokens":null}"#, None),
        (OpenAIChat, r#"{"max_tokens":-5}"#, None),
        (OpenAIChat, r#"{"max_tokens":1.5}"#, None),
        (OpenAIChat, r#"{"max_tokens":"10"}"#, None),
        (OpenAIChat, r#"{"max_tokens":99999999999}"#, Some(1_000_000_000)),
        (OpenAIChat, r#"{"max_tokens":999999999999999999999999999999}"#, Some(1_000_000_000)),
        (OpenAIChat, r#"{"max_tokens":999999999,"n":999999999}"#, Some(1_000_000_000)),
        (OpenAIChat, r#"{"metadata":{"max_tokens":10}}"#, None),
        (OpenAIChat, r#"{"max_output_tokens":10}"#, None),
        (OpenAIChat, "[1,2]", None),
        (OpenAIChat, "", None),
        (OpenAIResponses, r#"{"max_output_tokens":10,"max_tokens":3}"#, Some(10)),
        (OpenAIResponses, r#"{"input":"x"}"#, None),
        (AnthropicMessages, r#"{"max_tokens":10,"thinking":{"budget_tokens":5}}"#, Some(10)),
        (GeminiStream, r#"{"generationConfig":{"maxOutputTokens":10}}"#, Some(10)),
        (GeminiStream, r#"{"generationConfig":{"maxOutputTokens":10,"candidateCount":2}}"#, Some(20)),
        (GeminiStream, r#"{"generation_config":{"max_output_tokens":10,"candidate_count":2}}"#, Some(20)),
        (GeminiStream, r#"{"maxOutputTokens":10}"#, None),
        (Ndjson, r#"{"options":{"num_predict":10}}"#, Some(10)),
        (Ndjson, r#"{"options":{"num_predict":0}}"#, None),
        (Ndjson, r#"{"options":{"num_predict":-1}}"#, None),
        (Ndjson, r#"{"num_predict":10}"#, None),
    ] {
        assert_eq!(format.asks("/", body.as_bytes()), most(expected), "{format:?} {body}");
    }
}

#[test]
fn speech_is_not_made_of_tokens() {
    for format in [OpenAISpeech, AzureSpeech, ElevenLabsSpeech, OpenAIRealtime] {
        assert_eq!(format.asks("/", br#"{"input":"text","max_tokens":5}"#), Asked::Nothing, "{format:?}");
        assert!(!format.is_prompt(), "{format:?}");
    }
}

#[test]
fn of_an_unknown_format_requests_with_a_prompt_or_a_bound_are_to_be_answered() {
    for (path, body, expected) in [
        ("/v1/completions", r#"{"prompt":"x","max_tokens":16,"n":2}"#, most(Some(32))),
        ("/v2/chat", r#"{"messages":[]}"#, most(None)),
        ("/v1/anything", r#"{"max_output_tokens":7}"#, most(Some(7))),
        ("/v1/embeddings", r#"{"input":"x"}"#, Asked::Nothing),
        ("/v1/files", "bytes", Asked::Nothing),
        ("/v1/models", "", Asked::Nothing),
        ("/v1/messages/count_tokens", r#"{"messages":[]}"#, Asked::Nothing),
        ("/v1beta/models/m:countTokens", r#"{"contents":[]}"#, Asked::Nothing),
    ] {
        assert_eq!(Opaque.asks(path, body.as_bytes()), expected, "{path} {body}");
    }
}

/// The text of each format's events, 12 characters each, and its count of what was before.
fn streams() -> [(Format, &'static str, &'static str); 5] {
    [
        (
            OpenAIChat,
            "data: {\"id\":\"chatcmpl-1\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"a text of it\"},\"finish_reason\":null}],\"obfuscation\":\"Kx\"}\n\n",
            "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":40}}\n\n",
        ),
        (
            OpenAIResponses,
            "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"item_id\":\"i\",\"delta\":\"a text of it\"}\n\n",
            "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"output\":[{\"text\":\"a text of it\"}],\"usage\":{\"output_tokens\":40}}}\n\n",
        ),
        (
            AnthropicMessages,
            "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"a text of it\"}}\n\n",
            "event: message_delta\ndata: {\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":40}}\n\n",
        ),
        (
            GeminiStream,
            "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a text of it\"}],\"role\":\"model\"}}]}\n\n",
            "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a text of it\"}]}}],\"usageMetadata\":{\"candidatesTokenCount\":40}}\n\n",
        ),
        (
            Ndjson,
            "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"a text of it\"},\"done\":false}\n",
            "{\"done\":true,\"eval_count\":40}\n",
        ),
    ]
}

#[test]
fn text_weighs_until_a_count_covers_it() {
    for (format, text, count) in streams() {
        let weigh = |stream: String| {
            let seen = seen(format, &stream);
            (seen.uncounted.quarters(), seen.usage.output)
        };
        assert_eq!(weigh(text.repeat(3)), (36, None), "{format:?}");
        assert_eq!(weigh(format!("{text}{count}")), (0, Some(40)), "{format:?}");
        assert_eq!(weigh(format!("{text}{count}{}", text.repeat(2))), (24, Some(40)), "{format:?}");
        assert_eq!(weigh(format!("{text}{count}{text}{count}")), (0, Some(40)), "{format:?}");
    }
}

#[test]
fn thoughts_calls_and_refusals_weigh_like_text() {
    let chat = |delta: &str| format!("data: {{\"choices\":[{{\"delta\":{delta}}}]}}\n\n");
    let named = |name: &str, data: &str| format!("event: {name}\ndata: {data}\n\n");
    for (format, event, quarters) in [
        (OpenAIChat, chat(r#"{"reasoning_content":"abcd"}"#), 4),
        (OpenAIChat, chat(r#"{"refusal":"no","content":null}"#), 2),
        (
            OpenAIChat,
            chat(
                r#"{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]}"#,
            ),
            7,
        ),
        (OpenAIChat, chat(r#"{"content":"a \"delta\" of \u65e5"}"#), 17),
        (OpenAIChat, chat("{}"), 0),
        (OpenAIResponses, named("response.function_call_arguments.delta", r#"{"delta":"{}","item_id":"abc"}"#), 2),
        (OpenAIResponses, named("response.audio.delta", r#"{"delta":"QUJD"}"#), 0),
        (OpenAIResponses, named("response.output_text.done", r#"{"text":"abcd"}"#), 0),
        (
            AnthropicMessages,
            named("content_block_delta", r#"{"delta":{"type":"thinking_delta","thinking":"abcd"}}"#),
            4,
        ),
        (AnthropicMessages, named("content_block_delta", r#"{"delta":{"partial_json":"{\"a\""}}"#), 4),
        (AnthropicMessages, named("content_block_delta", r#"{"delta":{"signature":"abcd"}}"#), 0),
        (AnthropicMessages, named("content_block_start", r#"{"content_block":{"text":"abcd"}}"#), 0),
        (Ndjson, "{\"response\":\"abcd\",\"thinking\":\"ab\"}\n".to_owned(), 6),
        (Opaque, "data: {\"text\":\"abcd\"}\n\n".to_owned(), 0),
    ] {
        assert_eq!(seen(format, &event).uncounted.quarters(), quarters, "{format:?} {event}");
    }
}

#[test]
fn a_whole_answer_weighs_its_text_and_one_that_is_too_long_its_bytes() {
    for (format, text, quarters) in [
        (OpenAIChat, r#"{"id":"abc","choices":[{"message":{"role":"assistant","content":"abcdef"}}]}"#, 6),
        (OpenAIChat, r#"{"choices":[{"message":{"content":"abcdef"}}],"usage":{"completion_tokens":3}}"#, 0),
        (
            OpenAIResponses,
            r#"{"output":[{"content":[{"type":"output_text","text":"abcdef"}]}],"text":{"format":{"type":"text"}}}"#,
            6,
        ),
        (AnthropicMessages, r#"{"content":[{"type":"text","text":"abcdef"}]}"#, 6),
        (
            GeminiStream,
            r#"[{"candidates":[{"content":{"parts":[{"text":"abc"}]}}]},{"candidates":[{"content":{"parts":[{"text":"def"}]}}]}]"#,
            6,
        ),
        (Ndjson, r#"{"message":{"content":"abcdef"}}"#, 6),
        (Opaque, r#"{"text":"abcdef"}"#, 0),
    ] {
        assert_eq!(body(format, text).uncounted.quarters(), quarters, "{format:?} {text}");
    }
    let long = format!(r#"{{"choices":[{{"message":{{"content":"{}"}}}}]}}"#, "x".repeat(1 << 20));
    assert_eq!(body(OpenAIChat, &long).uncounted.quarters(), long.len() as u64);
    assert_eq!(body(Opaque, &long).uncounted.quarters(), 0);
}

#[test]
fn a_stream_is_asked_for_where_each_format_asks_for_one() {
    const WITH: &str = r#"{"stream":true}"#;
    const WITHOUT: &str = r#"{"stream":false}"#;
    for (format, path, expected) in [
        (OpenAIChat, "/", [true, false, false]),
        (OpenAIResponses, "/", [true, false, false]),
        (AnthropicMessages, "/", [true, false, false]),
        (Opaque, "/", [true, false, false]),
        (Ndjson, "/", [true, false, true]),
        (GeminiStream, "/m:streamGenerateContent", [true, true, true]),
        (GeminiStream, "/m:generateContent", [false, false, false]),
        (OpenAISpeech, "/", [true, true, true]),
        (AzureSpeech, "/", [true, true, true]),
        (ElevenLabsSpeech, "/", [true, true, true]),
    ] {
        assert_eq!([WITH, WITHOUT, "{}"].map(|body| format.streams(path, body.as_bytes())), expected, "{format:?}");
    }
    let escaped = br#"{"stre\u0061m":false,"stream":"true","stream":true,"a":{"stream":false}}"#;
    assert!(OpenAIChat.streams("/", escaped));
    assert!(!OpenAIChat.streams("/", br#"{"stream":"true"}"#));
}
