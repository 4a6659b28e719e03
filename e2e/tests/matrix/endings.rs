//! The endings, and the rules by which each cell's expectation follows from its row and its column.

use relay_e2e::provider::Ended;

use crate::client::Protocol;
use crate::formats::Format;

/// A row of the matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The whole answer.
    Complete,
    /// The client hangs up while the answer flows.
    ClientGone,
    /// The provider breaks the framing off.
    Cut,
    /// The provider's connection is reset.
    Reset,
    /// The provider ends the answer cleanly without the format's end.
    Truncated,
    /// The provider ends the answer short of its content-length.
    ShortLength,
    /// The provider sends bytes that are no HTTP.
    BadChunk,
    /// No head in time.
    NoHead,
    /// A head and no first byte in time.
    NoFirstByte,
    /// A pause that is too long.
    Idle,
    /// An answer that takes too long.
    Total,
    /// The relay shuts down and cannot wait.
    Drained,
    /// Another request of the tenant spends a budget that stops streams.
    Spent,
    /// The provider's own error in the middle of the answer.
    ErrorMidway,
    /// The provider's own error in place of the answer.
    ErrorFirst,
}

/// What the client gets for a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    /// Byte for byte what the provider sent.
    AsSent,
    /// The whole units that the provider sent, then the format's error with the reason.
    UnitsThenError,
    /// A beginning of what the provider sent.
    Beginning,
    /// An error of the relay's own in the shape of the API.
    Refusal,
    /// Nobody reads it.
    Unread,
}

/// What a cell must show.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected {
    pub(crate) status: u16,
    pub(crate) body: Body,
    /// Whether the framing ended cleanly for the client.
    pub(crate) whole: bool,
    /// `end` of `relay_requests_total` and of the log.
    pub(crate) end: &'static str,
    /// `reason` of `relay_errors_total` and of the log.
    pub(crate) reason: Option<&'static str>,
    /// How the provider saw its answer end.
    pub(crate) upstream: Ended,
    /// Whether the provider had more to send.
    pub(crate) cancelled: bool,
}

/// Bounds of the routes of these rows, in milliseconds. They pass on a paused clock.
pub(crate) const BOUND_MS: u64 = 60_000;

/// A whole answer: six tokens, or six pieces of audio.
const ANSWER: &str = "fake-tokens-6-bytes-24k-chunk-4k-flush";

impl Ending {
    /// The model name that makes the provider's part of it.
    pub(crate) fn model(self) -> String {
        let fault = match self {
            Self::Complete => "",
            // More than fits into any buffer on the way.
            Self::ClientGone => return "fake-tokens-1000000-bytes-64m-chunk-64k".to_owned(),
            Self::Cut => "-cut-at-3",
            Self::Reset => "-reset-at-3",
            Self::Truncated => "-truncated-at-3",
            Self::ShortLength => "-short-length-at-3",
            Self::BadChunk => "-bad-chunk-at-3",
            Self::NoHead => "-slow-first-10h",
            Self::NoFirstByte => "-slow-body-10h",
            Self::Idle | Self::Total | Self::Drained | Self::Spent => "-stall-10h-at-3",
            Self::ErrorMidway => "-error-midway-at-3",
            Self::ErrorFirst => "-error-first",
        };
        format!("{ANSWER}{fault}")
    }

    /// The rules. An ending is what made the answer stop; what the client is told depends on what its format has words for.
    pub(crate) fn expected(self, format: &Format, upstream: Protocol) -> Expected {
        let whole = |upstream| Expected {
            status: 200,
            body: Body::AsSent,
            whole: true,
            end: "Complete",
            reason: None,
            upstream,
            cancelled: false,
        };
        // An answer that stopped early: told between two units by the format's own error and a clean end, where it has one; else by a
        // framing that breaks off, and nothing added.
        let early = |end, reason, upstream| {
            let body = if format.has_words { Body::UnitsThenError } else { Body::Beginning };
            Expected { body, whole: format.has_words, end, reason: Some(reason), ..whole(upstream) }
        };
        // A stream of HTTP/2 that ends short of its length breaks the protocol (RFC 9113, 8.1.1); a connection of HTTP/1.1 just ended.
        let short = if upstream == Protocol::H2 { "upstream_protocol" } else { "upstream_reset" };
        let cancelled = |expected| Expected { cancelled: true, upstream: Ended::ClientGone, ..expected };
        match self {
            Self::Complete => whole(Ended::Complete),
            Self::ClientGone => {
                cancelled(Expected { body: Body::Unread, whole: false, end: "ClientGone", ..whole(Ended::ClientGone) })
            }
            Self::BadChunk => early("UpstreamError", "upstream_protocol", Ended::Aborted),
            // A clean end is the end where the format has no other.
            Self::Truncated if format.terminal.is_none() => whole(Ended::Complete),
            Self::Truncated => early("UpstreamError", "upstream_protocol", Ended::Complete),
            // Who was promised a length has no place for a word more.
            Self::ShortLength => {
                Expected { body: Body::Beginning, whole: false, ..early("UpstreamError", short, Ended::Aborted) }
            }
            Self::NoHead | Self::NoFirstByte => cancelled(Expected {
                status: 504,
                body: Body::Refusal,
                end: "FirstByteTimeout",
                reason: Some("first_byte_timeout"),
                ..whole(Ended::ClientGone)
            }),
            Self::Idle => cancelled(early("IdleTimeout", "idle_timeout", Ended::ClientGone)),
            Self::Total => cancelled(early("TotalTimeout", "total_timeout", Ended::ClientGone)),
            Self::Drained => cancelled(early("Drained", "draining", Ended::ClientGone)),
            Self::Spent => cancelled(early("LimitReached", "budget_spent", Ended::ClientGone)),
            // The provider's own word passes, and is counted.
            Self::ErrorMidway | Self::ErrorFirst if format.fails_in_band => {
                Expected { end: "UpstreamError", reason: Some("upstream_error"), ..whole(Ended::Complete) }
            }
            // Events of a format that is not known are not looked into.
            Self::ErrorMidway | Self::ErrorFirst if format.name == "Opaque" => whole(Ended::Complete),
            // Audio has no words: the provider breaks off, or answers 500.
            Self::Cut | Self::Reset | Self::ErrorMidway => early("UpstreamError", "upstream_reset", Ended::Aborted),
            Self::ErrorFirst => Expected { status: 500, reason: Some("upstream_status"), ..whole(Ended::Complete) },
        }
    }
}
