//! Tells Redis what requests used.

use super::{PATIENCE, Worker};
use crate::limits::account::{Call, Line, Reply};
use crate::limits::plan::{LineUnit, Used};
use crate::limits::publish::Settled;
use crate::limits::queue::{Job, Stage};
use crate::limits::redis::{Link, Redis};
use crate::limits::reservation::Home;
use crate::limits::tenants::{Debt, TenantState};
use futures::future::join_all;
use std::collections::HashSet;
use std::sync::Arc;

/// Calls in flight at once. Redis works on them for some milliseconds, in which decisions of this proxy wait: no more than a part of their budget.
pub(super) const BATCH: usize = 128;

impl Worker<'_> {
    /// Sends what waits now, batch by batch, until nothing does or Redis does not answer. In a cluster one node may be gone and the others well: there only
    /// the tenants that had no answer have to wait.
    pub(super) async fn flush(&self, redis: &Redis, link: &Arc<Link>) {
        self.lose_old();
        let (mut left, mut unsent, mut unanswered) = (self.inner.queue.len(), Vec::new(), HashSet::new());
        while left > 0 && (unanswered.is_empty() || link.is_cluster()) {
            let jobs = self.inner.queue.take(left.min(BATCH));
            left = if jobs.is_empty() { 0 } else { left - jobs.len() };
            let jobs = jobs.into_iter().filter(|job| !self.belongs_here(job));
            let (waiting, jobs): (Vec<Job>, Vec<Job>) = jobs.partition(|job| unanswered.contains(&job.open.tenant.id));
            unsent.extend(waiting);
            let sent = join_all(jobs.iter().map(|job| settle(redis, link, job))).await;
            for (job, settled) in jobs.into_iter().zip(sent) {
                match settled {
                    Ok(settled) => self.settled(&job, settled),
                    Err(stage) => {
                        unanswered.insert(job.open.tenant.id.clone());
                        unsent.push(Job { stage, ..job });
                    }
                }
            }
        }
        let lost = self.inner.queue.put_back(unsent);
        self.inner.counts.add(Settled::Lost, lost);
    }

    /// Drops what waited for too long.
    pub(super) fn lose_old(&self) {
        let lost = self.inner.queue.expire();
        if lost > 0 {
            self.inner.counts.add(Settled::Lost, lost);
            tracing::warn!(lost, "Redis was away for too long: what these requests used is not told");
        }
    }

    /// Redis was to be told of the reservation, and was not: it goes the way of those that were admitted here.
    fn belongs_here(&self, job: &Job) -> bool {
        let mut home = job.open.home();
        let here = *home == Home::Local;
        if here {
            *home = Home::Over;
            self.inner.settle_local(&job.open, job.used);
            self.inner.counts.add(Settled::Local, 1);
        }
        here
    }

    fn settled(&self, job: &Job, settled: Settled) {
        if let Some(draw) = &job.open.draw {
            draw.settled(job.used);
        }
        if !job.open.is_doubtful {
            self.inner.counts.add(settled, 1);
        }
    }

    /// Charges what began and ended while Redis was away. False: Redis does not answer; what is left is tried again.
    pub(super) async fn pay(&self, redis: &Redis, link: &Arc<Link>) -> bool {
        let mut debts = Vec::new();
        for state in self.inner.tenants.all() {
            let owed = state.lock().take_debts(self.inner.proxies());
            debts.extend(owed.into_iter().map(|debt| (Arc::clone(&state), debt)));
        }
        for batch in debts.chunks(BATCH) {
            let paid = join_all(batch.iter().map(|(state, debt)| charge(redis, link, state, debt))).await;
            for ((state, debt), _) in batch.iter().zip(&paid).filter(|(_, paid)| **paid) {
                state.lock().paid(debt.id);
            }
            if paid.contains(&false) {
                return false;
            }
        }
        true
    }
}

/// Tells what a request used. Without an answer: how far it came.
async fn settle(redis: &Redis, link: &Arc<Link>, job: &Job) -> Result<Settled, Stage> {
    let open = &job.open;
    let (id, lines, used) = (open.id, open.whole(), job.used);
    if job.stage != Stage::Unheld {
        let settle = Call::Settle { id, lines, used };
        let Ok(Reply::Settled(known)) = redis.tell(link, &open.tenant.id, &settle, PATIENCE).await else {
            return Err(Stage::Sent);
        };
        // What was sent before may have come through then, and is not to be charged twice.
        if known || job.stage == Stage::Sent || open.is_doubtful {
            return Ok(Settled::Shared);
        }
    }
    // Redis lost the reservation, and all that was charged by it.
    match redis.tell(link, &open.tenant.id, &Call::Charge { id, lines, used }, PATIENCE).await {
        Ok(_) => Ok(Settled::Late),
        Err(_) => Err(Stage::Unheld),
    }
}

/// Once, however often it is sent: Redis remembers the id.
async fn charge(redis: &Redis, link: &Arc<Link>, state: &TenantState, debt: &Debt) -> bool {
    let (lines, used) = whatever(&debt.line, debt.amount);
    let call = Call::Charge { id: debt.id, lines: &lines, used };
    redis.tell(link, &state.id, &call, PATIENCE).await.is_ok()
}

/// A charge of so much to one line, whatever the line counts.
fn whatever(line: &Line, amount: u64) -> ([Line; 1], Used) {
    let line = Line::new(Arc::clone(&line.field), LineUnit::Characters, line.limit, 0);
    ([line], Used { characters: amount, ..Used::default() })
}
