//! Anything else: relayed as it is; its end is the end of its framing.

use super::Rules;
use super::characters::Characters;
use super::framing::Framing;
use super::rules::Reading;
use super::tokens::{self, Tokens};
use super::units::Unit;
use relay_snapshot::{Provider, WireFormat};

/// What a format has that says nothing of its own.
pub(super) const RULES: Rules = Rules {
    name: WireFormat::Opaque,
    is_spoken: |_: Provider, _: &str| true,
    family: None,
    framing: Framing::Bytes,
    has_terminal: false,
    // Whose clients they are is not known.
    takes_comments: false,
    allows_upgrade: false,
    wants_identity: false,
    characters: Characters::Unbilled,
    streams: |_: &str, body: &[u8]| tokens::of_stream(body) == Some(true),
    tokens: Tokens::Unknown,
    read,
    read_body,
    takes_unfinished: |_: &Unit<'_>| false,
    failure: None,
};

fn read(reading: &mut Reading, _unit: &Unit<'_>) {
    reading.seen.content = true;
}

/// `usage` where most APIs have it: embeddings, transcriptions and more.
pub(super) fn read_body(reading: &mut Reading, body: &[u8]) {
    if let Some(usage) = super::json::member(body, b"usage") {
        reading.read_openai(usage);
    }
    reading.seen.error = super::json::member(body, b"error").is_some_and(super::json::is_something);
}
