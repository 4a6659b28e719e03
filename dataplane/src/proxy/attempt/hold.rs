//! Errors that a provider sends inside a 200 before any content: the beginning of a stream is held until it is clear that it is none.

use super::one::Got;
use crate::balance::{Complaint, complaint};
use crate::format::{Framing, Observer};
use crate::proxy::respond::is_readable;
use crate::upstream::Answer;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http_body::Body;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How much of a stream is held at most, in bytes; the piece that passes it is the last.
const HOLD_BYTES: usize = 64 << 10;
/// How long the beginning of a stream is held at most, from its first byte. Content ends it at once, so only comments and lead-in are ever later.
const HOLD_TIME: Duration = Duration::from_millis(500);

/// Reads on until there is content, an error, or the end of the stream, within bounds; all that was read stays in the answer. `Some`: an error came
/// before any content. Not `holds`: nothing is read, but what is there already still tells of the backend. Cancel-safe: what was read stays in the
/// answer.
pub(super) async fn error_before_content(got: &mut Got, holds: bool, total: Option<Instant>) -> Option<Complaint> {
    if !can_be_read(got) {
        return None;
    }
    let until = Instant::now() + HOLD_TIME;
    let until = total.map_or(until, |total| total.min(until));
    let mut lead = LeadIn { observer: Observer::new(got.format), text: Vec::new() };
    let answer = got.response.body_mut();
    for piece in answer.held() {
        lead.read(piece);
    }
    if holds {
        // In time or not: what was seen up to here decides.
        let _ = timeout_at(until, lead.read_on(answer)).await;
    }
    lead.complaint()
}

struct LeadIn {
    observer: Observer,
    text: Vec<u8>,
}

impl LeadIn {
    fn read(&mut self, piece: &Bytes) {
        self.text.extend_from_slice(piece);
        self.observer.push(piece, false);
    }

    async fn read_on(&mut self, answer: &mut Answer) {
        while !self.is_clear() && self.text.len() <= HOLD_BYTES {
            match answer.read_ahead().await {
                Some(piece) => self.read(&piece),
                None => return self.observer.end(&[]),
            }
        }
    }

    fn is_clear(&self) -> bool {
        let seen = self.observer.seen();
        seen.content || seen.error || seen.terminal
    }

    fn complaint(&self) -> Option<Complaint> {
        let seen = self.observer.seen();
        (seen.error && !seen.content).then(|| complaint(&self.text).unwrap_or(Complaint::Request))
    }
}

/// Whether it is a stream whose units can be seen.
fn can_be_read(got: &Got) -> bool {
    let headers = got.response.headers();
    let kind = headers.get(CONTENT_TYPE).map_or(Framing::Bytes, |value| got.format.framing(value.as_bytes()));
    let is_stream = got.response.status().is_success() && kind != Framing::Bytes;
    is_stream && is_readable(headers) && !got.response.body().is_end_stream()
}
