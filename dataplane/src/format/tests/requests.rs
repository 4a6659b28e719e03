use super::*;
use crate::format::{Family, Framing};
use Format::{
    AnthropicMessages, AzureSpeech, ElevenLabsSpeech, GeminiStream, Ndjson, Opaque, OpenAIChat, OpenAIRealtime,
    OpenAIResponses, OpenAISpeech,
};
use relay_snapshot::{Provider, WireFormat};

#[test]
fn the_format_goes_by_provider_and_path() {
    for (provider, path, format) in [
        (Provider::OpenAI, "/v1/chat/completions", OpenAIChat),
        (Provider::OpenAI, "/v1/responses", OpenAIResponses),
        (Provider::OpenAI, "/v1/audio/speech", OpenAISpeech),
        (Provider::OpenAI, "/v1/realtime", OpenAIRealtime),
        (Provider::OpenAI, "/v1/messages", Opaque),
        (Provider::OpenAI, "/v1/responses/resp_1", Opaque),
        (Provider::OpenAI, "/v1/chat/completions/c1", Opaque),
        (Provider::OpenAI, "/v1/realtime/client_secrets", Opaque),
        (Provider::OpenAI, "/v1/embeddings", Opaque),
        (Provider::OpenAI, "/v1/audio/transcriptions", Opaque),
        (Provider::OpenAI, "/api/chat", Opaque),
        (Provider::OpenAI, "/", Opaque),
        (Provider::SiliconFlow, "/v1/chat/completions", OpenAIChat),
        (Provider::SiliconFlow, "/v1/audio/speech", OpenAISpeech),
        (Provider::AzureOpenAI, "/openai/deployments/gpt-x/chat/completions", OpenAIChat),
        (Provider::AzureOpenAI, "/openai/deployments/tts/audio/speech", OpenAISpeech),
        (Provider::AzureOpenAI, "/openai/v1/chat/completions", OpenAIChat),
        (Provider::AzureOpenAI, "/openai/v1/responses", OpenAIResponses),
        (Provider::AzureOpenAI, "/openai/responses", OpenAIResponses),
        (Provider::AzureOpenAI, "/openai/realtime", OpenAIRealtime),
        (Provider::AzureOpenAI, "/openai/deployments/e/embeddings", Opaque),
        (Provider::Anthropic, "/v1/messages", AnthropicMessages),
        (Provider::Anthropic, "/v1/messages/count_tokens", Opaque),
        (Provider::Anthropic, "/v1/messages/batches", Opaque),
        (Provider::Anthropic, "/v1/chat/completions", Opaque),
        (Provider::AzureSpeech, "/cognitiveservices/v1", AzureSpeech),
        (Provider::AzureSpeech, "/cognitiveservices/voices/list", Opaque),
        (Provider::Gemini, "/v1beta/models/gemini-x:streamGenerateContent", GeminiStream),
        (Provider::Gemini, "/v1beta/models/gemini-x:generateContent", GeminiStream),
        (Provider::Gemini, "/v1beta/models/gemini-x:countTokens", Opaque),
        (Provider::ElevenLabs, "/v1/text-to-speech/voice", ElevenLabsSpeech),
        (Provider::ElevenLabs, "/v1/text-to-speech/voice/stream", ElevenLabsSpeech),
        (Provider::ElevenLabs, "/v1/voices", Opaque),
        (Provider::Custom, "/openai/v1/chat/completions", OpenAIChat),
        (Provider::Custom, "/v1/responses", OpenAIResponses),
        (Provider::Custom, "/v1/audio/speech", OpenAISpeech),
        (Provider::Custom, "/v1/realtime", OpenAIRealtime),
        (Provider::Custom, "/anthropic/v1/messages", AnthropicMessages),
        (Provider::Custom, "/v1/projects/p/locations/l/publishers/google/models/m:streamGenerateContent", GeminiStream),
        (Provider::Custom, "/api/chat", Ndjson),
        (Provider::Custom, "/ollama/api/generate", Ndjson),
        (Provider::Custom, "/api/chats", Opaque),
        (Provider::Custom, "/cognitiveservices/v1", Opaque),
    ] {
        assert_eq!(Format::of(provider, path, None), format, "{provider:?} {path}");
    }
}

#[test]
fn a_format_that_the_route_names_wins_over_the_path() {
    let names = [
        (WireFormat::OpenAIChat, OpenAIChat),
        (WireFormat::OpenAIResponses, OpenAIResponses),
        (WireFormat::OpenAISpeech, OpenAISpeech),
        (WireFormat::OpenAIRealtime, OpenAIRealtime),
        (WireFormat::AnthropicMessages, AnthropicMessages),
        (WireFormat::GeminiStream, GeminiStream),
        (WireFormat::AzureSpeech, AzureSpeech),
        (WireFormat::ElevenLabsSpeech, ElevenLabsSpeech),
        (WireFormat::NDJSON, Ndjson),
        (WireFormat::Opaque, Opaque),
    ];
    assert_eq!(names.map(|(_, format)| format), Format::ALL);
    for (name, format) in names {
        assert_eq!(Format::of(Provider::OpenAI, "/v1/chat/completions", Some(name)), format);
    }
}

#[test]
fn each_format_says_what_may_be_done_with_its_requests_and_answers() {
    // Framing of events, of lines; identity, terminal, comments, upgrade.
    for (format, framing, is) in [
        (OpenAIChat, Framing::Events, [true, true, true, false]),
        (OpenAIResponses, Framing::Events, [true, true, true, false]),
        (OpenAISpeech, Framing::Events, [true, true, true, false]),
        (OpenAIRealtime, Framing::Bytes, [false, false, false, true]),
        (AnthropicMessages, Framing::Events, [true, true, true, false]),
        (GeminiStream, Framing::Events, [true, true, false, false]),
        (AzureSpeech, Framing::Bytes, [true, false, false, false]),
        (ElevenLabsSpeech, Framing::Bytes, [true, false, false, false]),
        (Ndjson, Framing::Lines, [true, true, false, false]),
        (Opaque, Framing::Bytes, [false, false, false, false]),
    ] {
        let said = [format.wants_identity(), format.has_terminal(), format.takes_comments(), format.allows_upgrade()];
        assert_eq!(said, is, "{format:?}");
        let events = if framing == Framing::Lines { Framing::Bytes } else { Framing::Events };
        let lines = if framing == Framing::Lines { Framing::Lines } else { Framing::Bytes };
        for (content_type, framing) in [
            ("text/event-stream", events),
            ("Text/Event-Stream; charset=utf-8", events),
            ("application/x-ndjson", lines),
            ("application/jsonl ;charset=utf-8", lines),
            ("application/json", Framing::Bytes),
            ("audio/mpeg", Framing::Bytes),
            ("text/event-streams", Framing::Bytes),
            ("", Framing::Bytes),
        ] {
            assert_eq!(format.framing(content_type.as_bytes()), framing, "{format:?} {content_type}");
        }
    }
}

#[test]
fn the_family_is_the_formats_own_then_the_providers_then_the_paths() {
    for (provider, path, family) in [
        (Provider::OpenAI, "/v1/chat/completions", Family::OpenAI),
        (Provider::OpenAI, "/v1/messages", Family::OpenAI),
        (Provider::AzureSpeech, "/cognitiveservices/v1", Family::OpenAI),
        (Provider::Anthropic, "/v1/messages", Family::Anthropic),
        (Provider::Anthropic, "/v1/models", Family::Anthropic),
        (Provider::Gemini, "/v1beta/models/m:streamGenerateContent", Family::Gemini),
        (Provider::Gemini, "/v1beta/models", Family::Gemini),
        (Provider::ElevenLabs, "/v1/text-to-speech/v", Family::ElevenLabs),
        (Provider::ElevenLabs, "/v1/voices", Family::ElevenLabs),
        (Provider::Custom, "/api/chat", Family::Ollama),
        (Provider::Custom, "/v1/messages/count_tokens", Family::Anthropic),
        (Provider::Custom, "/v1/embeddings", Family::OpenAI),
    ] {
        let format = Format::of(provider, path, None);
        assert_eq!(Family::of(provider, format, path), family, "{provider:?} {path}");
    }
    assert_eq!(Opaque.family("/v1/messages"), Family::Anthropic);
    assert_eq!(OpenAIChat.family("/v1/messages"), Family::OpenAI);
}

#[test]
fn the_family_of_a_path_is_known_without_a_route() {
    for (path, family) in [
        ("/v1/messages", Family::Anthropic),
        ("/anthropic/v1/messages", Family::Anthropic),
        ("/v1/messages/count_tokens", Family::Anthropic),
        ("/v1/messages/batches/b1", Family::Anthropic),
        ("/v1/threads/t/messages", Family::OpenAI),
        ("/v1/threads/t/messages/m", Family::OpenAI),
        ("/v1/threads/messages_of", Family::OpenAI),
        ("/v1beta/models/m:streamGenerateContent", Family::Gemini),
        ("/v1beta/models", Family::Gemini),
        ("/v1/models/m:countTokens", Family::Gemini),
        ("/v1/models/m:embedContent", Family::Gemini),
        ("/v1/models/ft:gpt:org::id", Family::OpenAI),
        ("/v1beta/openai/chat/completions", Family::OpenAI),
        ("/v1/text-to-speech/v/stream", Family::ElevenLabs),
        ("/api/generate", Family::Ollama),
        ("/api/tags", Family::Ollama),
        ("/v1/chat/completions", Family::OpenAI),
        ("/v1/audio/speech", Family::OpenAI),
        ("/", Family::OpenAI),
        ("", Family::OpenAI),
    ] {
        assert_eq!(Family::of_path(path), family, "{path}");
    }
}
