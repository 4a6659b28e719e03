//! Header lines, of heads and of trailers.

use super::violation::Violation;
use memchr::memchr;

/// Names that decide where a message ends or whom it is for. Some servers read `_` as `-`.
const FRAMING: [&str; 3] = ["content-length", "transfer-encoding", "host"];
/// RFC 9110, section 6.5.1: fields that may not come behind the body.
const NO_TRAILERS: [&str; 9] = [
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// A character of a token (RFC 9110, section 5.6.2).
pub(super) const fn is_token(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z')
        || matches!(
            byte,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        )
}

/// Whether a value may have this byte: all but control characters, with the tab allowed.
pub(super) const fn is_text(byte: u8) -> bool {
    (byte >= b' ' && byte != 0x7f) || byte == b'\t'
}

/// Name and value of a header line, which comes without its CR LF. The value is without the white space around it.
pub(super) fn field(line: &[u8]) -> Result<(&[u8], &[u8]), Violation> {
    if let Some(b' ' | b'\t') = line.first() {
        return Err(Violation::Folded);
    }
    let colon = memchr(b':', line).ok_or(Violation::FieldName)?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) || is_disguised(name) {
        return Err(Violation::FieldName);
    }
    if !value.iter().all(|byte| is_text(*byte)) {
        return Err(Violation::FieldValue);
    }
    Ok((name, value.trim_ascii()))
}

fn is_disguised(name: &[u8]) -> bool {
    memchr(b'_', name).is_some()
        && FRAMING.iter().any(|framing| {
            let same =
                |(given, wanted): (&u8, &u8)| given.eq_ignore_ascii_case(wanted) || (*given, *wanted) == (b'_', b'-');
            name.len() == framing.len() && name.iter().zip(framing.as_bytes()).all(same)
        })
}

/// Whether a field may not come as a trailer.
pub(super) fn is_no_trailer(name: &[u8]) -> bool {
    NO_TRAILERS.iter().any(|forbidden| name.eq_ignore_ascii_case(forbidden.as_bytes()))
}

/// The line without its CR, given what stands before its LF.
pub(super) fn without_cr(raw: &[u8]) -> Result<&[u8], Violation> {
    raw.strip_suffix(b"\r").ok_or(Violation::BareLf)
}
