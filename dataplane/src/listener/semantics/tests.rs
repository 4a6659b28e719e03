use super::{FIELDS_MAX, Violation, check};
use http::Request;

fn checked(method: &str, uri: &str, headers: &[(&str, &str)]) -> Result<(), Violation> {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    check(&request.body(()).unwrap())
}

#[test]
fn what_agrees_passes() {
    for (method, uri, headers) in [
        ("POST", "http://relay.example/v1", &[][..]),
        ("POST", "http://relay.example/v1", &[("host", "relay.example")]),
        ("POST", "https://relay.example/v1", &[("host", "Relay.Example:443")]),
        ("POST", "/v1", &[("host", "[::1]:8080")]),
        ("OPTIONS", "*", &[("host", "relay")]),
        ("POST", "http://relay/v1", &[("content-length", "12"), ("expect", "100-Continue")]),
    ] {
        assert_eq!(checked(method, uri, headers), Ok(()), "{method} {uri} {headers:?}");
    }
}

#[test]
fn as_many_headers_pass_as_in_http_1() {
    let names: Vec<String> = (0..=FIELDS_MAX).map(|number| format!("x-{number}")).collect();
    let headers: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    assert_eq!(checked("POST", "http://relay/v1", &headers[..FIELDS_MAX]), Ok(()));
    assert_eq!(checked("POST", "http://relay/v1", &headers), Err(Violation::TooManyFields));
}

#[test]
fn what_two_readers_could_take_for_two_things_is_refused() {
    for (method, uri, headers, violation) in [
        ("POST", "/v1", &[][..], Violation::Host),
        ("POST", "http://relay/v1", &[("host", "other")], Violation::Authority),
        ("POST", "http://relay/v1", &[("host", "relay:8080")], Violation::Authority),
        ("POST", "http://relay/v1", &[("host", "relay"), ("host", "relay")], Violation::Host),
        ("POST", "/v1", &[("host", "relay/x")], Violation::Host),
        ("POST", "http://user@relay/v1", &[], Violation::Host),
        ("GET", "*", &[("host", "relay")], Violation::Target),
        ("CONNECT", "relay:443", &[], Violation::Target),
        ("POST", "http://relay/v1", &[("content-length", "1"), ("content-length", "1")], Violation::Length),
        ("POST", "http://relay/v1", &[("content-length", "+1")], Violation::Length),
        ("POST", "http://relay/v1", &[("expect", "x")], Violation::Expectation),
        ("POST", "http://relay/v1", &[("transfer_encoding", "chunked")], Violation::FieldName),
    ] {
        assert_eq!(checked(method, uri, headers), Err(violation), "{method} {uri} {headers:?}");
    }
}
