//! The eyes on one side of a session.

use super::frames::{Frame, Frames, Opcode, Side, Step};

/// How much of a message is kept to be read. A longer one passes unread.
pub(super) const LONGEST_MESSAGE: usize = 1 << 20;
/// Room that is kept from one message to the next.
const USUAL_MESSAGE: usize = 16 << 10;

/// What passed with some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Passed {
    /// How many bytes, at least one.
    pub(super) taken: usize,
    /// What ended with them.
    pub(super) ended: Option<Ended>,
}

/// What ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// A message.
    Message,
    /// A frame of a message that goes on.
    Fragment,
    /// A ping or a pong.
    Control,
    /// A Close frame with its code, if it has one.
    Close(Option<u16>),
}

/// Reads what one side sends.
#[derive(Debug)]
pub(super) struct Lookout {
    side: Side,
    /// `None` from the first frame on that breaks RFC 6455.
    frames: Option<Frames>,
    is_text: bool,
    is_overlong: bool,
    text: Vec<u8>,
    code: [u8; 2],
}

impl Lookout {
    pub(super) const fn at(side: Side) -> Self {
        let frames = Some(Frames::of(side));
        Self { side, frames, is_text: false, is_overlong: false, text: Vec::new(), code: [0; 2] }
    }

    /// Reads on in `bytes`, which are not empty. `None`: they can't be read as frames, nor what follows.
    pub(super) fn step(&mut self, bytes: &[u8]) -> Option<Passed> {
        let Ok(step) = self.frames.as_mut()?.step(bytes) else {
            tracing::debug!(side = ?self.side, "a frame breaks RFC 6455: what follows passes unread");
            self.frames = None;
            self.text = Vec::new();
            return None;
        };
        let taken = step.taken;
        let Some(frame) = step.frame else { return Some(Passed { taken, ended: None }) };
        self.keep(frame, &step);
        let ended = step.ends.then(|| self.ended(frame));
        Some(Passed { taken, ended })
    }

    /// The text of the message that just ended, if it is one and was kept: those of the server are.
    pub(super) fn text(&self) -> Option<&[u8]> {
        (self.is_text && !self.is_overlong).then_some(&self.text)
    }

    /// The frames, as long as they can be read.
    pub(super) const fn frames(&self) -> Option<&Frames> {
        self.frames.as_ref()
    }

    fn keep(&mut self, frame: Frame, step: &Step<'_>) {
        match frame.opcode {
            Opcode::Text | Opcode::Binary if step.payload.is_empty() => {
                self.is_text = frame.opcode == Opcode::Text && self.side == Side::Server;
                self.is_overlong = false;
                self.text.clear();
                self.text.shrink_to(USUAL_MESSAGE);
            }
            Opcode::Text | Opcode::Continuation if self.is_text && !self.is_overlong => {
                self.is_overlong = self.text.len() + step.payload.len() > LONGEST_MESSAGE;
                if self.is_overlong {
                    self.text = Vec::new();
                } else {
                    self.text.extend_from_slice(step.payload);
                }
            }
            Opcode::Close => {
                for (at, byte) in (step.offset..2).zip(frame.unmasked(step.payload, step.offset)) {
                    self.code[usize::from(at == 1)] = byte;
                }
            }
            _ => {}
        }
    }

    const fn ended(&self, frame: Frame) -> Ended {
        match frame.opcode {
            Opcode::Ping | Opcode::Pong => Ended::Control,
            Opcode::Close if frame.length >= 2 => Ended::Close(Some(u16::from_be_bytes(self.code))),
            Opcode::Close => Ended::Close(None),
            _ if frame.fin => Ended::Message,
            _ => Ended::Fragment,
        }
    }
}
