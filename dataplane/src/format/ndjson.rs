//! Ollama's `/api/chat` and `/api/generate`: one JSON text a line.
//!
//! Source: Ollama's documentation, "Streaming" and "Errors".
//!
//! | | |
//! |---|---|
//! | complete | a line with `done: true` |
//! | usage | `prompt_eval_count` and `eval_count` in that line; they may be absent |
//! | failed | a line with `error` |
//!
//! A stream whose lines have no `done` at all is another API's: there the regular end of the framing counts.

use super::family::{Family, ollama_error};
use super::framing::Framing;
use super::rules::{Failure, Reading, Rules};
use super::tokens::{self, Tokens};
use super::units::Unit;
use super::weight::Weight;
use super::{json, opaque};
use bytes::Bytes;
use memchr::memmem::Finder;
use relay_snapshot::{Provider, WireFormat};
use std::sync::LazyLock;

pub(super) const RULES: Rules = Rules {
    name: WireFormat::NDJSON,
    is_spoken: |provider, path| {
        provider == Provider::Custom && (path.ends_with("/api/chat") || path.ends_with("/api/generate"))
    },
    family: Some(Family::Ollama),
    framing: Framing::Lines,
    has_terminal: true,
    wants_identity: true,
    // By default it does.
    streams: |_, body| tokens::of_stream(body) != Some(false),
    tokens: Tokens::Text {
        asks: tokens::of_ollama,
        unit: |unit| Weight::of_members(&unit.data, TEXT),
        body: |body| Weight::of_members(body, TEXT),
    },
    read,
    read_body: read_line,
    // A last line needs no line end.
    takes_unfinished: |unit| json::is_whole(&unit.data),
    failure: Some(failure),
    ..opaque::RULES
};

/// What a model writes: of `/api/chat`, of `/api/generate`, and of both its thoughts.
const TEXT: &[&[u8]] = &[b"content", b"response", b"thinking"];

fn read(reading: &mut Reading, unit: &Unit<'_>) {
    static ERROR: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new(r#""error""#));
    static DONE: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new(r#""done""#));
    if !unit.whole {
        reading.seen.content = true;
        return;
    }
    let is_marked = json::stands(&ERROR, &unit.data, |_| true)
        || json::stands(&DONE, &unit.data, |value| !value.starts_with(b"false"));
    if is_marked || !reading.is_native() {
        read_line(reading, &unit.data);
    }
}

fn read_line(reading: &mut Reading, line: &[u8]) {
    let (mut native, mut error) = (false, false);
    for (key, value) in json::members(line) {
        match key {
            b"done" => {
                native = true;
                reading.seen.terminal |= value == b"true";
            }
            b"error" => error = json::is_something(value),
            _ => {}
        }
    }
    reading.read_ollama(line);
    reading.saw_words(native);
    reading.seen.error |= error;
    reading.seen.content |= !error;
}

fn failure(failure: &Failure<'_>) -> Bytes {
    Bytes::from(format!("{}\n", ollama_error(failure.message)))
}
