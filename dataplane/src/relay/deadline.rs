//! Bounds in time: of a whole request, and of a pause.

use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};

/// When a request must be over, if ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// `total` after `start`; `None`, or more than the clock can tell: never.
    pub fn after(start: Instant, total: Option<Duration>) -> Self {
        Self(total.and_then(|total| start.checked_add(total)))
    }

    /// The moment.
    pub const fn at(self) -> Option<Instant> {
        self.0
    }

    /// Whether it is over at `now`.
    pub fn is_over(self, now: Instant) -> bool {
        self.0.is_some_and(|at| now >= at)
    }

    /// What `future` gives, or `None` if it takes too long; it is dropped then. Cancel-safe if `future` is.
    pub async fn within<T>(self, future: impl Future<Output = T>) -> Option<T> {
        match self.0 {
            None => Some(future.await),
            Some(at) => timeout_at(at, future).await.ok(),
        }
    }
}

/// A timer that is made when it is first waited for, and set again only when it fires: moving its moment later costs nothing.
#[derive(Debug, Default)]
pub(super) struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// Whether the moment is over; else the task is woken by it. `at` never moves back from one call to the next.
    pub(super) fn rings(&mut self, at: Instant, cx: &mut Context<'_>) -> bool {
        let timer = self.0.get_or_insert_with(|| Box::pin(sleep_until(at)));
        while timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= at {
                return true;
            }
            timer.as_mut().reset(at);
        }
        false
    }
}
