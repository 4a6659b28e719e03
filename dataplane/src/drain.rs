//! The three stages of shutting down, as every part of the proxy sees them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture, WaitForCancellationFutureOwned};
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
}

/// A token that every event of every stream can look at: the flag is read without the lock that all clones of a token share.
#[derive(Clone, Debug, Default)]
pub struct Cut {
    token: CancellationToken,
    begun: Arc<AtomicBool>,
}

impl Cut {
    /// Begins the stage.
    pub fn cancel(&self) {
        self.begun.store(true, Ordering::Release);
        self.token.cancel();
    }

    /// Whether the stage has begun. One atomic load.
    pub fn is_cancelled(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }

    /// Waits for the stage. Cancel-safe.
    pub fn cancelled(&self) -> WaitForCancellationFuture<'_> {
        self.token.cancelled()
    }

    /// Waits for the stage. Cancel-safe.
    pub fn cancelled_owned(&self) -> WaitForCancellationFutureOwned {
        self.token.clone().cancelled_owned()
    }
}
