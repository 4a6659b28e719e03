//! Comments that keep a connection alive while the upstream is silent.

use super::deadline::Alarm;
use bytes::Bytes;
use std::task::Context;
use std::time::Duration;
use tokio::time::Instant;

/// An SSE comment and its blank line, which clients skip (WHATWG HTML, "Parsing an event stream").
pub(super) const COMMENT: Bytes = Bytes::from_static(b": keep-alive\n\n");

/// Tells when the client heard nothing for too long. Silent before the stream's first byte: a comment there would push a byte order mark from its
/// place.
pub(super) struct KeepAlive {
    every: Duration,
    /// When the client was sent something last.
    sent: Option<Instant>,
    alarm: Alarm,
}

impl KeepAlive {
    pub(super) fn new(every: Duration) -> Self {
        Self { every, sent: None, alarm: Alarm::default() }
    }

    /// Something goes out at `now`.
    pub(super) fn sent(&mut self, now: Instant) {
        self.sent = Some(now);
    }

    /// Whether a comment is due, which counts as sent then; else the task is woken when it is.
    pub(super) fn is_due(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(due) = self.sent.and_then(|sent| sent.checked_add(self.every)) else { return false };
        let rings = self.alarm.rings(due, cx);
        if rings {
            self.sent = Some(Instant::now());
        }
        rings
    }
}
