//! The head of a request, line by line, as it comes.

use super::fields::{field, is_token, without_cr};
use super::target::{Target, is_host, is_same};
use super::violation::Violation;
use http::Method;
use memchr::memchr;
use std::ops::Range;

/// Most bytes of a request line, without its line end.
pub(super) const REQUEST_LINE_MAX: usize = 8 * 1024;
/// Most bytes of a head.
pub(super) const HEAD_MAX: usize = 32 * 1024;
/// Most header lines of a head, in HTTP/2 too, and of trailers.
pub(in crate::listener) const FIELDS_MAX: usize = 100;

/// A head as far as it was read. Offsets count from the head's first byte, which every call of [`Head::scan`] begins with.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// Where the next line begins.
    at: usize,
    /// Up to where no end of that line was found.
    searched: usize,
    has_lead: bool,
    request: Option<RequestLine>,
    fields: usize,
    facts: Facts,
}

#[derive(Debug)]
struct RequestLine {
    method: Range<usize>,
    target: Range<usize>,
    is_http_11: bool,
    is_absolute: bool,
}

/// What the header lines said of the framing.
#[derive(Debug, Default)]
struct Facts {
    length: Option<u64>,
    is_chunked: bool,
    /// Empty unless the target names a host too.
    host: Option<Vec<u8>>,
    has_expectation: bool,
    asks_to_upgrade: bool,
}

/// A head that is whole.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Whole {
    /// How many bytes it has.
    pub(super) bytes: usize,
    /// What follows.
    pub(super) body: BodyFraming,
    /// Whether the client asks for another protocol behind the message.
    pub(super) asks_to_upgrade: bool,
}

/// How a body is framed (RFC 9112, section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyFraming {
    /// So many bytes; 0: none.
    Length(u64),
    /// Chunks.
    Chunked,
}

impl Head {
    /// Reads on. None: its end is not there yet.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Result<Option<Whole>, Violation> {
        loop {
            if self.request.is_none() {
                self.check_begin(bytes)?;
            }
            let found = memchr(b'\n', &bytes[self.searched..]).map(|end| self.searched + end);
            let end = found.unwrap_or(bytes.len());
            // One more for the CR, which may have come without its LF.
            if self.request.is_none() && end - self.at > REQUEST_LINE_MAX + 1 {
                return Err(Violation::TargetTooLong);
            }
            if end >= HEAD_MAX {
                return Err(Violation::HeadTooLong);
            }
            self.searched = end;
            if found.is_none() {
                return Ok(None);
            }
            let begin = std::mem::replace(&mut self.at, end + 1);
            self.searched = end + 1;
            let line = begin..begin + without_cr(&bytes[begin..end])?.len();
            if self.request.is_none() {
                self.request_line(bytes, line)?;
            } else if line.is_empty() {
                return self.finish(bytes).map(Some);
            } else {
                self.field(bytes, line)?;
            }
        }
    }

    /// The method and the path, if the request line was read.
    pub(super) fn told(&self, bytes: &[u8]) -> Option<(Method, String)> {
        let line = self.request.as_ref()?;
        let method = Method::from_bytes(&bytes[line.method.clone()]).ok()?;
        let target = String::from_utf8_lossy(&bytes[line.target.clone()]);
        Some((method, target.split('?').next().unwrap_or_default().to_owned()))
    }

    /// A client that speaks no HTTP, or ends its last request with more than it said, is known by its first byte.
    fn check_begin(&self, bytes: &[u8]) -> Result<(), Violation> {
        match bytes.get(self.at) {
            Some(b'\r') if !self.has_lead => Ok(()),
            Some(byte) if !is_token(*byte) => Err(Violation::RequestLine),
            _ => Ok(()),
        }
    }

    fn request_line(&mut self, bytes: &[u8], range: Range<usize>) -> Result<(), Violation> {
        let line = &bytes[range.clone()];
        if line.is_empty() {
            // RFC 9112, section 2.2: old clients end a body with a line end too many.
            self.has_lead = true;
            return Ok(());
        }
        let first = memchr(b' ', line).ok_or(Violation::RequestLine)?;
        let second = memchr(b' ', &line[first + 1..]).ok_or(Violation::RequestLine)? + first + 1;
        let (method, target, version) = (&line[..first], &line[first + 1..second], &line[second + 1..]);
        if method.is_empty() || !method.iter().all(|byte| is_token(*byte)) || target.is_empty() {
            return Err(Violation::RequestLine);
        }
        let is_http_11 = match version {
            b"HTTP/1.1" => true,
            b"HTTP/1.0" => false,
            _ => return Err(Violation::Version),
        };
        let is_absolute = matches!(Target::of(method, target)?, Target::Absolute { .. });
        let at = range.start;
        let (method, target) = (at..at + first, at + first + 1..at + second);
        self.request = Some(RequestLine { method, target, is_http_11, is_absolute });
        Ok(())
    }

    fn field(&mut self, bytes: &[u8], range: Range<usize>) -> Result<(), Violation> {
        self.fields += 1;
        if self.fields > FIELDS_MAX {
            return Err(Violation::TooManyFields);
        }
        let (name, value) = field(&bytes[range])?;
        let is = |wanted: &[u8]| name.eq_ignore_ascii_case(wanted);
        match name.len() {
            4 if is(b"host") => self.host(value),
            6 if is(b"expect") => self.expect(value),
            7 if is(b"upgrade") => {
                // RFC 9110, section 7.8: ignored in HTTP/1.0.
                self.facts.asks_to_upgrade = self.is_http_11();
                Ok(())
            }
            14 if is(b"content-length") => self.length(value),
            17 if is(b"transfer-encoding") => self.coding(value),
            _ => Ok(()),
        }
    }

    fn is_http_11(&self) -> bool {
        self.request.as_ref().is_some_and(|line| line.is_http_11)
    }

    fn host(&mut self, value: &[u8]) -> Result<(), Violation> {
        if self.facts.host.is_some() || !is_host(value) {
            return Err(Violation::Host);
        }
        let is_compared = self.request.as_ref().is_some_and(|line| line.is_absolute);
        self.facts.host = Some(if is_compared { value.to_owned() } else { Vec::new() });
        Ok(())
    }

    fn expect(&mut self, value: &[u8]) -> Result<(), Violation> {
        let is_known = value.eq_ignore_ascii_case(b"100-continue");
        if std::mem::replace(&mut self.facts.has_expectation, true) || !is_known {
            return Err(Violation::Expectation);
        }
        Ok(())
    }

    fn length(&mut self, value: &[u8]) -> Result<(), Violation> {
        if self.facts.length.is_some() || value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
            return Err(Violation::Length);
        }
        let text = std::str::from_utf8(value).map_err(|_| Violation::Length)?;
        let length: i64 = text.parse().map_err(|_| Violation::Length)?;
        self.facts.length = Some(length.unsigned_abs());
        Ok(())
    }

    fn coding(&mut self, value: &[u8]) -> Result<(), Violation> {
        if !self.is_http_11() || self.facts.is_chunked || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Violation::Coding);
        }
        self.facts.is_chunked = true;
        Ok(())
    }

    fn finish(&self, bytes: &[u8]) -> Result<Whole, Violation> {
        let (Some(line), facts) = (&self.request, &self.facts) else { return Err(Violation::RequestLine) };
        if facts.host.is_none() && line.is_http_11 {
            return Err(Violation::Host);
        }
        if line.is_absolute
            && let Some(host) = &facts.host
            && let Target::Absolute { scheme, authority } =
                Target::of(&bytes[line.method.clone()], &bytes[line.target.clone()])?
            && !is_same(scheme, authority, host)
        {
            return Err(Violation::Authority);
        }
        let body = match (facts.length, facts.is_chunked) {
            (Some(_), true) => return Err(Violation::TwoFramings),
            (None, true) => BodyFraming::Chunked,
            (length, false) => BodyFraming::Length(length.unwrap_or_default()),
        };
        Ok(Whole { bytes: self.at, body, asks_to_upgrade: facts.asks_to_upgrade })
    }
}
