//! Follows an answer as it goes by.

use super::Format;
use super::rules::{Failure, Reading, Rules, Seen};
use super::units::{Unit, Units};
use crate::reason::Reason;
use bytes::Bytes;

/// Reads the units of one answer. It changes and delays nothing, and nothing that it reads is an error of its own: what it can't read tells nothing.
/// Keeps at most 1 MiB of a unit that came in pieces.
#[derive(Debug)]
pub struct Observer {
    rules: &'static Rules,
    units: Units,
    reading: Reading,
    /// The answer is one JSON text, of which so many bytes came.
    body: Option<u64>,
}

impl Observer {
    /// For an answer that [`Format::framing`] cuts into events or lines; of bytes it sees only that there are some.
    pub fn new(format: Format) -> Self {
        let rules = format.rules();
        Self { rules, units: Units::new(rules.framing), reading: Reading::default(), body: None }
    }

    /// For an answer that is one JSON text, as it comes where no stream was asked for: tells usage, and whether it is an error, at its
    /// [`end`](Self::end). Of a text of more than 1 MiB it tells nothing but what its bytes may weigh.
    pub fn of_json(format: Format) -> Self {
        Self { body: Some(0), ..Self::new(format) }
    }

    /// A piece goes by. `whole`: it ends where a unit ends, so that nothing has to be kept.
    pub fn push(&mut self, bytes: &[u8], whole: bool) {
        if let Some(length) = &mut self.body {
            *length += bytes.len() as u64;
            self.units.hold(bytes);
            return;
        }
        let Self { rules, units, reading, .. } = self;
        units.push(bytes, whole, &mut |unit: &Unit<'_>| read_unit(rules, reading, unit));
    }

    /// The answer is over. `tail`: what came of its unfinished unit and was not pushed. Clients discard an event that lacks its empty line; but
    /// some ends count without it, and a line needs no line end.
    pub fn end(&mut self, tail: &[u8]) {
        let rest = self.units.take_rest(tail);
        match (rest, self.body) {
            (Some(rest), None) => read_unfinished(self.rules, &mut self.reading, &rest),
            (None, None) => {}
            (Some(rest), Some(_)) => {
                let text = rest.trim_ascii();
                self.reading.seen.uncounted = self.rules.tokens.of_body(text);
                (self.rules.read_body)(&mut self.reading, text);
            }
            (None, Some(length)) => self.reading.seen.uncounted = self.rules.tokens.of_unread(length),
        }
    }

    /// What it saw up to here.
    pub const fn seen(&self) -> &Seen {
        &self.reading.seen
    }

    /// Whether the stream, if it ends here, is all that the provider had to say. `is_clean`: its framing ended as it should.
    pub const fn is_whole(&self, is_clean: bool) -> bool {
        let seen = &self.reading.seen;
        seen.terminal || (is_clean && (seen.finished || !self.rules.has_terminal))
    }

    /// As [`Format::failure_event`], and numbered where the format numbers its events.
    pub fn failure_event(&self, reason: Reason, message: &str, request_id: &str) -> Option<Bytes> {
        let sequence = self.reading.sequence.map(|last| last.saturating_add(1));
        self.rules.failure.map(|failure| failure(&Failure { reason, message, request_id, sequence }))
    }
}

/// Reads a unit without its end, where clients take it all the same.
pub(super) fn read_unfinished(rules: &Rules, reading: &mut Reading, rest: &[u8]) {
    let unit = Unit::unfinished(rules.framing, rest);
    if (rules.takes_unfinished)(&unit) {
        read_unit(rules, reading, &unit);
    }
}

/// The text first: a count in the same unit covers it.
fn read_unit(rules: &Rules, reading: &mut Reading, unit: &Unit<'_>) {
    reading.seen.uncounted += rules.tokens.of_unit(unit);
    (rules.read)(reading, unit);
}
