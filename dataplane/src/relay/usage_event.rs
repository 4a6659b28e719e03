//! Takes the one event out of a stream that came of asking for usage where the client had not asked for it.

use crate::format::asking::{is_usage_event, may_tell_usage};
use bytes::Bytes;

/// Takes it out, once, and leaves every other byte. Knows it only whole: a stream that is cut at the ends of events gives it whole, unless it is longer
/// than [`MAX_TAIL`](super::held::MAX_TAIL), which no count of tokens is.
#[derive(Debug, Default)]
pub(super) struct UsageEvent {
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// It may come.
    #[default]
    Awaited,
    /// It was taken out, and ended with CR: an LF may follow that belongs to it.
    AfterCr,
    /// It was taken out.
    Gone,
}

impl UsageEvent {
    /// What the client gets of whole events that go by; often they themselves, not copied.
    pub(super) fn pass(&mut self, events: Bytes) -> Bytes {
        match self.state {
            State::Awaited if may_tell_usage(&events) => self.without(events),
            State::AfterCr if !events.is_empty() => {
                self.state = State::Gone;
                if events.first() == Some(&b'\n') { events.slice(1..) } else { events }
            }
            State::Awaited | State::AfterCr | State::Gone => events,
        }
    }

    fn without(&mut self, events: Bytes) -> Bytes {
        let mut start = 0;
        while let Some(end) = event_end(&events, start) {
            if is_usage_event(&events[start..end]) {
                let is_last = end == events.len();
                self.state = if is_last && events.last() == Some(&b'\r') { State::AfterCr } else { State::Gone };
                let (before, after) = (events.slice(..start), events.slice(end..));
                return match (before.is_empty(), after.is_empty()) {
                    (_, true) => before,
                    (true, _) => after,
                    (false, false) => [before, after].concat().into(),
                };
            }
            start = end;
        }
        events
    }
}

/// Where the event ends that begins at `start`, its empty line included; `None`: there is no whole one. Source: WHATWG HTML, "Parsing an event stream".
fn event_end(text: &[u8], start: usize) -> Option<usize> {
    let mut line_is_empty = true;
    let mut at = start;
    loop {
        let end = at + memchr::memchr2(b'\n', b'\r', text.get(at..)?)?;
        line_is_empty &= end == at;
        let next = if text.get(end..end + 2) == Some(b"\r\n") { end + 2 } else { end + 1 };
        if line_is_empty {
            return Some(next);
        }
        line_is_empty = true;
        at = next;
    }
}
