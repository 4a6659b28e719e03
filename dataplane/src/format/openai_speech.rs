//! OpenAI speech: binary audio, or events that carry it.
//!
//! Source: OpenAI's API reference, "Create speech".
//!
//! | | |
//! |---|---|
//! | complete | audio: the regular end of the framing; events: `speech.audio.done` |
//! | usage | audio: none; events: in `speech.audio.done`; the characters are those of the request's `input` |
//! | failed | an event with a top-level `error`, or of type `error` |
//!
//! A failure is told by breaking the framing, with events too: SDKs hand these out as bytes, so that no error event raises anything.
//! Events of other makers at this path have ends that nobody knows: there the regular end of the framing counts.

use super::characters::{self, Characters};
use super::family::Family;
use super::framing::Framing;
use super::rules::{Reading, Rules};
use super::tokens::Tokens;
use super::units::Unit;
use super::{is_openai, json, opaque};
use memchr::memmem::Finder;
use relay_snapshot::WireFormat;
use std::sync::LazyLock;

pub(super) const RULES: Rules = Rules {
    name: WireFormat::OpenAISpeech,
    is_spoken: |provider, path| is_openai(provider) && path.ends_with("/audio/speech"),
    family: Some(Family::OpenAI),
    framing: Framing::Events,
    has_terminal: true,
    takes_comments: true,
    wants_identity: true,
    streams: |_, _| true,
    characters: Characters::Asked(characters::of_input),
    read,
    tokens: Tokens::Told,
    ..opaque::RULES
};

const DELTA: &[u8] = b"speech.audio.delta";
const DONE: &[u8] = b"speech.audio.done";

fn read(reading: &mut Reading, unit: &Unit<'_>) {
    static MARKS: LazyLock<[Finder<'_>; 2]> =
        LazyLock::new(|| [r#""speech.audio.done""#, r#""error""#].map(Finder::new));
    if !unit.whole {
        saw(reading, unit.name);
        return;
    }
    let is_marked = MARKS.iter().any(|mark| json::stands(mark, &unit.data, |value| !value.starts_with(b"null")));
    if is_marked || !reading.is_native() {
        read_event(reading, unit);
    }
}

fn read_event(reading: &mut Reading, unit: &Unit<'_>) {
    let mut kind = unit.name;
    for (key, value) in json::members(&unit.data) {
        match key {
            b"type" => kind = json::text(value),
            b"error" if json::is_something(value) => reading.seen.error = true,
            b"usage" => reading.read_openai(value),
            _ => {}
        }
    }
    saw(reading, kind);
}

fn saw(reading: &mut Reading, kind: &[u8]) {
    reading.saw_words(kind == DELTA || kind == DONE);
    reading.seen.terminal |= kind == DONE;
    reading.seen.error |= kind == b"error";
    reading.seen.content |= kind != DONE && !reading.seen.error;
}
