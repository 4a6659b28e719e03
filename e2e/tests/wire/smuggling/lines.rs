//! Line ends, folded lines, control characters and names (RFC 9112, sections 2.2 and 5).

use super::{Payload, Wanted, body, hidden, payload, post, refused_for};
use crate::config::KEY;
use crate::house::headers;

pub(super) fn payloads() -> Vec<Payload> {
    let mut all = refused_for(
        "header",
        &[
            ("bare LF", "a: b\n"),
            ("LF CR", "a: b\n\r"),
            ("CR inside", "a: b\rc: d\r\n"),
            ("CR LF LF", "a: b\r\n\n"),
            ("CR CR LF", "a: b\r\r\n"),
            ("folded by a space", "a: b\r\n c: d\r\n"),
            ("folded by a tab", "a: b\r\n\tc: d\r\n"),
            ("folded and blank", "a: b\r\n \r\n"),
            ("zero in the value", "a: b\0c\r\n"),
            ("zero in the name", "a\0: b\r\n"),
            ("escape in the value", "a: \u{1b}[0m\r\n"),
            ("delete in the value", "a: b\u{7f}\r\n"),
            ("vertical tab in the value", "a: b\u{b}c\r\n"),
            ("space before the colon", "a : b\r\n"),
            ("tab before the colon", "a\t: b\r\n"),
            ("space in the name", "a b: c\r\n"),
            ("no colon", "a\r\n"),
            ("no name", ": b\r\n"),
            ("name in quotes", "\"a\": b\r\n"),
            ("name in brackets", "[a]: b\r\n"),
            ("name with a comma", "a,b: c\r\n"),
            ("name with a slash", "a/b: c\r\n"),
            ("name of UTF-8", "\u{e4}: b\r\n"),
            ("a request line", "GET /v1/hidden HTTP/1.1\r\n"),
        ],
    );
    let (key, body, hidden) = (headers(KEY), body(), hidden());
    let length = body.len();
    let rest = format!("host: relay\r\n{key}content-length: {length}\r\n\r\n{body}{hidden}");
    for (name, line) in [
        ("bare LF", "POST /v1/x HTTP/1.1\n"),
        ("CR twice", "POST /v1/x HTTP/1.1\r\r\n"),
        ("two spaces", "POST  /v1/x HTTP/1.1\r\n"),
        ("two spaces before the version", "POST /v1/x  HTTP/1.1\r\n"),
        ("tabs", "POST\t/v1/x\tHTTP/1.1\r\n"),
        ("space behind", "POST /v1/x HTTP/1.1 \r\n"),
        ("space before", " POST /v1/x HTTP/1.1\r\n"),
        ("tab before", "\tPOST /v1/x HTTP/1.1\r\n"),
        ("bare LF before", "\nPOST /v1/x HTTP/1.1\r\n"),
        ("two empty lines before", "\r\n\r\nPOST /v1/x HTTP/1.1\r\n"),
        ("zero before", "\0POST /v1/x HTTP/1.1\r\n"),
        ("byte order mark before", "\u{feff}POST /v1/x HTTP/1.1\r\n"),
        ("no version", "POST /v1/x\r\n"),
        ("version 0.9", "POST /v1/x HTTP/0.9\r\n"),
        ("version 1.2", "POST /v1/x HTTP/1.2\r\n"),
        ("version 2.0", "POST /v1/x HTTP/2.0\r\n"),
        ("version in small letters", "POST /v1/x http/1.1\r\n"),
        ("version with more digits", "POST /v1/x HTTP/1.10\r\n"),
        ("another protocol", "POST /v1/x ICAP/1.1\r\n"),
        ("folded", "POST /v1/x\r\n HTTP/1.1\r\n"),
        ("method with a colon", "POST: /v1/x HTTP/1.1\r\n"),
        ("method in quotes", "\"POST\" /v1/x HTTP/1.1\r\n"),
        ("two requests in one line", "POST /v1/x HTTP/1.1 GET /v1/hidden HTTP/1.1\r\n"),
    ] {
        all.push(payload("request line", name, format!("{line}{rest}"), Wanted::Refused(400)));
    }
    all.push(payload(
        "request line",
        "9 KiB",
        format!("POST /{} HTTP/1.1\r\n{rest}", "x".repeat(9000)),
        Wanted::Refused(414),
    ));
    for (name, expect) in [
        ("unknown", "x"),
        ("in a list", "100-continue, x"),
        ("word before", "y 100-continue"),
        ("twice", "100-continue\r\nexpect: 100-continue"),
    ] {
        let lines = format!("expect: {expect}\r\ncontent-length: {length}\r\n");
        all.push(payload("expectation", name, post(&lines, &format!("{body}{hidden}")), Wanted::Refused(417)));
    }
    all
}
