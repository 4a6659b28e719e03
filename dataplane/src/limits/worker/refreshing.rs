//! Says of what is held that it still runs, and asks how budgets stand that end streams.

use super::{PATIENCE, REFRESH_TICKS, Worker};
use crate::limits::Store;
use crate::limits::account::{self, Call, Line, Refreshed, Reply};
use crate::limits::local::share;
use crate::limits::meter::{Draw, Told};
use crate::limits::redis::{Link, Redis};
use crate::limits::reservation::{Home, Open};
use crate::limits::tenants::TenantState;
use futures::StreamExt;
use futures::stream;
use std::sync::Arc;

/// Reservations of one call: Redis does nothing else for some microseconds each.
const CHUNK: usize = 100;
/// Calls in flight at once.
const AT_ONCE: usize = 16;

/// Some reservations of a tenant, and what is told of them.
struct Chunk {
    state: Arc<TenantState>,
    open: Vec<(Arc<Open>, Vec<u64>)>,
    windows: Vec<Line>,
}

impl Worker<'_> {
    /// Tells Redis. What was admitted here is adopted there.
    pub(super) async fn refresh(&self, redis: &Redis, link: &Arc<Link>) -> bool {
        let everything = self.tick.is_multiple_of(REFRESH_TICKS);
        let states = self.inner.tenants.all().into_iter().filter(|state| everything || state.lock().is_urgent());
        self.refresh_all(redis, link, states.collect()).await
    }

    /// As [`refresh`](Self::refresh), of these tenants. False: Redis does not answer.
    pub(super) async fn refresh_all(&self, redis: &Redis, link: &Arc<Link>, states: Vec<Arc<TenantState>>) -> bool {
        let chunks: Vec<Chunk> = states.iter().flat_map(|state| chunks(state, |_| true)).collect();
        let told = stream::iter(chunks).map(|chunk| refresh_chunk(redis, link, chunk)).buffer_unordered(AT_ONCE);
        // All of them, also behind one that failed: a reservation must not be left between two homes.
        told.fold(true, |whole, told| std::future::ready(whole && told)).await
    }

    /// Tells the account in this process.
    pub(super) fn refresh_here(&self) {
        let (now, proxies) = (self.inner.clock.micros(), self.inner.proxies());
        let everything = self.tick.is_multiple_of(REFRESH_TICKS);
        let local;
        let (account, is_whole) = match &self.inner.store {
            Store::Memory(account) => (&**account, true),
            Store::Redis(_) => {
                local = self.inner.local.account();
                (&*local, false)
            }
        };
        for state in self.inner.tenants.all() {
            if !everything && !state.lock().is_urgent() {
                continue;
            }
            let here = |home| if is_whole { home == Home::Account } else { home == Home::Local };
            for mut chunk in chunks(&state, here) {
                if !is_whole {
                    let tenant = state.lock();
                    for line in &mut chunk.windows {
                        *line = share(&tenant, line, proxies, now);
                    }
                }
                let open: Vec<_> = chunk.open.iter().map(|(open, _)| told_of(open, &open.lines, false)).collect();
                let call = Call::Refresh { open: &open, windows: &chunk.windows };
                if let Reply::Refreshed(refreshed) = account.apply(&state.id, now, &call) {
                    chunk.told(&refreshed, is_whole);
                }
            }
        }
    }
}

/// What is held of a tenant, in calls of a bounded size.
fn chunks(state: &Arc<TenantState>, which: impl Fn(Home) -> bool) -> Vec<Chunk> {
    let mut open = state.open();
    open.retain(|open| which(*open.home()));
    let windows = state.lock().stops.clone();
    let with_draws = |open: &Arc<Open>| {
        if let Some(draw) = &open.draw {
            draw.meters().telling();
        }
        let drawn = open.draw.as_ref().map(Draw::snapshot).unwrap_or_default();
        (Arc::clone(open), drawn)
    };
    let chunk = |(open, windows): (&[Arc<Open>], Vec<Line>)| Chunk {
        state: Arc::clone(state),
        open: open.iter().map(with_draws).collect(),
        windows,
    };
    // Budgets are asked for with the last: what the others tell is in them then.
    let last = open.len().div_ceil(CHUNK).saturating_sub(1);
    let parts = open.chunks(CHUNK).enumerate();
    parts.map(|(index, part)| chunk((part, if index == last { windows.clone() } else { Vec::new() }))).collect()
}

impl Chunk {
    /// The account knows of them now.
    fn told(&self, refreshed: &Refreshed, is_whole: bool) {
        for (open, drawn) in &self.open {
            if let Some(draw) = &open.draw {
                draw.acknowledged(drawn);
            }
        }
        let levels = self.windows.iter().zip(&refreshed.windows);
        let told: Vec<Told<'_>> = levels.filter_map(|(line, level)| Some(Told { line, level: (*level)? })).collect();
        let mut meters: Vec<_> = self.open.iter().filter_map(|(open, _)| Some(open.draw.as_ref()?.meters())).collect();
        meters.dedup_by(|a, b| Arc::ptr_eq(a, b));
        for meters in meters {
            meters.refreshed(&told);
        }
        if is_whole {
            self.state.lock().learn_windows(&self.windows, &refreshed.windows);
        }
    }
}

/// False: no answer.
async fn refresh_chunk(redis: &Redis, link: &Arc<Link>, mut chunk: Chunk) -> bool {
    chunk.open.retain(|(open, _)| {
        let mut home = open.home();
        if *home == Home::Local {
            *home = Home::Moving;
        }
        *home != Home::Over
    });
    let told = tell(redis, link, &chunk, false).await;
    // A reservation that Redis lost is made known again, so that its place and its charge are there.
    let told = match told {
        Some(refreshed) if has_unknown(&chunk, &refreshed) => tell(redis, link, &chunk, true).await,
        told => told,
    };
    for (open, _) in &chunk.open {
        let mut home = open.home();
        if *home == Home::Moving {
            *home = if told.is_some() { Home::Account } else { Home::Local };
        }
    }
    if let Some(refreshed) = &told {
        chunk.told(refreshed, true);
    }
    told.is_some()
}

fn has_unknown(chunk: &Chunk, refreshed: &Refreshed) -> bool {
    let mut known = chunk.open.iter().zip(&refreshed.known);
    known.any(|((open, _), known)| !known && !adopts(open))
}

fn adopts(open: &Open) -> bool {
    *open.home() == Home::Moving
}

async fn tell(redis: &Redis, link: &Arc<Link>, chunk: &Chunk, adopt_all: bool) -> Option<Refreshed> {
    let open: Vec<_> =
        chunk.open.iter().map(|(open, _)| told_of(open, open.whole(), adopt_all || adopts(open))).collect();
    let call = Call::Refresh { open: &open, windows: &chunk.windows };
    match redis.tell(link, &chunk.state.id, &call, PATIENCE).await {
        Ok(Reply::Refreshed(refreshed)) => Some(refreshed),
        _ => None,
    }
}

fn told_of<'a>(open: &Open, lines: &'a [Line], adopt: bool) -> account::Open<'a> {
    account::Open { id: open.id, lines, seen: open.seen(), adopt }
}
