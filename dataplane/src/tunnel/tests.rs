mod frames;
mod handshake;
mod pump;
mod session;

use super::frames::Opcode;

const TEXT: u8 = 0x1;
const CONTINUATION: u8 = 0x0;
const FIN: u8 = 0x80;

/// A frame as a server sends it, with a header that is as short as can be.
fn raw(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..=125 => bytes.push(u8::try_from(length).unwrap()),
        length @ 126..=0xFFFF => {
            bytes.push(126);
            bytes.extend_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
        }
        length => {
            bytes.push(127);
            bytes.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(payload);
    bytes
}

/// A frame as a client sends it.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = raw(first, payload);
    let header = bytes.len() - payload.len();
    bytes[1] |= 0x80;
    let mask = [7, 1, 8, 2];
    for (at, byte) in bytes[header..].iter_mut().enumerate() {
        *byte ^= mask[at % 4];
    }
    bytes.splice(header..header, mask);
    bytes
}

fn text(payload: &str) -> Vec<u8> {
    raw(FIN | TEXT, payload.as_bytes())
}

fn done(input: u64, output: u64) -> Vec<u8> {
    text(&format!(
        r#"{{"type":"response.done","response":{{"usage":{{"input_tokens":{input},"output_tokens":{output}}}}}}}"#
    ))
}

const CREATED: &str = r#"{"type":"response.created","response":{}}"#;

/// A message of the relay's own, as a server's reader sees it.
fn payload_of(frame: &[u8], opcode: Opcode) -> Vec<u8> {
    let mut frames = super::frames::Frames::of(super::frames::Side::Server);
    let header = frames.step(frame).unwrap();
    assert_eq!(header.frame.unwrap().opcode, opcode);
    frame[header.taken..].to_vec()
}
