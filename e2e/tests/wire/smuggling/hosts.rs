//! Whom a request is for (RFC 9112, section 3.2).

use super::{Payload, Wanted, hidden, payload};
use crate::config::KEY;
use crate::house::headers;

pub(super) fn payloads() -> Vec<Payload> {
    let mut all = Vec::new();
    let (key, hidden) = (headers(KEY), hidden());
    let mut add = |family, name, line: &str, hosts: &str| {
        let bytes = format!("{line}\r\n{hosts}{key}\r\n{hidden}");
        all.push(payload(family, name, bytes, Wanted::Refused(400)));
    };
    for (name, hosts) in [
        ("none", ""),
        ("two that agree", "host: relay\r\nhost: relay\r\n"),
        ("two that do not", "host: relay\r\nhost: other\r\n"),
        ("two in two spellings", "Host: relay\r\nhOST: other\r\n"),
        ("empty", "host:\r\n"),
        ("list", "host: relay, other\r\n"),
        ("space inside", "host: relay other\r\n"),
        ("tab inside", "host: relay\tother\r\n"),
        ("a path", "host: relay/v1/hidden\r\n"),
        ("a query", "host: relay?x\r\n"),
        ("a fragment", "host: relay#x\r\n"),
        ("a user", "host: user@relay\r\n"),
        ("a user that looks like a host", "host: relay:80@other\r\n"),
        ("a scheme", "host: http://relay\r\n"),
        ("a backslash", "host: relay\\other\r\n"),
        ("a port of letters", "host: relay:http\r\n"),
        ("a port too large", "host: relay:65536\r\n"),
        ("a port of nothing", "host: relay:\r\n"),
        ("two ports", "host: relay:80:81\r\n"),
        ("a signed port", "host: relay:+80\r\n"),
        ("only a port", "host: :80\r\n"),
        ("an open bracket", "host: [::1\r\n"),
        ("a bracket and more", "host: [::1]other\r\n"),
        ("no address in brackets", "host: [relay]\r\n"),
        ("an address without brackets", "host: ::1\r\n"),
        ("a zero", "host: relay\0other\r\n"),
        ("percent-encoded", "host: rel%61y\r\n"),
        ("UTF-8", "host: rel\u{e4}y\r\n"),
        ("behind a space before the colon", "host : relay\r\n"),
        ("folded", "host: relay\r\n other\r\n"),
    ] {
        add("host", name, "GET /v1/models HTTP/1.1", hosts);
    }
    let host = "host: relay\r\n";
    for (name, line) in [
        ("another host", "GET http://other/v1/models HTTP/1.1"),
        ("another port", "GET http://relay:8080/v1/models HTTP/1.1"),
        ("the port of another scheme", "GET http://relay:443/v1/models HTTP/1.1"),
        ("a user", "GET http://relay@relay/v1/models HTTP/1.1"),
        ("a user in front of another host", "GET http://relay:80@other/v1/models HTTP/1.1"),
        ("no host", "GET http:///v1/models HTTP/1.1"),
        ("one slash", "GET http:/relay/v1/models HTTP/1.1"),
        ("another scheme", "GET file://relay/v1/models HTTP/1.1"),
        ("no scheme", "GET //relay:80:80/ HTTP/2.1"),
        ("a backslash", "GET http://relay\\@other/v1/models HTTP/1.1"),
        ("a fragment", "GET /v1/models#/v1/hidden HTTP/1.1"),
        ("a bare word", "GET models HTTP/1.1"),
        ("a bare host", "GET relay:80 HTTP/1.1"),
        ("a star", "GET * HTTP/1.1"),
        ("a star and more", "OPTIONS */v1 HTTP/1.1"),
        ("a tunnel", "CONNECT relay:80 HTTP/1.1"),
        ("a tunnel to a path", "CONNECT /v1/models HTTP/1.1"),
        ("a backslash in the path", "GET /v1\\models HTTP/1.1"),
        ("a zero in the path", "GET /v1/mod\0els HTTP/1.1"),
        ("a CR in the path", "GET /v1/models\rHTTP/1.1"),
        ("UTF-8 in the path", "GET /v1/m\u{f6}dels HTTP/1.1"),
        ("a quotation mark in the path", "GET /v1/\"models\" HTTP/1.1"),
    ] {
        add("target", name, line, host);
    }
    all
}
