//! Questions to Redis that nobody waits for any more: what Redis made of them is counted once all the same.
//!
//! | | what was held | what is counted for good, such as requests |
//! |---|---|---|
//! | the client left | is given back | stays counted, if it was |
//! | the request was admitted here meanwhile | is given back, for it is held under another name | is charged, unless Redis answers within [`Late::PATIENCE`] that it did |

use super::Inner;
use super::account::{Id, Line};
use super::plan::Used;
use super::redis::Late;
use super::reservation::Open;
use super::tenants::TenantState;
use std::sync::Arc;

/// A question to Redis. Without an answer in time, or with a client that left meanwhile, Redis may have reserved what nobody here heard of: it is
/// given back at once, and not when it runs out.
pub(super) struct Doubt<'a> {
    pub(super) limiter: &'a Inner,
    pub(super) state: &'a Arc<TenantState>,
    pub(super) id: Id,
    pub(super) lines: &'a [Line],
    pub(super) is_asked: bool,
}

impl Drop for Doubt<'_> {
    fn drop(&mut self) {
        if self.is_asked && self.lines.iter().any(Line::is_held) {
            let open = Open::doubtful(self.id, Arc::clone(self.state), self.lines);
            // Lost, it runs out by itself; it is no settle that anybody misses.
            let _ = self.limiter.queue.push(Arc::new(open), Used::default());
        }
    }
}

/// These lines, of limits that so many proxies share, are owed: if Redis says that it charged them, they are credited. One task per question, of which a
/// connection has no more than it has places.
pub(super) fn credit_if_charged(late: Late, state: &Arc<TenantState>, lines: Vec<Line>, proxies: u32) {
    if lines.is_empty() {
        return;
    }
    let state = Arc::clone(state);
    tokio::spawn(async move {
        if late.admits().await {
            state.lock().credit(lines.iter().map(|line| (line, line.cost)), proxies);
        }
    });
}
