//! However a stream is cut into pieces, the same is seen of it, and the bytes that pass are those that came.
//!
//! Input: the first byte chooses the format, the second how many cuts there are (at most 15), the next ones where; the rest is the stream.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use relay_dataplane::format::{Format, Framing, Observer, Seen};
use relay_dataplane::relay::EventSplitter;

fuzz_target!(|input: &[u8]| {
    let [format, cuts, rest @ ..] = input else { return };
    let format = Format::ALL[usize::from(*format) % Format::ALL.len()];
    let Some((cuts, stream)) = rest.split_at_checked(usize::from(*cuts & 15)) else { return };
    let pieces = pieces(stream, cuts);
    let whole = observed(format, [stream].into_iter());
    assert_eq!(observed(format, pieces.iter().copied()), whole);
    assert_eq!(observed(format, stream.chunks(1)), whole);
    if format.has_terminal() && format.framing(b"text/event-stream") == Framing::Events {
        assert_eq!(relayed(format, &pieces), whole);
    }
    let mut body = Observer::of_json(format);
    body.push(stream, false);
    body.end(b"");
});

/// Cuts `stream` at fractions of its length.
fn pieces<'a>(stream: &'a [u8], cuts: &[u8]) -> Vec<&'a [u8]> {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| usize::from(*cut) * stream.len() / 255).collect();
    ends.extend([0, stream.len()]);
    ends.sort_unstable();
    ends.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect()
}

/// What is seen of pieces of which nothing is known.
fn observed<'a>(format: Format, pieces: impl Iterator<Item = &'a [u8]>) -> Seen {
    let mut observer = Observer::new(format);
    for piece in pieces {
        observer.push(piece, false);
    }
    observer.end(b"");
    *observer.seen()
}

/// What is seen of an event stream as the relay passes it on.
fn relayed(format: Format, pieces: &[&[u8]]) -> Seen {
    let (mut splitter, mut observer, mut out) = (EventSplitter::default(), Observer::new(format), Vec::new());
    for piece in pieces {
        let passed = splitter.push(Bytes::copy_from_slice(piece));
        observer.push(&passed, splitter.is_at_boundary());
        out.extend_from_slice(&passed);
    }
    let tail = splitter.take_tail();
    observer.end(&tail);
    out.extend_from_slice(&tail);
    assert_eq!(out, pieces.concat());
    *observer.seen()
}
