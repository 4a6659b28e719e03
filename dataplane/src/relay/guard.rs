//! Ends a body that pauses or lasts too long, or that must not go on: the drain, the tenant's suspension, a budget that is spent.

use super::deadline::{Alarm, Deadline};
use super::ending::Stop;
use super::leash::Leash;
use crate::drain::{Cut, Drain, Watch};
use crate::upstream::{Answer, UpstreamError};
use bytes::Bytes;
use http_body::{Body, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// What can be relayed: an [`Answer`], or a body that plays one.
pub trait Source: Body<Data = Bytes, Error = UpstreamError> + Send + Unpin + 'static {}

impl<B: Body<Data = Bytes, Error = UpstreamError> + Send + Unpin + 'static> Source for B {}

/// An answer that stops by itself or by its bounds.
pub struct Guarded<B = Answer> {
    answer: B,
    idle: Option<Duration>,
    deadline: Deadline,
    /// When it began, or the last piece came.
    last: Instant,
    /// Since when the upstream is waited for: a client that asks late makes no pause of the upstream's.
    waiting: Option<Instant>,
    alarm: Alarm,
    cuts: Cuts,
}

impl<B: Source> Guarded<B> {
    /// `idle`: the longest pause; `deadline`: when all must be there; `cuts`: what ends it from outside.
    pub fn new(answer: B, idle: Option<Duration>, deadline: Deadline, cuts: Cuts) -> Self {
        Self { answer, idle, deadline, last: Instant::now(), waiting: None, alarm: Alarm::default(), cuts }
    }

    /// The next piece of data, or what stopped it. Trailers are dropped. Not to be called again behind a stop.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Stop>> {
        // Of an upstream that always has something, as it has for a client that is slower: what is below is not even looked at.
        if self.deadline.is_over(self.last) {
            return Poll::Ready(Err(Stop::Total));
        }
        if let Some(stop) = self.cuts.begun() {
            return Poll::Ready(Err(stop));
        }
        loop {
            match Pin::new(&mut self.answer).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    self.last = Instant::now();
                    self.waiting = None;
                    if let Ok(bytes) = frame.into_data() {
                        return Poll::Ready(Ok(bytes));
                    }
                }
                Poll::Ready(Some(Err(UpstreamError::Protocol))) => return Poll::Ready(Err(Stop::Protocol)),
                Poll::Ready(Some(Err(_))) => return Poll::Ready(Err(Stop::Reset)),
                Poll::Ready(None) => return Poll::Ready(Err(Stop::End)),
                Poll::Pending => break,
            }
        }
        if let Some(stop) = self.cuts.poll(cx) {
            return Poll::Ready(Err(stop));
        }
        let waiting = *self.waiting.get_or_insert_with(Instant::now);
        let idle = self.idle.and_then(|idle| waiting.checked_add(idle));
        let Some(next) = [idle, self.deadline.at()].into_iter().flatten().min() else { return Poll::Pending };
        if self.alarm.rings(next, cx) {
            let stop = if self.deadline.at() == Some(next) { Stop::Total } else { Stop::Idle };
            return Poll::Ready(Err(stop));
        }
        Poll::Pending
    }

    /// When the last piece came, or when it began.
    pub(super) const fn last(&self) -> Instant {
        self.last
    }

    /// What ends it where nobody polls it.
    pub(super) fn leash(&self) -> Leash {
        Leash::new(self.cuts.again(), self.deadline)
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

/// What ends a stream from outside.
#[derive(Debug)]
pub struct Cuts {
    drain: Watch,
    tenant: Watch,
    /// Of budgets that stop streams.
    limit: Option<Watch>,
    /// The task that all of them wake.
    task: Option<Waker>,
    /// The shutdown waits for the stream as long as this lives.
    awaited: TaskTrackerToken,
}

impl Cuts {
    /// The process's, which waits for the stream when it drains, the tenant's, and that of the tenant's budgets, if any of them stops streams.
    pub fn new(drain: &Drain, tenant: &Cut, limit: Option<&Cut>) -> Self {
        let (limit, awaited) = (limit.map(Cut::watch), drain.answers.token());
        Self { drain: drain.cut.watch(), tenant: tenant.watch(), limit, task: None, awaited }
    }

    /// The same, for another task.
    fn again(&self) -> Self {
        let (limit, awaited) = (self.limit.as_ref().map(Watch::again), self.awaited.clone());
        Self { drain: self.drain.again(), tenant: self.tenant.again(), limit, task: None, awaited }
    }

    /// Which one has begun.
    fn begun(&self) -> Option<Stop> {
        if self.drain.is_cancelled() {
            Some(Stop::Drained)
        } else if self.tenant.is_cancelled() {
            Some(Stop::Suspended)
        } else {
            self.limit.as_ref().is_some_and(Watch::is_cancelled).then_some(Stop::Limit)
        }
    }

    /// The same; the task is woken when one begins.
    pub(super) fn poll(&mut self, cx: &Context<'_>) -> Option<Stop> {
        let is_known = self.task.as_ref().is_some_and(|task| task.will_wake(cx.waker()));
        if !is_known {
            self.task = Some(cx.waker().clone());
        }
        if self.drain.has_begun(cx, is_known) {
            Some(Stop::Drained)
        } else if self.tenant.has_begun(cx, is_known) {
            Some(Stop::Suspended)
        } else {
            self.limit.as_mut().is_some_and(|limit| limit.has_begun(cx, is_known)).then_some(Stop::Limit)
        }
    }
}
