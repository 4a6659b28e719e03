//! CL.TE, TE.CL, CL.0, 0.CL and lengths that readers read differently (RFC 9112, section 6).

use super::{Payload, Wanted, body, hidden, payload, post, refused_for};

pub(super) fn payloads() -> Vec<Payload> {
    let mut all = refused_for(
        "two framings",
        &[
            ("length, then chunks", "content-length: 5\r\ntransfer-encoding: chunked\r\n"),
            ("chunks, then length", "transfer-encoding: chunked\r\ncontent-length: 5\r\n"),
            ("capitals", "CONTENT-LENGTH: 5\r\nTRANSFER-ENCODING: CHUNKED\r\n"),
            ("length 0", "content-length: 0\r\ntransfer-encoding: chunked\r\n"),
            ("length of everything", "content-length: 999\r\ntransfer-encoding: chunked\r\n"),
            ("no space", "content-length:5\r\ntransfer-encoding:chunked\r\n"),
            ("tabs", "content-length:\t5\r\ntransfer-encoding:\tchunked\t\r\n"),
            ("headers between", "content-length: 5\r\na: b\r\nc: d\r\ntransfer-encoding: chunked\r\n"),
            ("named hop by hop", "connection: content-length\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n"),
            (
                "coding named hop by hop",
                "connection: transfer-encoding\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n",
            ),
        ],
    );
    all.extend(refused_for(
        "length",
        &[
            ("twice the same", "content-length: 5\r\ncontent-length: 5\r\n"),
            ("twice, 0 first", "content-length: 0\r\ncontent-length: 5\r\n"),
            ("twice, 0 last", "content-length: 5\r\ncontent-length: 0\r\n"),
            ("twice in two spellings", "Content-Length: 5\r\ncOnTeNt-LeNgTh: 6\r\n"),
            ("twice, not next to each other", "content-length: 5\r\na: b\r\ncontent-length: 6\r\n"),
            ("list of the same", "content-length: 5, 5\r\n"),
            ("list of others", "content-length: 5,6\r\n"),
            ("list with a hole", "content-length: 5,\r\n"),
            ("plus", "content-length: +5\r\n"),
            ("minus", "content-length: -5\r\n"),
            ("minus 0", "content-length: -0\r\n"),
            ("hexadecimal", "content-length: 0x5\r\n"),
            ("hexadecimal digits", "content-length: 5a\r\n"),
            ("exponent", "content-length: 5e0\r\n"),
            ("fraction", "content-length: 5.0\r\n"),
            ("underscore", "content-length: 1_0\r\n"),
            ("space inside", "content-length: 5 0\r\n"),
            ("tab inside", "content-length: 5\t0\r\n"),
            ("empty", "content-length:\r\n"),
            ("blank", "content-length:  \r\n"),
            ("quoted", "content-length: \"5\"\r\n"),
            ("parameter", "content-length: 5;a=b\r\n"),
            ("above 63 bits", "content-length: 9223372036854775808\r\n"),
            ("wraps to 5 in 64 bits", "content-length: 18446744073709551621\r\n"),
            ("wraps to 5 in 32 bits with a sign", "content-length: -4294967291\r\n"),
            ("vertical tab before", "content-length:\u{b}5\r\n"),
            ("form feed behind", "content-length: 5\u{c}\r\n"),
            ("no-break space before", "content-length:\u{a0}5\r\n"),
            ("other digits", "content-length: \u{665}\r\n"),
            ("space before the colon", "content-length : 5\r\n"),
            ("name with underscore", "content_length: 5\r\n"),
            ("name with underscore, beside the real one", "content-length: 5\r\nContent_Length: 6\r\n"),
        ],
    ));
    let length = body().len();
    all.push(payload(
        "length",
        "an old version with two",
        format!("POST /v1/x HTTP/1.0\r\ncontent-length: 0\r\ncontent-length: {length}\r\n\r\n{}", hidden()),
        Wanted::Refused(400),
    ));
    // 0.CL: a reader in front that forgets the length of a GET would take the rest for a request. Here it is body, as it says.
    all.push(payload(
        "length",
        "GET with a body that is a request",
        format!(
            "GET /v1/models HTTP/1.1\r\nhost: relay\r\n{}connection: close\r\ncontent-length: {}\r\n\r\n{}",
            crate::house::headers(crate::config::KEY),
            hidden().len(),
            hidden()
        ),
        Wanted::Legal(1),
    ));
    // CL.0: the body of a request that is refused before it is read is never read as a request.
    all.push(payload(
        "length",
        "a longer length than the body, then a half request",
        post(&format!("content-length: {}\r\ncontent-length: {length}\r\n", length + 10), &(body() + &hidden())),
        Wanted::Refused(400),
    ));
    all
}
