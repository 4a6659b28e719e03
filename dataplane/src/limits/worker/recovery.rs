//! The way back to Redis: one probe at a time, then what it missed, then decisions.

use super::Worker;
use crate::limits::redis::{Link, Phase, Redis, Sick, State};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// From one probe to the next.
pub(super) const PROBE_EVERY: Duration = Duration::from_millis(100);
/// Probes in a row that a connection may fail: then another one is made, for another server may be behind the same name.
const PROBES: u32 = 10;
/// A circuit that opens again sooner than this was closed too soon.
const STEADY: Duration = Duration::from_secs(5);
/// Probes in a row that are asked for at most: with the pauses between them still less than half a second.
const PROBES_NEEDED_MAX: u32 = 4;
/// A probe waits as long as a decision does, but for this at most: budgets that tests give are long.
const PROBE_MAX: Duration = Duration::from_secs(1);

impl Worker<'_> {
    /// One attempt. Closes the circuit if Redis is well. Not cancel-safe: it must not leave a reservation between two homes.
    pub(super) async fn recover(&mut self, redis: &Redis, state: State) {
        match state {
            State::Up(link) => match redis.probe(&link, redis.budget.min(PROBE_MAX)).await {
                Ok(proxies) => {
                    (self.failed_probes, self.good_probes) = (0, self.good_probes + 1);
                    self.inner.counted(proxies);
                    if self.good_probes >= self.needed_probes && self.make_known(redis, &link).await {
                        self.close(redis, &link).await;
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
        (self.failed_probes, self.good_probes) = (self.failed_probes + 1, 0);
        if self.failed_probes >= PROBES || sick.wants_new_connection() {
            self.failed_probes = 0;
            link.give_up();
        }
    }

    async fn close(&mut self, redis: &Redis, link: &Arc<Link>) {
        redis.circuit.close(link);
        self.inner.local.end();
        self.good_probes = 0;
        self.closed_at = Some(Instant::now());
        self.tell_mode(&Phase::Closed(Arc::clone(link)));
        self.flush(redis, link).await;
    }

    /// Redis is away again. One that comes and goes has to answer more often in a row before it is believed.
    pub(super) fn opened(&mut self) {
        let held = self.closed_at.take().is_none_or(|closed| closed.elapsed() >= STEADY);
        self.needed_probes = if held { 1 } else { (self.needed_probes * 2).min(PROBES_NEEDED_MAX) };
        (self.failed_probes, self.good_probes) = (0, 0);
        self.inner.share_meters();
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
