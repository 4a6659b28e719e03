//! One answer under way: what passes, what is seen of it, and the one place that decides how it ends.

use super::Aborted;
use super::ending::{Ending, Last, Stop, Stopped};
use super::guard::{Guarded, Source};
use super::keep_alive::{COMMENT, KeepAlive};
use super::splitter::Splitter;
use super::stall::{MAX_PIECE, Turn};
use super::usage_event::UsageEvent;
use crate::exchange::Exchange;
use crate::format::{Format, Framing, Observer, Seen, Weight};
use crate::metrics::millis;
use crate::reason::{Reason, StreamEnd};
use bytes::Bytes;
use http_body::SizeHint;
use prometheus::local::LocalHistogram;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// How an answer is relayed.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// The format of the answer.
    pub format: Format,
    /// Where it can be cut; [`Framing::Bytes`] for what is encoded or has a declared length.
    pub framing: Framing,
    /// It can be read: it is not encoded.
    pub readable: bool,
    /// It is one JSON text.
    pub is_json: bool,
    /// It was asked for usage where its client had not: the event that comes of it is not the client's.
    pub asked_usage: bool,
    /// Silence towards the client after which a comment is sent, where the format and the framing take one; `None`: none is sent.
    pub keep_alive: Option<Duration>,
    /// How long the upstream is read on after the client went away; `None`: it is cancelled at once.
    pub read_on: Option<Duration>,
}

pub(super) struct Stream<B> {
    pub(super) source: Guarded<B>,
    manner: Manner,
    splitter: Splitter,
    observer: Observer,
    pub(super) exchange: Exchange,
    keep_alive: Option<KeepAlive>,
    /// Taken out, where it was asked for and can be seen.
    usage_event: Option<UsageEvent>,
    /// The pauses between pieces; `None` for a text that is no stream.
    gaps: Option<LocalHistogram>,
    /// When a piece last came.
    came: Option<Instant>,
    /// Bytes that went by unseen.
    unread: u64,
    /// `None`: nobody sees whether the client reads.
    turn: Option<Arc<Turn>>,
    /// What HTTP/2 is still to be given of the last piece.
    left: Bytes,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    /// The end is decided; what is left still goes out.
    Last,
    /// The framing breaks off at the next poll.
    Aborting,
    Over,
}

impl<B: Source> Stream<B> {
    pub(super) fn new(source: Guarded<B>, manner: Manner, exchange: Exchange) -> Self {
        let turn = Turn::of_task();
        if let Some(turn) = &turn {
            turn.begin(source.leash());
        }
        let takes_comments = manner.framing == Framing::Events && manner.format.takes_comments();
        let gaps = (!manner.is_json).then(|| exchange.gaps());
        Self {
            source,
            manner,
            splitter: Splitter::new(manner.framing),
            observer: if manner.is_json { Observer::of_json(manner.format) } else { Observer::new(manner.format) },
            exchange,
            keep_alive: manner.keep_alive.filter(|_| takes_comments).map(KeepAlive::new),
            usage_event: (manner.asked_usage && manner.framing == Framing::Events).then(UsageEvent::default),
            gaps,
            came: None,
            unread: 0,
            turn,
            left: Bytes::new(),
            phase: Phase::Running,
        }
    }

    /// The next piece for the client.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Aborted>>> {
        let next = self.poll_next(cx);
        let given = match &next {
            Poll::Ready(Some(Ok(piece))) => Some(piece.len()),
            _ => None,
        };
        if let Some(turn) = &self.turn {
            given.map_or_else(|| turn.wait(), |bytes| turn.offer(bytes));
        }
        next
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Aborted>>> {
        if !self.left.is_empty() {
            return self.give();
        }
        match self.phase {
            Phase::Running => {}
            Phase::Aborting => {
                self.phase = Phase::Over;
                return Poll::Ready(Some(Err(Aborted)));
            }
            Phase::Last | Phase::Over => return Poll::Ready(None),
        }
        loop {
            match self.source.poll(cx) {
                Poll::Pending => return self.keep_alive(cx),
                Poll::Ready(Ok(bytes)) => {
                    let out = self.pass(bytes);
                    if out.is_empty() {
                        continue;
                    }
                    self.exchange.saw(out.len());
                    if let Some(keep_alive) = &mut self.keep_alive {
                        keep_alive.sent(self.source.last());
                    }
                    self.left = out;
                    return self.give();
                }
                Poll::Ready(Err(stop)) => return self.stop(stop, cx),
            }
        }
    }

    /// Gives what is left, to HTTP/2 in pieces.
    fn give(&mut self) -> Poll<Option<Result<Bytes, Aborted>>> {
        let whole = self.left.len() <= MAX_PIECE || !self.turn.as_ref().is_some_and(|turn| turn.is_http2());
        let piece = if whole { std::mem::take(&mut self.left) } else { self.left.split_to(MAX_PIECE) };
        Poll::Ready(Some(Ok(piece)))
    }

    fn keep_alive(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Aborted>>> {
        let takes_comment = self.splitter.takes_comment();
        let is_due = self.keep_alive.as_mut().is_some_and(|keep_alive| takes_comment && keep_alive.is_due(cx));
        if is_due { Poll::Ready(Some(Ok(COMMENT))) } else { Poll::Pending }
    }

    /// Looks at what came, and gives what may go out of it.
    pub(super) fn pass(&mut self, bytes: Bytes) -> Bytes {
        let came = self.source.last();
        if let (Some(gaps), Some(before)) = (&self.gaps, self.came.replace(came)) {
            gaps.observe(millis(came.saturating_duration_since(before)));
        }
        let out = self.splitter.push(bytes);
        if out.is_empty() {
            return out;
        }
        if self.manner.readable {
            self.observer.push(&out, self.splitter.is_at_boundary());
        } else {
            self.unread += out.len() as u64;
        }
        if self.exchange.is_reserved() {
            self.exchange.progress(&self.seen());
        }
        match &mut self.usage_event {
            Some(usage_event) => usage_event.pass(out),
            None => out,
        }
    }

    /// What is known of it so far; of what can't be read, only that its bytes may be text.
    fn seen(&self) -> Seen {
        let unread = if self.manner.format.is_prompt() { Weight::of_bytes(self.unread) } else { Weight::NONE };
        let seen = self.observer.seen();
        Seen { uncounted: seen.uncounted + unread, ..*seen }
    }

    fn stop(&mut self, stop: Stop, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Aborted>>> {
        match self.settle(stop) {
            Last::Abort => {
                // hyper throws away what it has not written when a body fails, be it the head, and writes when a body has nothing for now.
                self.phase = Phase::Aborting;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Last::Clean(bytes) if bytes.is_empty() => {
                self.phase = Phase::Over;
                Poll::Ready(None)
            }
            Last::Clean(bytes) => {
                self.phase = Phase::Last;
                self.left = bytes;
                self.give()
            }
        }
    }

    /// Decides the end, once: the upstream's body stopped.
    fn settle(&mut self, stop: Stop) -> Last {
        let Ending { end, reason, last } = self.ending(stop);
        if let Last::Clean(bytes) = &last
            && !bytes.is_empty()
        {
            self.exchange.saw(bytes.len());
        }
        self.finish(end, reason);
        last
    }

    fn ending(&mut self, stop: Stop) -> Ending {
        let tail = self.take_tail();
        let stopped = Stopped {
            stop,
            framing: self.manner.framing,
            observer: &self.observer,
            at_boundary: self.splitter.is_at_boundary(),
            tail,
            request_id: &self.exchange.request_id,
            message: self.exchange.spends().filter(|_| stop == Stop::Limit).unwrap_or(stop.message()),
        };
        stopped.ending()
    }

    /// What is held of an unfinished unit. It was the last that is seen of the stream.
    pub(super) fn take_tail(&mut self) -> Bytes {
        let tail = self.splitter.take_tail();
        if self.manner.readable {
            self.observer.end(&tail);
        }
        tail
    }

    /// The end is decided.
    pub(super) fn finish(&mut self, end: StreamEnd, reason: Option<Reason>) {
        self.exchange.cost.seen = self.seen();
        if let Some(gaps) = &self.gaps {
            gaps.flush();
        }
        self.exchange.reason = self.exchange.reason.or(reason);
        self.exchange.end(end);
        if let Some(turn) = &self.turn {
            turn.end();
        }
    }

    /// The client takes no more. True: the end is still open, since the client went away before it.
    pub(super) fn leave(&mut self) -> bool {
        if self.phase != Phase::Running {
            return false;
        }
        if let Some(turn) = self.turn.take() {
            let broken_by = turn.broken_by();
            turn.end();
            if let Some(stop) = broken_by {
                // Nobody is told.
                let Ending { end, reason, .. } = self.ending(stop);
                self.finish(end, reason);
                return false;
            }
            if turn.has_stalled() {
                self.exchange.reason = self.exchange.reason.or(Some(Reason::ClientStalled));
                return true;
            }
        }
        let seen = self.observer.seen();
        let (terminal, error) = (seen.terminal, seen.error);
        if self.is_end_stream() {
            // A body of known length is dropped after its last byte, and not polled to its end.
            self.settle(Stop::End);
        } else if error {
            // SDKs hang up at the error event, without waiting for the end.
            self.finish(StreamEnd::UpstreamError, Some(Reason::UpstreamError));
        } else if terminal {
            // A client that has its format's end may hang up at once.
            self.finish(StreamEnd::Complete, None);
        } else {
            return true;
        }
        false
    }

    /// How long it is to be read on without its client.
    pub(super) const fn read_on(&self) -> Option<Duration> {
        self.manner.read_on
    }

    /// As [`http_body::Body::is_end_stream`].
    pub(super) fn is_end_stream(&self) -> bool {
        self.left.is_empty()
            && match self.phase {
                Phase::Running => self.manner.framing == Framing::Bytes && self.source.is_end_stream(),
                Phase::Aborting => false,
                Phase::Last | Phase::Over => true,
            }
    }

    /// As [`http_body::Body::size_hint`]: known only where nothing can be added.
    pub(super) fn size_hint(&self) -> SizeHint {
        let is_untouched = self.manner.framing == Framing::Bytes && self.left.is_empty();
        if is_untouched { self.source.size_hint() } else { SizeHint::default() }
    }
}
