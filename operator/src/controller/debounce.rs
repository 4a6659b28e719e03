//! Waits until a burst of changes is over.

use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// A burst is over after this long without a change. `kubectl apply` of a folder sends its objects some milliseconds apart; each of them would else
/// be a set of its own. It is the price of every single change, so it is small.
pub const QUIET: Duration = Duration::from_millis(5);
/// A burst that goes on is acted on this long after its first change.
pub const LONGEST: Duration = Duration::from_millis(50);

/// Returns after the first change, once there was none for [`QUIET`], at the latest after [`LONGEST`]. Cancel-safe: a change is never forgotten, since
/// the caller reads the stores only after this returned.
pub async fn settle(changes: &Notify) {
    changes.notified().await;
    let latest = Instant::now() + LONGEST;
    loop {
        let quiet = (Instant::now() + QUIET).min(latest);
        if timeout_at(quiet, changes.notified()).await.is_err() || Instant::now() >= latest {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
