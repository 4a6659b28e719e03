use http::HeaderMap;

use super::{Api, Target};
use crate::provider::family::Family;

fn target(path: &str) -> (Family, Api, Option<&str>) {
    let Target { family, api, model } = Target::of("POST", path, &HeaderMap::new());
    (family, api, model)
}

#[test]
fn a_path_names_the_family_the_operation_and_sometimes_the_model() {
    for (path, want) in [
        ("/v1/chat/completions", (Family::OpenAi, Api::Chat, None)),
        ("/v1/responses", (Family::OpenAi, Api::Responses, None)),
        ("/siliconflow/v1/chat/completions", (Family::SiliconFlow, Api::Chat, None)),
        ("/openai/deployments/fake-cut/chat/completions", (Family::AzureOpenAi, Api::Chat, Some("fake-cut"))),
        ("/openai/deployments/d/audio/speech", (Family::AzureOpenAi, Api::Speech, Some("d"))),
        ("/openai/deployments/d/images/edits", (Family::AzureOpenAi, Api::Unknown, None)),
        ("/openai/responses", (Family::AzureOpenAi, Api::Responses, None)),
        ("/openai/v1/chat/completions", (Family::AzureOpenAi, Api::Chat, None)),
        ("/v1beta/models/m:streamGenerateContent", (Family::Gemini, Api::Gemini { stream: true }, Some("m"))),
        ("/v1beta/models/m:generateContent", (Family::Gemini, Api::Gemini { stream: false }, Some("m"))),
        ("/v1beta/models/m:countTokens", (Family::Gemini, Api::Unknown, None)),
        ("/v1/text-to-speech/v", (Family::ElevenLabs, Api::ElevenLabs, None)),
        ("/v1/text-to-speech/v/stream", (Family::ElevenLabs, Api::ElevenLabs, None)),
        ("/v1/text-to-speech/v/stream/with-timestamps", (Family::ElevenLabs, Api::Unknown, None)),
        ("/api/chat", (Family::Ollama, Api::OllamaChat, None)),
        ("/api/generate", (Family::Ollama, Api::OllamaGenerate, None)),
        ("/v1/messages", (Family::Anthropic, Api::Messages, None)),
        ("/cognitiveservices/v1", (Family::AzureSpeech, Api::AzureSpeech, None)),
        ("/v1/nothing", (Family::OpenAi, Api::Unknown, None)),
    ] {
        assert_eq!(target(path), want, "{path}");
    }
}

#[test]
fn the_host_in_the_wild_names_the_family_too() {
    let mut headers = HeaderMap::new();
    headers.insert("host", "api.siliconflow.cn".parse().expect("a header value"));
    let target = Target::of("POST", "/v1/chat/completions", &headers);
    assert_eq!((target.family, target.api), (Family::SiliconFlow, Api::Chat));
}
