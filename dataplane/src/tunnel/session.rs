//! Looks on at a session: what passed, and where the client can be told that it failed.

use super::frames::{Frames, Side};
use super::lookout::{Ended, Lookout};
use crate::format::openai_realtime::{self, Event};
use crate::format::{Seen, Usage, Weight};

/// Where bytes of the server end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Between two messages: any frame may follow.
    Messages,
    /// Between two frames of a message: a Close frame may follow.
    Frames,
    /// Inside a frame, or nobody knows where: nothing may follow.
    Inside,
}

/// A Close frame that passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Close {
    pub(super) by: Side,
    /// `None`: it gave no reason.
    pub(super) code: Option<u16>,
}

impl Close {
    /// Whether it is the usual end: all is done, or the page or the program is left (RFC 6455, section 7.4.1).
    pub(super) const fn is_normal(self) -> bool {
        matches!(self.code, None | Some(1000 | 1001))
    }
}

/// What passed so far.
#[derive(Debug)]
pub(super) struct Session {
    client: Lookout,
    server: Lookout,
    /// Whole messages of the client.
    pub(super) messages_in: u64,
    /// Whole messages of the server.
    pub(super) messages_out: u64,
    /// The first Close frame.
    pub(super) close: Option<Close>,
    /// The server's Close frame passed: nothing may follow it.
    pub(super) closed_by_server: bool,
    /// Responses that began and are not over.
    pub(super) open_responses: u32,
    /// The tokens of all responses that are over.
    pub(super) usage: Usage,
    /// Text of the answers that are not over.
    uncounted: Weight,
    /// Text of those that are over and whose end told no count of it.
    untold: Weight,
    /// The provider said that it failed.
    pub(super) failed: bool,
    /// That was the last message.
    pub(super) ends_in_failure: bool,
}

impl Session {
    pub(super) const fn new() -> Self {
        Self {
            client: Lookout::at(Side::Client),
            server: Lookout::at(Side::Server),
            messages_in: 0,
            messages_out: 0,
            close: None,
            closed_by_server: false,
            open_responses: 0,
            usage: Usage {
                input: None,
                output: None,
                cached: None,
                cache_written: None,
                reasoning: None,
                characters: None,
            },
            uncounted: Weight::NONE,
            untold: Weight::NONE,
            failed: false,
            ends_in_failure: false,
        }
    }

    /// What its answers cost so far.
    pub(super) fn seen(&self) -> Seen {
        Seen { usage: self.usage, uncounted: self.uncounted + self.untold, content: true, ..Seen::default() }
    }

    /// Bytes of the client pass.
    pub(super) fn client_sends(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let Some(passed) = self.client.step(bytes) else { return };
            bytes = bytes.get(passed.taken..).unwrap_or_default();
            match passed.ended {
                Some(Ended::Message) => self.messages_in += 1,
                Some(Ended::Close(code)) => self.closes(Side::Client, code),
                Some(Ended::Fragment | Ended::Control) | None => {}
            }
        }
    }

    /// Bytes of the server come; `place` is where those before them end that the client may have. Up to where it may have these, and which place
    /// that is: the tail of a message waits for its end, so that there is one where the client can be told that the session failed.
    pub(super) fn server_sends(&mut self, bytes: &[u8], mut place: Place) -> Option<(usize, Place)> {
        let (mut at, mut reached) = (0, None);
        while at < bytes.len() {
            let Some(passed) = self.server.step(&bytes[at..]) else { return Some((bytes.len(), Place::Inside)) };
            at += passed.taken;
            match passed.ended {
                Some(Ended::Message) => self.server_says(),
                Some(Ended::Close(code)) => {
                    self.closed_by_server = true;
                    self.closes(Side::Server, code);
                }
                // A message of which the client has a part can as well go on.
                Some(Ended::Fragment) if place == Place::Messages => continue,
                Some(Ended::Fragment | Ended::Control) => {}
                None => continue,
            }
            place = self.server_place();
            reached = Some((at, place));
        }
        reached
    }

    /// Where all that the server sent ends.
    pub(super) fn server_place(&self) -> Place {
        match self.server.frames() {
            Some(frames) if frames.is_between_messages() => Place::Messages,
            Some(frames) if Frames::is_between_frames(frames) => Place::Frames,
            _ => Place::Inside,
        }
    }

    fn closes(&mut self, by: Side, code: Option<u16>) {
        self.close.get_or_insert(Close { by, code });
    }

    fn server_says(&mut self) {
        self.messages_out += 1;
        self.ends_in_failure = false;
        let Some(text) = self.server.text() else { return };
        match openai_realtime::event(text) {
            None => self.uncounted += openai_realtime::text_of(text),
            Some(Event::ResponseBegun) => self.open_responses += 1,
            Some(Event::ResponseDone(usage)) => {
                self.open_responses = self.open_responses.saturating_sub(1);
                self.usage.add(usage);
                if self.open_responses == 0 {
                    let text = std::mem::take(&mut self.uncounted);
                    // Of several at once, the last one speaks for all: whose text it is, is not looked at.
                    self.untold += if usage.output.is_none() { text } else { Weight::NONE };
                }
            }
            Some(Event::Failed { by_client }) => {
                self.failed |= !by_client;
                self.ends_in_failure = true;
            }
        }
    }
}
