//! The response body that plays the steps of an answer on tokio's clock.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Sleep, sleep};

use super::plan::{Step, Steps};
use super::record::{Ended, Exchange};
use super::wire::Control;

/// How long HTTP/2 is given to put out what was handed to it before the stream is reset: a reset drops what is
/// queued, and the frames are written by another task than the one that polls the body.
const H2_SETTLE: Duration = Duration::from_millis(10);

/// What a poll of the body gives.
type Polled = Poll<Option<Result<Frame<Bytes>, CutOff>>>;

/// The error that makes hyper break the framing off.
#[derive(Debug, thiserror::Error)]
#[error("cut off, as the model name asked for")]
pub(super) struct CutOff;

/// Plays steps. For requests that are recorded, it also says what became of them.
pub(super) struct ScriptBody {
    steps: Steps,
    timer: Option<Pin<Box<Sleep>>>,
    last: Option<Last>,
    remaining: Option<u64>,
    over: bool,
    http2: bool,
    exchange: Option<Exchange>,
    /// Bytes of the answer that its record keeps.
    keep: usize,
    control: Arc<Control>,
}

/// A step that goes wrong; `settled` once everything before it had its chance to leave.
struct Last {
    how: How,
    settled: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// The framing breaks off.
    Cut,
    /// The connection is reset.
    Reset,
    /// A clean end, short of the content-length.
    Short,
    /// No end yet: what follows comes behind bytes that are no HTTP.
    Garble,
}

impl ScriptBody {
    /// `length` is the content-length to announce, which the steps may fall short of; none is chunked.
    pub(super) fn new(
        steps: Steps,
        length: Option<u64>,
        http2: bool,
        exchange: Option<Exchange>,
        control: Arc<Control>,
    ) -> Self {
        let over = length == Some(0);
        Self { steps, timer: None, last: None, remaining: length, over, http2, exchange, keep: 0, control }
    }

    /// Lets the record keep the first bytes of the answer, at least so many where there are.
    pub(super) fn keeping(self, bytes: usize) -> Self {
        Self { keep: bytes, ..self }
    }

    fn end(&mut self, ended: Ended) {
        self.over = true;
        if let Some(mut exchange) = self.exchange.take() {
            exchange.end(ended);
        }
    }

    fn sent(&mut self, bytes: &Bytes) {
        if let Some(exchange) = &self.exchange {
            exchange.keep(bytes, self.keep);
            exchange.sent(bytes.len());
        }
        if let Some(remaining) = &mut self.remaining {
            *remaining = remaining.saturating_sub(bytes.len() as u64);
            // hyper does not ask again once the content-length is reached.
            if *remaining == 0 {
                self.end(Ended::Complete);
            }
        }
    }

    /// Lets bytes leave first, then goes wrong.
    fn poll_last(&mut self, cx: &mut Context<'_>, mut last: Last) -> Option<Polled> {
        if last.settled {
            match last.how {
                How::Garble => {
                    self.control.garble();
                    // From here on it is broken, whoever notices first.
                    if let Some(mut exchange) = self.exchange.take() {
                        exchange.end(Ended::Aborted);
                    }
                    return None;
                }
                How::Cut => {
                    self.end(Ended::Aborted);
                    return Some(Poll::Ready(Some(Err(CutOff))));
                }
                How::Short => {
                    self.end(Ended::Aborted);
                    return Some(Poll::Ready(None));
                }
                How::Reset => {
                    self.end(Ended::Aborted);
                    self.control.reset();
                    // Who asks again before the connection is gone must not take this for the body's end.
                    self.last = Some(last);
                    return Some(Poll::Pending);
                }
            }
        }
        last.settled = true;
        self.last = Some(last);
        if self.http2 {
            self.timer = Some(Box::pin(sleep(H2_SETTLE)));
            return None;
        }
        cx.waker().wake_by_ref();
        Some(Poll::Pending)
    }
}

impl Body for ScriptBody {
    type Data = Bytes;
    type Error = CutOff;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let this = &mut *self;
        loop {
            if let Some(timer) = &mut this.timer {
                ready!(timer.as_mut().poll(cx));
                this.timer = None;
            }
            if let Some(last) = this.last.take() {
                match this.poll_last(cx, last) {
                    Some(poll) => return poll,
                    None => continue,
                }
            }
            if this.over {
                return Poll::Ready(None);
            }
            match this.steps.next() {
                Some(Step::Send(bytes)) if bytes.is_empty() => {}
                Some(Step::Send(bytes)) => {
                    this.sent(&bytes);
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                // hyper flushes when the body has nothing more for now.
                Some(Step::Flush) => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Some(Step::Wait(time)) => this.timer = Some(Box::pin(sleep(time))),
                Some(Step::Cut) => this.last = Some(Last { how: How::Cut, settled: false }),
                Some(Step::Reset) => this.last = Some(Last { how: How::Reset, settled: false }),
                Some(Step::Short) => this.last = Some(Last { how: How::Short, settled: false }),
                Some(Step::Garble) => this.last = Some(Last { how: How::Garble, settled: false }),
                None => this.end(Ended::Complete),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.over && self.last.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.remaining.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
