//! How steps reach the socket: cut into pieces without regard to events, or compressed.

use bytes::{BufMut, Bytes, BytesMut};

use super::behaviour::Writes;
use super::plan::{Step, Steps};

/// Puts the writing habits of the behaviour around the steps of an answer.
pub(super) fn dress(steps: impl Iterator<Item = Step> + Send + 'static, writes: Writes) -> Steps {
    match (writes.gzip, writes.split) {
        (false, None) => Box::new(steps),
        (false, Some(size)) => Box::new(Split::new(steps, size)),
        (true, None) => Box::new(Gzip::new(steps)),
        (true, Some(size)) => Box::new(Split::new(Gzip::new(steps), size)),
    }
}

/// Pieces of one size, each flushed; what is left over goes out before a pause or the end.
struct Split<I> {
    steps: I,
    size: usize,
    buffer: BytesMut,
    held: Option<Step>,
    flush: bool,
}

impl<I> Split<I> {
    fn new(steps: I, size: usize) -> Self {
        Self { steps, size, buffer: BytesMut::new(), held: None, flush: false }
    }

    fn piece(&mut self, size: usize) -> Step {
        self.flush = true;
        Step::Send(self.buffer.split_to(size).freeze())
    }
}

impl<I: Iterator<Item = Step>> Iterator for Split<I> {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        loop {
            if std::mem::take(&mut self.flush) {
                return Some(Step::Flush);
            }
            if self.buffer.len() >= self.size {
                return Some(self.piece(self.size));
            }
            if self.held.is_some() {
                let rest = self.buffer.len();
                return if rest == 0 { self.held.take() } else { Some(self.piece(rest)) };
            }
            match self.steps.next() {
                Some(Step::Send(bytes)) => self.buffer.extend_from_slice(&bytes),
                Some(other) => self.held = Some(other),
                None if self.buffer.is_empty() => return None,
                None => return Some(self.piece(self.buffer.len())),
            }
        }
    }
}

/// gzip (RFC 1952) of stored blocks: real enough for every decoder, and each event can be decoded at once.
struct Gzip<I> {
    steps: I,
    crc: u32,
    length: u32,
    begun: bool,
    over: bool,
}

impl<I> Gzip<I> {
    fn new(steps: I) -> Self {
        Self { steps, crc: !0, length: 0, begun: false, over: false }
    }

    fn block(&mut self, bytes: &[u8]) -> Bytes {
        let mut out = BytesMut::with_capacity(bytes.len() + 32);
        if !std::mem::replace(&mut self.begun, true) {
            out.put_slice(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
        }
        for piece in bytes.chunks(usize::from(u16::MAX)) {
            stored(&mut out, 0, piece);
        }
        for byte in bytes {
            self.crc = CRC[usize::from(self.crc.to_le_bytes()[0] ^ byte)] ^ (self.crc >> 8);
        }
        // The trailer's length is modulo 2^32 (RFC 1952, 2.3.1).
        self.length = self.length.wrapping_add(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        out.freeze()
    }

    fn trailer(&mut self) -> Bytes {
        let mut out = BytesMut::from(self.block(&[]).as_ref());
        stored(&mut out, 1, &[]);
        out.put_u32_le(!self.crc);
        out.put_u32_le(self.length);
        out.freeze()
    }
}

/// One stored block of deflate (RFC 1951, 3.2.4).
fn stored(out: &mut BytesMut, last: u8, piece: &[u8]) {
    let length = u16::try_from(piece.len()).unwrap_or(u16::MAX);
    out.put_u8(last);
    out.put_u16_le(length);
    out.put_u16_le(!length);
    out.put_slice(piece);
}

impl<I: Iterator<Item = Step>> Iterator for Gzip<I> {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        match self.steps.next() {
            Some(Step::Send(bytes)) => Some(Step::Send(self.block(&bytes))),
            None if !std::mem::replace(&mut self.over, true) => Some(Step::Send(self.trailer())),
            other => other,
        }
    }
}

/// CRC-32 as RFC 1952, section 8, makes it.
const CRC: [u32; 256] = {
    let mut table = [0; 256];
    let mut n: u32 = 0;
    while n < 256 {
        let (mut c, mut bit) = (n, 0);
        while bit < 8 {
            c = if c & 1 == 1 { 0xEDB8_8320 ^ (c >> 1) } else { c >> 1 };
            bit += 1;
        }
        table[n as usize] = c;
        n += 1;
    }
    table
};

#[cfg(test)]
mod tests;
