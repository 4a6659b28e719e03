//! Decisions while Redis is away: this proxy's share of the limits, begun with what is known of them.
//!
//! | limit | its share | begun with |
//! |---|---|---|
//! | bucket | amount and burst divided by the proxies | what was left when Redis told last, and has come back since, divided |
//! | budget | its amount divided | what was left of the window, divided; the next window begins whole |
//! | streams | the most divided | the streams of this proxy, wherever they were admitted |
//!
//! Shares are rounded down, but to 1 at least. All that is admitted is owed to Redis, but for what the rate has paid back (`owed.rs`), and charged there when
//! it is back.

use super::account::{Account, Admitted, Call, Id, Level, Limit, Line, Reply, Standing};
use super::decision::{Asked, Decision, Mode, Verdict};
use super::doubt::credit_if_charged;
use super::meter::{Draw, Meters, Told};
use super::plan::{LineUnit, Used};
use super::redis::Late;
use super::reservation::{Open, Reservation};
use super::tenants::{Known, TenantInner, TenantState};
use super::{Inner, account::WindowLevel};
use arc_swap::ArcSwap;
use relay_snapshot::Unavailable;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

#[cfg(test)]
mod tests;

/// The account of this process's share, and which outage it is of.
pub(super) struct Local {
    account: ArcSwap<Account>,
    outage: AtomicU64,
}

impl Local {
    pub(super) fn new() -> Self {
        Self { account: ArcSwap::from_pointee(Account::new()), outage: AtomicU64::new(1) }
    }

    /// Redis is back: the next outage begins anew.
    pub(super) fn end(&self) {
        self.account.store(Arc::new(Account::new()));
        self.outage.fetch_add(1, Relaxed);
    }

    pub(super) fn account(&self) -> Arc<Account> {
        self.account.load_full()
    }
}

/// A request that Redis did not decide on.
pub(super) struct Alone<'a> {
    pub(super) state: &'a Arc<TenantState>,
    pub(super) asked: &'a Asked<'a>,
    /// Redis was asked, and may have decided after all.
    pub(super) late: Option<Late>,
}

impl Inner {
    /// By the tenant's own policy.
    pub(super) fn without_redis(self: &Arc<Self>, policy: Unavailable, alone: Alone<'_>) -> Decision {
        match policy {
            Unavailable::Deny => Decision::unavailable(None),
            Unavailable::Allow => {
                let (id, lines) = (Id(rand::random()), alone.asked.lines.clone());
                let reservation = self.go_on(&mut alone.state.lock(), alone, lines, id, None);
                Decision::free(reservation, Mode::Allow, None)
            }
            Unavailable::Local => self.by_share(alone),
        }
    }

    fn by_share(self: &Arc<Self>, alone: Alone<'_>) -> Decision {
        let Alone { state, asked, .. } = alone;
        let proxies = self.proxies();
        let now = self.clock.micros();
        // The lock is held from the count of streams to the entry of this one.
        let mut tenant = state.lock();
        let outage = self.local.outage.load(Relaxed);
        if tenant.seeded != outage {
            tenant.seeded = outage;
            self.seed(&tenant, state, proxies, now);
        }
        let lines: Vec<Line> = asked.lines.iter().map(|line| share(&tenant, line, proxies, now)).collect();
        let asked_here = Asked { plan: asked.plan.clone(), lines };
        let id = Id(rand::random());
        let reply = self.ask_local(&tenant, state, &asked_here.lines, id, now);
        let mut reservation = None;
        if reply.allowed {
            let told = told(&asked_here.lines, &reply);
            let meters = Meters::reserved(tenant.meters.as_ref(), &told);
            tenant.meters.clone_from(&meters);
            tenant.stops = stop_lines(&asked.lines).into();
            reservation = self.go_on(&mut tenant, alone, asked_here.lines.clone(), id, meters);
        }
        Decision::of(&asked_here, &reply, || Verdict::Admitted(reservation), Mode::Local)
    }

    /// Streams are counted by what this proxy holds, all else by its account.
    fn ask_local(&self, tenant: &TenantInner, state: &TenantState, lines: &[Line], id: Id, now: u64) -> Admitted {
        let is_stream = |line: &&Line| matches!(line.limit, Limit::Streams { .. });
        let streams = |line: &Line| {
            let used = tenant.streams(&line.field);
            Standing { ok: used < line.size(), level: Level::Streams(used) }
        };
        let full = lines.iter().filter(is_stream).any(|line| !streams(line).ok);
        let others: Vec<Line> = lines.iter().filter(|line| !is_stream(line)).cloned().collect();
        // A request that has no place must not be charged: nothing would be given back.
        let barred = Line::new("streams".into(), LineUnit::Streams, Limit::Never, 1);
        let asked: Vec<Line> = others.into_iter().chain(full.then_some(barred)).collect();
        let reply = self.local.account().apply(&state.id, now, &Call::Admit { id, lines: &asked });
        let Reply::Admitted(reply) = reply else { return Admitted { allowed: false, now, standings: Vec::new() } };
        let mut told = reply.standings.iter();
        let standings = lines.iter().filter_map(|line| match line.limit {
            Limit::Streams { .. } => {
                let mut standing = streams(line);
                if let (true, Level::Streams(used)) = (reply.allowed, &mut standing.level) {
                    *used += 1;
                }
                Some(standing)
            }
            _ => told.next().copied(),
        });
        Admitted { allowed: reply.allowed, now: reply.now, standings: standings.collect() }
    }

    /// The request begins. What it costs is owed now, or, if something of it is held, when it ends.
    fn go_on(
        self: &Arc<Self>,
        tenant: &mut TenantInner,
        Alone { state, asked, late }: Alone<'_>,
        lines: Vec<Line>,
        id: Id,
        meters: Option<Arc<Meters>>,
    ) -> Option<Reservation> {
        let (mut whole, counted): (Vec<Line>, Vec<Line>) = asked.lines.iter().cloned().partition(Line::is_held);
        let is_held = !whole.is_empty();
        match late {
            None if is_held => whole.clone_from(&asked.lines),
            late => {
                tenant.owe(counted.iter().map(|line| (line, line.cost)), self.proxies());
                if let Some(late) = late {
                    credit_if_charged(late, state, counted, self.proxies());
                }
            }
        }
        if !is_held {
            return None;
        }
        let draw = meters.map(|meters| Draw::new(meters, stop_lines(&lines)));
        let open = Open::new(id, Arc::clone(state), lines.into(), Some(whole.into()), draw);
        Some(Reservation::begin(self, tenant, open))
    }

    /// A request that was admitted here is over, and Redis does not know of it.
    pub(super) fn settle_local(&self, open: &Open, used: Used) {
        let settle = Call::Settle { id: open.id, lines: &open.lines, used };
        self.local.account().apply(&open.tenant.id, self.clock.micros(), &settle);
        owe(open, used, self.proxies());
    }

    /// Uses of the share what is used of the whole, as far as is known.
    fn seed(&self, tenant: &TenantInner, state: &TenantState, proxies: u32, now: u64) {
        let account = self.local.account();
        account.forget(&state.id);
        for known in tenant.known.values() {
            let Some(spent) = spent_of_share(known, proxies) else { continue };
            let (field, limit) = (Arc::clone(&known.line.field), known.line.share(proxies).limit);
            charge(&account, state, &field, limit, spent, now);
        }
    }

    /// Decisions ask Redis no more: what was left of budgets that end streams is divided, too.
    pub(super) fn share_meters(&self) {
        let proxies = self.proxies();
        for state in self.tenants.all() {
            if let Some(meters) = &state.lock().meters {
                meters.share(proxies);
            }
        }
    }
}

/// It is charged when Redis is back.
fn owe(open: &Open, used: Used, proxies: u32) {
    let mut tenant = open.tenant.lock();
    tenant.owe(open.whole().iter().map(|line| (line, line.truth(used))), proxies);
}

/// Charges an amount to one line, whatever the line counts.
fn charge(account: &Account, state: &TenantState, field: &Arc<str>, limit: Limit, amount: u64, now: u64) {
    let lines = [Line::new(Arc::clone(field), LineUnit::Characters, limit, 0)];
    let mut left = amount;
    while left > 0 {
        let part = left.min(super::account::COST_MAX);
        let used = Used { characters: part, ..Used::default() };
        account.apply(&state.id, now, &Call::Charge { id: Id(rand::random()), lines: &lines, used });
        left -= part;
    }
}

/// Tokens of a bucket's share that are out, given what is out of the whole; `None` for lines that are no buckets.
fn spent_of_share(known: &Known, proxies: u32) -> Option<u64> {
    let (Limit::Bucket(rule), Level::Bucket(backlog)) = (known.line.limit, known.level()) else { return None };
    let proxies = u64::from(proxies.max(1));
    let left = rule.remaining(backlog);
    // What is owed beyond the whole bucket is shared, too.
    let token = u128::from(rule.period()) * 1_000_000;
    let debt = u64::try_from(backlog.0 / token).unwrap_or(u64::MAX).saturating_sub(rule.burst().into());
    let share = u64::from(rule.share(u32::try_from(proxies).unwrap_or(u32::MAX)).burst());
    Some((share.saturating_sub(left / proxies) + debt / proxies).min(u64::from(u32::MAX)))
}

/// The share of a line. Of a budget whose window is known: of what is left.
pub(super) fn share(tenant: &TenantInner, line: &Line, proxies: u32, now: u64) -> Line {
    let shared = line.share(proxies);
    let (Limit::Window { amount, stops, spans }, Some(known)) = (line.limit, tenant.known.get(&line.field)) else {
        return shared;
    };
    let Level::Window(WindowLevel { used, .. }) = known.level() else { return shared };
    let Limit::Window { spans: then, .. } = known.line.limit else { return shared };
    let Level::Window(level) = known.level else { return shared };
    let seconds = i64::try_from(now / 1_000_000).unwrap_or(i64::MAX);
    let here = spans.all().into_iter().find(|(start, end)| (*start..*end).contains(&seconds));
    if here.map(|(start, _)| start) != Some(level.times(&then).0) {
        return shared;
    }
    let left = amount.saturating_sub(used) / u64::from(proxies.max(1));
    Line { limit: Limit::Window { amount: left, stops, spans }, ..line.clone() }
}

/// The budgets of a decision that end streams, and how they stand.
pub(super) fn told<'a>(lines: &'a [Line], reply: &Admitted) -> Vec<Told<'a>> {
    let standings = lines.iter().zip(&reply.standings).filter(|(line, _)| stops(line));
    let told = standings.filter_map(|(line, standing)| match standing.level {
        Level::Window(level) => Some(Told { line, level }),
        _ => None,
    });
    told.collect()
}

pub(super) fn stop_lines(lines: &[Line]) -> Box<[Line]> {
    lines.iter().filter(|line| stops(line)).cloned().collect()
}

fn stops(line: &Line) -> bool {
    line.unit.is_settled() && matches!(line.limit, Limit::Window { stops: true, .. })
}
