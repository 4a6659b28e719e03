//! The body that the client gets, and the one place that decides how its stream ends.

use super::Aborted;
use super::events::EventSplitter;
use super::guard::{Fault, Guarded};
use crate::exchange::Exchange;
use crate::format::{Format, Observer};
use crate::reason::{Reason, StreamEnd};
use bytes::Bytes;
use http_body::SizeHint;
use std::task::{Context, Poll, ready};

/// An upstream's answer on its way to the client.
pub struct Relayed {
    source: Guarded,
    /// Only for event streams that can be read: not encoded, of unknown length.
    events: Option<EventSplitter>,
    observer: Observer,
    exchange: Exchange,
    finished: bool,
    /// The framing breaks off at the next poll.
    aborting: bool,
}

/// What the client still gets at the end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Last {
    /// These bytes (perhaps none), then the regular end of the framing.
    Clean(Bytes),
    /// The framing breaks off.
    Abort,
}

impl Relayed {
    /// `as_events`: the body is an event stream that may be cut at event boundaries.
    pub fn new(source: Guarded, format: Format, as_events: bool, exchange: Exchange) -> Self {
        let events = as_events.then(EventSplitter::default);
        let observer = Observer::new(format);
        Self { source, events, observer, exchange, finished: false, aborting: false }
    }

    /// The next piece for the client.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Aborted>>> {
        if std::mem::take(&mut self.aborting) {
            return Poll::Ready(Some(Err(Aborted)));
        }
        while !self.finished {
            let fault = match ready!(self.source.poll(cx)) {
                Some(Ok(bytes)) => {
                    let out = self.pass(bytes);
                    if out.is_empty() {
                        continue;
                    }
                    self.exchange.saw(out.len());
                    return Poll::Ready(Some(Ok(out)));
                }
                Some(Err(fault)) => Some(fault),
                None => None,
            };
            self.finished = true;
            match self.settle(fault) {
                Last::Abort => {
                    // hyper throws away what it has not written when a body fails, be it the head, and writes when a body has nothing for now.
                    self.aborting = true;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Last::Clean(bytes) if !bytes.is_empty() => return Poll::Ready(Some(Ok(bytes))),
                Last::Clean(_) => {}
            }
        }
        Poll::Ready(None)
    }

    fn pass(&mut self, bytes: Bytes) -> Bytes {
        let Some(events) = &mut self.events else { return bytes };
        let out = events.push(bytes);
        self.observer.push(&out, events.is_at_boundary());
        out
    }

    /// Decides the end: once, when the upstream's body is over (`None`) or broke off.
    fn settle(&mut self, fault: Option<Fault>) -> Last {
        let Some(events) = &mut self.events else {
            return self.settle_unframed(fault);
        };
        let tail = events.take_tail();
        let at_boundary = events.is_at_boundary();
        self.observer.end(&tail);
        let has_failed = self.observer.seen().error;
        if self.observer.is_whole(fault.is_none()) {
            // An upstream that breaks off behind its own end gave all that there was.
            let end = if has_failed { StreamEnd::UpstreamError } else { StreamEnd::Complete };
            return self.finish(end, has_failed.then_some(Reason::UpstreamError), Last::Clean(tail));
        }
        if has_failed {
            // The provider said itself that it failed; a second error event would only hide the first.
            return self.finish(StreamEnd::UpstreamError, Some(Reason::UpstreamError), Last::Clean(tail));
        }
        let (end, reason, message) = match fault {
            Some(fault) => (fault.end(), fault.reason(), fault.message()),
            None => {
                (StreamEnd::UpstreamError, Reason::UpstreamProtocol, "the upstream ended the stream before its end")
            }
        };
        let event = self.observer.failure_event(reason, message, &self.exchange.request_id).filter(|_| at_boundary);
        self.finish(end, Some(reason), event.map_or(Last::Abort, Last::Clean))
    }

    fn settle_unframed(&mut self, fault: Option<Fault>) -> Last {
        match fault {
            None => self.finish(StreamEnd::Complete, None, Last::Clean(Bytes::new())),
            Some(fault) => self.finish(fault.end(), Some(fault.reason()), Last::Abort),
        }
    }

    fn finish(&mut self, end: StreamEnd, reason: Option<Reason>, last: Last) -> Last {
        self.exchange.reason = self.exchange.reason.or(reason);
        self.exchange.usage = self.observer.seen().usage;
        if let Last::Clean(bytes) = &last
            && !bytes.is_empty()
        {
            self.exchange.saw(bytes.len());
        }
        self.exchange.end(end);
        last
    }

    /// As [`http_body::Body::is_end_stream`].
    pub(super) fn is_end_stream(&self) -> bool {
        (self.finished && !self.aborting) || (self.events.is_none() && self.source.is_end_stream())
    }

    /// As [`http_body::Body::size_hint`]: known only where nothing can be added.
    pub(super) fn size_hint(&self) -> SizeHint {
        if self.events.is_none() { self.source.size_hint() } else { SizeHint::default() }
    }
}

impl Drop for Relayed {
    fn drop(&mut self) {
        if self.exchange.has_ended() {
            return;
        }
        let seen = self.observer.seen();
        self.exchange.usage = seen.usage;
        if seen.error {
            // SDKs hang up at the error event, without waiting for the end.
            self.exchange.reason = self.exchange.reason.or(Some(Reason::UpstreamError));
            self.exchange.end(StreamEnd::UpstreamError);
        } else if seen.terminal || self.is_end_stream() {
            // A body of known length is dropped after its last byte; and a client that has its format's end may hang up at once.
            self.exchange.end(StreamEnd::Complete);
        }
    }
}
