//! Where clients carry the tenant's key: in any header that an official SDK uses, or in the subprotocol of browsers; never in the URL.

use crate::tunnel;
use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderName};

/// Headers that carry a bare key.
pub(super) static KEY_HEADERS: [HeaderName; 5] = [
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("api-key"),
    HeaderName::from_static("x-goog-api-key"),
    HeaderName::from_static("xi-api-key"),
    HeaderName::from_static("ocp-apim-subscription-key"),
];

/// Parameters of the query that carry keys of providers: they are dropped, so that no credential of a client goes up.
const KEY_PARAMETERS: [&str; 6] = ["key", "api_key", "api-key", "apikey", "subscription-key", "access_token"];

/// Two headers carry different keys: which one is meant can't be told.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Conflict;

/// The key that a request carries.
pub(super) fn key_of(headers: &HeaderMap) -> Result<Option<&[u8]>, Conflict> {
    let bearer = headers.get_all(AUTHORIZATION).into_iter().filter_map(|value| bearer(value.as_bytes()));
    let bare = KEY_HEADERS.iter().flat_map(|name| headers.get_all(name)).map(|value| value.as_bytes().trim_ascii());
    let mut keys = bearer.chain(bare).chain(tunnel::protocol_keys(headers)).filter(|key| !key.is_empty());
    let Some(first) = keys.next() else { return Ok(None) };
    if keys.all(|key| key == first) { Ok(Some(first)) } else { Err(Conflict) }
}

/// RFC 6750, section 2.1; the scheme is case-insensitive (RFC 9110, section 11.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, key) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| key.trim_ascii())
}

/// The query without parameters that carry keys; `None` where nothing is left.
pub(super) fn without_keys(query: &str) -> Option<String> {
    let is_key = |part: &&str| {
        let name = decoded(part.split('=').next().unwrap_or_default());
        KEY_PARAMETERS.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
    };
    let kept: Vec<&str> = query.split('&').filter(|part| !is_key(part)).collect();
    (!kept.is_empty()).then(|| kept.join("&"))
}

/// Without its percent-encoding (RFC 3986, section 2.1), as the provider reads it.
pub(super) fn decoded(name: &str) -> Vec<u8> {
    let mut pieces = name.split('%');
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        match piece.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend_from_slice(&piece.as_bytes()[2..]);
            }
            None => bytes.extend_from_slice(piece.as_bytes()),
        }
    }
    bytes
}
