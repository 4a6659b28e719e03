//! ElevenLabs: `POST /v1/text-to-speech/VOICE` and `…/stream`, text in, audio out. The model is `model_id`.

use super::call::{Call, Carries, audio_pieces};
use super::family::Family;
use super::problem::Problem;
use super::reply::{Reply, set};

const FAMILY: Family = Family::ElevenLabs;
/// The model of a request that names none.
const MODEL: &str = "eleven_multilingual_v2";

pub(super) fn answer(call: &Call) -> Result<Reply, Problem> {
    if call.content_type() != "application/json" || call.json.is_none() {
        return Err(Problem::new(422, "The request body is not valid JSON"));
    }
    let text = call.text("text").ok_or_else(|| Problem::new(422, "text: Field required"))?;
    let played = call.played(call.text("model_id").unwrap_or(MODEL))?;
    if let Some(reply) = call.failure(FAMILY, &played, Carries::Audio) {
        return Ok(reply);
    }
    let (pieces, count, total) = audio_pieces(&played);
    let content_type = match call.asks("output_format").unwrap_or("mp3_44100_128") {
        format if format.starts_with("mp3_") => "audio/mpeg",
        format if format.starts_with("opus_") => "audio/opus",
        format if format.starts_with("pcm_") => "audio/pcm",
        format if format.starts_with("ulaw_") => "audio/basic",
        format => return Err(Problem::new(422, format!("output_format: '{format}' is not known"))),
    };
    // Without `/stream` it answers when all is there.
    let length = (!call.path.ends_with("/stream")).then_some(total as u64);
    let mut reply = Reply::pieces(content_type, pieces, count, length, &played);
    // What it costs is known before the audio is made.
    set(&mut reply.headers, "character-cost", &text.chars().count().to_string());
    set(&mut reply.headers, "history-item-id", &format!("fake{:020}", call.n));
    set(&mut reply.headers, "current-concurrent-requests", "1");
    set(&mut reply.headers, "maximum-concurrent-requests", "10");
    Ok(call.good(FAMILY, reply))
}
