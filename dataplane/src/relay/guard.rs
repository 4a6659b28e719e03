//! Ends a body that pauses too long, or that the drain does not wait for any more.

use crate::drain::Cut;
use crate::reason::{Reason, StreamEnd};
use crate::upstream::{Answer, UpstreamError};
use bytes::Bytes;
use http_body::{Body, SizeHint};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::WaitForCancellationFutureOwned;

/// Why an answer broke off before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The upstream's connection broke.
    Reset,
    /// The upstream broke HTTP.
    Protocol,
    /// The upstream paused too long.
    Idle,
    /// The proxy shuts down.
    Drained,
}

impl Fault {
    /// The reason that users read.
    pub const fn reason(self) -> Reason {
        match self {
            Self::Reset => Reason::UpstreamReset,
            Self::Protocol => Reason::UpstreamProtocol,
            Self::Idle => Reason::IdleTimeout,
            Self::Drained => Reason::Draining,
        }
    }

    /// How the stream ends by it.
    pub const fn end(self) -> StreamEnd {
        match self {
            Self::Reset | Self::Protocol => StreamEnd::UpstreamError,
            Self::Idle => StreamEnd::IdleTimeout,
            Self::Drained => StreamEnd::Drained,
        }
    }

    /// What a client is told.
    pub const fn message(self) -> &'static str {
        match self {
            Self::Reset => "the upstream closed the connection before the end of the stream",
            Self::Protocol => "the upstream broke HTTP before the end of the stream",
            Self::Idle => "the upstream sent nothing for longer than the route's idle timeout",
            Self::Drained => "the relay is shutting down and could not wait for the end of the stream; please retry",
        }
    }
}

/// An answer with an idle timeout and an end at the drain's.
pub struct Guarded {
    answer: Answer,
    idle: Option<Duration>,
    last: Instant,
    /// Made at the first pause and re-armed only when it fires: an event costs one look at the clock.
    timer: Option<Pin<Box<Sleep>>>,
    cut: Cut,
    /// Wakes the task that polled last when `cut` begins.
    on_cut: Pin<Box<WaitForCancellationFutureOwned>>,
    task: Option<Waker>,
}

impl Guarded {
    /// `idle`: the longest pause; `cut`: cancelled when running streams must end.
    pub fn new(answer: Answer, idle: Option<Duration>, cut: Cut) -> Self {
        let on_cut = Box::pin(cut.cancelled_owned());
        Self { answer, idle, last: Instant::now(), timer: None, cut, on_cut, task: None }
    }

    /// The next piece of data. Trailers are dropped.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Fault>>> {
        loop {
            match Pin::new(&mut self.answer).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    self.last = Instant::now();
                    if let Ok(bytes) = frame.into_data() {
                        return Poll::Ready(Some(Ok(bytes)));
                    }
                }
                Poll::Ready(Some(Err(UpstreamError::Protocol))) => return Poll::Ready(Some(Err(Fault::Protocol))),
                Poll::Ready(Some(Err(_))) => return Poll::Ready(Some(Err(Fault::Reset))),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => break,
            }
        }
        if self.is_cut(cx) {
            return Poll::Ready(Some(Err(Fault::Drained)));
        }
        match self.idle.map(|idle| self.last + idle) {
            Some(deadline) if self.paused_past(deadline, cx) => Poll::Ready(Some(Err(Fault::Idle))),
            _ => Poll::Pending,
        }
    }

    fn is_cut(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            self.task = Some(cx.waker().clone());
            return self.on_cut.as_mut().poll(cx).is_ready();
        }
        self.cut.is_cancelled()
    }

    fn paused_past(&mut self, deadline: Instant, cx: &mut Context<'_>) -> bool {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        while timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= deadline {
                return true;
            }
            timer.as_mut().reset(deadline);
        }
        false
    }

    /// As [`Body::is_end_stream`].
    pub fn is_end_stream(&self) -> bool {
        self.answer.is_end_stream()
    }

    /// As [`Body::size_hint`].
    pub fn size_hint(&self) -> SizeHint {
        self.answer.size_hint()
    }
}
