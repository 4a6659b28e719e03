//! Stops asking a Redis that does not answer.
//!
//! ```text
//! Starting ──the first probe answers──> Closed ──5 misses in a row, or the connection breaks──> Open
//!     │                                    ^                                                      │
//!     └──no connection, or it is slow──> Open <───────────────────────────────────────────────────┘
//!                                          └──a probe answers in time, and what was admitted meanwhile is made known──> Closed
//! ```
//!
//! While it is open no decision asks: the worker probes in the background, one probe at a time (`worker/recovery.rs`).

#[cfg(test)]
mod tests;

use super::link::Link;
use super::sick::Sick;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::sync::watch;

/// Misses in a row that open it.
pub(super) const MISSES: u32 = 5;

/// Whether decisions ask Redis.
#[derive(Clone)]
pub(in crate::limits) enum Phase {
    /// Nobody has asked yet: worth waiting for, within a decision's budget.
    Starting,
    /// They ask, by this connection.
    Closed(Arc<Link>),
    /// They do not.
    Open(Sick),
}

pub(in crate::limits) struct Circuit {
    phase: watch::Sender<Phase>,
}

impl Circuit {
    pub(in crate::limits) fn new() -> Self {
        Self { phase: watch::Sender::new(Phase::Starting) }
    }

    pub(in crate::limits) fn watch(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// The connection to ask by. Waits while nothing is known yet; `None`: do not ask. Cancel-safe.
    pub(in crate::limits) async fn link(&self) -> Option<Arc<Link>> {
        if let Phase::Closed(link) = &*self.phase.borrow() {
            return Some(Arc::clone(link));
        }
        let mut phase = self.phase.subscribe();
        match phase.wait_for(|phase| !matches!(phase, Phase::Starting)).await.as_deref() {
            Ok(Phase::Closed(link)) => Some(Arc::clone(link)),
            _ => None,
        }
    }

    /// Whether decisions ask now.
    pub(in crate::limits) fn is_closed(&self) -> bool {
        matches!(&*self.phase.borrow(), Phase::Closed(_))
    }

    /// Whether decisions are made without asking, at once.
    pub(in crate::limits) fn is_open(&self) -> bool {
        matches!(&*self.phase.borrow(), Phase::Open(_))
    }

    /// A decision came out of it, within the budget.
    pub(in crate::limits) fn hit(link: &Link) {
        // The load keeps the cache line shared between cores as long as all is well.
        if link.misses.load(Relaxed) != 0 {
            link.misses.store(0, Relaxed);
        }
    }

    /// A decision did not come out of it. What an older connection did changes nothing any more.
    pub(in crate::limits) fn miss(&self, link: &Arc<Link>, sick: Sick) {
        let misses = link.misses.fetch_add(1, Relaxed).saturating_add(1);
        if misses >= MISSES || (sick == Sick::Gone && !link.is_cluster()) {
            self.open_by(Some(link), sick);
        }
    }

    /// Opens it, if it is not: by what this connection did, or since there is none.
    pub(in crate::limits) fn open_by(&self, link: Option<&Arc<Link>>, sick: Sick) {
        let opened = self.phase.send_if_modified(|phase| {
            let opens = match (&*phase, link) {
                (Phase::Closed(current), Some(link)) => Arc::ptr_eq(current, link),
                (Phase::Open(known), _) => *known != sick && link.is_none(),
                (Phase::Closed(_), None) => false,
                (Phase::Starting, _) => true,
            };
            if opens {
                *phase = Phase::Open(sick);
            }
            opens
        });
        if opened {
            tracing::warn!(reason = sick.text(), "limits are not shared: each proxy goes on by itself");
        }
        if let Some(link) = link
            && sick.wants_new_connection()
            && !link.is_cluster()
        {
            link.give_up();
        }
    }

    /// Decisions ask again.
    pub(in crate::limits) fn close(&self, link: &Arc<Link>) {
        link.misses.store(0, Relaxed);
        link.proven.store(true, Relaxed);
        self.phase.send_replace(Phase::Closed(Arc::clone(link)));
        tracing::info!("limits are shared by all proxies");
    }
}
