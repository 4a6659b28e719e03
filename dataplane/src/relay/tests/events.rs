use crate::relay::EventSplitter;
use crate::relay::held::MAX_TAIL;
use bytes::Bytes;
use proptest::prelude::*;

/// Where the last event of a stream ends, by the letter of WHATWG HTML: lines end with LF, CR or CR LF, and an empty line ends an event.
fn last_boundary(stream: &[u8]) -> usize {
    let (mut at, mut boundary) = (0, 0);
    while let Some(length) = stream[at..].iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
        let end = at + length;
        let behind = if stream[end..].starts_with(b"\r\n") { end + 2 } else { end + 1 };
        if length == 0 {
            boundary = behind;
        }
        at = behind;
    }
    boundary
}

/// Pushes the pieces and checks after each that what came out is what went in, up to where it may go.
fn check(pieces: &[&[u8]]) {
    let mut splitter = EventSplitter::default();
    let (mut into, mut out) = (Vec::new(), Vec::new());
    for piece in pieces {
        into.extend_from_slice(piece);
        out.extend_from_slice(&splitter.push(Bytes::copy_from_slice(piece)));
        assert!(into.starts_with(&out), "not the bytes that went in");
        let whole = last_boundary(&into);
        assert!(out.len() >= whole, "a whole event is held: {:?}", String::from_utf8_lossy(&into));
        assert!(into.len() - out.len() <= MAX_TAIL, "more is held than may be");
        assert_eq!(splitter.is_at_boundary(), out.len() == whole, "{:?}", String::from_utf8_lossy(&into));
        if out.len() > whole {
            assert!(into.len() - whole > MAX_TAIL, "half an event went out without need");
        }
    }
    out.extend_from_slice(&splitter.take_tail());
    assert_eq!(out, into);
}

fn outputs(pieces: &[&'static str]) -> Vec<Bytes> {
    let mut splitter = EventSplitter::default();
    pieces.iter().map(|piece| splitter.push(Bytes::from_static(piece.as_bytes()))).collect()
}

#[test]
fn whole_events_go_out_and_the_rest_waits() {
    assert_eq!(outputs(&["data: 1\n\ndata: 2\n\nda", "ta: 3\n", "\n"]), ["data: 1\n\ndata: 2\n\n", "", "data: 3\n\n"]);
    assert_eq!(outputs(&["event: a\ndata: 1\n", "\n"]), ["", "event: a\ndata: 1\n\n"]);
}

#[test]
fn all_three_line_ends_count_also_when_split() {
    assert_eq!(outputs(&["data: 1\r\n\r\nx"]), ["data: 1\r\n\r\n"]);
    assert_eq!(outputs(&["data: 1\r\rx"]), ["data: 1\r\r"]);
    assert_eq!(outputs(&["data: 1\r\n\r", "\ndata: 2"]), ["data: 1\r\n\r", "\n"]);
    assert_eq!(outputs(&["data: 1\r", "\n\r", "\n"]), ["", "data: 1\r\n\r", "\n"]);
    assert_eq!(outputs(&["data: 1\n\r\n", "x"]), ["data: 1\n\r\n", ""]);
    assert_eq!(outputs(&["a\r", "\nb\r", "\n"]), ["", "", ""]);
}

#[test]
fn a_comment_with_its_blank_line_goes_out() {
    assert_eq!(outputs(&[": keep-alive\n\n", ": inside\ndata: 1\n\n"]), [": keep-alive\n\n", ": inside\ndata: 1\n\n"]);
}

#[test]
fn a_whole_piece_is_passed_and_not_copied() {
    let piece = Bytes::from_static(b"data: 1\n\n");
    let out = EventSplitter::default().push(piece.clone());
    assert_eq!(out.as_ptr(), piece.as_ptr());
}

#[test]
fn an_event_that_is_too_long_goes_through_in_pieces() {
    let mut splitter = EventSplitter::default();
    assert!(splitter.push(Bytes::from(vec![b'x'; MAX_TAIL])).is_empty());
    assert!(splitter.is_at_boundary());
    assert_eq!(splitter.push(Bytes::from_static(b"y")).len(), MAX_TAIL + 1);
    assert!(!splitter.is_at_boundary());
    assert!(splitter.push(Bytes::from_static(b"z\n")).is_empty());
    assert!(!splitter.is_at_boundary(), "what went out still ends inside");
    assert_eq!(splitter.push(Bytes::from_static(b"\nnext")), "z\n\n");
    assert!(splitter.is_at_boundary());
    assert_eq!(splitter.take_tail(), "next");
}

#[test]
fn every_split_of_every_line_end_is_as_the_letter_says() {
    for end in ["\n", "\r", "\r\n"] {
        for start in ["", "\u{FEFF}", "\n", "\r\n"] {
            let stream =
                format!("{start}: c{end}{end}event: a{end}data: 1{end}{end}data: 2{end}{end}{end}data: 3{end}");
            for first in 0..=stream.len() {
                for second in first..=stream.len() {
                    let stream = stream.as_bytes();
                    check(&[&stream[..first], &stream[first..second], &stream[second..]]);
                }
            }
        }
    }
}

fn words() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        4 => Just("\n".to_owned()),
        4 => Just("\r".to_owned()),
        2 => Just("\r\n".to_owned()),
        2 => Just("\n\n".to_owned()),
        2 => Just("data: x".to_owned()),
        1 => Just(":".to_owned()),
    ];
    prop::collection::vec(word, 0..40).prop_map(|words| words.concat().into_bytes())
}

/// Cuts where the numbers say.
pub(super) fn cut<'a>(stream: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (stream.len() + 1)).collect();
    cuts.extend([0, stream.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect()
}

proptest! {
    #[test]
    fn any_lines_in_any_pieces(stream in words(), cuts in prop::collection::vec(0_usize..400, 0..12)) {
        check(&cut(&stream, &cuts));
    }

    #[test]
    fn any_bytes_in_any_pieces(stream in prop::collection::vec(any::<u8>(), 0..400), cuts in prop::collection::vec(0_usize..400, 0..12)) {
        check(&cut(&stream, &cuts));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn long_events_among_others(
        parts in prop::collection::vec((words(), 0_usize..3), 1..4),
        cuts in prop::collection::vec(0_usize..300_000, 0..12),
    ) {
        let long = vec![b'x'; MAX_TAIL / 2 + 7];
        let stream: Vec<u8> = parts.into_iter().flat_map(|(words, times)| [words, long.repeat(times)].concat()).collect();
        check(&cut(&stream, &cuts));
    }
}
