//! What is done beside requests, by one task: settles, refreshes, the count of proxies, and the way back from an outage.
//!
//! One thing at a time. So a settle is never sent before the reply to a refresh of the same reservation, and what Redis is told of a reservation comes in
//! the order in which it happened.

mod recovery;
mod refreshing;
mod settling;

#[cfg(test)]
mod tests;

use super::publish::LimitsMode;
use super::redis::{Link, PRESENT, Phase, Redis};
use super::{Inner, Store};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep};

/// From one look at what is held to the next; budgets that end streams are looked at each time.
const TICK: Duration = Duration::from_secs(1);
/// Ticks from one refresh of what is held to the next.
const REFRESH_TICKS: u64 = 10;
/// Ticks from one word that this proxy is there to the next.
const HEARTBEAT_TICKS: u64 = 5;
/// Ticks from one look for tenants to forget to the next.
const SWEEP_TICKS: u64 = 600;
/// How long one call of the worker may take: longer than a decision, for nobody waits; short enough to notice soon that nothing works.
const PATIENCE: Duration = Duration::from_millis(250);

/// Until the limiter is closed.
pub(super) async fn run(inner: Arc<Inner>) {
    let mut worker =
        Worker { inner: &inner, tick: 0, failed_probes: 0, good_probes: 0, needed_probes: 1, closed_at: None };
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let _closed = inner.closed.clone().drop_guard();
    match &inner.store {
        Store::Memory(_) => worker.in_memory(&mut ticks).await,
        Store::Redis(redis) => worker.with_redis(redis, &mut ticks).await,
    }
}

struct Worker<'a> {
    inner: &'a Arc<Inner>,
    tick: u64,
    /// Probes in a row that the connection failed, and that it answered.
    failed_probes: u32,
    good_probes: u32,
    /// How many it has to answer.
    needed_probes: u32,
    /// When decisions began to ask Redis, while they do.
    closed_at: Option<Instant>,
}

impl Worker<'_> {
    async fn in_memory(&mut self, ticks: &mut Interval) {
        loop {
            tokio::select! {
                () = self.inner.closing.cancelled() => return,
                _ = ticks.tick() => {}
            }
            self.tick += 1;
            self.refresh_here();
            self.sweep();
        }
    }

    async fn with_redis(&mut self, redis: &Redis, ticks: &mut Interval) {
        let (mut phase, mut links) = (redis.circuit.watch(), redis.links.clone());
        loop {
            let current = phase.borrow_and_update().clone();
            self.tell_mode(&current);
            if let Phase::Closed(link) = current {
                tokio::select! {
                    biased;
                    () = self.inner.closing.cancelled() => return self.end(redis, &link).await,
                    _ = phase.changed() => {}
                    _ = ticks.tick() => self.on_tick(redis, &link).await,
                    () = self.inner.queue.filled() => self.flush(redis, &link).await,
                }
            } else {
                if self.closed_at.is_some() {
                    self.opened();
                }
                let state = links.borrow_and_update().clone();
                self.recover(redis, state).await;
                if redis.circuit.is_closed() {
                    continue;
                }
                tokio::select! {
                    biased;
                    () = self.inner.closing.cancelled() => return,
                    _ = links.changed() => {}
                    _ = ticks.tick() => self.on_tick_alone(),
                    () = sleep(recovery::PROBE_EVERY) => {}
                }
            }
        }
    }

    fn tell_mode(&self, phase: &Phase) {
        let mode = match phase {
            Phase::Starting | Phase::Closed(_) => LimitsMode::Shared,
            Phase::Open(sick) => LimitsMode::Local { reason: sick.text() },
        };
        self.inner.mode.send_if_modified(|told| {
            let changed = *told != mode;
            *told = mode;
            changed
        });
    }

    async fn on_tick(&mut self, redis: &Redis, link: &Arc<Link>) {
        self.tick += 1;
        self.pay(redis, link).await;
        self.refresh(redis, link).await;
        // What could not be sent before, or was put back.
        self.flush(redis, link).await;
        if self.tick.is_multiple_of(HEARTBEAT_TICKS) {
            match redis.beat(link, PRESENT, PATIENCE).await {
                Ok(proxies) => self.inner.counted(proxies),
                Err(sick) => redis.circuit.miss(link, sick),
            }
        }
        self.sweep();
    }

    /// While Redis is away.
    fn on_tick_alone(&mut self) {
        self.tick += 1;
        self.refresh_here();
        self.lose_old();
        self.sweep();
    }

    fn sweep(&self) {
        if self.tick.is_multiple_of(SWEEP_TICKS) {
            self.inner.tenants.sweep();
        }
    }

    /// The process ends: what is left to tell is told, and the other proxies' shares need not leave room for this one.
    async fn end(&mut self, redis: &Redis, link: &Arc<Link>) {
        self.pay(redis, link).await;
        self.flush(redis, link).await;
        if let Err(sick) = redis.beat(link, Duration::ZERO, PATIENCE).await {
            tracing::debug!(reason = sick.text(), "this proxy counts for some seconds more");
        }
    }
}
