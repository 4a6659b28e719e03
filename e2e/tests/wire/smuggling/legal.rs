//! What looks like smuggling and is not: RFC 9112 knows one reading, and that one is taken.

use super::{Payload, Wanted, body, chunk, good, hidden, last, payload, post};
use crate::config::KEY;
use crate::house::{CHAT, headers};

pub(super) fn payloads() -> Vec<Payload> {
    let (key, body, hidden) = (headers(KEY), body(), hidden());
    let size = body.len();
    let close = format!("connection: close\r\ncontent-length: {size}\r\n");
    let chunked = |chunks: &str| post("connection: close\r\ntransfer-encoding: chunked\r\n", chunks);
    // JSON may begin with white space, and a string may hold anything.
    let request_in_body =
        format!("{}{hidden}\"}}", body.trim_end_matches('}').to_owned() + ",\"user\":\"").replace("\r\n", "\\r\\n");
    let in_body =
        post(&format!("connection: close\r\ncontent-length: {}\r\n", request_in_body.len()), &request_in_body);
    let in_chunks = chunked(&format!("{:x}\r\n{request_in_body}\r\n0\r\n\r\n", request_in_body.len()));
    let bytewise = body
        .bytes()
        .fold(String::new(), |all, byte| all + "1\r\n" + char::from(byte).encode_utf8(&mut [0; 4]) + "\r\n");
    let models = format!("GET /v1/models HTTP/1.1\r\nhost: relay\r\n{key}\r\n");
    let absolute =
        |target: &str, host: &str| format!("POST {target} HTTP/1.1\r\nhost: {host}\r\n{key}{close}\r\n{body}");
    let all: Vec<(&str, String, usize)> = vec![
        ("one request", last(), 1),
        ("three requests at once", format!("{}{}{}", good(), good(), last()), 3),
        ("a request without a body between two with one", format!("{}{models}{}", good(), last()), 3),
        ("an empty line before", format!("\r\n{}", last()), 1),
        ("an empty line between", format!("{}\r\n{}", good(), last()), 2),
        (
            "white space around a length",
            post(&format!("connection: close\r\ncontent-length: \t{size} \t\r\n"), &body),
            1,
        ),
        ("zeros before a length", post(&format!("connection: close\r\ncontent-length: 000{size}\r\n"), &body), 1),
        (
            "chunked in capitals",
            post("connection: close\r\nTRANSFER-ENCODING: CHUNKED\r\n", &format!("{}0\r\n\r\n", chunk())),
            1,
        ),
        ("zeros before a size", chunked(&format!("000{}0000\r\n\r\n", chunk())), 1),
        ("a size in capitals", chunked(&format!("{size:X}\r\n{body}\r\n0\r\n\r\n")), 1),
        ("chunks of a byte", chunked(&format!("{bytewise}0\r\n\r\n")), 1),
        ("chunk extensions", chunked(&format!("{size:x};a=b;c=\"d\"\r\n{body}\r\n0;e\r\n\r\n")), 1),
        ("trailers", chunked(&format!("{}0\r\nx-sum: 1\r\nx-more: 2\r\n\r\n", chunk())), 1),
        ("a request in a body", in_body, 1),
        ("a request in a chunk", in_chunks, 1),
        ("the target with the host", absolute(&format!("http://relay{CHAT}"), "relay"), 1),
        ("the target with the host in capitals", absolute(&format!("HTTP://RELAY{CHAT}"), "relay"), 1),
        ("the target with the port of its scheme", absolute(&format!("http://relay:80{CHAT}"), "relay"), 1),
        ("an address of version 6", absolute(CHAT, "[2001:db8::1]:8080"), 1),
        ("an old version", format!("POST {CHAT} HTTP/1.0\r\n{key}content-length: {size}\r\n\r\n{body}"), 1),
        (
            "names that framing is like",
            post(&format!("x-content-length: 5\r\ncontent-lengths: 6\r\nte: trailers\r\n{close}"), &body),
            1,
        ),
        (
            "framing named hop by hop",
            post(&format!("connection: content-length, close\r\ncontent-length: {size}\r\n"), &body),
            1,
        ),
    ];
    all.into_iter().map(|(name, bytes, answers)| payload("legal", name, bytes, Wanted::Legal(answers))).collect()
}
