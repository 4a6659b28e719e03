use super::super::target::{Target, is_host, is_same};
use super::{Violation, judged, with};

#[test]
fn targets_are_paths_or_name_the_host() {
    assert_eq!(Target::of(b"GET", b"/v1?x=a|b{}"), Ok(Target::Origin));
    assert_eq!(Target::of(b"OPTIONS", b"*"), Ok(Target::Asterisk));
    let absolute = Target::Absolute { scheme: b"HTTP", authority: b"relay:80" };
    assert_eq!(Target::of(b"GET", b"HTTP://relay:80/v1"), Ok(absolute));
    for (method, target) in [
        ("GET", "*"),
        ("CONNECT", "relay:443"),
        ("CONNECT", "/"),
        ("GET", "relay:443"),
        ("GET", "v1"),
        ("GET", "http:/v1"),
        ("GET", "http:///v1"),
        ("GET", "ftp://relay/"),
        ("GET", "http://user@relay/"),
        ("GET", "http://relay#/"),
        ("GET", "/v1#x"),
        ("GET", "/a\\b"),
        ("GET", "/caf\u{e9}"),
        ("GET", "/\u{7f}"),
        ("GET", "/\""),
        ("GET", "?x"),
    ] {
        assert_eq!(Target::of(method.as_bytes(), target.as_bytes()), Err(Violation::Target), "{method} {target}");
    }
}

#[test]
fn hosts_are_hosts() {
    for host in ["relay", "relay.example.", "a-b_c~d", "10.0.0.1:8080", "[::1]", "[2001:db8::1]:443", "x:65535"] {
        assert!(is_host(host.as_bytes()), "{host}");
    }
    for other in [
        "", ":80", "a b", "a,b", "a/b", "a@b", "a:b", "a:", "a:1:2", "a:65536", "a:+80", "a:000080", "[::1", "[x]",
        "[::1]80", "[::1]:", "::1", "a\tb", "a%41", "a?b", "http://a",
    ] {
        assert!(!is_host(other.as_bytes()), "{other}");
    }
}

#[test]
fn a_default_port_needs_no_writing() {
    for (scheme, one, other, same) in [
        ("http", "relay", "RELAY:80", true),
        ("https", "relay:443", "relay", true),
        ("http", "relay", "relay:443", false),
        ("http", "relay", "relay.", false),
        ("http", "relay:8080", "relay", false),
    ] {
        assert_eq!(is_same(scheme.as_bytes(), one.as_bytes(), other.as_bytes()), same, "{scheme} {one} {other}");
    }
}

#[test]
fn a_request_names_one_host() {
    for (request, violation) in [
        ("GET / HTTP/1.1\r\n\r\n", Violation::Host),
        ("GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n", Violation::Host),
        ("GET / HTTP/1.0\r\nhost: a\r\nhost: b\r\n\r\n", Violation::Host),
        ("GET / HTTP/1.1\r\nhost:\r\n\r\n", Violation::Host),
        ("GET / HTTP/1.1\r\nhost: a b\r\n\r\n", Violation::Host),
        ("GET http://a/ HTTP/1.1\r\nhost: b\r\n\r\n", Violation::Authority),
        ("GET http://a/ HTTP/1.0\r\nhost: b\r\n\r\n", Violation::Authority),
        ("GET http://a/ HTTP/1.1\r\n\r\n", Violation::Host),
    ] {
        assert_eq!(judged(request.as_bytes()), (0, Some(violation)), "{request:?}");
    }
    let fine = "GET http://a/ HTTP/1.0\r\n\r\n".to_owned() + &with("");
    assert_eq!(judged(fine.as_bytes()), (fine.len(), None));
}
