use std::time::Duration;

use super::{Behaviour, Fault, LineEnd, NameError, RetryAfter, Stall, TABLE, table_text};

fn parse(name: &str) -> Behaviour {
    Behaviour::parse(name).expect("a known name")
}

#[test]
fn any_name_without_the_prefix_is_a_good_answer() {
    for name in ["gpt-4o", "claude-sonnet-4-5", "tts-1", "", "fake", "fakecut"] {
        assert_eq!(parse(name), Behaviour::default(), "{name}");
    }
    assert_eq!(parse("fake-ok"), Behaviour::default());
}

#[test]
fn words_combine_with_their_values() {
    let read = parse("fake-tokens-200-gap-50ms-crlf-cut-at-3-stall-inside-2m-split-64k");
    assert_eq!((read.tokens, read.gap, read.at), (Some(200), Some(Duration::from_millis(50)), Some(3)));
    assert_eq!((read.text.line_end, read.fault), (Some(LineEnd::Crlf), Some(Fault::Cut)));
    assert_eq!(read.stall, Some(Stall { wait: Duration::from_mins(2), inside: true }));
    assert_eq!(read.writes.split, Some(65_536));
}

#[test]
fn the_longest_word_wins() {
    assert_eq!(parse("fake-cut-after-done").fault, Some(Fault::CutAfterDone));
    assert_eq!(parse("fake-429-after-none").failure.retry_after, RetryAfter::Never);
    assert_eq!(parse("fake-429-after-5s").failure.retry_after, RetryAfter::Wait(Duration::from_secs(5)));
}

#[test]
fn values_that_may_be_left_out_have_the_default_of_the_table() {
    assert_eq!(parse("fake-slow-first").slow_first, Duration::from_secs(5));
    assert_eq!(parse("fake-big-event").text.big_event, Some(2 << 20));
    assert_eq!(parse("fake-big-event-cut").fault, Some(Fault::Cut));
    let html = parse("fake-html").failure;
    assert!(html.html);
    assert_eq!(html.status, Some(502));
    assert_eq!(parse("fake-html-503").failure.status, Some(503));
    assert_eq!(parse("fake-error-flat").fault, Some(Fault::ErrorMidway));
    assert_eq!(parse("fake-error-first-error-flat").fault, Some(Fault::ErrorFirst));
}

#[test]
fn a_slip_in_a_fake_name_is_refused() {
    let refused = Behaviour::parse("fake-truncatd").expect_err("unknown word");
    assert_eq!(refused, NameError::UnknownWord { word: "truncatd".into(), model: "fake-truncatd".into() });
    for name in
        ["fake-", "fake-tokens", "fake-tokens-x", "fake-tokens-1000001", "fake-gap-5", "fake-600", "fake-bytes-65m"]
    {
        assert!(Behaviour::parse(name).is_err(), "{name}");
    }
}

#[test]
fn every_row_parses_and_stands_in_the_help() {
    let help = table_text();
    for row in TABLE {
        let value = match row.value.sign() {
            "-N" | "-SIZE" => "-7",
            "-TIME" => "-7ms",
            _ => "",
        };
        let name = format!("fake-{}{value}", row.word);
        assert!(Behaviour::parse(&name).is_ok(), "{name}");
        assert!(help.contains(row.word));
    }
}
