use super::events::cut;
use crate::relay::LineSplitter;
use crate::relay::held::MAX_TAIL;
use bytes::Bytes;
use proptest::prelude::*;

/// Pushes the pieces and checks after each that what came out is what went in, up to where it may go.
fn check(pieces: &[&[u8]]) {
    let mut splitter = LineSplitter::default();
    let (mut into, mut out) = (Vec::new(), Vec::new());
    for piece in pieces {
        into.extend_from_slice(piece);
        out.extend_from_slice(&splitter.push(Bytes::copy_from_slice(piece)));
        assert!(into.starts_with(&out), "not the bytes that went in");
        let whole = into.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        assert!(out.len() >= whole, "a whole line is held");
        assert!(into.len() - out.len() <= MAX_TAIL, "more is held than may be");
        assert_eq!(splitter.is_at_boundary(), out.len() == whole);
        if out.len() > whole {
            assert!(into.len() - whole > MAX_TAIL, "half a line went out without need");
        }
    }
    out.extend_from_slice(&splitter.take_tail());
    assert_eq!(out, into);
}

#[test]
fn whole_lines_go_out_and_the_rest_waits() {
    let mut splitter = LineSplitter::default();
    assert_eq!(splitter.push(Bytes::from_static(b"{\"a\":1}\n{\"b\"")), "{\"a\":1}\n");
    assert_eq!(splitter.push(Bytes::from_static(b":2}")), "");
    assert_eq!(splitter.push(Bytes::from_static(b"\r\n\n{")), "{\"b\":2}\r\n\n");
    assert_eq!(splitter.take_tail(), "{");
}

#[test]
fn a_whole_piece_is_passed_and_not_copied() {
    let piece = Bytes::from_static(b"{\"a\":1}\n");
    assert_eq!(LineSplitter::default().push(piece.clone()).as_ptr(), piece.as_ptr());
}

#[test]
fn a_line_that_is_too_long_goes_through_in_pieces() {
    let mut splitter = LineSplitter::default();
    assert!(splitter.push(Bytes::from(vec![b'x'; MAX_TAIL])).is_empty());
    assert!(splitter.is_at_boundary());
    assert_eq!(splitter.push(Bytes::from_static(b"y")).len(), MAX_TAIL + 1);
    assert!(!splitter.is_at_boundary());
    assert_eq!(splitter.push(Bytes::from_static(b"z\nnext")), "z\n");
    assert!(splitter.is_at_boundary());
}

proptest! {
    #[test]
    fn any_lines_in_any_pieces(stream in "[a\r\n]{0,60}", cuts in prop::collection::vec(0_usize..400, 0..12)) {
        check(&cut(stream.as_bytes(), &cuts));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn long_lines_among_others(
        parts in prop::collection::vec(("[a\n]{0,6}", 0_usize..3), 1..4),
        cuts in prop::collection::vec(0_usize..300_000, 0..12),
    ) {
        let long = "x".repeat(MAX_TAIL / 2 + 7);
        let stream: String = parts.into_iter().map(|(words, times)| words + &long.repeat(times)).collect();
        check(&cut(stream.as_bytes(), &cuts));
    }
}
