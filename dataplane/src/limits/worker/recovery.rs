//! The way back to Redis: one probe at a time, then what it missed, then decisions.

use super::Worker;
use crate::limits::redis::{Link, Redis, Sick, State};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// From one probe to the next.
pub(super) const PROBE_EVERY: Duration = Duration::from_millis(100);
/// Probes in a row that a connection may fail: then another one is made, for another server may be behind the same name.
const PROBES: u32 = 10;
/// A probe waits as long as a decision does, but for this at most: budgets that tests give are long.
const PROBE_MAX: Duration = Duration::from_secs(1);

impl Worker<'_> {
    /// One attempt. Closes the circuit if Redis is well. Not cancel-safe: it must not leave a reservation between two homes.
    pub(super) async fn recover(&mut self, redis: &Redis, state: State) {
        match state {
            State::Up(link) => match redis.probe(&link, redis.budget.min(PROBE_MAX)).await {
                Ok(proxies) => {
                    self.probes = 0;
                    self.inner.proxies.store(proxies.max(1), Relaxed);
                    if self.make_known(redis, &link).await {
                        redis.circuit.close(&link);
                        self.inner.local.end();
                        self.flush(redis, &link).await;
                    }
                }
                Err(sick) => self.failed(redis, &link, sick),
            },
            State::Down(sick) => redis.circuit.open_by(None, sick),
            State::Connecting => {}
        }
    }

    fn failed(&mut self, redis: &Redis, link: &Arc<Link>, sick: Sick) {
        redis.circuit.open_by(None, sick);
        self.probes += 1;
        if self.probes >= PROBES || sick.wants_new_connection() {
            self.probes = 0;
            link.give_up();
        }
    }

    /// What was admitted here is charged and held there. What is admitted meanwhile follows with the next tick.
    async fn make_known(&self, redis: &Redis, link: &Arc<Link>) -> bool {
        if !self.pay(redis, link).await {
            return false;
        }
        let states = self.inner.tenants.all().into_iter().filter(|state| !state.lock().open.is_empty());
        // Settles of what Redis knows may follow behind: until then it holds too much, never too little.
        self.refresh_all(redis, link, states.collect()).await
    }
}
