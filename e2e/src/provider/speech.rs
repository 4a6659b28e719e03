//! OpenAI Audio Speech: `POST /v1/audio/speech`, audio as it is made or in events.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::json;

use super::behaviour::Usage;
use super::call::{Call, Carries, audio_pieces};
use super::chat::{error_event, missing, model};
use super::plan::{InBand, Kind};
use super::problem::Problem;
use super::reply::{Played, Reply};
use super::sse::Event;

/// Longest `input`, in characters.
const MAX_INPUT: usize = 4096;

pub(super) fn answer(call: &Call) -> Result<Reply, Problem> {
    let model = model(call)?;
    let input = call.text("input").ok_or_else(|| missing("input"))?;
    if input.chars().count() > MAX_INPUT {
        let message = format!("Invalid 'input': string too long. Expected a string with maximum length {MAX_INPUT}.");
        return Err(Problem {
            param: Some("input"),
            code: Some("string_above_max_length"),
            ..Problem::new(400, message)
        });
    }
    call.field("voice").ok_or_else(|| missing("voice"))?;
    let content_type = content_type(call.text("response_format").unwrap_or("mp3"))?;
    let events = match call.text("stream_format").unwrap_or("audio") {
        "audio" => false,
        "sse" if !matches!(model, "tts-1" | "tts-1-hd") => true,
        other => return Err(invalid("stream_format", other)),
    };
    let played = call.played(model)?;
    let carries = if events { Carries::Events } else { Carries::Audio };
    if let Some(reply) = call.failure(call.target.family, &played, carries) {
        return Ok(reply);
    }
    let reply = if events {
        streamed(call, &played, input.split_whitespace().count())
    } else {
        let (pieces, count, _) = audio_pieces(&played);
        Reply::pieces(content_type, pieces, count, None, &played)
    };
    Ok(call.good(call.target.family, reply))
}

fn content_type(format: &str) -> Result<&'static str, Problem> {
    Ok(match format {
        "mp3" => "audio/mpeg",
        "opus" => "audio/opus",
        "aac" => "audio/aac",
        "flac" => "audio/flac",
        "wav" => "audio/wav",
        "pcm" => "audio/pcm",
        other => return Err(invalid("response_format", other)),
    })
}

fn invalid(param: &'static str, value: &str) -> Problem {
    let message = format!("Invalid value for '{param}': '{value}'.");
    Problem { param: Some(param), code: Some("invalid_value"), ..Problem::new(400, message) }
}

/// Audio in events; each piece of audio counts as one output token.
fn streamed(call: &Call, played: &Played, input_tokens: usize) -> Reply {
    let (pieces, count, _) = audio_pieces(played);
    let deltas = pieces.map(|bytes| {
        let data = format!(r#"{{"type":"speech.audio.delta","audio":"{}"}}"#, BASE64.encode(&bytes));
        Event { kind: Kind::Token, name: None, data }
    });
    let mut done = json!({"type": "speech.audio.done"});
    if played.behaviour.usage != Usage::Never {
        done["usage"] =
            json!({"input_tokens": input_tokens, "output_tokens": count, "total_tokens": input_tokens + count});
    }
    let done = Event { kind: Kind::Tail, name: None, data: done.to_string() };
    let text = played.behaviour.text;
    let in_band =
        InBand { error: Some(error_event(call, &played.behaviour).encode(text)), terminal: Some(done.encode(text)) };
    Reply::events(deltas.chain(std::iter::once(done)), count, played, in_band)
}
