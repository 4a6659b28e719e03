use super::{Violation, judged, with};

fn passes(bytes: &str) {
    assert_eq!(judged(bytes.as_bytes()), (bytes.len(), None), "{bytes:?}");
}

/// `good` passes, what stands behind it does not.
fn fails_behind(good: &str, bad: &str, violation: Violation) {
    assert_eq!(judged(format!("{good}{bad}").as_bytes()), (good.len(), Some(violation)), "{good:?} {bad:?}");
}

fn fails(bytes: &str, violation: Violation) {
    fails_behind("", bytes, violation);
}

#[test]
fn well_framed_requests_pass_one_behind_the_other() {
    let all = [
        "GET / HTTP/1.1\r\nhost: relay\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "POST /v1?a=b HTTP/1.1\r\nHost: relay:8080\r\nContent-Length:5 \r\n\r\n12345",
        "\r\nOPTIONS * HTTP/1.1\r\nhost: [::1]:80\r\n\r\n",
        "POST http://relay/v1 HTTP/1.1\r\nhost: RELAY\r\ncontent-length: 0\r\n\r\n",
        "POST /v1 HTTP/1.1\r\nhost: relay\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nab\r\n\0\r\n00A;x=\"y\"\r\n0123456789\r\n0\r\nx-sum: 1\r\n\r\n",
        "POST /v1 HTTP/1.1\r\nhost: relay\r\nexpect: 100-Continue\r\ncontent-length: 2\r\n\r\nok",
        "GET / HTTP/1.1\r\nhost: relay\r\nx: caf\u{e9}\ty\r\nempty:\r\n\r\n",
    ];
    for one in all {
        passes(one);
    }
    passes(&all.concat());
}

#[test]
fn what_is_not_whole_waits() {
    let head = with("content-length: 5\r\n");
    for end in 0..head.len() {
        assert_eq!(judged(&head.as_bytes()[..end]), (0, None), "{end}");
    }
    let chunked = with("transfer-encoding: chunked\r\n");
    for (rest, passed) in
        [("5", 0), ("5\r", 0), ("5\r\n", 3), ("5\r\nabcde", 8), ("5\r\nabcde\r", 8), ("0\r\n", 3), ("0\r\nx: y\r\n", 3)]
    {
        assert_eq!(judged(format!("{chunked}{rest}").as_bytes()), (chunked.len() + passed, None), "{rest:?}");
    }
}

#[test]
fn request_lines_are_exact() {
    for (line, violation) in [
        ("GET  / HTTP/1.1", Violation::RequestLine),
        ("GET /  HTTP/1.1", Violation::Version),
        ("GET / HTTP/1.1 ", Violation::Version),
        ("GET / x HTTP/1.1", Violation::Version),
        ("GET /\tHTTP/1.1", Violation::RequestLine),
        ("GET /", Violation::RequestLine),
        ("GET", Violation::RequestLine),
        (" GET / HTTP/1.1", Violation::RequestLine),
        ("\tGET / HTTP/1.1", Violation::RequestLine),
        ("G(T / HTTP/1.1", Violation::RequestLine),
        ("GET / HTTP/1.2", Violation::Version),
        ("GET / HTTP/2.0", Violation::Version),
        ("GET / HTTP/0.9", Violation::Version),
        ("GET / http/1.1", Violation::Version),
        ("GET / HTTP/01.1", Violation::Version),
        ("PRI * HTTP/2.0", Violation::Version),
        ("\r\n\r\nGET / HTTP/1.1", Violation::RequestLine),
        ("\nGET / HTTP/1.1", Violation::RequestLine),
        ("\u{16}\u{3}\u{1}", Violation::RequestLine),
    ] {
        fails(&format!("{line}\r\nhost: relay\r\n\r\n"), violation);
    }
    fails("GET / HTTP/1.1\nhost: relay\r\n\r\n", Violation::BareLf);
    fails("GET / HTTP/1.1\r\nhost: relay\n\r\n", Violation::BareLf);
    fails("GET / HTTP/1.1\r\nhost: relay\r\n\n", Violation::BareLf);
}

#[test]
fn header_lines_are_exact() {
    for (line, violation) in [
        ("x : y", Violation::FieldName),
        ("x", Violation::FieldName),
        (": y", Violation::FieldName),
        ("x(y: z", Violation::FieldName),
        ("caf\u{e9}: z", Violation::FieldName),
        ("x\0: z", Violation::FieldName),
        (" folded", Violation::Folded),
        ("\tfolded", Violation::Folded),
        ("x: a\0b", Violation::FieldValue),
        ("x: a\rb", Violation::FieldValue),
        ("x: a\u{b}b", Violation::FieldValue),
        ("x: a\u{7f}", Violation::FieldValue),
        ("content_length: 5", Violation::FieldName),
        ("Transfer_Encoding: chunked", Violation::FieldName),
    ] {
        fails(&with(&format!("{line}\r\n")), violation);
    }
}

#[test]
fn lengths_and_codings_are_one_and_plain() {
    for (lines, violation) in [
        ("content-length: 5\r\ncontent-length: 5\r\n", Violation::Length),
        ("content-length: 5, 5\r\n", Violation::Length),
        ("content-length: 5 5\r\n", Violation::Length),
        ("content-length: +5\r\n", Violation::Length),
        ("content-length: -5\r\n", Violation::Length),
        ("content-length: 0x5\r\n", Violation::Length),
        ("content-length: \r\n", Violation::Length),
        ("content-length: 9223372036854775808\r\n", Violation::Length),
        ("content-length: 99999999999999999999999\r\n", Violation::Length),
        ("transfer-encoding: gzip\r\n", Violation::Coding),
        ("transfer-encoding: gzip, chunked\r\n", Violation::Coding),
        ("transfer-encoding: chunked, chunked\r\n", Violation::Coding),
        ("transfer-encoding: xchunked\r\n", Violation::Coding),
        ("transfer-encoding: \r\n", Violation::Coding),
        ("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n", Violation::Coding),
        ("transfer-encoding: chunked\r\ncontent-length: 5\r\n", Violation::TwoFramings),
        ("content-length: 5\r\ntransfer-encoding: chunked\r\n", Violation::TwoFramings),
        ("expect: x\r\n", Violation::Expectation),
        ("expect: 100-continue, x\r\n", Violation::Expectation),
        ("expect: 100-continue\r\nexpect: 100-continue\r\n", Violation::Expectation),
    ] {
        fails(&with(lines), violation);
    }
    fails("POST / HTTP/1.0\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n", Violation::Coding);
}

#[test]
fn chunks_are_exact() {
    let head = with("transfer-encoding: chunked\r\n");
    for bad in [
        "0x5\r\n", "x\r\n", "-1\r\n", "+1\r\n", " 5\r\n", "5 \r\n", "5 ;a\r\n", "5\n", "5;a\n", "5\r\r\n", "\r\n",
        ";a\r\n", "5;\0\r\n",
    ] {
        fails_behind(&head, bad, Violation::Chunk);
    }
    for overflow in ["8000000000000000\r\n", "fffffffffffffffff\r\n", "00000000000000005\r\n"] {
        fails_behind(&head, overflow, Violation::Chunk);
    }
    let chunk = format!("{head}5\r\nabcde");
    for bad in ["\n", "x", "\rx", "\r\r\n"] {
        fails_behind(&chunk, bad, Violation::Chunk);
    }
    let last = format!("{head}0\r\n");
    for bad in
        ["x\r\n", " x: y\r\n", "x : y\r\n", "x: y\n", "\n", "\0", "content-length: 5\r\n", "Host: x\r\n", "x: a\0\r\n"]
    {
        fails_behind(&last, &format!("{bad}\r\n"), Violation::Trailers);
    }
}

#[test]
fn nothing_passes_behind_a_fault() {
    let mut framing = super::Framing::default();
    let fine = with("");
    assert!(framing.pass(b"GET / HTTP/1.1\n").fault.is_some());
    for _ in 0..2 {
        let passed = framing.pass(fine.as_bytes());
        assert_eq!((passed.bytes, passed.fault), (0, None));
    }
}

#[test]
fn nothing_passes_behind_a_request_to_upgrade_until_it_is_answered() {
    for body in ["", "content-length: 2\r\n"] {
        let mut framing = super::Framing::default();
        let head = with(&format!("connection: upgrade\r\nupgrade: websocket\r\n{body}"));
        let request = format!("{head}{}", if body.is_empty() { "" } else { "ok" });
        let passed = framing.pass(format!("{request}{}", with("")).as_bytes());
        assert_eq!((passed.bytes, passed.fault, framing.waits_for_answer()), (request.len(), None, Some(1)));
        framing.goes_on();
        assert_eq!(framing.pass(with("").as_bytes()).bytes, with("").len());
    }
    // RFC 9110, section 7.8: a server ignores it in HTTP/1.0.
    passes("GET / HTTP/1.0\r\nupgrade: h2c\r\n\r\nGET / HTTP/1.0\r\n\r\n");
}
