//! Azure Speech, text to speech: `POST /cognitiveservices/v1`, SSML in, audio out. The voice name is what the
//! model name is elsewhere.

use super::call::{Call, Carries, audio_pieces};
use super::family::Family;
use super::problem::Problem;
use super::reply::Reply;

const FAMILY: Family = Family::AzureSpeech;
/// Beginnings of the output formats that there are.
const FORMATS: [&str; 6] = ["raw-", "audio-", "ogg-", "webm-", "amr-", "riff-"];

pub(super) fn answer(call: &Call) -> Result<Reply, Problem> {
    let header = |name: &str| call.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if call.content_type() != "application/ssml+xml" {
        return Err(Problem::new(415, "Unsupported media type: content-type must be application/ssml+xml"));
    }
    if header("user-agent").is_empty() || header("user-agent").len() >= 255 {
        return Err(Problem::new(400, "The header User-Agent is required and must have less than 255 characters"));
    }
    let format = header("x-microsoft-outputformat");
    if !FORMATS.iter().any(|known| format.starts_with(known)) {
        return Err(Problem::new(400, format!("Unsupported output format '{format}' in X-Microsoft-OutputFormat")));
    }
    let ssml = std::str::from_utf8(call.body).map_err(|_| Problem::new(400, "The SSML is not UTF-8"))?;
    let voice = voice(ssml).filter(|_| ssml.contains("<speak"));
    let voice = voice.ok_or_else(|| Problem::new(400, "The SSML needs <speak> and <voice name='...'>"))?;
    let played = call.played(voice)?;
    if let Some(reply) = call.failure(FAMILY, &played, Carries::Audio) {
        return Ok(reply);
    }
    let (pieces, count, total) = audio_pieces(&played);
    // RIFF has its length in front, so that Azure cannot stream it.
    let length = format.starts_with("riff-").then_some(total as u64);
    Ok(call.good(FAMILY, Reply::pieces(content_type(format), pieces, count, length, &played)))
}

/// The name of the first `<voice>`.
pub(super) fn voice(ssml: &str) -> Option<&str> {
    let tag = ssml.split_once("<voice")?.1.split_once('>')?.0;
    let value = tag.split_once("name=")?.1;
    let quote = value.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    value[1..].split_once(quote).map(|(name, _)| name)
}

fn content_type(format: &str) -> &'static str {
    match format {
        _ if format.starts_with("ogg-") => "audio/ogg; codecs=opus",
        _ if format.starts_with("webm-") => "audio/webm; codecs=opus",
        _ if format.starts_with("amr-") => "audio/amr-wb",
        _ if format.ends_with("-mp3") => "audio/mpeg",
        _ if format.starts_with("riff-") => "audio/x-wav",
        _ => "audio/basic",
    }
}
