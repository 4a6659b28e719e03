//! The waker of an upstream connection that is polled by hand.

use super::sync::{AtomicU8, AtomicWaker, Ordering};
use std::sync::Arc;
use std::task::{Wake, Waker};

/// A wake goes to the task, which knows of it then, and is noted.
const IDLE: u8 = 0;
/// The connection is being polled: a wake only becomes [`HIT`], since the poller looks afterwards anyway.
const MUTED: u8 = 2;
/// Woken while being polled.
const HIT: u8 = MUTED | WOKEN;
/// The bit that a wake sets.
const WOKEN: u8 = 1;

/// Remembers whether the connection was woken since it was polled last. Without it, the server's loop would poll the connection again for nothing
/// on every event (1.5 times the instructions).
#[derive(Default)]
pub(super) struct Gate {
    task: AtomicWaker,
    state: AtomicU8,
}

impl Gate {
    /// The task to wake is the one that polls now. Wakes are muted from here on. True: woken since [`Gate::unmute`].
    pub(super) fn mute(&self, task: &Waker) -> bool {
        self.task.register(task);
        self.state.swap(MUTED, Ordering::AcqRel) != IDLE
    }

    /// Whether a wake came while muted; it is forgotten.
    pub(super) fn take_hit(&self) -> bool {
        self.state.compare_exchange(HIT, MUTED, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Wakes go to the task again, if none came while muted. False: one came, and the gate is still muted.
    pub(super) fn try_unmute(&self) -> bool {
        self.state.compare_exchange(MUTED, IDLE, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Wakes go to the task again. True: one came while muted.
    pub(super) fn unmute(&self) -> bool {
        self.state.swap(IDLE, Ordering::AcqRel) == HIT
    }

    /// Lets go of the task, when its answer is over: a connection in the pool must not keep the memory of the task that it served last.
    pub(super) fn forget(&self) {
        self.task.take();
    }
}

impl Wake for Gate {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Written even where the bit is set already: only then does the poller, who reads it, see all that came before this wake.
        if self.state.fetch_or(WOKEN, Ordering::AcqRel) == IDLE {
            self.task.wake();
        }
    }
}
