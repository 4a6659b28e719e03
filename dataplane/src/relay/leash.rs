//! Ends a stream that must not go on while its client does not read: nobody polls its body then, so it can't end itself.

use super::deadline::{Alarm, Deadline};
use super::ending::Stop;
use super::guard::Cuts;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Instant;

/// How long a client that does not read has, from the moment when its stream must end, to take what waits for it and then the format's last words.
/// Less than the time that the process has for them when it drains.
pub(super) const LAST_CHANCE: Duration = Duration::from_secs(2);

/// What a stream ends by however its client behaves.
#[derive(Debug)]
pub(super) struct Leash {
    cuts: Cuts,
    deadline: Deadline,
    alarm: Alarm,
    /// What must end it, and when it is broken off for that.
    over: Option<(Stop, Instant)>,
    broken: bool,
}

impl Leash {
    pub(super) fn new(cuts: Cuts, deadline: Deadline) -> Self {
        Self { cuts, deadline, alarm: Alarm::default(), over: None, broken: false }
    }

    /// Ready when the stream must be broken off; only to be called while its client does not read. The task is woken for what is next.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let until = match self.over {
            Some((_, until)) => until,
            None => ready!(self.poll_over(cx)),
        };
        if !self.alarm.rings(until, cx) {
            return Poll::Pending;
        }
        self.broken = true;
        Poll::Ready(())
    }

    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        let is_late = self.deadline.at().is_some_and(|at| self.alarm.rings(at, cx));
        let stop = if is_late { Some(Stop::Total) } else { self.cuts.poll(cx) };
        let Some(stop) = stop else { return Poll::Pending };
        let until = Instant::now() + LAST_CHANCE;
        self.over = Some((stop, until));
        // A moment that comes before that of the deadline.
        self.alarm = Alarm::default();
        Poll::Ready(until)
    }

    /// What broke it off.
    pub(super) fn broken_by(&self) -> Option<Stop> {
        self.over.filter(|_| self.broken).map(|(stop, _)| stop)
    }
}
