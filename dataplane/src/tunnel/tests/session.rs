use super::{CONTINUATION, CREATED, FIN, TEXT, done, masked, payload_of, raw, text};
use crate::format::Usage;
use crate::reason::{Reason, StreamEnd};
use crate::tunnel::ending::Over;
use crate::tunnel::frames::{Opcode, Side};
use crate::tunnel::lookout::LONGEST_MESSAGE;
use crate::tunnel::session::{Close, Place, Session};

fn close(code: u16) -> Vec<u8> {
    raw(FIN | 0x8, &code.to_be_bytes())
}

fn heard(pieces: &[Vec<u8>]) -> Session {
    let mut session = Session::new();
    for piece in pieces {
        session.server_sends(piece, Place::Messages);
    }
    session
}

#[test]
fn tokens_of_responses_are_summed() {
    let mut session =
        heard(&[text(CREATED), done(3, 4), text(CREATED), done(10, 20), text(r#"{"type":"response.done"}"#)]);
    assert_eq!(session.usage, Usage { input: Some(13), output: Some(24), ..Usage::default() });
    assert_eq!((session.open_responses, session.messages_out), (0, 5));
    session.server_sends(&text(CREATED), Place::Messages);
    assert_eq!(session.open_responses, 1);
}

#[test]
fn a_message_in_pieces_is_read_and_one_that_is_too_long_is_not() {
    let event = done(1, 2);
    let payload = &event[2..];
    let pieces = [raw(TEXT, &payload[..20]), raw(FIN | 0x9, b"response.done"), raw(FIN, &payload[20..])].concat();
    for size in [1, 7, 1000] {
        let mut session = Session::new();
        for piece in pieces.chunks(size) {
            session.server_sends(piece, Place::Messages);
        }
        assert_eq!(session.usage.output, Some(2));
    }
    let padded = |length: usize| {
        let event = r#"{"type":"response.done","response":{"usage":{"output_tokens":9}}}"#;
        raw(FIN | TEXT, (event.to_owned() + &" ".repeat(length - event.len())).as_bytes())
    };
    assert!(heard(&[padded(LONGEST_MESSAGE)]).usage.output.is_some());
    let long = heard(&[padded(LONGEST_MESSAGE + 1), done(1, 1)]);
    assert_eq!((long.usage.output, long.messages_out), (Some(1), 2));
}

#[test]
fn binary_messages_and_text_about_events_tell_nothing() {
    let binary = raw(FIN | 0x2, CREATED.as_bytes());
    let quoting = text(r#"{"type":"conversation.item.created","item":{"text":"\"response.created\" \"error\""}}"#);
    let nested = text(r#"{"type":"x","response":{"type":"response.created"},"a":"response.created"}"#);
    let broken = text(r#"{"type":"response.created""#);
    let session = heard(&[binary, quoting, nested, broken]);
    assert_eq!((session.open_responses, session.failed, session.messages_out), (0, false, 4));
}

#[test]
fn the_tail_of_a_message_waits_and_a_ping_lets_it_go() {
    let mut session = Session::new();
    let (whole, half) = (text("ab"), &text("cdef")[..4]);
    assert_eq!(session.server_sends(&[&whole, half].concat(), Place::Messages), Some((4, Place::Messages)));
    assert_eq!(session.server_sends(b"ef", Place::Messages), Some((2, Place::Messages)));
    assert_eq!(session.server_sends(&raw(TEXT, b"a"), Place::Messages), None);
    assert_eq!(session.server_sends(&raw(CONTINUATION, b"b"), Place::Messages), None);
    assert_eq!(session.server_sends(&raw(FIN | 0x9, b""), Place::Messages), Some((2, Place::Frames)));
    // The client has a part of it anyway.
    assert_eq!(session.server_sends(&raw(CONTINUATION, b"c"), Place::Frames), Some((3, Place::Frames)));
    assert_eq!(session.server_sends(&raw(FIN, b"d"), Place::Frames), Some((3, Place::Messages)));
    // From the first broken frame on everything passes.
    assert_eq!(session.server_sends(&[&whole[..], b"\xf3\x00"].concat(), Place::Messages), Some((6, Place::Inside)));
    assert_eq!(session.server_sends(b"x", Place::Inside), Some((1, Place::Inside)));
}

#[test]
fn the_first_close_counts_and_its_code_is_read_through_the_mask() {
    for (payload, code) in [(&b""[..], None), (b"\x03\xe8bye", Some(1000)), (b"\x0f\xa0", Some(4000))] {
        for size in [1, 3, 100] {
            let mut session = Session::new();
            for piece in masked(FIN | 0x8, payload).chunks(size) {
                session.client_sends(piece);
            }
            session.server_sends(&close(1011), Place::Messages);
            assert_eq!(session.close, Some(Close { by: Side::Client, code }));
            assert!(session.closed_by_server);
        }
    }
}

#[test]
fn every_end_is_decided_by_one_table() {
    let (complete, gone, failed) = (StreamEnd::Complete, StreamEnd::ClientGone, StreamEnd::UpstreamError);
    let open = || vec![text(CREATED)];
    let error = |kind: &str| text(&format!(r#"{{"type":"error","error":{{"type":"{kind}"}}}}"#));
    for (over, server, client, verdict) in [
        (Over::UpstreamEnd, vec![close(1000)], None, (complete, None)),
        (Over::UpstreamEnd, vec![close(1001)], None, (complete, None)),
        (Over::Lingering, vec![raw(FIN | 0x8, b"")], None, (complete, None)),
        (Over::ClientGone, vec![], Some(1000), (complete, None)),
        (Over::ClientGone, open(), Some(1000), (gone, None)),
        (Over::ClientGone, vec![], Some(1002), (gone, None)),
        (Over::ClientGone, vec![], None, (gone, None)),
        (Over::ClientStalled, vec![], None, (gone, Some(Reason::ClientStalled))),
        (Over::UpstreamEnd, [open(), vec![close(1000)]].concat(), None, (failed, Some(Reason::UpstreamProtocol))),
        (Over::UpstreamEnd, vec![close(1011)], None, (failed, Some(Reason::UpstreamError))),
        (Over::UpstreamEnd, vec![], None, (failed, Some(Reason::UpstreamProtocol))),
        (Over::UpstreamReset, vec![], None, (failed, Some(Reason::UpstreamReset))),
        (Over::UpstreamReset, vec![error("server_error")], None, (failed, Some(Reason::UpstreamError))),
        (Over::ClientGone, vec![error("server_error")], Some(1000), (complete, Some(Reason::UpstreamError))),
        (Over::ClientGone, vec![error("invalid_request_error")], Some(1000), (complete, None)),
        (Over::Idle, open(), None, (StreamEnd::IdleTimeout, Some(Reason::IdleTimeout))),
        (Over::Total, vec![], None, (StreamEnd::TotalTimeout, Some(Reason::TotalTimeout))),
        (Over::Drained, vec![], None, (StreamEnd::Drained, Some(Reason::Draining))),
    ] {
        let mut session = heard(&server);
        if let Some(code) = client {
            session.client_sends(&masked(FIN | 0x8, &u16::to_be_bytes(code)));
        }
        assert_eq!(over.verdict(&session), verdict, "{over:?} {session:?}");
    }
}

#[test]
fn text_of_an_answer_weighs_until_its_end_counts_it() {
    let delta = |kind: &str| text(&format!(r#"{{"type":"response.{kind}.delta","delta":"eight by"}}"#));
    let begun = text(r#"{"type":"response.created","response":{}}"#);
    let done = text(r#"{"type":"response.done","response":{"usage":{"input_tokens":3,"output_tokens":9}}}"#);
    let texts = ["output_text", "output_audio_transcript", "function_call_arguments"].map(delta);
    let open = heard(&[vec![begun.clone()], texts.to_vec(), vec![delta("output_audio")]].concat()).seen();
    assert_eq!((open.uncounted.tokens(), open.usage.output), (6, None));
    let over = heard(&[begun, texts[0].clone(), done, texts[1].clone()]).seen();
    assert_eq!((over.uncounted.tokens(), over.usage.output), (2, Some(9)));
}

/// Providers count it apart, by another model.
#[test]
fn what_the_client_was_heard_to_say_is_no_text_of_an_answer() {
    const KIND: &str = "conversation.item.input_audio_transcription.delta";
    let heard_words = text(&format!(r#"{{"type":"{KIND}","item_id":"a","delta":"eight by"}}"#));
    assert!(heard(&[text(CREATED), heard_words]).seen().uncounted.is_none());
    let quoting = format!(r#"{{"type":"response.output_text.delta","delta":"a \"{KIND}\""}}"#);
    assert!(!heard(&[text(CREATED), text(&quoting)]).seen().uncounted.is_none());
}

#[test]
fn text_of_an_answer_that_nobody_counts_weighs_on() {
    let delta = text(r#"{"type":"response.output_text.delta","delta":"eight by"}"#);
    let untold = [r#"{"type":"response.done"}"#, r#"{"type":"response.done","response":{"usage":null}}"#];
    let [first, second] = untold.map(|end| [text(CREATED), delta.clone(), text(end)]);
    let told = vec![text(CREATED), delta.clone(), done(3, 9)];
    let seen = heard(&[&first[..], &told, &second, &[text(CREATED), delta]].concat()).seen();
    assert_eq!((seen.uncounted.tokens(), seen.usage.output), (6, Some(9)));
}

#[test]
fn the_client_is_told_where_there_is_a_place() {
    let session = heard(&[]);
    let words = Over::UpstreamReset.farewell(&session, Place::Messages, "id", None);
    let (event, end) = words.split_at(words.len() - 2 - 2 - "upstream_reset".len());
    let event: serde_json::Value = serde_json::from_slice(&payload_of(event, Opcode::Text)).unwrap();
    assert_eq!((&event["type"], &event["event_id"]), (&"error".into(), &"id".into()));
    assert_eq!(event["error"]["code"], "upstream_reset");
    assert_eq!(payload_of(end, Opcode::Close), b"\x03\xf3upstream_reset");
    let close =
        |over: Over, session: &Session| payload_of(&over.farewell(session, Place::Frames, "id", None), Opcode::Close);
    assert_eq!(close(Over::Drained, &session), b"\x03\xf4draining");
    assert_eq!(close(Over::Suspended, &session), b"\x03\xf0tenant_suspended");
    assert_eq!(close(Over::Limit, &session), b"\x03\xf0budget_spent");
    let words = Over::Limit.farewell(&session, Place::Messages, "id", Some("budget daily is spent"));
    assert!(String::from_utf8_lossy(&words).contains("budget daily is spent"));
    assert_eq!(Over::Idle.farewell(&session, Place::Inside, "id", None), b"");

    let mut closing = heard(&[]);
    closing.client_sends(&masked(FIN | 0x8, b"\x03\xe9"));
    assert_eq!(close(Over::UpstreamEnd, &closing), b"\x03\xe9");
    let closed = heard(&[super::raw(FIN | 0x8, b"\x03\xe8")]);
    assert_eq!(Over::UpstreamEnd.farewell(&closed, Place::Messages, "id", None), b"");
    let failed = heard(&[text(r#"{"type":"error","error":{}}"#)]);
    let words = Over::UpstreamEnd.farewell(&failed, Place::Messages, "id", None);
    assert_eq!(payload_of(&words, Opcode::Close), b"\x03\xf3upstream_error");
}
