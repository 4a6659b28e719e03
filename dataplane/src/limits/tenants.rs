//! What this proxy knows of each tenant: its reservations that are held, how its limits stood last, and what Redis is not told yet.

use super::account::{Admitted, Id, Level, Limit, Line, WindowLevel};
use super::decision::Asked;
use super::meter::Meters;
use super::owed::{Owed, full_at};
use super::reservation::{Home, Open};
use relay_snapshot::ObjectId;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

const SHARDS: usize = 32;
/// How long a tenant is remembered that sends no requests: what it had left is then no longer told in metrics, nor carried over an outage.
pub(super) const REMEMBERED: Duration = Duration::from_hours(1);

/// All tenants that sent a request lately. They come from the configuration, never from clients.
pub(super) struct Tenants {
    hasher: RandomState,
    shards: [Mutex<HashMap<ObjectId, Arc<TenantState>>>; SHARDS],
}

/// One tenant.
pub(super) struct TenantState {
    pub(super) id: ObjectId,
    inner: Mutex<TenantInner>,
}

pub(super) struct TenantInner {
    pub(super) open: HashMap<Id, Arc<Open>>,
    /// By [`Line::field`].
    pub(super) known: HashMap<Arc<str>, Known>,
    /// Charges of requests that began and ended while Redis was away, by field.
    owed: HashMap<Arc<str>, Owed>,
    /// Those that Redis is being told of.
    debts: Vec<Debt>,
    /// Of how many requests these are.
    untold: usize,
    pub(super) meters: Option<Arc<Meters>>,
    /// The budgets that end streams, as they were asked for last.
    pub(super) stops: Vec<Line>,
    /// The outage in which its local account was begun with what is known; 0: in none, or Redis has told more since.
    pub(super) seeded: u64,
    used_at: Instant,
}

/// How a limit stood when an account told of it last.
#[derive(Clone)]
pub(super) struct Known {
    /// As users name it.
    pub(super) key: Arc<str>,
    pub(super) line: Line,
    pub(super) level: Level,
    /// The account's clock then.
    pub(super) now: u64,
    /// The same moment here.
    pub(super) at: Instant,
}

/// A charge with a name: it may be sent more than once, and counts once.
#[derive(Clone)]
pub(super) struct Debt {
    pub(super) id: Id,
    pub(super) line: Line,
    /// At most [`COST_MAX`](super::account::COST_MAX).
    pub(super) amount: u64,
}

impl Known {
    /// The account's clock now.
    pub(super) fn clock(&self) -> u64 {
        self.now.saturating_add(super::clock::micros(self.at.elapsed()))
    }

    /// How it stands now, if nobody has used anything since.
    pub(super) fn level(&self) -> Level {
        match (self.level, self.line.limit) {
            (Level::Bucket(mut backlog), Limit::Bucket(rule)) => {
                let passed = u128::from(super::clock::micros(self.at.elapsed())) * u128::from(rule.amount());
                backlog.0 = backlog.0.saturating_sub(passed);
                Level::Bucket(backlog)
            }
            (Level::Window(mut window), Limit::Window { spans, .. }) => {
                let (_, end) = window.times(&spans);
                if u64::try_from(end).unwrap_or_default().saturating_mul(1_000_000) <= self.clock() {
                    window.used = 0;
                }
                Level::Window(window)
            }
            (level, _) => level,
        }
    }
}

impl TenantState {
    fn new(id: &ObjectId) -> Self {
        let inner = TenantInner {
            open: HashMap::new(),
            known: HashMap::new(),
            owed: HashMap::new(),
            debts: Vec::new(),
            untold: 0,
            meters: None,
            stops: Vec::new(),
            seeded: 0,
            used_at: Instant::now(),
        };
        Self { id: id.clone(), inner: Mutex::new(inner) }
    }

    /// Held for microseconds, and never across an await.
    pub(super) fn lock(&self) -> MutexGuard<'_, TenantInner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn closed(&self, id: Id) {
        self.lock().open.remove(&id);
    }

    /// The reservations that are held now.
    pub(super) fn open(&self) -> Vec<Arc<Open>> {
        self.lock().open.values().cloned().collect()
    }
}

impl TenantInner {
    /// An account told how the limits stand.
    pub(super) fn learn(&mut self, asked: &Asked<'_>, reply: &Admitted) {
        let at = Instant::now();
        for ((plan, line), standing) in asked.plan.iter().zip(&asked.lines).zip(&reply.standings) {
            let known =
                Known { key: Arc::clone(&plan.key), line: line.clone(), level: standing.level, now: reply.now, at };
            self.known.insert(Arc::clone(&line.field), known);
        }
        self.used_at = at;
    }

    /// One request more is to be charged once Redis is back, so much by each line. `proxies`: among how many the limits are divided.
    pub(super) fn owe<'a>(&mut self, costs: impl Iterator<Item = (&'a Line, u64)>, proxies: u32) {
        for (line, amount) in costs {
            self.of_owed(line, amount, |owed, full_at, now| owed.add(line, amount, full_at, proxies, now));
        }
        self.untold += 1;
    }

    /// Of how many requests Redis is not told what they used.
    pub(super) fn untold(&self) -> usize {
        if self.owes() { self.untold } else { 0 }
    }

    fn owes(&self) -> bool {
        !self.debts.is_empty() || self.owed.values().any(Owed::is_due)
    }

    /// Redis has charged a request that was owed, too.
    pub(super) fn credit<'a>(&mut self, costs: impl Iterator<Item = (&'a Line, u64)>, proxies: u32) {
        for (line, amount) in costs {
            self.of_owed(line, amount, |owed, full_at, now| owed.credit(line, amount, full_at, proxies, now));
        }
    }

    fn of_owed(&mut self, line: &Line, amount: u64, change: impl FnOnce(&mut Owed, Instant, Instant)) {
        if amount == 0 || matches!(line.limit, Limit::Never | Limit::Streams { .. }) {
            return;
        }
        let now = Instant::now();
        let full_at = self.full_at(&line.field, now);
        change(self.owed.entry(Arc::clone(&line.field)).or_insert_with(|| Owed::new(line.clone(), now)), full_at, now);
        self.used_at = now;
    }

    /// When the bucket is full again, by what is known of it.
    fn full_at(&self, field: &str, now: Instant) -> Instant {
        let known = self.known.get(field).map(|known| (known.line.limit, known.level, known.at));
        match known {
            Some((Limit::Bucket(rule), Level::Bucket(backlog), at)) => full_at(rule.reset(backlog), at),
            _ => now,
        }
    }

    /// How many of its reservations hold a place of this line's streams.
    pub(super) fn streams(&self, field: &str) -> u64 {
        let holds = |open: &&Arc<Open>| open.lines.iter().any(|line| &*line.field == field);
        u64::try_from(self.open.values().filter(holds).count()).unwrap_or(u64::MAX)
    }

    /// What is owed, each with its name: the same until it is [paid](Self::paid).
    pub(super) fn take_debts(&mut self, proxies: u32) -> Vec<Debt> {
        let now = Instant::now();
        for (field, mut owed) in std::mem::take(&mut self.owed) {
            let parts = owed.take(self.full_at(&field, now), proxies, now).into_iter();
            self.debts.extend(parts.map(|(line, amount)| Debt { id: Id(rand::random()), line, amount }));
            if !owed.is_over() {
                self.owed.insert(field, owed);
            }
        }
        if self.debts.is_empty() {
            self.untold = 0;
        }
        self.debts.clone()
    }

    /// Redis has charged it.
    pub(super) fn paid(&mut self, id: Id) {
        self.debts.retain(|debt| debt.id != id);
        if !self.owes() {
            self.untold = 0;
        }
    }

    /// An account told how budgets stand.
    pub(super) fn learn_windows(&mut self, lines: &[Line], levels: &[Option<WindowLevel>]) {
        for (line, level) in lines.iter().zip(levels) {
            if let (Some(known), Some(level)) = (self.known.get_mut(&line.field), level) {
                (known.now, known.at) = (known.clock(), Instant::now());
                (known.line, known.level) = (line.clone(), Level::Window(*level));
            }
        }
    }

    /// Whether something is held here whose budgets end streams, or that Redis does not know of.
    pub(super) fn is_urgent(&self) -> bool {
        let is_local = |open: &Arc<Open>| *open.home() == Home::Local;
        !self.open.is_empty() && (!self.stops.is_empty() || self.open.values().any(is_local))
    }

    /// Whether a budget that ends streams is to be told of at once.
    pub(super) fn is_due(&self) -> bool {
        self.open.values().any(|open| open.draw.as_ref().is_some_and(|draw| draw.meters().is_due()))
    }

    fn is_forgotten(&self) -> bool {
        self.open.is_empty() && !self.owes() && self.used_at.elapsed() >= REMEMBERED
    }
}

impl Tenants {
    pub(super) fn new() -> Self {
        Self { hasher: RandomState::new(), shards: std::array::from_fn(|_| Mutex::default()) }
    }

    fn shard(&self, id: &ObjectId) -> MutexGuard<'_, HashMap<ObjectId, Arc<TenantState>>> {
        let hash = self.hasher.hash_one(id);
        let index = usize::try_from(hash % SHARDS as u64).unwrap_or_default();
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tenant's state, made if there is none.
    pub(super) fn of(&self, id: &ObjectId) -> Arc<TenantState> {
        let mut shard = self.shard(id);
        if let Some(known) = shard.get(id) {
            return Arc::clone(known);
        }
        let state = Arc::new(TenantState::new(id));
        shard.insert(id.clone(), Arc::clone(&state));
        state
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<Arc<TenantState>> {
        let mut all = Vec::new();
        for shard in &self.shards {
            all.extend(shard.lock().unwrap_or_else(PoisonError::into_inner).values().cloned());
        }
        all
    }

    /// Forgets those that hold nothing and were not seen for [`REMEMBERED`], and limits that nobody has asked for since.
    pub(super) fn sweep(&self) {
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.retain(|_, state| {
                let mut tenant = state.lock();
                tenant.known.retain(|_, known| known.at.elapsed() < REMEMBERED);
                Arc::strong_count(state) > 1 || !tenant.is_forgotten()
            });
        }
    }
}
