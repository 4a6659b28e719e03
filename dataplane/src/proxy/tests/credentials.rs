use crate::proxy::credentials::{Conflict, key_of, without_keys};
use http::{HeaderMap, HeaderName, HeaderValue};

fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    let pair =
        |(name, value): &(&'static str, &'static str)| (HeaderName::from_static(name), HeaderValue::from_static(value));
    lines.iter().map(pair).collect()
}

#[test]
fn the_key_is_read_from_every_header_of_an_sdk() {
    for (lines, key) in [
        (vec![], Ok(None)),
        (vec![("authorization", "Bearer k")], Ok(Some("k"))),
        (vec![("authorization", "bearer  k ")], Ok(Some("k"))),
        (vec![("authorization", "BEARER k")], Ok(Some("k"))),
        (vec![("authorization", "Bearerk")], Ok(None)),
        (vec![("authorization", "Bearer")], Ok(None)),
        (vec![("authorization", "Bearer ")], Ok(None)),
        (vec![("authorization", "Basic k")], Ok(None)),
        (vec![("authorization", "k")], Ok(None)),
        (vec![("x-api-key", "k")], Ok(Some("k"))),
        (vec![("x-api-key", " k ")], Ok(Some("k"))),
        (vec![("api-key", "k")], Ok(Some("k"))),
        (vec![("x-goog-api-key", "k")], Ok(Some("k"))),
        (vec![("xi-api-key", "k")], Ok(Some("k"))),
        (vec![("ocp-apim-subscription-key", "k")], Ok(Some("k"))),
        (vec![("x-key", "k")], Ok(None)),
        (vec![("x-api-key", "")], Ok(None)),
        (vec![("x-api-key", ""), ("api-key", "k")], Ok(Some("k"))),
        (vec![("authorization", "Basic x"), ("x-api-key", "k")], Ok(Some("k"))),
        (vec![("authorization", "Bearer k"), ("x-api-key", "k")], Ok(Some("k"))),
        (vec![("authorization", "Bearer k"), ("x-api-key", "K")], Err(Conflict)),
        (vec![("x-api-key", "a"), ("xi-api-key", "b")], Err(Conflict)),
    ] {
        let headers = headers(&lines);
        assert_eq!(key_of(&headers), key.map(|key: Option<&str>| key.map(str::as_bytes)), "{lines:?}");
    }
}

#[test]
fn one_header_twice_with_two_keys_is_a_conflict() {
    let mut twice = HeaderMap::new();
    twice.append("authorization", HeaderValue::from_static("Bearer a"));
    twice.append("authorization", HeaderValue::from_static("Bearer b"));
    assert_eq!(key_of(&twice), Err(Conflict));
}

#[test]
fn a_key_need_not_be_text() {
    let mut bytes = HeaderMap::new();
    bytes.insert("x-api-key", HeaderValue::from_bytes(b"\xFFk").unwrap());
    assert_eq!(key_of(&bytes), Ok(Some(b"\xFFk".as_slice())));
}

#[test]
fn keys_leave_the_query_and_the_rest_stays_as_it_is() {
    for (query, left) in [
        ("", Some("")),
        ("a=1", Some("a=1")),
        ("key=k", None),
        ("key", None),
        ("key=k&alt=sse", Some("alt=sse")),
        ("alt=sse&KEY=k", Some("alt=sse")),
        ("a=1&api_key=k&b=%20+&api-key=k&c", Some("a=1&b=%20+&c")),
        ("subscription-key=k&access_token=k&apikey=k&a=key=1", Some("a=key=1")),
        ("monkey=1&keys=2", Some("monkey=1&keys=2")),
        ("%6Bey=k&ke%79=k&a=%6Bey", Some("a=%6Bey")),
        ("api%5Fkey=k&api%2dkey=k", None),
        ("a=1&&b=2", Some("a=1&&b=2")),
    ] {
        assert_eq!(without_keys(query).as_deref(), left, "{query}");
    }
}

#[test]
fn the_key_is_read_from_the_subprotocol_of_browsers() {
    let protocols = ("sec-websocket-protocol", "realtime, openai-insecure-api-key.k, openai-beta.realtime-v1");
    assert_eq!(key_of(&headers(&[protocols])), Ok(Some(&b"k"[..])));
    assert_eq!(key_of(&headers(&[protocols, ("authorization", "Bearer k")])), Ok(Some(&b"k"[..])));
    assert_eq!(key_of(&headers(&[protocols, ("x-api-key", "other")])), Err(Conflict));
    assert_eq!(key_of(&headers(&[("sec-websocket-protocol", "realtime, openai-insecure-api-key.")])), Ok(None));
}
