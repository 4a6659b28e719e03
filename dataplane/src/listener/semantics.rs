//! What HTTP/2 leaves to its user of the rules that the framing of HTTP/1.1 enforces (RFC 9113, section 8.3.1; RFC 9110, sections 4.2 and 8.6).
//! The rest, connection headers, control characters in values, lengths that do not agree with the data, is h2's own.

#[cfg(test)]
mod tests;

use super::strict::{FIELDS_MAX, Violation, is_host, is_same};
use http::header::{CONTENT_LENGTH, EXPECT, HOST, HeaderMap};
use http::{Method, Request};

/// Whether every reader takes this request for the same one.
pub(super) fn check<B>(request: &Request<B>) -> Result<(), Violation> {
    let (uri, headers) = (request.uri(), request.headers());
    if request.method() == Method::CONNECT || (uri.path() == "*" && request.method() != Method::OPTIONS) {
        return Err(Violation::Target);
    }
    if headers.len() > FIELDS_MAX {
        return Err(Violation::TooManyFields);
    }
    // One of both, and if both, they agree: an intermediary may have added the header.
    let scheme = uri.scheme_str().unwrap_or("http").as_bytes();
    let authority = uri.authority().map(|authority| authority.as_str().as_bytes());
    let host = only(headers, &HOST).map_err(|()| Violation::Host)?;
    match (authority, host) {
        (None, None) => return Err(Violation::Host),
        (Some(authority), Some(host)) if !is_same(scheme, authority, host) => return Err(Violation::Authority),
        _ => {}
    }
    if ![authority, host].into_iter().flatten().all(is_host) {
        return Err(Violation::Host);
    }
    let length = only(headers, &CONTENT_LENGTH).map_err(|()| Violation::Length)?;
    if length.is_some_and(|digits| digits.is_empty() || !digits.iter().all(u8::is_ascii_digit)) {
        return Err(Violation::Length);
    }
    let expect = only(headers, &EXPECT).map_err(|()| Violation::Expectation)?;
    if expect.is_some_and(|expect| !expect.eq_ignore_ascii_case(b"100-continue")) {
        return Err(Violation::Expectation);
    }
    if headers.keys().any(|name| matches!(name.as_str(), "content_length" | "transfer_encoding")) {
        return Err(Violation::FieldName);
    }
    Ok(())
}

/// The value of a header that may come once.
fn only<'a>(headers: &'a HeaderMap, name: &http::HeaderName) -> Result<Option<&'a [u8]>, ()> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().map(http::HeaderValue::as_bytes);
    if values.next().is_some() { Err(()) } else { Ok(value) }
}
