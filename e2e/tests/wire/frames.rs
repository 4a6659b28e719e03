//! Frames of HTTP/2 as bytes, for what no client library sends.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::raw::LIMIT;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Types of frames (RFC 9113, section 6).
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const GOAWAY: u8 = 7;

/// Flags.
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// A frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
    let head = [&length[1..], &[kind, flags][..], &stream.to_be_bytes()].concat();
    [head.as_slice(), payload].concat()
}

/// Headers as HPACK has them without any compression (RFC 7541, section 6.2.2).
pub(crate) fn block(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in headers {
        block.push(0);
        for text in [name, value] {
            assert!(text.len() < 127, "its length would take more than a byte");
            block.push(u8::try_from(text.len()).expect("short"));
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// A frame that came: type, stream and payload.
#[derive(Debug)]
pub(crate) struct Came {
    pub(crate) kind: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Came {
    /// The first line of an answer, of HPACK's static table: 200, 400 and 404 among them. 0 for others, which are literal.
    pub(crate) fn status(&self) -> u16 {
        match self.payload.first() {
            Some(0x88) => 200,
            Some(0x8c) => 400,
            Some(0x8d) => 404,
            _ => 0,
        }
    }
}

/// A connection whose both sides have said hello.
pub(crate) struct Frames(TcpStream);

impl Frames {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        let mut frames = Self(TcpStream::connect(addr).await.expect("connects"));
        frames.write(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await;
        frames
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        timeout(LIMIT, self.0.write_all(bytes)).await.expect("in time").expect("sends");
    }

    /// The next frame that is not about the connection's own state; none at its end.
    pub(crate) async fn next(&mut self) -> Option<Came> {
        timeout(LIMIT, self.read()).await.expect("a frame or the end in time")
    }

    async fn read(&mut self) -> Option<Came> {
        loop {
            let mut head = [0; 9];
            self.0.read_exact(&mut head).await.ok()?;
            let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
            let mut payload = vec![0; length];
            self.0.read_exact(&mut payload).await.ok()?;
            let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
            if matches!(head[3], DATA | HEADERS | RST_STREAM | GOAWAY) {
                return Some(Came { kind: head[3], stream, payload });
            }
        }
    }
}
