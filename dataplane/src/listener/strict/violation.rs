//! What a client may get wrong in the framing of HTTP/1.1, and in what HTTP/2 carries of it.

use crate::reason::Reason;
use http::StatusCode;

/// A broken rule. Its text is what the client reads, which has broken it and can mend it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::listener) enum Violation {
    /// RFC 9112, section 3: method, target and version, with one space between, and nothing before them but one empty line.
    #[error("the request line is not METHOD TARGET HTTP/1.1")]
    RequestLine,
    /// RFC 9112, section 2.3. Versions above come by ALPN or by HTTP/2's preface.
    #[error("the version is neither HTTP/1.1 nor HTTP/1.0")]
    Version,
    /// RFC 9112, section 3.2: a path, `http://` and a path, or `*` for OPTIONS. A tunnel is not offered.
    #[error("the request target is not one that a relay takes")]
    Target,
    /// Longer than [`super::head::REQUEST_LINE_MAX`].
    #[error("the request line is longer than 8 KiB")]
    TargetTooLong,
    /// RFC 9112, section 2.2: lines end with CR LF.
    #[error("a line ends with a bare LF")]
    BareLf,
    /// RFC 9112, section 5.2.
    #[error("a header line begins with white space")]
    Folded,
    /// RFC 9110, section 5.1; or a name that some servers take for one of the framing.
    #[error("a header name is not a name followed by a colon")]
    FieldName,
    /// RFC 9110, section 5.5.
    #[error("a header value has a control character")]
    FieldValue,
    /// More than [`super::head::HEAD_MAX`] bytes.
    #[error("the request head is longer than 32 KiB")]
    HeadTooLong,
    /// More than [`super::head::FIELDS_MAX`].
    #[error("the request has more than 100 headers")]
    TooManyFields,
    /// No byte for too long.
    #[error("the request head did not come in time")]
    HeadTooSlow,
    /// RFC 9112, section 3.2: exactly one, and a host.
    #[error("the request needs exactly one Host header with a host in it")]
    Host,
    /// The target names another host than the Host header.
    #[error("the request target and the Host header name different hosts")]
    Authority,
    /// RFC 9112, section 6.3.
    #[error("Content-Length is not one number")]
    Length,
    /// RFC 9112, section 6.1.
    #[error("Transfer-Encoding is not chunked, once, in HTTP/1.1")]
    Coding,
    /// RFC 9112, section 6.3, item 3.
    #[error("a request has either Content-Length or Transfer-Encoding, not both")]
    TwoFramings,
    /// RFC 9110, section 10.1.1.
    #[error("the only expectation that is met is 100-continue")]
    Expectation,
    /// RFC 9112, section 7.1.
    #[error("the request body is not in chunks as HTTP/1.1 has them")]
    Chunk,
    /// More than [`super::chunks::EXTENSIONS_MAX`] bytes of them.
    #[error("the chunk extensions of the request body are longer than 16 KiB")]
    Extensions,
    /// RFC 9110, section 6.5.1, or more than [`super::chunks::TRAILERS_MAX`] bytes of them.
    #[error("the trailers of the request body are malformed, too long, or headers that may not be trailers")]
    Trailers,
    /// RFC 9110, section 7.8: nothing may follow before the answer.
    #[error("nothing may be sent behind a request to upgrade before its answer")]
    BehindUpgrade,
}

impl Violation {
    /// The reason, for metrics, logs and `x-relay-error`.
    pub(in crate::listener) const fn reason(self) -> Reason {
        match self {
            Self::HeadTooLong | Self::TooManyFields => Reason::HeadersTooLarge,
            Self::HeadTooSlow => Reason::RequestTooSlow,
            _ => Reason::BadRequest,
        }
    }

    /// The status, where it is not the reason's own.
    pub(in crate::listener) const fn status(self) -> Option<StatusCode> {
        match self {
            Self::TargetTooLong => Some(StatusCode::URI_TOO_LONG),
            Self::Expectation => Some(StatusCode::EXPECTATION_FAILED),
            _ => None,
        }
    }
}
