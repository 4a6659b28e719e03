//! Chunks whose size, end or extension readers read differently, and trailers (RFC 9112, section 7.1).

use super::{Payload, Wanted, body, chunk, hidden, payload, post};

const CHUNKED: &str = "transfer-encoding: chunked\r\n";

pub(super) fn payloads() -> Vec<Payload> {
    let (body, hidden) = (body(), hidden());
    let size = body.len();
    let mut all = Vec::new();
    let mut add = |family, name, rest: String| {
        all.push(payload(family, name, post(CHUNKED, &rest), Wanted::Refused(400)));
    };
    let sized = |line: &str| format!("{line}{body}\r\n0\r\n\r\n{hidden}");
    for (name, line) in [
        ("prefix 0x", format!("0x{size:x}\r\n")),
        ("prefix x", format!("x{size:x}\r\n")),
        ("suffix h", format!("{size:x}h\r\n")),
        ("plus", format!("+{size:x}\r\n")),
        ("minus", format!("-{size:x}\r\n")),
        ("minus 1", "-1\r\n".to_owned()),
        ("space before", format!(" {size:x}\r\n")),
        ("tab before", format!("\t{size:x}\r\n")),
        ("space behind", format!("{size:x} \r\n")),
        ("tab behind", format!("{size:x}\t\r\n")),
        ("space inside", format!("{size:x} 0\r\n")),
        ("space before the extension", format!("{size:x} ;a\r\n")),
        ("underscore", format!("0_{size:x}\r\n")),
        ("quoted", format!("\"{size:x}\"\r\n")),
        ("comma", format!("{size:x},0\r\n")),
        ("fraction", format!("{size:x}.0\r\n")),
        ("zero behind", format!("{size:x}\0\r\n")),
        ("no digit", "\r\n".to_owned()),
        ("only an extension", ";a=b\r\n".to_owned()),
        ("not hexadecimal", "g\r\n".to_owned()),
        ("17 digits", format!("{size:017x}\r\n")),
        ("wraps in 64 bits", format!("1{size:016x}\r\n")),
        ("above 63 bits", "8000000000000000\r\n".to_owned()),
        ("all ones", "ffffffffffffffff\r\n".to_owned()),
        ("bare LF behind", format!("{size:x}\n")),
        ("bare CR behind", format!("{size:x}\r")),
        ("CR twice", format!("{size:x}\r\r\n")),
        ("LF before", format!("\n{size:x}\r\n")),
        ("CR LF before", format!("\r\n{size:x}\r\n")),
    ] {
        add("chunk size", name, sized(&line));
    }
    for (name, line) in [
        ("bare LF behind", format!("{size:x};a\n")),
        ("bare LF inside", format!("{size:x};a\nb\r\n")),
        ("bare CR inside", format!("{size:x};a\rb\r\n")),
        ("zero", format!("{size:x};a=\0\r\n")),
        ("a request behind a bare CR", format!("{size:x};\r{hidden}\r\n")),
        ("17 KiB", format!("{size:x};{}\r\n", "e".repeat(17 * 1024))),
        ("1 KiB in each of 20 chunks", format!("1;{}\r\nx\r\n", "e".repeat(1024)).repeat(20)),
    ] {
        add("chunk extension", name, sized(&line));
    }
    for (name, end) in [
        ("none", ""),
        ("bare LF", "\n"),
        ("bare CR", "\r"),
        ("LF CR", "\n\r"),
        ("CR CR LF", "\r\r\n"),
        ("a byte too many", "x\r\n"),
        ("two bytes in place of it", "xx"),
    ] {
        add("chunk end", name, format!("{size:x}\r\n{body}{end}0\r\n\r\n{hidden}"));
    }
    for (name, trailers) in [
        ("Content-Length", "content-length: 5\r\n\r\n"),
        ("Transfer-Encoding", "transfer-encoding: chunked\r\n\r\n"),
        ("Host", "host: other\r\n\r\n"),
        ("a credential", "authorization: Bearer x\r\n\r\n"),
        ("bare LF", "a: b\n\r\n"),
        ("bare LF at the end", "a: b\r\n\n"),
        ("no trailers and a bare LF", "\n"),
        ("no trailers and a bare CR", "\rx"),
        ("a folded line", "a: b\r\n c\r\n\r\n"),
        ("space before the colon", "a : b\r\n\r\n"),
        ("no colon", "a\r\n\r\n"),
        ("zero", "a: \0\r\n\r\n"),
        ("a request line", "GET /v1/hidden HTTP/1.1\r\n\r\n"),
    ] {
        add("trailers", name, format!("{}0\r\n{trailers}{hidden}", chunk()));
    }
    let many = format!("{}0\r\n{}\r\n{hidden}", chunk(), "a: b\r\n".repeat(101));
    add("trailers", "101 of them", many);
    add("trailers", "17 KiB", format!("{}0\r\na: {}\r\n\r\n{hidden}", chunk(), "b".repeat(17 * 1024)));
    all
}
