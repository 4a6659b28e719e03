use super::super::chunks::{EXTENSIONS_MAX, TRAILERS_MAX};
use super::super::head::{FIELDS_MAX, HEAD_MAX, REQUEST_LINE_MAX};
use super::{Violation, judged, with};

/// With its end or without, what is too long is found out.
fn too_long(fits: &str, over: &str, end: &str, begin: usize, violation: Violation) {
    let fits = format!("{fits}{end}");
    assert_eq!(judged(fits.as_bytes()), (fits.len(), None));
    assert_eq!(judged(over.as_bytes()), (begin, Some(violation)));
    assert_eq!(judged(format!("{over}{end}").as_bytes()), (begin, Some(violation)));
}

#[test]
fn request_lines() {
    let line = |bytes: usize| format!("GET /{} HTTP/1.1", "x".repeat(bytes - "GET / HTTP/1.1".len()));
    let end = "\r\nhost: relay\r\n\r\n";
    too_long(&line(REQUEST_LINE_MAX), &format!("{}\r", line(REQUEST_LINE_MAX + 1)), end, 0, Violation::TargetTooLong);
    let dribbled = "x".repeat(REQUEST_LINE_MAX + 2);
    assert_eq!(judged(dribbled.as_bytes()), (0, Some(Violation::TargetTooLong)));
}

#[test]
fn heads() {
    let bare = with("x: \r\n").len();
    let head = |bytes: usize| {
        let head = with(&format!("x: {}\r\n", "y".repeat(bytes - bare)));
        head.strip_suffix("\r\n\r\n").unwrap().to_owned()
    };
    too_long(&head(HEAD_MAX), &head(HEAD_MAX + 5), "\r\n\r\n", 0, Violation::HeadTooLong);
}

#[test]
fn header_lines() {
    let lines = |count: usize| with(&"x: y\r\n".repeat(count - 1));
    assert_eq!(judged(lines(FIELDS_MAX).as_bytes()), (lines(FIELDS_MAX).len(), None));
    assert_eq!(judged(lines(FIELDS_MAX + 1).as_bytes()), (0, Some(Violation::TooManyFields)));
}

#[test]
fn chunk_extensions_of_a_whole_body() {
    let head = with("transfer-encoding: chunked\r\n");
    let half = format!("1;{}\r\nx\r\n", "e".repeat(EXTENSIONS_MAX / 2 - 1));
    let fits = format!("{head}{half}{half}0\r\n\r\n");
    assert_eq!(judged(fits.as_bytes()), (fits.len(), None));
    let begin = head.len() + 2 * half.len();
    too_long(
        &format!("{head}{half}{half}0"),
        &format!("{head}{half}{half}0;ee"),
        "\r\n\r\n",
        begin,
        Violation::Extensions,
    );
}

#[test]
fn trailers() {
    let begin = with("transfer-encoding: chunked\r\n") + "0\r\n";
    let line = |bytes: usize| format!("x: {}\r\n", "y".repeat(bytes - 5));
    let fits = format!("{begin}{}", line(TRAILERS_MAX - 2));
    too_long(&fits, &format!("{begin}{}", line(TRAILERS_MAX + 1)), "\r\n", begin.len(), Violation::Trailers);
    let many = format!("{begin}{}\r\n", "x: y\r\n".repeat(FIELDS_MAX + 1));
    assert_eq!(judged(many.as_bytes()), (begin.len(), Some(Violation::Trailers)));
}
