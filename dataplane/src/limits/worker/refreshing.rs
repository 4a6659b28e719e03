//! Says of what is held that it still runs, and asks how budgets stand that end streams.

use super::{PATIENCE, REFRESH_TICKS, Worker};
use crate::limits::Store;
use crate::limits::account::{self, Call, Line, Refreshed, Reply};
use crate::limits::local::share;
use crate::limits::meter::Told;
use crate::limits::plan::Used;
use crate::limits::redis::{Link, Redis, Sick};
use crate::limits::reservation::{Home, Open};
use crate::limits::tenants::TenantState;
use futures::StreamExt;
use futures::stream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Reservations of one call: Redis does nothing else for some microseconds each.
const CHUNK: usize = 100;
/// Calls in flight at once.
pub(super) const AT_ONCE: usize = 16;

/// Some reservations of a tenant, and what is told of them.
struct Chunk {
    state: Arc<TenantState>,
    open: Vec<Arc<Open>>,
    windows: Vec<Line>,
}

/// What is told of one reservation: what it used as of now.
struct Word<'a> {
    open: &'a Open,
    seen: Used,
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
        // Of a single server that does not answer the others are not asked for: that would keep the worker from finding out when it is back. Those that
        // are on their way come to their end, for a reservation must not be left between two homes.
        let hangs = AtomicBool::new(false);
        let told = stream::iter(chunks).map(async |chunk| {
            let told = if hangs.load(Relaxed) { Err(Sick::Slow) } else { refresh_chunk(redis, link, chunk).await };
            if told == Err(Sick::Slow) && !link.is_cluster() {
                hangs.store(true, Relaxed);
            }
            told.is_ok()
        });
        told.buffer_unordered(AT_ONCE).fold(true, |whole, told| std::future::ready(whole && told)).await
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
                let words = chunk.words();
                let open: Vec<_> = words.iter().map(|word| word.of(&word.open.lines, false)).collect();
                let call = Call::Refresh { open: &open, windows: &chunk.windows };
                if let Reply::Refreshed(refreshed) = account.apply(&state.id, now, &call) {
                    chunk.told(&words, &refreshed, is_whole);
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
    let chunk =
        |(open, windows): (&[Arc<Open>], Vec<Line>)| Chunk { state: Arc::clone(state), open: open.to_vec(), windows };
    // Budgets are asked for with the last: what the others tell is in them then.
    let last = open.len().div_ceil(CHUNK).saturating_sub(1);
    let parts = open.chunks(CHUNK).enumerate();
    parts.map(|(index, part)| chunk((part, if index == last { windows.clone() } else { Vec::new() }))).collect()
}

impl Chunk {
    fn words(&self) -> Vec<Word<'_>> {
        self.open.iter().map(|open| Word::now(open)).collect()
    }

    /// The account knows of them now.
    fn told(&self, words: &[Word<'_>], refreshed: &Refreshed, is_whole: bool) {
        for Word { open, seen } in words {
            if let Some(draw) = &open.draw {
                draw.acknowledged(*seen);
            }
        }
        let levels = self.windows.iter().zip(&refreshed.windows);
        let told: Vec<Told<'_>> = levels.filter_map(|(line, level)| Some(Told { line, level: (*level)? })).collect();
        let mut meters: Vec<_> = self.open.iter().filter_map(|open| Some(open.draw.as_ref()?.meters())).collect();
        meters.dedup_by(|a, b| Arc::ptr_eq(a, b));
        for meters in meters {
            meters.refreshed(&told);
        }
        if is_whole {
            self.state.lock().learn_windows(&self.windows, &refreshed.windows);
        }
    }
}

async fn refresh_chunk(redis: &Redis, link: &Arc<Link>, mut chunk: Chunk) -> Result<(), Sick> {
    chunk.open.retain(|open| {
        let mut home = open.home();
        if *home == Home::Local {
            *home = Home::Moving;
        }
        *home != Home::Over
    });
    let words = chunk.words();
    let told = tell(redis, link, &chunk, &words, false).await;
    // A reservation that Redis lost is made known again, so that its place and its charge are there.
    let told = match told {
        Ok(refreshed) if has_unknown(&chunk, &refreshed) => tell(redis, link, &chunk, &words, true).await,
        told => told,
    };
    for open in &chunk.open {
        let mut home = open.home();
        if *home == Home::Moving {
            *home = if told.is_ok() { Home::Account } else { Home::Local };
        }
    }
    told.map(|refreshed| chunk.told(&words, &refreshed, true))
}

fn has_unknown(chunk: &Chunk, refreshed: &Refreshed) -> bool {
    let mut known = chunk.open.iter().zip(&refreshed.known);
    known.any(|(open, known)| !known && !adopts(open))
}

fn adopts(open: &Open) -> bool {
    *open.home() == Home::Moving
}

async fn tell(
    redis: &Redis,
    link: &Arc<Link>,
    chunk: &Chunk,
    words: &[Word<'_>],
    adopt_all: bool,
) -> Result<Refreshed, Sick> {
    let open: Vec<_> = words.iter().map(|word| word.of(word.open.whole(), adopt_all || adopts(word.open))).collect();
    let call = Call::Refresh { open: &open, windows: &chunk.windows };
    match redis.tell(link, &chunk.state.id, &call, PATIENCE).await? {
        Reply::Refreshed(refreshed) => Ok(refreshed),
        _ => Err(Sick::Odd),
    }
}

impl<'o> Word<'o> {
    fn now(open: &'o Open) -> Self {
        if let Some(draw) = &open.draw {
            // What is drawn behind this is told next time.
            draw.meters().telling();
        }
        Self { open, seen: open.seen() }
    }

    fn of<'a>(&self, lines: &'a [Line], adopt: bool) -> account::Open<'a> {
        account::Open { id: self.open.id, lines, seen: self.seen, adopt }
    }
}
