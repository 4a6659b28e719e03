//! ElevenLabs speech: JSON in, binary audio out. What it costs stands in the header `character-cost`.

use super::characters::{self, Characters};
use super::family::Family;
use super::tokens::Tokens;
use super::{Rules, opaque};
use relay_snapshot::{Provider, WireFormat};

pub(super) const RULES: Rules = Rules {
    name: WireFormat::ElevenLabsSpeech,
    is_spoken: |provider, path| provider == Provider::ElevenLabs && path.contains("/text-to-speech/"),
    family: Some(Family::ElevenLabs),
    wants_identity: true,
    streams: |_, _| true,
    characters: Characters::Told { header: "character-cost", about: characters::of_text },
    tokens: Tokens::Told,
    ..opaque::RULES
};
