//! However a stream is cut into pieces, the same is seen, and what passes is what came.

use crate::format::{Format, Observer, Seen};
use crate::relay::EventSplitter;
use bytes::Bytes;
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Streams that the formats know, with much of what makes them hard.
const STREAMS: [&str; 10] = [
    "data: {\"id\":\"\",\"choices\":[],\"usage\":null}\n\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a \\\"error\\\" b\"},\"finish_reason\":null}]}\n\n\
     data: {\"choices\":[{\"index\":1,\"delta\":{},\"finish_reason\":\"stop\"}]}\r\n\r\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":5}}\n\ndata: [DONE]\n\n",
    ": hi\n\ndata: {\"choices\":[{\"index\":0,\"finish_reason\":\"error\"}],\ndata: \"error\":{\"code\":502}}\r\rdata: {\"object\":\"error\"}\n\ndata: [DONE]",
    "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"error\":null}}\n\nevent: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":1}\n\n\
     event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"usage\":{\"input_tokens\":3,\"output_tokens\":4,\"output_tokens_details\":{\"reasoning_tokens\":2}}}}\n\n",
    "event: message_start\ndata: {\"message\":{\"usage\":{\"input_tokens\":9,\"cache_read_input_tokens\":2}}}\n\nevent: ping\ndata: {}\n\nevent: message_delta\ndata: {\"usage\":{\"output_tokens\":7}}\n\nevent: message_stop\ndata: {}\n\n",
    "\u{FEFF}event: error\r\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}\r\n\r\n",
    "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"x\"}]},\"index\":0}],\"usageMetadata\":{\"promptTokenCount\":5}}\r\n\r\ndata: {\"candidates\":[{\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"candidatesTokenCount\":6,\"thoughtsTokenCount\":1}}\r\n\r\n",
    "data: {\"type\":\"speech.audio.delta\",\"audio\":\"AAAA\"}\n\ndata: {\"type\":\"speech.audio.done\",\"usage\":{\"input_tokens\":1}}\n\n",
    "{\"message\":{\"content\":\"x\"},\"done\":false}\n{\"error\":\"text\"}\n\n{\"done\":true,\"prompt_eval_count\":1,\"eval_count\":2}\r\n{\"done\":true}",
    // Found by fuzzing: no event, and of bytes some all the same.
    "\u{FEFF}",
    "data: {\"error\":\"half",
];

/// What is seen of a stream that comes in one piece.
fn at_once(format: Format, stream: &[u8]) -> Seen {
    let mut observer = Observer::new(format);
    observer.push(stream, false);
    observer.end(b"");
    *observer.seen()
}

/// What is seen of a stream in pieces, as the relay does it: whole events go out, and what is too long in parts.
fn in_pieces(format: Format, pieces: &[&[u8]]) -> Seen {
    let (mut splitter, mut observer, mut out) = (EventSplitter::default(), Observer::new(format), Vec::new());
    for piece in pieces {
        let passed = splitter.push(Bytes::copy_from_slice(piece));
        observer.push(&passed, splitter.is_at_boundary());
        out.extend_from_slice(&passed);
    }
    let tail = splitter.take_tail();
    observer.end(&tail);
    out.extend_from_slice(&tail);
    assert_eq!(out, pieces.concat(), "not the bytes that came");
    *observer.seen()
}

/// What is seen of a stream in pieces of which nothing is known.
fn in_raw_pieces(format: Format, pieces: &[&[u8]]) -> Seen {
    let mut observer = Observer::new(format);
    for piece in pieces {
        observer.push(piece, false);
    }
    observer.end(b"");
    *observer.seen()
}

fn cut_at<'a>(stream: &'a [u8], ends: &mut Vec<usize>) -> Vec<&'a [u8]> {
    ends.extend([0, stream.len()]);
    ends.sort_unstable();
    ends.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect()
}

fn check(stream: &[u8], ends: &mut Vec<usize>) {
    let pieces = cut_at(stream, ends);
    for format in Format::ALL {
        let whole = at_once(*format, stream);
        let told = || {
            format!("{format:?} {:?}", pieces.iter().map(|piece| String::from_utf8_lossy(piece)).collect::<Vec<_>>())
        };
        // What cuts events cuts nothing else.
        if format.has_terminal() && *format != Format::Ndjson {
            assert_eq!(in_pieces(*format, &pieces), whole, "{}", told());
        }
        assert_eq!(in_raw_pieces(*format, &pieces), whole, "{}", told());
    }
}

#[test]
fn every_cut_of_every_known_stream_shows_the_same() {
    for stream in STREAMS {
        check(stream.as_bytes(), &mut (0..stream.len()).collect());
        for end in 0..stream.len() {
            check(stream.as_bytes(), &mut vec![end]);
        }
    }
}

#[test]
fn a_stream_that_breaks_off_anywhere_shows_no_more_than_the_whole() {
    for stream in STREAMS {
        for format in Format::ALL {
            let whole = at_once(*format, stream.as_bytes());
            for end in 0..stream.len() {
                let half = at_once(*format, &stream.as_bytes()[..end]);
                assert!(!half.terminal || whole.terminal, "{format:?} {stream} {end}");
                assert!(!half.error || whole.error, "{format:?} {stream} {end}");
            }
        }
    }
}

proptest! {
    #[test]
    fn any_cut_of_any_mix_shows_the_same(
        parts in prop::collection::vec((prop::sample::select(STREAMS.to_vec()), any::<prop::sample::Index>()), 1..4),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..16),
    ) {
        let stream: Vec<u8> = parts.iter().flat_map(|(text, end)| &text.as_bytes()[..=end.index(text.len())]).copied().collect();
        check(&stream, &mut cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect());
    }
}

/// Rounds of [`broken_streams_in_any_pieces_do_no_harm`].
const ROUNDS: usize = 1500;

#[test]
fn broken_streams_in_any_pieces_do_no_harm() {
    let mut random = StdRng::seed_from_u64(0x5eed);
    for _ in 0..ROUNDS {
        let mut stream = STREAMS[random.random_range(0..STREAMS.len())].as_bytes().to_vec();
        for _ in 0..random.random_range(1..8) {
            mutate(&mut stream, &mut random);
        }
        let mut ends = (0..random.random_range(0..8)).map(|_| random.random_range(0..=stream.len())).collect();
        check(&stream, &mut ends);
    }
}

/// Changes, drops, doubles or puts in what often decides.
fn mutate(stream: &mut Vec<u8>, random: &mut StdRng) {
    const WORDS: [&[u8]; 14] = [
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        b"\"",
        b"\\",
        b"{",
        b"}",
        b"data: ",
        b"event: error",
        b"\"error\":",
        b"null",
        b"[DONE]",
        b"\xEF\xBB\xBF",
    ];
    if stream.is_empty() {
        return;
    }
    let at = random.random_range(0..stream.len());
    let end = random.random_range(at..=stream.len().min(at + 40));
    match random.random_range(0..4) {
        0 => stream[at] = random.random(),
        1 => drop(stream.drain(at..end)),
        2 => drop(stream.splice(at..at, stream[at..end].to_vec())),
        _ => drop(stream.splice(at..at, WORDS[random.random_range(0..WORDS.len())].iter().copied())),
    }
}
