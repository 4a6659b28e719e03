use crate::tunnel::handshake::{Handshake, HandshakeError, NotAccepted, is_asked_for, protocol_keys, strip};
use http::{HeaderMap, HeaderName, HeaderValue, Request, request};

const NONCE: &str = "dGhlIHNhbXBsZSBub25jZQ==";

fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    let pair =
        |(name, value): &(&'static str, &'static str)| (HeaderName::from_static(name), HeaderValue::from_static(value));
    lines.iter().map(pair).collect()
}

fn good() -> HeaderMap {
    headers(&[
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "WebSocket"),
        ("sec-websocket-key", NONCE),
        ("sec-websocket-version", "13"),
        ("sec-websocket-protocol", "realtime, openai-insecure-api-key.k-1"),
        ("sec-websocket-protocol", "OpenAI-Insecure-API-Key.k-2,openai-project.p"),
        ("sec-websocket-extensions", "permessage-deflate"),
    ])
}

fn parts(change: impl FnOnce(&mut request::Parts)) -> request::Parts {
    let (mut parts, ()) = Request::get("/v1/realtime").body(()).unwrap().into_parts();
    parts.headers = good();
    change(&mut parts);
    parts
}

#[test]
fn only_a_get_of_http_1_1_with_both_headers_asks_for_a_websocket() {
    assert!(is_asked_for(&parts(|_| {})));
    assert!(!is_asked_for(&parts(|head| head.method = http::Method::POST)));
    assert!(!is_asked_for(&parts(|head| head.version = http::Version::HTTP_10)));
    assert!(!is_asked_for(&parts(|head| head.version = http::Version::HTTP_2)));
    for (name, value) in [("connection", "keep-alive"), ("upgrade", "h2c"), ("upgrade", "websocket2")] {
        assert!(!is_asked_for(&parts(|head| {
            head.headers.insert(name, value.parse().unwrap());
        })));
    }
}

#[test]
fn what_is_wrong_with_a_handshake_is_said() {
    assert!(Handshake::of(&good()).is_ok());
    for (name, value, error) in [
        ("sec-websocket-key", "dGhl", HandshakeError::Key),
        ("sec-websocket-key", "not base64 at all, no", HandshakeError::Key),
        ("sec-websocket-version", "8", HandshakeError::Version),
        ("content-length", "1", HandshakeError::Body),
        ("transfer-encoding", "chunked", HandshakeError::Body),
        ("sec-websocket-protocol", "r\u{e9}altime", HandshakeError::Protocol),
    ] {
        let mut headers = good();
        headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        assert_eq!(Handshake::of(&headers), Err(error), "{name}: {value}");
    }
    for (name, error) in
        [("sec-websocket-key", HandshakeError::Key), ("sec-websocket-version", HandshakeError::Version)]
    {
        let (mut missing, mut twice) = (good(), good());
        missing.remove(name);
        twice.append(name, good()[name].clone());
        assert_eq!((Handshake::of(&missing), Handshake::of(&twice)), (Err(error), Err(error)));
    }
    let mut empty = good();
    empty.insert("content-length", "0".parse().unwrap());
    assert!(Handshake::of(&empty).is_ok());
}

#[test]
fn keys_are_found_among_the_subprotocols_and_none_goes_up() {
    let given = good();
    let keys: Vec<&[u8]> = protocol_keys(&given).collect();
    assert_eq!(keys, [b"k-1", b"k-2"]);
    let mut up = HeaderMap::new();
    Handshake::of(&given).unwrap().put(&mut up);
    let expected = headers(&[
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-key", NONCE),
        ("sec-websocket-version", "13"),
        ("sec-websocket-protocol", "realtime, openai-project.p"),
    ]);
    assert_eq!(up, expected);
    let mut stripped = good();
    strip(&mut stripped);
    assert_eq!(stripped.len(), 2);
}

#[test]
fn the_answer_must_be_to_this_handshake() {
    let handshake = Handshake::of(&good()).unwrap();
    let answer = || {
        // RFC 6455, section 1.3.
        headers(&[
            ("connection", "upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            ("sec-websocket-protocol", "realtime"),
        ])
    };
    assert_eq!(handshake.check(&answer()), Ok(()));
    for name in ["connection", "upgrade", "sec-websocket-accept"] {
        let (mut missing, mut wrong) = (answer(), answer());
        missing.remove(name);
        wrong.insert(name, "x".parse().unwrap());
        assert_eq!((handshake.check(&missing), handshake.check(&wrong)), (Err(NotAccepted), Err(NotAccepted)));
    }
    let mut extended = answer();
    extended.insert("sec-websocket-extensions", "permessage-deflate".parse().unwrap());
    assert_eq!(handshake.check(&extended), Err(NotAccepted));
    for (chosen, passed) in [("realtime", true), ("openai-insecure-api-key.k-1", false), ("other", false)] {
        let mut upstream = answer();
        upstream.insert("sec-websocket-protocol", chosen.parse().unwrap());
        let mut down = upstream.clone();
        handshake.accept_into(&mut down, &upstream);
        assert_eq!(down.get("sec-websocket-protocol").is_some(), passed, "{chosen}");
        assert_eq!(down["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
