use super::{CONTINUATION, FIN, TEXT, masked, payload_of, raw};
use crate::tunnel::frames::{Broken, Frames, Opcode, Side, close_frame, frame};
use proptest::prelude::*;

/// The frames, with their payloads unmasked; read in pieces of these sizes.
fn read(side: Side, bytes: &[u8], sizes: &[usize]) -> Result<Vec<(Opcode, bool, Vec<u8>)>, Broken> {
    let mut frames = Frames::of(side);
    let (mut found, mut payload, mut at) = (Vec::new(), Vec::new(), 0);
    let mut sizes = sizes.iter().copied().cycle();
    while at < bytes.len() {
        let end = (at + sizes.next().unwrap_or(bytes.len()).max(1)).min(bytes.len());
        while at < end {
            let step = frames.step(&bytes[at..end])?;
            assert!(step.taken > 0);
            at += step.taken;
            let Some(frame) = step.frame else { continue };
            payload.extend(frame.unmasked(step.payload, step.offset));
            if step.ends {
                found.push((frame.opcode, frame.fin, std::mem::take(&mut payload)));
            }
        }
    }
    Ok(found)
}

#[test]
fn frames_of_every_length_are_read_however_they_are_split() {
    for length in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
        let payload = vec![7; length];
        for (side, bytes) in [(Side::Server, raw(FIN | TEXT, &payload)), (Side::Client, masked(FIN | TEXT, &payload))] {
            for sizes in [&[1][..], &[2, 3], &[100_000]] {
                let found = read(side, &bytes, sizes).unwrap();
                assert_eq!(found, [(Opcode::Text, true, payload.clone())], "{side:?} {length} {sizes:?}");
            }
        }
    }
}

#[test]
fn control_frames_stand_between_the_frames_of_a_message() {
    let bytes = [raw(TEXT, b"a"), raw(FIN | 0x9, b"ping"), raw(CONTINUATION, b""), raw(FIN | 0xA, b""), raw(FIN, b"b")]
        .concat();
    let found = read(Side::Server, &bytes, &[1]).unwrap();
    let kinds: Vec<_> = found.iter().map(|(opcode, fin, _)| (*opcode, *fin)).collect();
    assert_eq!(
        kinds,
        [
            (Opcode::Text, false),
            (Opcode::Ping, true),
            (Opcode::Continuation, false),
            (Opcode::Pong, true),
            (Opcode::Continuation, true)
        ]
    );
}

#[test]
fn what_breaks_the_rules_is_not_read() {
    let long = [0x81, 126, 0, 125];
    let longer = [0x81, 127, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF];
    let longest = [0x81, 127, 0x80, 0, 0, 0, 0, 0, 0, 0];
    for (name, bytes) in [
        ("a reserved bit", raw(FIN | 0x40 | TEXT, b"")),
        ("another", raw(FIN | 0x10 | TEXT, b"")),
        ("a reserved opcode", raw(FIN | 0x3, b"")),
        ("a reserved control opcode", raw(FIN | 0xB, b"")),
        ("a ping in pieces", raw(0x9, b"")),
        ("a long ping", raw(FIN | 0x9, &[0; 126])),
        ("a continuation of nothing", raw(FIN, b"")),
        ("a message in a message", [raw(TEXT, b"a"), raw(FIN | TEXT, b"b")].concat()),
        ("a mask of a server", masked(FIN | TEXT, b"a")),
        ("a length that is too long by two", long.to_vec()),
        ("a length that is too long by eight", longer.to_vec()),
        ("a length with its first bit set", longest.to_vec()),
    ] {
        assert_eq!(read(Side::Server, &bytes, &[1]), Err(Broken), "{name}");
    }
    assert_eq!(read(Side::Client, &raw(FIN | TEXT, b"a"), &[1]), Err(Broken), "a client without mask");
}

#[test]
fn the_places_between_frames_and_messages_are_known() {
    let mut frames = Frames::of(Side::Server);
    let mut places = Vec::new();
    let bytes = [raw(TEXT, b"a"), raw(FIN, b"b"), raw(FIN | TEXT, b"")].concat();
    for byte in &bytes {
        frames.step(&[*byte]).unwrap();
        places.push((frames.is_between_frames(), frames.is_between_messages()));
    }
    let (inside, between, over) = ((false, false), (true, false), (true, true));
    assert_eq!(places, [inside, inside, between, inside, inside, over, inside, over]);
}

#[test]
fn what_the_relay_writes_is_read() {
    for length in [0, 125, 126, 2000] {
        let payload = vec![b'x'; length];
        assert_eq!(payload_of(&frame(Opcode::Text, &payload), Opcode::Text), payload);
    }
    assert_eq!(payload_of(&close_frame(1011, "why"), Opcode::Close), b"\x03\xf3why");
    assert_eq!(payload_of(&close_frame(1000, &"x".repeat(500)), Opcode::Close).len(), 125);
}

proptest! {
    #[test]
    fn any_bytes_are_read_to_their_end_or_broken(bytes in prop::collection::vec(any::<u8>(), 0..200), sizes in prop::collection::vec(1..9_usize, 1..4)) {
        for side in [Side::Client, Side::Server] {
            prop_assert_eq!(read(side, &bytes, &sizes).is_ok(), read(side, &bytes, &[1]).is_ok());
        }
    }

    #[test]
    fn messages_come_out_as_they_went_in(messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..5), size in 1..400_usize) {
        let bytes: Vec<u8> = messages.iter().flat_map(|message| masked(FIN | TEXT, message)).collect();
        let found: Vec<_> = read(Side::Client, &bytes, &[size]).unwrap().into_iter().map(|(_, _, payload)| payload).collect();
        prop_assert_eq!(found, messages);
    }
}
