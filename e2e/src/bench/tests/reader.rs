use crate::bench::content::{self, END, JSON, Plan};
use crate::bench::reader::{Reader, Wrong};
use std::time::Duration;

const PLAN: Plan = Plan::Stream { events: 3, gap: Duration::ZERO };

fn chunked(chunks: &[&[u8]]) -> Vec<u8> {
    let mut out = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for chunk in chunks {
        out.extend_from_slice(format!("{:X}\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}

fn event(sent: u64) -> Vec<u8> {
    let mut event = Vec::new();
    content::push_event(&mut event, sent);
    event
}

/// Pushes the bytes in pieces of `size`; when the events were sent, and whether the answer was whole.
fn read(bytes: &[u8], plan: Plan, size: usize) -> Result<(Vec<u64>, bool), Wrong> {
    let mut reader = Reader::new(plan);
    let mut sent = Vec::new();
    for piece in bytes.chunks(size) {
        reader.push(piece, |at| sent.push(at))?;
    }
    Ok((sent, reader.is_whole()))
}

#[test]
fn an_event_has_the_length_that_the_scenarios_name() {
    assert_eq!(event(u64::MAX).len(), content::EVENT);
    assert_eq!(content::sent_ns(&event(17)), Some(17));
}

#[test]
fn takes_a_stream_however_it_is_cut() {
    let events = [event(1), event(2), event(3)].concat();
    let (head, tail) = events.split_at(400);
    let answer = chunked(&[head, tail, END]);
    for size in 1..answer.len() {
        assert_eq!(read(&answer, PLAN, size), Ok((vec![1, 2, 3], true)), "pieces of {size}");
    }
}

#[test]
fn takes_a_plain_answer_however_it_is_cut() {
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{JSON}", JSON.len());
    for size in 1..answer.len() {
        assert_eq!(read(answer.as_bytes(), Plan::Json, size), Ok((vec![], true)), "pieces of {size}");
    }
}

#[test]
fn a_stream_that_lacks_an_event_or_its_end_is_not_whole() {
    let events = [event(1), event(2), event(3)].concat();
    assert_eq!(read(&chunked(&[&events]), PLAN, 4096), Ok((vec![1, 2, 3], false)));
    assert_eq!(read(&chunked(&[&events[..2 * content::EVENT]]), PLAN, 4096), Ok((vec![1, 2], false)));
    let broken = chunked(&[&events, END]);
    assert_eq!(read(&broken[..broken.len() - 2], PLAN, 4096), Ok((vec![1, 2, 3], false)));
}

#[test]
fn one_changed_byte_is_found_wherever_it_is() {
    let events = [event(1), event(2), event(3)].concat();
    let stream = [events.as_slice(), END].concat();
    for at in 0..stream.len() {
        let mut changed = stream.clone();
        changed[at] ^= 0x80;
        assert_eq!(read(&chunked(&[&changed]), PLAN, 4096), Err(Wrong::Bytes), "byte {at}");
    }
}

#[test]
fn an_event_too_many_is_found() {
    let stream = [event(1), event(2), event(3), event(4), END.to_vec()].concat();
    assert_eq!(read(&chunked(&[&stream]), PLAN, 4096), Err(Wrong::Bytes));
}

#[test]
fn other_statuses_and_framings_are_errors() {
    assert_eq!(
        read(b"HTTP/1.1 502 Bad Gateway\r\n\r\n", PLAN, 64),
        Err(Wrong::Status("HTTP/1.1 502 Bad Gateway".into()))
    );
    assert_eq!(read(b"HTTP/1.1 200 OK\r\n\r\n", PLAN, 64), Err(Wrong::Framing));
    let behind = [chunked(&[&event(1)]), b"x".to_vec()].concat();
    assert_eq!(read(&behind, PLAN, 4096), Err(Wrong::Trailing));
}

#[test]
fn a_plan_survives_the_way_through_a_target() {
    for plan in [Plan::Json, Plan::Silent, Plan::Stream { events: 7, gap: Duration::from_millis(20) }] {
        assert_eq!(Plan::of_target(&plan.target()), Some(plan));
    }
    assert_eq!("stream.x.1".parse::<Plan>().ok(), None);
    assert_eq!("plain".parse::<Plan>().ok(), None);
}
