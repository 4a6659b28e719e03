//! What stands behind a good request on the same connection.

use super::{Payload, Wanted, chunk, good, hidden, payload, post};

pub(super) fn payloads() -> Vec<Payload> {
    let mut all = Vec::new();
    let hidden = hidden();
    for (name, bad) in [
        ("both framings", post("content-length: 5\r\ntransfer-encoding: chunked\r\n", &format!("0\r\n\r\n{hidden}"))),
        ("two lengths", post("content-length: 0\r\ncontent-length: 5\r\n", &hidden)),
        ("a bare LF", format!("GET /v1/models HTTP/1.1\nhost: relay\n\n{hidden}")),
        ("no host", format!("GET /v1/models HTTP/1.1\r\n\r\n{hidden}")),
        ("a folded line", format!("GET /v1/models HTTP/1.1\r\nhost: relay\r\n a\r\n\r\n{hidden}")),
        ("a zero", format!("\0{hidden}")),
        ("two empty lines", format!("\r\n\r\n{hidden}")),
        ("a space", format!(" {hidden}")),
        ("a line of text", format!("garbage\r\n{hidden}")),
        ("a chunk", format!("{}{hidden}", chunk())),
        ("the end of chunks", format!("0\r\n\r\n{hidden}")),
        ("JSON", format!("{{\"a\": 1}}\r\n{hidden}")),
        ("the preface of HTTP/2", format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{hidden}")),
        ("a TLS record", format!("\u{16}\u{3}\u{1}\u{0}{hidden}")),
        ("an answer", format!("HTTP/1.1 200 OK\r\n\r\n{hidden}")),
        ("a tunnel", format!("CONNECT relay:80 HTTP/1.1\r\nhost: relay\r\n\r\n{hidden}")),
        ("a body behind a length of 0", format!("x=1&y=2\r\n\r\n{hidden}")),
    ] {
        all.push(payload("behind a good request", name, format!("{}{bad}", good()), Wanted::Behind(400)));
    }
    let chunked = post("transfer-encoding: chunked\r\n", &format!("{}0\r\n\r\n", chunk()));
    for (name, bad) in
        [("bytes", "xx\u{0}"), ("a second last chunk", "0\r\n\r\n"), ("trailers too late", "a: b\r\n\r\n")]
    {
        let bytes = format!("{chunked}{bad}{hidden}");
        all.push(payload("behind the last chunk", name, bytes, Wanted::Behind(400)));
    }
    all
}
