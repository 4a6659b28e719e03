//! Which API a request speaks, by its path: whose, which operation, and the model where the path names it.

use http::HeaderMap;

use super::family::Family;

/// An operation of some API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Api {
    /// Chat Completions.
    Chat,
    /// OpenAI Responses.
    Responses,
    /// Audio Speech of OpenAI and its clones.
    Speech,
    /// Anthropic Messages.
    Messages,
    /// Gemini `generateContent`, `streamGenerateContent`.
    Gemini {
        /// The second of them.
        stream: bool,
    },
    /// ElevenLabs text to speech.
    ElevenLabs,
    /// Azure text to speech.
    AzureSpeech,
    /// Ollama `/api/chat`.
    OllamaChat,
    /// Ollama `/api/generate`.
    OllamaGenerate,
    /// The list of models.
    Models,
    /// Nothing that the provider knows.
    Unknown,
}

/// What a path says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Target<'a> {
    pub(super) family: Family,
    pub(super) api: Api,
    /// The model, where the path names it: Gemini's, and Azure's deployment.
    pub(super) model: Option<&'a str>,
}

impl<'a> Target<'a> {
    /// Reads a path. A provider that speaks OpenAI's paths its own way is told apart by a first segment with its name
    /// (`/siliconflow/v1/...`, as in a base URL) or by the host that it has in the wild.
    pub(super) fn of(method: &str, path: &'a str, headers: &HeaderMap) -> Self {
        let host = headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
        let (family, path) = match path.strip_prefix("/siliconflow/") {
            Some(_) => (Some(Family::SiliconFlow), &path["/siliconflow".len()..]),
            None => (host.starts_with("api.siliconflow.").then_some(Family::SiliconFlow), path),
        };
        let (api, model) = match method {
            "POST" => operation(path),
            "GET" if path == "/v1/models" || path == "/openai/v1/models" => (Api::Models, None),
            _ => (Api::Unknown, None),
        };
        Self { family: family.unwrap_or_else(|| Family::of(path, headers)), api, model }
    }
}

fn operation(path: &str) -> (Api, Option<&str>) {
    if let Some(rest) = path.strip_prefix("/openai/deployments/") {
        return match rest.split_once('/') {
            Some((model, "chat/completions")) => (Api::Chat, Some(model)),
            Some((model, "audio/speech")) => (Api::Speech, Some(model)),
            _ => (Api::Unknown, None),
        };
    }
    if let Some((model, verb)) = models_of_gemini(path).and_then(|rest| rest.split_once(':')) {
        return match verb {
            "generateContent" => (Api::Gemini { stream: false }, Some(model)),
            "streamGenerateContent" => (Api::Gemini { stream: true }, Some(model)),
            _ => (Api::Unknown, None),
        };
    }
    if let Some(rest) = path.strip_prefix("/v1/text-to-speech/") {
        let known = rest.split_once('/').is_none_or(|(_, operation)| operation == "stream");
        return (if known { Api::ElevenLabs } else { Api::Unknown }, None);
    }
    let api = match path {
        "/v1/chat/completions" | "/openai/v1/chat/completions" => Api::Chat,
        "/v1/responses" | "/openai/v1/responses" | "/openai/responses" => Api::Responses,
        "/v1/audio/speech" | "/openai/v1/audio/speech" => Api::Speech,
        "/v1/messages" => Api::Messages,
        "/cognitiveservices/v1" => Api::AzureSpeech,
        "/api/chat" => Api::OllamaChat,
        "/api/generate" => Api::OllamaGenerate,
        _ => Api::Unknown,
    };
    (api, None)
}

fn models_of_gemini(path: &str) -> Option<&str> {
    path.strip_prefix("/v1beta/models/").or_else(|| path.strip_prefix("/v1/models/"))
}

#[cfg(test)]
mod tests;
