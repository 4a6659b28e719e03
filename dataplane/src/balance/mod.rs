//! Which backend of a route a request goes to, and whether it may be tried again.
//!
//! The state lives in the table, beside the route; a new table takes over what the one before knew of the same backends, and what it does not name
//! any more is forgotten with the old one.

mod budget;
mod health;
mod in_band;
mod retry_after;
#[cfg(test)]
mod tests;
mod turns;

pub use budget::{HedgeBudget, RetryBudget};
pub use health::{Health, Sign};
pub use in_band::{Complaint, complaint};
pub use retry_after::retry_after;

use crate::metrics::Metrics;
use crate::table::{BackendEntry, Origin, RouteEntry};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use turns::Candidate;

/// The longest `retry-after` that the relay waits for itself; longer ones are the client's to obey.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(2);
/// The pause before the second attempt at the same backend; twice as long before each further one.
const BACKOFF: Duration = Duration::from_millis(25);
/// The longest such pause.
const BACKOFF_MAX: Duration = Duration::from_millis(400);

/// The turns, health and budgets of a route's backends.
#[derive(Debug)]
pub struct RouteBalance {
    /// In the order of the route's backends; while the route is not ready, those that it had.
    members: Vec<Member>,
    turns: Mutex<Vec<i64>>,
    /// Of retries.
    pub retries: Arc<RetryBudget>,
    /// Of hedges.
    pub hedges: Arc<HedgeBudget>,
}

#[derive(Clone, Debug)]
struct Member {
    name: String,
    origin: Origin,
    weight: u32,
    priority: u32,
    health: Arc<Health>,
}

/// A choice.
#[derive(Debug)]
pub struct Pick {
    /// Place among the route's backends.
    pub index: usize,
    /// The request was there before.
    pub again: bool,
    /// To tell what came of it.
    pub ticket: Ticket,
}

/// Tells a backend's health what came of one attempt. Dropped without, it tells nothing.
#[derive(Debug)]
pub struct Ticket {
    health: Arc<Health>,
    is_probe: bool,
}

impl Ticket {
    /// The attempt is over. True: the backend went out of service by it, or came back.
    pub fn report(mut self, sign: Sign) -> bool {
        let changed = self.health.report(sign, self.is_probe, Instant::now(), rand::random());
        self.is_probe = false;
        changed
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.is_probe {
            self.health.release();
        }
    }
}

impl RouteBalance {
    /// All backends are well, and nobody had a turn.
    pub fn new(backends: &[Arc<BackendEntry>]) -> Self {
        let member = |backend: &Arc<BackendEntry>| Member {
            name: backend.name.clone(),
            origin: backend.origin.clone(),
            weight: backend.weight,
            priority: backend.priority,
            health: Arc::default(),
        };
        Self {
            members: backends.iter().map(member).collect(),
            turns: Mutex::new(vec![0; backends.len()]),
            retries: Arc::new(RetryBudget::new(Instant::now())),
            hedges: Arc::default(),
        }
    }

    /// Takes over what an earlier table knew: the budgets, and the health and turn of each backend with the same name and origin. Without backends,
    /// since the route is not ready, it keeps all of it for the table in which the route is ready again.
    pub fn after(backends: &[Arc<BackendEntry>], before: &Self) -> Self {
        let mut this = Self::new(backends);
        this.retries = Arc::clone(&before.retries);
        this.hedges = Arc::clone(&before.hedges);
        let known_turns = before.turns.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let turns = this.turns.get_mut().unwrap_or_else(PoisonError::into_inner);
        if backends.is_empty() {
            this.members.clone_from(&before.members);
            *turns = known_turns;
            return this;
        }
        for (member, turn) in this.members.iter_mut().zip(turns) {
            let known = before.members.iter().zip(&known_turns);
            let same = |(known, _): &(&Member, &i64)| known.name == member.name && known.origin == member.origin;
            if let Some((known, known_turn)) = known.into_iter().find(same) {
                member.health = Arc::clone(&known.health);
                *turn = *known_turn;
            }
        }
        this
    }

    /// The next backend for a request that was at those in `tried` already; `None` where every weight is 0.
    ///
    /// First those that are fit and not tried, of the lowest priority that has one; then the fit ones once more; and where none is fit at all, they
    /// are used as if they were: a route is never without a backend because all of them failed.
    pub fn pick(&self, tried: &[usize], now: Instant) -> Option<Pick> {
        let passes = [(true, false), (true, true), (false, false), (false, true)];
        passes.into_iter().find_map(|(fit, again)| self.pick_of(tried, fit, again, now))
    }

    /// The next backend that is fit and not among the `tried`.
    pub fn pick_other(&self, tried: &[usize], now: Instant) -> Option<Pick> {
        self.pick_of(tried, true, false, now)
    }

    fn pick_of(&self, tried: &[usize], fit: bool, again: bool, now: Instant) -> Option<Pick> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let usable = |(index, member): &(usize, &Member)| {
            member.weight > 0 && tried.contains(index) == again && (!fit || member.health.fits(now))
        };
        let usable: Vec<(usize, &Member)> = self.members.iter().enumerate().filter(usable).collect();
        let lowest = usable.iter().map(|(_, member)| member.priority).min()?;
        let candidates: Vec<Candidate> = usable
            .iter()
            .filter(|(_, member)| member.priority == lowest)
            .map(|(index, member)| Candidate { index: *index, weight: member.weight })
            .collect();
        let index = turns::choose(&mut turns, &candidates)?;
        let health = Arc::clone(&self.members.get(index)?.health);
        let is_probe = health.enter(now);
        Some(Pick { index, again, ticket: Ticket { health, is_probe } })
    }

    /// Whether the backend at this place is in service.
    pub fn is_well(&self, index: usize) -> bool {
        self.members.get(index).is_some_and(|member| member.health.is_well())
    }
}

/// The pause before a further attempt at the same backend; `number` counts attempts from 1, `jitter` is in 0..1 and makes it up to a half shorter.
pub fn backoff(number: u32, jitter: f64) -> Duration {
    let doubled = BACKOFF.saturating_mul(1_u32.checked_shl(number.saturating_sub(1)).unwrap_or(u32::MAX));
    doubled.min(BACKOFF_MAX).mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 2.0)
}

/// Brings `relay_upstream_healthy` up to date with the table: what it does not name any more is gone.
pub fn publish<'a>(routes: impl IntoIterator<Item = &'a Arc<RouteEntry>>, metrics: &Metrics) {
    metrics.upstream_healthy.reset();
    for route in routes {
        for (index, backend) in route.backends.iter().enumerate() {
            let healthy = i64::from(route.balance().is_well(index));
            metrics.upstream_healthy.with_label_values(&[&*route.label, backend.name.as_str()]).set(healthy);
        }
    }
}
