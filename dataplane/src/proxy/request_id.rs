//! The name of a request, for the client, the log and the provider.

use super::headers::REQUEST_ID;
use http::HeaderMap;

const LONGEST: usize = 128;

/// The client's `x-request-id` if it is sane (letters, digits, `-`, `_`, `.`, at most 128), else 128 random bits.
pub(super) fn of(headers: &HeaderMap) -> String {
    let sent = headers.get(REQUEST_ID).map(http::HeaderValue::as_bytes);
    let sane = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    match sent {
        Some(id) if (1..=LONGEST).contains(&id.len()) && id.iter().all(sane) => {
            String::from_utf8_lossy(id).into_owned()
        }
        _ => format!("{:032x}", rand::random::<u128>()),
    }
}
