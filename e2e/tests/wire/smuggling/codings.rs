//! TE.TE: codings that one reader takes for `chunked` and another does not (RFC 9112, section 6.1).

use super::{Payload, Wanted, chunk, hidden, payload, refused_for};

pub(super) fn payloads() -> Vec<Payload> {
    let mut all = refused_for(
        "coding",
        &[
            ("unknown", "transfer-encoding: cow\r\n"),
            ("letter before", "transfer-encoding: xchunked\r\n"),
            ("letter behind", "transfer-encoding: chunkedx\r\n"),
            ("identity", "transfer-encoding: identity\r\n"),
            ("gzip", "transfer-encoding: gzip\r\n"),
            ("gzip and chunked", "transfer-encoding: gzip, chunked\r\n"),
            ("chunked and gzip", "transfer-encoding: chunked, gzip\r\n"),
            ("identity and chunked", "transfer-encoding: identity, chunked\r\n"),
            ("chunked and identity", "transfer-encoding: chunked, identity\r\n"),
            ("chunked twice", "transfer-encoding: chunked, chunked\r\n"),
            ("chunked in two lines", "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n"),
            ("chunked, then unknown, in two lines", "transfer-encoding: chunked\r\ntransfer-encoding: cow\r\n"),
            ("unknown, then chunked, in two lines", "transfer-encoding: cow\r\ntransfer-encoding: chunked\r\n"),
            ("identity, then chunked, in two lines", "transfer-encoding: identity\r\ntransfer-encoding: chunked\r\n"),
            ("chunked in two spellings", "Transfer-Encoding: chunked\r\ntransfer-encoding: Chunked\r\n"),
            ("empty", "transfer-encoding:\r\n"),
            ("comma before", "transfer-encoding: ,chunked\r\n"),
            ("comma behind", "transfer-encoding: chunked,\r\n"),
            ("without a comma", "transfer-encoding: chunked chunked\r\n"),
            ("parameter", "transfer-encoding: chunked;q=1\r\n"),
            ("semicolon", "transfer-encoding: chunked;\r\n"),
            ("quoted", "transfer-encoding: \"chunked\"\r\n"),
            ("apostrophes", "transfer-encoding: 'chunked'\r\n"),
            ("vertical tab before", "transfer-encoding:\u{b}chunked\r\n"),
            ("form feed before", "transfer-encoding:\u{c}chunked\r\n"),
            ("zero behind", "transfer-encoding: chunked\0\r\n"),
            ("zero before", "transfer-encoding: \0chunked\r\n"),
            ("backspace before", "transfer-encoding: \u{8}chunked\r\n"),
            ("no-break space before", "transfer-encoding: \u{a0}chunked\r\n"),
            ("a Kelvin sign for k", "transfer-encoding: chun\u{212a}ed\r\n"),
            ("space before the colon", "transfer-encoding : chunked\r\n"),
            ("tab before the colon", "transfer-encoding\t: chunked\r\n"),
            ("zero before the colon", "transfer-encoding\0: chunked\r\n"),
            ("name with underscore", "transfer_encoding: chunked\r\n"),
            ("name with a soft hyphen", "transfer\u{ad}encoding: chunked\r\n"),
            ("name behind a space", " transfer-encoding: chunked\r\n"),
            ("value in a folded line", "transfer-encoding:\r\n chunked\r\n"),
            ("half a value in a folded line", "transfer-encoding: chun\r\n ked\r\n"),
            ("line behind a bare CR", "a: b\rtransfer-encoding: chunked\r\n"),
            ("line behind a bare LF", "a: b\ntransfer-encoding: chunked\r\n"),
            ("CR twice", "transfer-encoding: chunked\r\r\n"),
            ("colon twice", "transfer-encoding:: chunked\r\n"),
        ],
    );
    let rest = format!("{}0\r\n\r\n{}", chunk(), hidden());
    for (name, version) in [("in HTTP/1.0", "1.0"), ("in HTTP/1.2", "1.2")] {
        let head = format!("POST /v1/x HTTP/{version}\r\nhost: relay\r\ntransfer-encoding: chunked\r\n\r\n");
        all.push(payload("coding", name, format!("{head}{rest}"), Wanted::Refused(400)));
    }
    all
}
