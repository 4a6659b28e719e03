//! Azure Speech: SSML in, binary audio out. No usage in the answer: the characters of the request are what is billed. The bodies of its errors need not be JSON.
//!
//! Source: Azure's reference, "Text-to-speech REST API".

use super::characters::{self, Characters};
use super::family::Family;
use super::tokens::Tokens;
use super::{Rules, opaque};
use relay_snapshot::{Provider, WireFormat};

pub(super) const RULES: Rules = Rules {
    name: WireFormat::AzureSpeech,
    is_spoken: |provider, path| provider == Provider::AzureSpeech && path.ends_with("/cognitiveservices/v1"),
    family: Some(Family::OpenAI),
    wants_identity: true,
    streams: |_, _| true,
    characters: Characters::Asked(characters::of_ssml),
    tokens: Tokens::Told,
    ..opaque::RULES
};
