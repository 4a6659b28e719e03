//! The one event that the client did not ask for.

use super::played::{CHAT, Play, next, rest};
use crate::relay::EventSplitter;
use crate::relay::usage_event::UsageEvent;
use bytes::Bytes;

const TEXT: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a \\\"usage\\\": b\"},\"finish_reason\":null}],\"usage\":null}\n\n";
const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":5}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

/// What passes of a stream in these pieces.
fn passed(pieces: &[&[u8]]) -> String {
    let (mut splitter, mut usage_event, mut out) = (EventSplitter::default(), UsageEvent::default(), Vec::new());
    for piece in pieces {
        let whole = splitter.push(Bytes::copy_from_slice(piece));
        out.extend_from_slice(&if whole.is_empty() { whole } else { usage_event.pass(whole) });
    }
    out.extend_from_slice(&splitter.take_tail());
    String::from_utf8(out).unwrap()
}

#[test]
fn it_is_taken_out_wherever_the_stream_is_cut_and_nothing_else_is() {
    let running = TEXT.replace("null", "{\"prompt_tokens\":7,\"completion_tokens\":1}");
    for (before, after) in [
        (TEXT.repeat(2), DONE.to_owned()),
        (String::new(), DONE.to_owned()),
        (TEXT.to_owned(), String::new()),
        (running, format!(": comment\n\n{DONE}")),
        (format!("\u{FEFF}: hi\n\n{TEXT}"), "half an event".to_owned()),
    ] {
        for end in ["\n", "\r\n", "\r"] {
            let [before, usage, after] = [&before, USAGE, &after].map(|part| part.replace('\n', end));
            let stream = format!("{before}{usage}{after}");
            let expected = format!("{before}{after}");
            for cut in 0..=stream.len() {
                let (head, tail) = stream.as_bytes().split_at(cut);
                assert_eq!(passed(&[head, tail]), expected, "cut at {cut} of {stream:?}");
            }
            let bytes: Vec<&[u8]> = stream.as_bytes().chunks(1).collect();
            assert_eq!(passed(&bytes), expected, "{stream:?} bytewise");
        }
    }
}

#[test]
fn one_is_taken_out_and_no_second_one() {
    assert_eq!(passed(&[format!("{USAGE}{TEXT}{USAGE}{DONE}").as_bytes()]), format!("{TEXT}{USAGE}{DONE}"));
}

#[tokio::test]
async fn what_it_tells_is_known_all_the_same() {
    let (mut stage, mut body) = Play { asked_usage: true, ..CHAT }.begin();
    stage.say(TEXT);
    assert_eq!(next(&mut body).await.expect("a piece").expect("whole"), TEXT);
    stage.say([USAGE, DONE].concat());
    stage.end();
    assert_eq!(rest(&mut body).await, (DONE.to_owned(), true));
    stage.has_ended("Complete", None);
    for (direction, tokens) in [("input", 7), ("output", 5)] {
        assert_eq!(stage.tokens(direction), (tokens, 0), "{direction}");
    }
}

#[tokio::test]
async fn a_client_that_asked_gets_it() {
    let (mut stage, mut body) = CHAT.begin();
    stage.say([TEXT, USAGE, DONE].concat());
    stage.end();
    assert_eq!(rest(&mut body).await, ([TEXT, USAGE, DONE].concat(), true));
}
