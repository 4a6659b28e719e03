//! What a request holds while it runs.

use super::Inner;
use super::account::{Id, Line};
use super::meter::Draw;
use super::plan::Used;
use super::tenants::{TenantInner, TenantState};
use crate::drain::Cut;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Where a reservation is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Home {
    /// By the account that is the tenant's own: Redis', or this process's if there is no other.
    Account,
    /// In this process, since Redis was away.
    Local,
    /// As `Local`; Redis is being told of it now.
    Moving,
    /// It was `Local` and is over: Redis will only be told what it used.
    Over,
}

/// A reservation that is held, for its owner and for the worker.
pub(super) struct Open {
    pub(super) id: Id,
    pub(super) tenant: Arc<TenantState>,
    /// What it was admitted by; under `Local` this proxy's shares.
    pub(super) lines: Box<[Line]>,
    /// The same lines whole, as Redis is told of them.
    pub(super) whole: Option<Box<[Line]>>,
    pub(super) draw: Option<Draw>,
    /// Nobody knows whether it is held: the question was sent, and no answer came in time.
    pub(super) is_doubtful: bool,
    home: Mutex<Home>,
    input: AtomicU64,
    output: AtomicU64,
    characters: AtomicU64,
}

impl Open {
    pub(super) fn new(
        id: Id,
        tenant: Arc<TenantState>,
        lines: Box<[Line]>,
        whole: Option<Box<[Line]>>,
        draw: Option<Draw>,
    ) -> Self {
        let home = if whole.is_some() { Home::Local } else { Home::Account };
        let zero = || AtomicU64::new(0);
        let home = Mutex::new(home);
        let is_doubtful = false;
        Self { id, tenant, lines, whole, draw, is_doubtful, home, input: zero(), output: zero(), characters: zero() }
    }

    /// Of a request that does not run by it.
    pub(super) fn doubtful(id: Id, tenant: Arc<TenantState>, lines: &[Line]) -> Self {
        Self { is_doubtful: true, ..Self::new(id, tenant, lines.into(), None, None) }
    }

    /// What is held of the whole limits.
    pub(super) fn whole(&self) -> &[Line] {
        self.whole.as_deref().unwrap_or(&self.lines)
    }

    pub(super) fn home(&self) -> MutexGuard<'_, Home> {
        self.home.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the request used so far.
    pub(super) fn seen(&self) -> Used {
        Used {
            input: self.input.load(Relaxed),
            output: self.output.load(Relaxed),
            characters: self.characters.load(Relaxed),
        }
    }

    /// True: as [`Draw::progress`].
    fn saw(&self, used: Used) -> bool {
        self.input.store(used.input, Relaxed);
        self.output.store(used.output, Relaxed);
        self.characters.store(used.characters, Relaxed);
        self.draw.as_ref().is_some_and(|draw| draw.progress(used))
    }
}

/// What a request holds of its tenant's limits while it runs. Settle it at the end; dropped without, it is settled with what
/// [`progress`](Self::progress) was told last.
pub struct Reservation {
    limiter: Arc<Inner>,
    /// Taken when it is settled.
    open: Option<Arc<Open>>,
}

impl Reservation {
    /// Holds it, among those of its tenant.
    pub(super) fn begin(limiter: &Arc<Inner>, tenant: &mut TenantInner, open: Open) -> Self {
        let open = Arc::new(open);
        tenant.open.insert(open.id, Arc::clone(&open));
        Self { limiter: Arc::clone(limiter), open: Some(open) }
    }

    /// Tells what the request used so far, in all: the last word counts, but a budget that ends streams takes nothing back before the end. Some
    /// nanoseconds, no lock; may be called at each event.
    pub fn progress(&self, used: Used) {
        if let Some(open) = &self.open
            && open.saw(used)
        {
            self.limiter.due.notify_one();
        }
    }

    /// What ends the request when a budget with `atLimit: StopStreams` is spent, here or by another proxy (within two seconds). `None`: no such budget.
    pub fn stop(&self) -> Option<&Cut> {
        self.open.as_ref()?.draw.as_ref().map(|draw| draw.meters().cut())
    }

    /// The request is over, and used so much: what was reserved beyond is there again, what is missing is charged. Never waits; in bounds.
    pub fn settle(mut self, used: Used) {
        self.end(Some(used));
    }

    fn end(&mut self, used: Option<Used>) {
        let Some(open) = self.open.take() else { return };
        let used = used.unwrap_or_else(|| open.seen());
        if let Some(draw) = &open.draw {
            // Its settle tells all.
            let _ = draw.progress(used);
        }
        open.tenant.closed(open.id);
        self.limiter.settle(open, used);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.end(None);
    }
}

impl fmt::Debug for Reservation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservation").field("id", &self.open.as_ref().map(|open| open.id)).finish_non_exhaustive()
    }
}
