//! The table of endings, row by row.

use crate::format::{Format, Framing, Observer};
use crate::reason::{Reason, StreamEnd};
use crate::relay::ending::{Ending, Last, Stop, Stopped, of_refusal};
use bytes::Bytes;

/// What a stream of a format looks like.
struct Words {
    format: Format,
    framing: Framing,
    /// Not the end.
    content: &'static str,
    /// Its end.
    terminal: &'static str,
    /// The provider's error.
    error: &'static str,
    /// An unfinished unit.
    half: &'static str,
}

const CHAT: Words = Words {
    format: Format::OpenAIChat,
    framing: Framing::Events,
    content: "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":null}]}\n\n",
    terminal: "data: [DONE]\n\n",
    error: "data: {\"error\":{\"message\":\"m\",\"type\":\"server_error\",\"param\":null,\"code\":null}}\n\n",
    half: "data: {\"choices\":[{\"index\":0,\"del",
};

/// Every format that has words for a failure.
const STREAMS: [Words; 5] = [
    CHAT,
    Words {
        format: Format::OpenAIResponses,
        framing: Framing::Events,
        content: "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":4,\"response\":{}}\n\n",
        terminal: "event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":5,\"response\":{}}\n\n",
        error: "event: response.failed\ndata: {\"type\":\"response.failed\",\"sequence_number\":5,\"response\":{}}\n\n",
        half: "event: response.completed\ndata: {\"type\":\"respo",
    },
    Words {
        format: Format::AnthropicMessages,
        framing: Framing::Events,
        content: "event: ping\ndata: {\"type\":\"ping\"}\n\n",
        terminal: "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
        error: "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"m\"}}\n\n",
        half: "event: message_stop\ndata: {\"type\":\"mess",
    },
    Words {
        format: Format::GeminiStream,
        framing: Framing::Events,
        content: "data: {\"candidates\":[{\"index\":0,\"content\":{}}]}\r\n\r\n",
        terminal: "",
        error: "data: {\"error\":{\"code\":503,\"message\":\"m\",\"status\":\"UNAVAILABLE\"}}\r\n\r\n",
        half: "data: {\"candidates\":[{\"ind",
    },
    Words {
        format: Format::Ndjson,
        framing: Framing::Lines,
        content: "{\"message\":{\"content\":\"a\"},\"done\":false}\n",
        terminal: "{\"message\":{\"content\":\"\"},\"done\":true,\"done_reason\":\"stop\"}\n",
        error: "{\"error\":\"m\"}\n",
        half: "{\"message\":{\"con",
    },
];
const EVERY: [Stop; 8] =
    [Stop::End, Stop::Reset, Stop::Protocol, Stop::Idle, Stop::Total, Stop::Drained, Stop::Suspended, Stop::Limit];

/// What stops a stream, and what it is called where it is not whole.
const EARLY: [(Stop, StreamEnd, Reason); 8] = [
    (Stop::End, StreamEnd::UpstreamError, Reason::UpstreamProtocol),
    (Stop::Reset, StreamEnd::UpstreamError, Reason::UpstreamReset),
    (Stop::Protocol, StreamEnd::UpstreamError, Reason::UpstreamProtocol),
    (Stop::Idle, StreamEnd::IdleTimeout, Reason::IdleTimeout),
    (Stop::Total, StreamEnd::TotalTimeout, Reason::TotalTimeout),
    (Stop::Drained, StreamEnd::Drained, Reason::Draining),
    (Stop::Suspended, StreamEnd::Suspended, Reason::TenantSuspended),
    (Stop::Limit, StreamEnd::LimitReached, Reason::BudgetSpent),
];

/// The end of a stream that is stopped behind these whole units and this half of one.
fn stopped(
    format: Format,
    framing: Framing,
    stop: Stop,
    at_boundary: bool,
    units: &[&str],
    half: &'static str,
) -> Ending {
    let mut observer = Observer::new(format);
    for unit in units {
        observer.push(unit.as_bytes(), framing != Framing::Bytes);
    }
    observer.end(half.as_bytes());
    let tail = Bytes::from_static(half.as_bytes());
    Stopped { stop, framing, observer: &observer, at_boundary, tail, request_id: "id-1", message: stop.message() }
        .ending()
}

fn of(words: &Words, stop: Stop, units: &[&str]) -> Ending {
    stopped(words.format, words.framing, stop, true, units, words.half)
}

fn told(ending: &Ending) -> String {
    match &ending.last {
        Last::Clean(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Last::Abort => String::new(),
    }
}

#[test]
fn a_stream_cut_at_a_boundary_ends_cleanly_with_its_formats_error_and_without_the_half_unit() {
    for (stop, end, reason) in EARLY {
        for words in &STREAMS {
            let ending = of(words, stop, &[words.content]);
            assert_eq!((ending.end, ending.reason), (end, Some(reason)), "{stop:?} of {:?}", words.format);
            let told = told(&ending);
            assert!(told.contains("error"), "{stop:?} of {:?}: {told:?}", words.format);
            assert!(!told.contains(words.half) && !told.contains("[DONE]"), "{told}");
            assert!(words.terminal.is_empty() || !told.contains(words.terminal), "{told}");
            let end = if words.framing == Framing::Lines { "\n" } else { "\n\n" };
            assert!(told.ends_with(end) || told.ends_with("\r\n\r\n"), "{told:?}");
            // Clients of the format, and this relay behind another one, take it for an error.
            let mut reader = Observer::new(words.format);
            reader.push(told.as_bytes(), true);
            assert!(reader.seen().error && !reader.seen().terminal, "{told}");
        }
    }
}

#[test]
fn a_stream_cut_before_its_first_unit_is_told_so_too() {
    for (stop, end, reason) in EARLY {
        for words in STREAMS.iter().filter(|words| words.format != Format::Ndjson) {
            let ending = of(words, stop, &[]);
            assert_eq!((ending.end, ending.reason), (end, Some(reason)), "{stop:?} of {:?}", words.format);
            assert!(told(&ending).contains("error"));
        }
    }
}

#[test]
fn clients_are_told_what_it_was() {
    let words = [
        (Stop::End, "ended the stream before its end"),
        (Stop::Reset, "closed the connection"),
        (Stop::Protocol, "broke HTTP"),
        (Stop::Idle, "idle timeout"),
        (Stop::Total, "total timeout"),
        (Stop::Drained, "shutting down"),
        (Stop::Suspended, "tenant was suspended"),
    ];
    for (stop, text) in words {
        for words in &STREAMS {
            let told = told(&of(words, stop, &[words.content]));
            assert!(told.contains(text), "{stop:?}: {told}");
        }
    }
}

#[test]
fn inside_a_unit_nothing_can_be_told_and_the_framing_breaks_off() {
    for (stop, end, reason) in EARLY {
        for words in &STREAMS {
            let inside = stopped(words.format, words.framing, stop, false, &[words.content], "");
            assert_eq!(inside, Ending { end, reason: Some(reason), last: Last::Abort });
        }
    }
}

#[test]
fn binary_encoded_and_length_framed_bodies_break_off() {
    for (stop, end, reason) in EARLY.into_iter().filter(|(stop, ..)| *stop != Stop::End) {
        for format in Format::ALL {
            let ending = stopped(*format, Framing::Bytes, stop, false, &["bytes"], "");
            assert_eq!(ending, Ending { end, reason: Some(reason), last: Last::Abort }, "{stop:?} of {format:?}");
        }
        // What was seen in passing does not make half a body whole.
        let seen = stopped(Format::OpenAIChat, Framing::Bytes, stop, false, &[CHAT.content, CHAT.terminal], "");
        assert_eq!(seen.last, Last::Abort);
    }
}

#[test]
fn a_body_without_units_is_complete_when_its_framing_ends() {
    for format in Format::ALL {
        let ending = stopped(*format, Framing::Bytes, Stop::End, false, &["bytes"], "");
        assert_eq!(ending, Ending { end: StreamEnd::Complete, reason: None, last: Last::Clean(Bytes::new()) });
    }
}

#[test]
fn a_format_without_an_end_of_its_own_is_complete_when_its_framing_ends_half_unit_or_not() {
    let ending = stopped(Format::Opaque, Framing::Events, Stop::End, true, &["data: 1\n\n"], "data: half");
    let last = Last::Clean(Bytes::from_static(b"data: half"));
    assert_eq!(ending, Ending { end: StreamEnd::Complete, reason: None, last });
}

#[test]
fn a_format_without_words_for_a_failure_breaks_off() {
    for (stop, end, reason) in EARLY.into_iter().filter(|(stop, ..)| *stop != Stop::End) {
        for format in [Format::Opaque, Format::OpenAISpeech] {
            let ending = stopped(format, Framing::Events, stop, true, &["data: {\"a\":1}\n\n"], "");
            assert_eq!(ending, Ending { end, reason: Some(reason), last: Last::Abort }, "{stop:?} of {format:?}");
        }
    }
}

#[test]
fn what_stops_a_stream_behind_its_own_end_leaves_it_complete() {
    for stop in EVERY {
        for words in STREAMS.iter().filter(|words| !words.terminal.is_empty()) {
            let ending = of(words, stop, &[words.content, words.terminal]);
            let last = Last::Clean(Bytes::from_static(words.half.as_bytes()));
            let expected = Ending { end: StreamEnd::Complete, reason: None, last };
            assert_eq!(ending, expected, "{stop:?} of {:?}", words.format);
        }
    }
}

#[test]
fn where_a_format_ends_with_its_framing_only_the_clean_end_is_complete() {
    let finished = "data: {\"candidates\":[{\"index\":0,\"content\":{},\"finishReason\":\"STOP\"}]}\r\n\r\n";
    for stop in EVERY {
        let ending = stopped(Format::GeminiStream, Framing::Events, stop, true, &[finished], "");
        let is_complete = ending.end == StreamEnd::Complete;
        assert_eq!(is_complete, stop == Stop::End, "{stop:?}");
        assert_eq!(told(&ending).contains("error"), !is_complete);
    }
}

#[test]
fn an_error_of_the_provider_is_the_end_whatever_follows_and_no_second_one_is_told() {
    for stop in EVERY {
        for words in &STREAMS {
            for at_boundary in [false, true] {
                for rest in [&[words.content, words.error][..], &[words.error, words.terminal]] {
                    let half = words.half;
                    let ending = stopped(words.format, words.framing, stop, at_boundary, rest, half);
                    let last = Last::Clean(Bytes::from_static(half.as_bytes()));
                    let (end, reason) = (StreamEnd::UpstreamError, Some(Reason::UpstreamError));
                    assert_eq!(ending, Ending { end, reason, last }, "{stop:?} of {:?}", words.format);
                }
            }
        }
    }
}

#[test]
fn a_whole_error_in_place_of_a_stream_is_an_error() {
    let mut observer = Observer::of_json(Format::OpenAIChat);
    observer.push(b"{\"error\":{\"message\":\"m\"}}", false);
    observer.end(b"");
    let (framing, tail) = (Framing::Bytes, Bytes::new());
    let stopped = Stopped {
        stop: Stop::End,
        framing,
        observer: &observer,
        at_boundary: false,
        tail,
        request_id: "id-1",
        message: "",
    };
    let (end, reason) = (StreamEnd::UpstreamError, Some(Reason::UpstreamError));
    assert_eq!(stopped.ending(), Ending { end, reason, last: Last::Clean(Bytes::new()) });
}

#[test]
fn refusals_end_by_their_reason() {
    let rows = [
        (Reason::RequestsLimited, StreamEnd::LimitReached),
        (Reason::TokensLimited, StreamEnd::LimitReached),
        (Reason::CharactersLimited, StreamEnd::LimitReached),
        (Reason::StreamsLimited, StreamEnd::LimitReached),
        (Reason::BudgetSpent, StreamEnd::LimitReached),
        (Reason::LimitsUnavailable, StreamEnd::Refused),
        (Reason::FirstByteTimeout, StreamEnd::FirstByteTimeout),
        (Reason::IdleTimeout, StreamEnd::IdleTimeout),
        (Reason::TotalTimeout, StreamEnd::TotalTimeout),
        (Reason::Draining, StreamEnd::Drained),
        (Reason::UpstreamConnect, StreamEnd::UpstreamError),
        (Reason::UpstreamReset, StreamEnd::UpstreamError),
        (Reason::UpstreamProtocol, StreamEnd::UpstreamError),
        (Reason::UpstreamError, StreamEnd::UpstreamError),
        (Reason::UpstreamStatus, StreamEnd::UpstreamError),
        (Reason::ClientStalled, StreamEnd::ClientGone),
        (Reason::TenantSuspended, StreamEnd::Refused),
        (Reason::KeyExpired, StreamEnd::Refused),
        (Reason::NoBackend, StreamEnd::Refused),
        (Reason::Overloaded, StreamEnd::Refused),
    ];
    for (reason, end) in rows {
        assert_eq!(of_refusal(reason), end, "{reason:?}");
    }
}
