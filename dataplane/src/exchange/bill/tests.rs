//! What each end costs.

use super::{Answered, Bill, Cost};
use crate::format::{Format, Observer, Seen, Usage};
use crate::reason::StreamEnd;
use crate::upstream::{Room, Sent, Upload};
use bytes::Bytes;
use http_body_util::BodyExt;
use std::sync::Arc;

const ENDS: [StreamEnd; 10] = [
    StreamEnd::Complete,
    StreamEnd::Refused,
    StreamEnd::LimitReached,
    StreamEnd::ClientGone,
    StreamEnd::UpstreamError,
    StreamEnd::FirstByteTimeout,
    StreamEnd::IdleTimeout,
    StreamEnd::TotalTimeout,
    StreamEnd::Drained,
    StreamEnd::Suspended,
];

/// What is seen of these events of Anthropic's, where counts come early and late.
fn seen(names: &[&str]) -> Seen {
    let mut observer = Observer::new(Format::AnthropicMessages);
    for name in names {
        let data = match *name {
            "message_start" => r#"{"message":{"usage":{"input_tokens":9,"output_tokens":1}}}"#,
            "content_block_delta" => r#"{"delta":{"text":"eight by"}}"#,
            "message_delta" => r#"{"usage":{"output_tokens":7}}"#,
            _ => "{}",
        };
        observer.push(format!("event: {name}\ndata: {data}\n\n").as_bytes(), true);
    }
    *observer.seen()
}

/// Input and output, and whether they are estimates.
fn tokens(bill: Bill) -> (Option<u64>, Option<u64>, bool, bool) {
    (bill.usage.input, bill.usage.output, bill.estimates_input, bill.estimates_output)
}

/// An upload of 5 tokens, and whether it reached an upstream.
async fn sent(reaches: bool) -> Option<Arc<Sent>> {
    let sent = Arc::new(Sent::default());
    let text = Bytes::from_static(br#"{"a":"twenty characters ok"}"#);
    let upload = Upload::new(text, None, 100, Room::default(), false, true);
    let upload = upload.told_to(Arc::clone(&sent), Some(crate::format::Content::Json));
    if reaches {
        for _ in 0..2 {
            upload.body(None).collect().await.unwrap();
        }
    }
    Some(sent)
}

#[test]
fn what_the_provider_told_counts_and_what_it_did_not_is_weighed() {
    for (events, expected) in [
        (
            &["message_start", "content_block_delta", "message_delta", "message_stop"][..],
            (Some(9), Some(7), false, false),
        ),
        (&["message_start", "content_block_delta", "message_delta"], (Some(9), Some(7), false, false)),
        (&["message_start", "content_block_delta", "content_block_delta"], (Some(9), Some(5), false, true)),
        (&["message_start"], (Some(9), Some(1), false, false)),
        (&["content_block_delta"], (Some(40), Some(2), true, true)),
        (&["content_block_delta", "message_delta"], (Some(40), Some(7), true, false)),
        (&["content_block_delta", "error"], (Some(40), Some(2), true, true)),
        (&["message_start", "error"], (Some(9), Some(1), false, false)),
        // Nobody bills what failed before it began.
        (&["error"], (None, None, false, false)),
        (&["ping", "error"], (None, None, false, false)),
        (&[], (Some(40), None, true, false)),
    ] {
        let cost = Cost { answered: Answered::Well, prompt: Some(40), seen: seen(events), ..Cost::default() };
        for end in ENDS {
            assert_eq!(tokens(cost.bill(end)), expected, "{events:?} {end:?}");
        }
    }
}

#[tokio::test]
async fn a_request_that_an_upstream_never_had_costs_nothing() {
    let cost = Cost { prompt: Some(40), characters: 30, sent: sent(false).await, ..Cost::default() };
    for end in ENDS {
        assert_eq!(cost.bill(end), Bill::default(), "{end:?}");
        assert_eq!(Cost { sent: None, ..cost.clone() }.bill(end), Bill::default(), "{end:?}");
    }
}

#[tokio::test]
async fn a_request_that_an_upstream_had_costs_its_prompt_where_it_was_given_up() {
    let cost = Cost { prompt: Some(40), characters: 30, sent: sent(true).await, ..Cost::default() };
    for end in ENDS {
        let given_up = matches!(
            end,
            StreamEnd::ClientGone
                | StreamEnd::FirstByteTimeout
                | StreamEnd::IdleTimeout
                | StreamEnd::TotalTimeout
                | StreamEnd::Drained
                | StreamEnd::Suspended
                | StreamEnd::LimitReached
        );
        let usage = Usage { input: Some(40), characters: Some(30), ..Usage::default() };
        let expected = Bill { usage, estimates_input: true, estimates_output: false };
        assert_eq!(cost.bill(end), if given_up { expected } else { Bill::default() }, "{end:?}");
    }
}

#[tokio::test]
async fn an_answer_other_than_2xx_costs_nothing() {
    let seen = seen(&["message_start", "content_block_delta"]);
    let cost = Cost { answered: Answered::Badly, prompt: Some(40), characters: 30, sent: sent(true).await, seen };
    for end in ENDS {
        assert_eq!(cost.bill(end), Bill::default(), "{end:?}");
    }
}

#[tokio::test]
async fn a_prompt_that_nobody_read_is_weighed_as_it_goes_up_once_however_often_it_is_sent() {
    let cost = Cost { answered: Answered::Well, sent: sent(true).await, ..Cost::default() };
    assert_eq!(tokens(cost.bill(StreamEnd::Complete)), (Some(5), None, true, false));
    assert_eq!(cost.sent.unwrap().bytes(), 28);
}

#[test]
fn characters_are_billed_with_the_answer() {
    let cost = Cost { answered: Answered::Well, characters: 30, ..Cost::default() };
    let bill = cost.bill(StreamEnd::ClientGone);
    assert_eq!((bill.usage.characters, bill.is_estimated()), (Some(30), false));
}
