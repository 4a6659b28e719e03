//! Reads WebSocket frames (RFC 6455, section 5) as their bytes go by. Keeps no payload.

/// Most bytes before a frame's payload (RFC 6455, section 5.2): two, eight of length, four of mask.
const LONGEST_HEADER: usize = 14;
/// Most bytes of a control frame's payload (RFC 6455, section 5.5).
const LONGEST_CONTROL: u64 = 125;

/// Who sends the frames: a client masks them, a server does not (RFC 6455, section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Server,
}

/// What a frame is (RFC 6455, section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    const fn of(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xA => Self::Pong,
            _ => return None,
        })
    }

    pub(super) const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// The other side broke RFC 6455; what follows can't be read as frames any more.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame breaks RFC 6455")]
pub(super) struct Broken;

/// A piece of the bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step<'a> {
    /// How many bytes it takes.
    pub(super) taken: usize,
    /// The frame that it belongs to; `None` while its header is not whole.
    pub(super) frame: Option<Frame>,
    /// Bytes of the frame's payload, masked as they came.
    pub(super) payload: &'a [u8],
    /// How many bytes of the payload came before these.
    pub(super) offset: u64,
    /// The frame ends here.
    pub(super) ends: bool,
}

/// The header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) opcode: Opcode,
    /// The last of its message; always so for control frames.
    pub(super) fin: bool,
    mask: Option<[u8; 4]>,
    pub(super) length: u64,
}

impl Frame {
    /// The payload without its mask (RFC 6455, section 5.3); `offset` as in [`Step`].
    pub(super) fn unmasked(&self, payload: &[u8], offset: u64) -> Vec<u8> {
        let Some(mask) = self.mask else { return payload.to_vec() };
        // A remainder of four fits.
        let first = usize::try_from(offset % 4).unwrap_or_default();
        payload.iter().zip(mask.iter().cycle().skip(first)).map(|(byte, mask)| byte ^ mask).collect()
    }
}

/// Reads the frames of one side.
#[derive(Debug)]
pub(super) struct Frames {
    side: Side,
    header: [u8; LONGEST_HEADER],
    have: usize,
    current: Option<(Frame, u64)>,
    /// A message in several frames that is not over.
    is_in_message: bool,
}

impl Frames {
    pub(super) const fn of(side: Side) -> Self {
        Self { side, header: [0; LONGEST_HEADER], have: 0, current: None, is_in_message: false }
    }

    /// Whether no frame has begun that is not over.
    pub(super) const fn is_between_frames(&self) -> bool {
        self.have == 0 && self.current.is_none()
    }

    /// Whether no message has begun that is not over: another one may be put here.
    pub(super) const fn is_between_messages(&self) -> bool {
        self.is_between_frames() && !self.is_in_message
    }

    /// Takes the next piece of `bytes`, which are not empty: of a header or of a payload, never beyond its frame.
    pub(super) fn step<'a>(&mut self, bytes: &'a [u8]) -> Result<Step<'a>, Broken> {
        let Some((frame, offset)) = self.current else {
            let (taken, frame) = self.read_header(bytes)?;
            let ends = frame.is_some_and(|frame| frame.length == 0);
            self.current = frame.filter(|_| !ends).map(|frame| (frame, 0));
            return Ok(Step { taken, frame, payload: &[], offset: 0, ends });
        };
        let left = frame.length - offset;
        let taken = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
        let ends = taken as u64 == left;
        self.current = (!ends).then_some((frame, offset + taken as u64));
        Ok(Step { taken, frame: Some(frame), payload: &bytes[..taken], offset, ends })
    }

    fn read_header(&mut self, bytes: &[u8]) -> Result<(usize, Option<Frame>), Broken> {
        let mut taken = 0;
        loop {
            let needs = match self.header[..self.have] {
                [] | [_] => 2,
                [_, second, ..] => {
                    let length = match second & 0x7F {
                        126 => 2,
                        127 => 8,
                        _ => 0,
                    };
                    2 + length + if second & 0x80 == 0 { 0 } else { 4 }
                }
            };
            if self.have == needs {
                self.have = 0;
                return Ok((taken, Some(self.parse()?)));
            }
            let Some(byte) = bytes.get(taken) else { return Ok((taken, None)) };
            self.header[self.have] = *byte;
            self.have += 1;
            taken += 1;
        }
    }

    fn parse(&mut self) -> Result<Frame, Broken> {
        let [first, second, rest @ ..] = &self.header;
        let (length, rest) = match second & 0x7F {
            126 => (u64::from(u16::from_be_bytes([rest[0], rest[1]])), &rest[2..]),
            127 => {
                let eight = [rest[0], rest[1], rest[2], rest[3], rest[4], rest[5], rest[6], rest[7]];
                (u64::from_be_bytes(eight), &rest[8..])
            }
            short => (u64::from(short), &rest[..]),
        };
        let mask = (second & 0x80 != 0).then(|| [rest[0], rest[1], rest[2], rest[3]]);
        let opcode = Opcode::of(first & 0x0F).ok_or(Broken)?;
        let frame = Frame { opcode, fin: first & 0x80 != 0, mask, length };
        // No extension was agreed on that could give the reserved bits a meaning.
        let has_reserved = first & 0x70 != 0;
        let is_shortest = match second & 0x7F {
            126 => length > 125,
            127 => u16::try_from(length).is_err() && i64::try_from(length).is_ok(),
            _ => true,
        };
        let is_masked_right = mask.is_some() == (self.side == Side::Client);
        if has_reserved || !is_shortest || !is_masked_right || !self.fits(frame) {
            return Err(Broken);
        }
        if !opcode.is_control() {
            self.is_in_message = !frame.fin;
        }
        Ok(frame)
    }

    /// RFC 6455, section 5.4: messages do not mix; section 5.5: control frames are short and whole.
    const fn fits(&self, frame: Frame) -> bool {
        match frame.opcode {
            Opcode::Close | Opcode::Ping | Opcode::Pong => frame.fin && frame.length <= LONGEST_CONTROL,
            Opcode::Continuation => self.is_in_message,
            Opcode::Text | Opcode::Binary => !self.is_in_message,
        }
    }
}

/// A whole frame of a server, without mask. `payload` is not longer than a `u16` tells: the relay's own messages are short.
pub(super) fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let bits = match opcode {
        Opcode::Continuation => 0x0,
        Opcode::Text => 0x1,
        Opcode::Binary => 0x2,
        Opcode::Close => 0x8,
        Opcode::Ping => 0x9,
        Opcode::Pong => 0xA,
    };
    let payload = &payload[..payload.len().min(usize::from(u16::MAX))];
    let mut bytes = vec![0x80 | bits];
    if let Ok(length @ ..=125) = u8::try_from(payload.len()) {
        bytes.push(length);
    } else {
        bytes.push(126);
        bytes.extend_from_slice(&u16::try_from(payload.len()).unwrap_or(u16::MAX).to_be_bytes());
    }
    bytes.extend_from_slice(payload);
    bytes
}

/// A Close frame of a server (RFC 6455, section 5.5.1); `text` is cut to what a control frame holds.
pub(super) fn close_frame(code: u16, text: &str) -> Vec<u8> {
    let mut payload = code.to_be_bytes().to_vec();
    payload.extend_from_slice(&text.as_bytes()[..text.len().min(123)]);
    frame(Opcode::Close, &payload)
}
