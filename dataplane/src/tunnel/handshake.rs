//! The opening handshake (RFC 6455, section 4), on both sides of the relay.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS,
    SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
};
use http::{Method, Version, request};

/// The one version (RFC 6455, section 4.1).
pub const VERSION: HeaderValue = HeaderValue::from_static("13");
/// What is hashed behind the key (RFC 6455, section 1.3).
const ACCEPT: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Subprotocol by which browsers, which can't set headers, carry a key to OpenAI's Realtime API; the key follows.
const KEY_PROTOCOL: &str = "openai-insecure-api-key.";

/// Why a client's handshake is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// `Sec-WebSocket-Key` is not 16 bytes in base64, exactly once.
    #[error("the WebSocket handshake needs one Sec-WebSocket-Key of 16 bytes in base64")]
    Key,
    /// Another version than 13.
    #[error("the WebSocket handshake needs Sec-WebSocket-Version: 13")]
    Version,
    /// `Sec-WebSocket-Protocol` is no list of tokens.
    #[error("Sec-WebSocket-Protocol is no list of tokens")]
    Protocol,
    /// It has a body, which would pass for frames.
    #[error("a WebSocket handshake must have no body")]
    Body,
}

/// The upstream answered 101 to what it was not asked.
#[derive(Debug, PartialEq, Eq)]
pub struct NotAccepted;

/// Whether a client asks for a WebSocket. What an `Upgrade` asks for otherwise, or in HTTP/1.0, is ignored (RFC 9110, section 7.8).
pub fn is_asked_for(head: &request::Parts) -> bool {
    head.method == Method::GET
        && head.version == Version::HTTP_11
        && lists(&head.headers, &UPGRADE, "websocket")
        && lists(&head.headers, &CONNECTION, "upgrade")
}

/// A client's handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    key: HeaderValue,
    /// The subprotocols that it offers, less any key.
    offered: Vec<String>,
}

impl Handshake {
    /// Of a request that [asks for](is_asked_for) a WebSocket.
    pub fn of(headers: &HeaderMap) -> Result<Self, HandshakeError> {
        let key = only(headers, &SEC_WEBSOCKET_KEY).ok_or(HandshakeError::Key)?;
        if !STANDARD.decode(key.as_bytes()).is_ok_and(|nonce| nonce.len() == 16) {
            return Err(HandshakeError::Key);
        }
        if only(headers, &SEC_WEBSOCKET_VERSION) != Some(&VERSION) {
            return Err(HandshakeError::Version);
        }
        let length = headers.get(CONTENT_LENGTH);
        if headers.contains_key(TRANSFER_ENCODING) || length.is_some_and(|length| length != "0") {
            return Err(HandshakeError::Body);
        }
        let mut offered = Vec::new();
        for value in headers.get_all(SEC_WEBSOCKET_PROTOCOL) {
            let list = value.to_str().map_err(|_| HandshakeError::Protocol)?;
            let protocols = list.split(',').map(str::trim).filter(|protocol| !protocol.is_empty());
            offered.extend(protocols.filter(|protocol| key_in(protocol).is_none()).map(str::to_owned));
        }
        Ok(Self { key: key.clone(), offered })
    }

    /// Makes it the relay's handshake with an upstream. The nonce is the client's: whoever answers it answers both.
    pub fn put(&self, headers: &mut HeaderMap) {
        strip(headers);
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_KEY, self.key.clone());
        headers.insert(SEC_WEBSOCKET_VERSION, VERSION);
        if !self.offered.is_empty()
            && let Ok(offered) = HeaderValue::from_str(&self.offered.join(", "))
        {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, offered);
        }
    }

    /// Whether a 101 answers this handshake (RFC 6455, section 4.1). An extension, which nobody offered, would make frames unreadable.
    pub fn check(&self, answer: &HeaderMap) -> Result<(), NotAccepted> {
        let is_accepted = lists(answer, &UPGRADE, "websocket")
            && lists(answer, &CONNECTION, "upgrade")
            && only(answer, &SEC_WEBSOCKET_ACCEPT).is_some_and(|value| value.as_bytes() == self.accept().as_bytes())
            && !answer.contains_key(SEC_WEBSOCKET_EXTENSIONS);
        if is_accepted { Ok(()) } else { Err(NotAccepted) }
    }

    /// Makes headers those of the client's 101. `answer`: the upstream's. A subprotocol is chosen only from those offered: a client must close
    /// otherwise.
    pub fn accept_into(&self, headers: &mut HeaderMap, answer: &HeaderMap) {
        strip(headers);
        headers.remove(CONTENT_LENGTH);
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        if let Ok(accept) = HeaderValue::from_str(&self.accept()) {
            headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        }
        if let Some(chosen) = only(answer, &SEC_WEBSOCKET_PROTOCOL)
            && self.offered.iter().any(|offered| offered.as_bytes() == chosen.as_bytes())
        {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, chosen.clone());
        }
    }

    fn accept(&self) -> String {
        let text = [self.key.as_bytes(), ACCEPT.as_bytes()].concat();
        STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &text))
    }
}

/// The keys among the subprotocols that are offered.
pub fn protocol_keys(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let lists = headers.get_all(SEC_WEBSOCKET_PROTOCOL).into_iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).filter_map(|protocol| key_in(protocol.trim())).map(str::as_bytes)
}

/// Removes all that belongs to a handshake.
pub fn strip(headers: &mut HeaderMap) {
    for name in [
        SEC_WEBSOCKET_KEY,
        SEC_WEBSOCKET_VERSION,
        SEC_WEBSOCKET_PROTOCOL,
        SEC_WEBSOCKET_EXTENSIONS,
        SEC_WEBSOCKET_ACCEPT,
    ] {
        headers.remove(name);
    }
}

/// In any case: what might be a key never goes up.
fn key_in(protocol: &str) -> Option<&str> {
    let (prefix, key) = protocol.split_at_checked(KEY_PROTOCOL.len())?;
    prefix.eq_ignore_ascii_case(KEY_PROTOCOL).then_some(key)
}

/// The value of a header that is there exactly once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).into_iter();
    let first = values.next()?;
    values.next().is_none().then_some(first)
}

/// Whether a list of tokens has this one, in any case.
fn lists(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let lists = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|one| one.trim().eq_ignore_ascii_case(token))
}
