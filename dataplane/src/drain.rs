//! The three stages of shutting down, as every part of the proxy sees them.

use tokio_util::sync::CancellationToken;

/// Stages of a shutdown; each token is cancelled when its stage begins. Clones are of the same shutdown.
#[derive(Clone, Debug, Default)]
pub struct Drain {
    /// Not ready any more, still accepting: load balancers need time to look elsewhere.
    pub unready: CancellationToken,
    /// No new connections, and no further request on the open ones; running streams go on.
    pub closing: CancellationToken,
    /// Running streams end now, with their format's error event.
    pub cut: CancellationToken,
}
