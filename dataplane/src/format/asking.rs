//! Asks Chat Completions for its usage where the client did not, and knows the one event that comes of it.
//!
//! Source: OpenAI's API reference, `stream_options.include_usage`: one more chunk before `[DONE]` with an empty `choices` and the usage of all; in
//! the others `usage` is null.

use super::units::Unit;
use super::{Format, json};
use memchr::memmem::Finder;
use std::ops::Range;
use std::sync::LazyLock;

/// What stands in place of some bytes of a request's body. They may be none: then it is put in.
pub type Exchanged = (Range<usize>, &'static str);

impl Format {
    /// What makes a request, by its whole body, tell its usage; `None`: it does so already, or it can't be asked for. Only a stream has to be asked.
    pub fn ask_usage(self, body: &[u8]) -> Option<Exchanged> {
        if self != Self::OpenAIChat || !json::is_whole(body.trim_ascii()) {
            return None;
        }
        let (mut streams, mut options) = (false, None);
        for (key, value) in json::members(body) {
            if json::is_named(key, "stream") {
                streams = value == b"true";
            } else if json::is_named(key, "stream_options") {
                options = Some(value);
            }
        }
        if !streams {
            return None;
        }
        let Some(options) = options else {
            // Not empty: it has `stream`.
            return Some((behind_brace(body, body)?, r#""stream_options":{"include_usage":true},"#));
        };
        if options == b"null" {
            return Some((place(body, options), r#"{"include_usage":true}"#));
        }
        let (mut asked, mut is_empty) = (None, true);
        for (key, value) in json::members(options) {
            is_empty = false;
            if json::is_named(key, "include_usage") {
                asked = Some(value);
            }
        }
        match asked {
            Some(b"true") => None,
            Some(value) => Some((place(body, value), "true")),
            None if is_empty => Some((behind_brace(body, options)?, r#""include_usage":true"#)),
            None => Some((behind_brace(body, options)?, r#""include_usage":true,"#)),
        }
    }
}

/// Where `part` stands in `body`, which it is a part of.
fn place(body: &[u8], part: &[u8]) -> Range<usize> {
    let start = part.as_ptr().addr().saturating_sub(body.as_ptr().addr());
    start..start + part.len()
}

/// The place behind the brace that `object` begins with; `None`: it is none.
fn behind_brace(body: &[u8], object: &[u8]) -> Option<Range<usize>> {
    let start = place(body, object.trim_ascii_start().strip_prefix(b"{")?).start;
    Some(start..start)
}

/// Whether one may be among these events. Cheap, and rarely wrong.
pub fn may_tell_usage(events: &[u8]) -> bool {
    static USAGE: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new(r#""usage""#));
    json::stands(&USAGE, events, |value| value.starts_with(b"{"))
}

/// Whether it is the event that comes of asking, the end of which may be missing: no choices, and usage. One with choices is the client's, also where it
/// counts; and the first one of Azure has neither.
pub fn is_usage_event(event: &[u8]) -> bool {
    let unit = Unit::unfinished(super::Framing::Events, event);
    let (mut no_choices, mut usage) = (false, false);
    for (key, value) in json::members(&unit.data) {
        match key {
            b"choices" => no_choices = json::elements(value).next().is_none() && value.starts_with(b"["),
            b"usage" => usage = value.starts_with(b"{"),
            _ => {}
        }
    }
    no_choices && usage
}
