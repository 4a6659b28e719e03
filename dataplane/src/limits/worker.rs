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
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep, sleep_until};

/// From one look at what is held to the next; budgets that end streams are looked at each time.
const TICK: Duration = Duration::from_secs(1);
/// Ticks from one refresh of what is held to the next.
const REFRESH_TICKS: u64 = 10;
/// Ticks from one word that this proxy is there to the next.
const HEARTBEAT_TICKS: u64 = 5;
/// Ticks from one look for tenants to forget to the next.
const SWEEP_TICKS: u64 = 600;
/// From one telling of budgets that are about to be spent to the next, at least.
const PACE: Duration = Duration::from_millis(100);
/// How long one call of the worker may take: longer than a decision, for nobody waits; short enough to notice soon that nothing works.
const PATIENCE: Duration = Duration::from_millis(250);

/// Until the limiter is closed.
pub(super) async fn run(inner: Arc<Inner>) {
    run_every(inner, TICK).await;
}

async fn run_every(inner: Arc<Inner>, tick: Duration) {
    let mut worker = Worker::new(&inner);
    let mut ticks = interval(tick);
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
    /// When budgets that are about to be spent were told of last.
    told_at: Option<Instant>,
}

impl<'a> Worker<'a> {
    fn new(inner: &'a Arc<Inner>) -> Self {
        let (tick, failed_probes, good_probes, needed_probes) = (0, 0, 0, 1);
        Self { inner, tick, failed_probes, good_probes, needed_probes, closed_at: None, told_at: None }
    }

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
                    () = self.inner.closing.cancelled() => {
                        if self.end(redis, &link).await {
                            return;
                        }
                        sleep(recovery::PROBE_EVERY).await;
                    }
                    _ = phase.changed() => {}
                    _ = ticks.tick() => self.on_tick(redis, &link).await,
                    () = self.due() => self.tell_due(redis, &link).await,
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
                let closing = self.inner.closing.is_cancelled();
                if closing && self.inner.untold() == 0 {
                    return;
                }
                tokio::select! {
                    biased;
                    () = self.inner.closing.cancelled(), if !closing => {}
                    _ = links.changed() => {}
                    _ = ticks.tick() => self.on_tick_alone(),
                    () = sleep(recovery::PROBE_EVERY) => {}
                }
            }
        }
    }

    /// Waits until a budget is about to be spent, and [`PACE`] has passed. Cancel-safe.
    async fn due(&self) {
        if let Some(told_at) = self.told_at {
            sleep_until(told_at + PACE).await;
        }
        self.inner.due.notified().await;
    }

    async fn tell_due(&mut self, redis: &Redis, link: &Arc<Link>) {
        self.told_at = Some(Instant::now());
        let due = self.inner.tenants.all().into_iter().filter(|state| state.lock().is_due());
        self.refresh_all(redis, link, due.collect()).await;
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

    /// The process ends: what is left to tell is told, and the other proxies' shares need not leave room for this one. False: not all of it could be
    /// told.
    async fn end(&mut self, redis: &Redis, link: &Arc<Link>) -> bool {
        self.pay(redis, link).await;
        self.flush(redis, link).await;
        if self.inner.untold() > 0 {
            return false;
        }
        if let Err(sick) = redis.beat(link, Duration::ZERO, PATIENCE).await {
            tracing::debug!(reason = sick.text(), "this proxy counts for some seconds more");
        }
        true
    }
}
