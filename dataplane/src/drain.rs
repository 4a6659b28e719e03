//! The three stages of shutting down, as every part of the proxy sees them, and the switch that ends running streams.

#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Stages of a shutdown; each is cancelled when it begins. Clones are of the same shutdown.
#[derive(Clone, Debug, Default)]
pub struct Drain {
    /// Not ready any more, still accepting: load balancers need time to look elsewhere.
    pub unready: CancellationToken,
    /// No new connections, and no further request on the open ones; running streams go on.
    pub closing: CancellationToken,
    /// Running streams end now, with their format's error event.
    pub cut: Cut,
    /// Sessions that outlive the connections that they began on: the shutdown waits for them, too.
    pub tunnels: TaskTracker,
    /// Answers of upstreams that are under way, also those that are read on without their clients: the shutdown waits a while for them, too.
    pub answers: TaskTracker,
}

/// Ends what watches it: the streams of the process, or those of a tenant. Begins once and for all; clones are of the same switch.
///
/// A watcher costs one word and its waker in a list, where a cancellation token takes a boxed future of its own; and every event of every stream
/// can look at it without a lock.
#[derive(Clone, Debug, Default)]
pub struct Cut(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    begun: AtomicBool,
    watchers: Mutex<Watchers>,
}

/// Wakers by seat. It grows to the number of watchers at once and keeps that room.
#[derive(Debug, Default)]
struct Watchers {
    seats: Vec<Option<Waker>>,
    free: Vec<usize>,
}

impl Watchers {
    fn take_seat(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.seats.push(None);
            self.seats.len() - 1
        })
    }
}

impl Shared {
    fn with<T>(&self, change: impl FnOnce(&mut Watchers) -> T) -> T {
        change(&mut self.watchers.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Cut {
    /// Begins it, and wakes everybody who watches.
    pub fn cancel(&self) {
        let woken: Vec<Waker> = self.0.with(|watchers| {
            self.0.begun.store(true, Ordering::Release);
            watchers.seats.iter_mut().filter_map(Option::take).collect()
        });
        woken.into_iter().for_each(Waker::wake);
    }

    /// Whether it has begun. One atomic load.
    pub fn is_cancelled(&self) -> bool {
        self.0.begun.load(Ordering::Acquire)
    }

    /// Waits for it. Cancel-safe.
    pub async fn cancelled(&self) {
        let mut watch = self.watch();
        poll_fn(|cx| if watch.has_begun(cx, false) { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    /// A place in the list of those who are woken.
    pub fn watch(&self) -> Watch {
        Watch { cut: self.clone(), seat: None }
    }

    /// Whether somebody else holds it: a stream that runs, or what is served.
    pub(crate) fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

/// Waits for it; for ever where there is none. Cancel-safe.
pub async fn begun(cut: Option<&Cut>) {
    match cut {
        Some(cut) => cut.cancelled().await,
        None => std::future::pending().await,
    }
}

/// One who is woken when a [`Cut`] begins. Dropping it gives the place back.
#[derive(Debug)]
pub struct Watch {
    cut: Cut,
    seat: Option<usize>,
}

impl Watch {
    /// Whether it has begun. One atomic load.
    pub fn is_cancelled(&self) -> bool {
        self.cut.is_cancelled()
    }

    /// A place of its own, for another task.
    #[must_use]
    pub fn again(&self) -> Self {
        self.cut.watch()
    }

    /// Whether it has begun; if not, the task is woken when it does. `is_known`: this task was registered here by the call before, which saves
    /// the lock.
    pub fn has_begun(&mut self, cx: &Context<'_>, is_known: bool) -> bool {
        if self.cut.is_cancelled() {
            return true;
        }
        if is_known && self.seat.is_some() {
            return false;
        }
        let seat = &mut self.seat;
        let shared = &self.cut.0;
        // Under the lock that `cancel` takes to set the flag: a waker that is stored here is woken, or the flag is seen.
        shared.with(|watchers| {
            if shared.begun.load(Ordering::Acquire) {
                return true;
            }
            let seat = *seat.get_or_insert_with(|| watchers.take_seat());
            if let Some(place) = watchers.seats.get_mut(seat) {
                *place = Some(cx.waker().clone());
            }
            false
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(seat) = self.seat.take() {
            let waker = self.cut.0.with(|watchers| {
                watchers.free.push(seat);
                watchers.seats.get_mut(seat).and_then(Option::take)
            });
            drop(waker);
        }
    }
}
