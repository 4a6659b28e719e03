//! The table of endings, row by row.

use crate::format::{Format, Framing};
use crate::reason::{Reason, StreamEnd};
use crate::relay::ending::{Ending, Last, Stop, Stopped, of_refusal};
use bytes::Bytes;

const STOPS: [Stop; 7] =
    [Stop::End, Stop::Reset, Stop::Protocol, Stop::Idle, Stop::Total, Stop::Drained, Stop::Suspended];
/// Formats that have an end of their own and words for a failure.
const EVENTS: [Format; 2] = [Format::OpenAIChat, Format::AnthropicMessages];
const TAIL: &[u8] = b"data: half";

fn stopped(stop: Stop, framing: Framing, format: Format) -> Stopped<'static> {
    Stopped {
        stop,
        framing,
        format,
        terminal: false,
        error: false,
        at_boundary: framing != Framing::Bytes,
        tail: if framing == Framing::Bytes { Bytes::new() } else { Bytes::from_static(TAIL) },
        request_id: "id-1",
    }
}

/// What stops a stream, and what it is called where it is not whole.
const EARLY: [(Stop, StreamEnd, Reason); 7] = [
    (Stop::End, StreamEnd::UpstreamError, Reason::UpstreamProtocol),
    (Stop::Reset, StreamEnd::UpstreamError, Reason::UpstreamReset),
    (Stop::Protocol, StreamEnd::UpstreamError, Reason::UpstreamProtocol),
    (Stop::Idle, StreamEnd::IdleTimeout, Reason::IdleTimeout),
    (Stop::Total, StreamEnd::TotalTimeout, Reason::TotalTimeout),
    (Stop::Drained, StreamEnd::Drained, Reason::Draining),
    (Stop::Suspended, StreamEnd::Suspended, Reason::TenantSuspended),
];

#[test]
fn an_event_stream_cut_at_a_boundary_ends_cleanly_with_its_formats_error_event_and_without_the_half_event() {
    for (stop, end, reason) in EARLY {
        for format in EVENTS {
            let ending = stopped(stop, Framing::Events, format).ending();
            let Last::Clean(event) = &ending.last else { panic!("{stop:?} of {format:?} aborts") };
            assert_eq!((ending.end, ending.reason), (end, Some(reason)));
            assert_eq!(format.failure_event(reason, message_of(event), "id-1").as_ref(), Some(event));
            let text = String::from_utf8_lossy(event);
            assert!(text.contains(reason.name()) && !text.contains("half"), "{text}");
            assert!(!text.contains("[DONE]") && !text.contains("message_stop"), "{text}");
        }
    }
}

/// The text of an error event.
fn message_of(event: &Bytes) -> &str {
    let text = std::str::from_utf8(event).expect("UTF-8");
    text.split("\"message\":\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a message")
}

#[test]
fn a_suspended_tenant_and_a_drained_one_are_told_so() {
    let told = |stop| match stopped(stop, Framing::Events, Format::OpenAIChat).ending().last {
        Last::Clean(event) => String::from_utf8_lossy(&event).into_owned(),
        Last::Abort => String::new(),
    };
    assert!(told(Stop::Suspended).contains("tenant was suspended"));
    assert!(told(Stop::Drained).contains("shutting down"));
    assert!(told(Stop::Total).contains("total timeout"));
}

#[test]
fn inside_an_event_nothing_can_be_told_and_the_framing_breaks_off() {
    for (stop, end, reason) in EARLY {
        for format in EVENTS {
            let inside = Stopped { at_boundary: false, ..stopped(stop, Framing::Events, format) };
            assert_eq!(inside.ending(), Ending { end, reason: Some(reason), last: Last::Abort });
        }
    }
}

#[test]
fn binary_encoded_and_length_framed_bodies_break_off() {
    for (stop, end, reason) in EARLY.into_iter().filter(|(stop, ..)| *stop != Stop::End) {
        for format in EVENTS.into_iter().chain([Format::OpenAISpeech, Format::AzureSpeech, Format::Opaque]) {
            let ending = stopped(stop, Framing::Bytes, format).ending();
            assert_eq!(ending, Ending { end, reason: Some(reason), last: Last::Abort }, "{stop:?} of {format:?}");
            // What was seen in passing does not make half a body whole.
            let seen = Stopped { terminal: true, ..stopped(stop, Framing::Bytes, format) };
            assert_eq!(seen.ending().last, Last::Abort);
        }
    }
}

#[test]
fn a_body_without_units_is_complete_when_its_framing_ends() {
    for format in EVENTS.into_iter().chain([Format::OpenAISpeech, Format::AzureSpeech, Format::Opaque]) {
        let ending = stopped(Stop::End, Framing::Bytes, format).ending();
        assert_eq!(ending, Ending { end: StreamEnd::Complete, reason: None, last: Last::Clean(Bytes::new()) });
    }
}

#[test]
fn a_format_without_an_end_of_its_own_is_complete_when_its_framing_ends_half_event_or_not() {
    let ending = stopped(Stop::End, Framing::Events, Format::Opaque).ending();
    let last = Last::Clean(Bytes::from_static(TAIL));
    assert_eq!(ending, Ending { end: StreamEnd::Complete, reason: None, last });
}

#[test]
fn a_format_without_words_for_a_failure_breaks_off() {
    for (stop, end, reason) in EARLY.into_iter().filter(|(stop, ..)| *stop != Stop::End) {
        let ending = stopped(stop, Framing::Events, Format::Opaque).ending();
        assert_eq!(ending, Ending { end, reason: Some(reason), last: Last::Abort });
    }
}

#[test]
fn what_stops_a_stream_behind_its_own_end_leaves_it_complete() {
    for stop in STOPS {
        for format in EVENTS {
            let ending = Stopped { terminal: true, ..stopped(stop, Framing::Events, format) }.ending();
            let last = Last::Clean(Bytes::from_static(TAIL));
            assert_eq!(ending, Ending { end: StreamEnd::Complete, reason: None, last }, "{stop:?} of {format:?}");
        }
    }
}

#[test]
fn an_error_of_the_provider_is_the_end_whatever_follows_and_no_second_one_is_told() {
    for stop in STOPS {
        for format in EVENTS {
            for terminal in [false, true] {
                for at_boundary in [false, true] {
                    let failed =
                        Stopped { error: true, terminal, at_boundary, ..stopped(stop, Framing::Events, format) };
                    let (end, reason) = (StreamEnd::UpstreamError, Some(Reason::UpstreamError));
                    let last = Last::Clean(Bytes::from_static(TAIL));
                    assert_eq!(failed.ending(), Ending { end, reason, last }, "{stop:?} of {format:?}");
                }
            }
        }
    }
}

#[test]
fn a_whole_error_in_place_of_a_stream_is_an_error() {
    let ending = Stopped { error: true, ..stopped(Stop::End, Framing::Bytes, Format::OpenAIChat) }.ending();
    let (end, reason) = (StreamEnd::UpstreamError, Some(Reason::UpstreamError));
    assert_eq!(ending, Ending { end, reason, last: Last::Clean(Bytes::new()) });
}

#[test]
fn refusals_end_by_their_reason() {
    let rows = [
        (Reason::RequestsLimited, StreamEnd::LimitReached),
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
