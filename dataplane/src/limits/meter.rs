//! Budgets that end running streams: what is left of them, as far as this proxy knows, and the switch that ends its streams.
//!
//! ```text
//! left = amount - used - drawn
//!        used    what the account told last, and what was reserved since
//!        drawn   what this proxy's streams took beyond their reservations, and the account has not been told
//! ```
//!
//! A stream that draws more than is left ends all of the tenant's streams here; the account is told within a second, and so are other proxies. What
//! others draw in this second is not known: so when a noticeable part of what is left was drawn here, the account is told at once.

use super::account::{Limit, Line, WindowLevel};
use super::plan::Used;
use crate::drain::Cut;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

#[cfg(test)]
mod tests;

/// The account is told at once when the part of what is left that was drawn and not told is larger than one of so many.
const PARTS: u64 = 8;

/// One budget in one of its windows.
#[derive(Debug)]
struct Meter {
    field: Arc<str>,
    /// Start of the window.
    start: i64,
    amount: AtomicU64,
    used: AtomicU64,
    drawn: AtomicU64,
}

/// All budgets of a tenant that end streams, in the windows that are running. A stream keeps those that it began with.
#[derive(Debug)]
pub(super) struct Meters {
    list: Box<[Meter]>,
    cut: Cut,
    /// The account is to be told at once; it is being told as soon as this is false again.
    due: AtomicBool,
}

/// How one stop line stood when something was told of it.
pub(super) struct Told<'a> {
    pub(super) line: &'a Line,
    pub(super) level: WindowLevel,
}

impl Told<'_> {
    fn start(&self) -> i64 {
        match &self.line.limit {
            Limit::Window { spans, .. } => self.level.times(spans).0,
            _ => 0,
        }
    }

    fn amount(&self) -> u64 {
        match self.line.limit {
            Limit::Window { amount, .. } => amount,
            _ => 0,
        }
    }
}

impl Meters {
    /// Of a request that was just admitted by the account: [`reserved`](Self::reserved), and budgets that were changed are as large as they are now.
    pub(super) fn admitted(before: Option<&Arc<Self>>, told: &[Told<'_>]) -> Option<Arc<Self>> {
        if let Some(before) = before
            && before.fits(told)
        {
            for (meter, told) in before.list.iter().zip(told) {
                meter.amount.store(told.amount(), Relaxed);
            }
        }
        Self::reserved(before, told)
    }

    /// Of a request that was just admitted, by a share or by the whole: `before`, if they are of the same budgets and windows and still let streams
    /// run, else new ones. `None`: no budget ends streams.
    pub(super) fn reserved(before: Option<&Arc<Self>>, told: &[Told<'_>]) -> Option<Arc<Self>> {
        if told.is_empty() {
            return None;
        }
        if let Some(before) = before
            && before.fits(told)
        {
            for (meter, told) in before.list.iter().zip(told) {
                // What others used is told by the next refresh. Their charges are not to be taken from this reply: what this proxy's streams drew
                // meanwhile may be in it or not.
                meter.used.fetch_add(told.line.cost, Relaxed);
            }
            if before.left() > 0 {
                return Some(Arc::clone(before));
            }
        }
        Some(Arc::new(Self {
            list: told.iter().map(Meter::new).collect(),
            cut: Cut::default(),
            due: AtomicBool::new(false),
        }))
    }

    fn fits(&self, told: &[Told<'_>]) -> bool {
        let same = |(meter, told): (&Meter, &Told<'_>)| *meter.field == *told.line.field && meter.start == told.start();
        !self.cut.is_cancelled() && self.list.len() == told.len() && self.list.iter().zip(told).all(same)
    }

    /// The least that is left.
    fn left(&self) -> u64 {
        self.list.iter().map(Meter::left).min().unwrap_or(u64::MAX)
    }

    /// What ends the streams.
    pub(super) fn cut(&self) -> &Cut {
        &self.cut
    }

    /// Whether the account is to be told at once.
    pub(super) fn is_due(&self) -> bool {
        self.due.load(Relaxed)
    }

    /// What was drawn up to now is about to be told.
    pub(super) fn telling(&self) {
        self.due.store(false, Relaxed);
    }

    /// A refresh told how the budgets stand, `acknowledged` drawn tokens included. Those of other windows are left alone.
    pub(super) fn refreshed(&self, told: &[Told<'_>]) {
        for told in told {
            let mut meters = self.list.iter();
            if let Some(meter) = meters.find(|meter| *meter.field == *told.line.field && meter.start == told.start()) {
                meter.amount.store(told.amount(), Relaxed);
                meter.used.store(told.level.used, Relaxed);
            }
        }
        self.check();
    }

    /// Redis is away: of what was left this proxy goes on with its share.
    pub(super) fn share(&self, proxies: u32) {
        for meter in &self.list {
            let left = meter.left() / u64::from(proxies.max(1));
            meter.amount.store(left.saturating_add(meter.drawn.load(Relaxed)), Relaxed);
            meter.used.store(0, Relaxed);
        }
    }

    fn check(&self) {
        if !self.cut.is_cancelled() && self.left() == 0 {
            self.cut.cancel();
        }
    }
}

impl Meter {
    fn new(told: &Told<'_>) -> Self {
        Self {
            field: Arc::clone(&told.line.field),
            start: told.start(),
            amount: AtomicU64::new(told.amount()),
            used: AtomicU64::new(told.level.used),
            drawn: AtomicU64::new(0),
        }
    }

    /// Much of what is left was drawn here, and others do not know.
    fn is_due(&self) -> bool {
        self.drawn.load(Relaxed).saturating_mul(PARTS) >= self.left()
    }

    fn left(&self) -> u64 {
        let gone = self.used.load(Relaxed).saturating_add(self.drawn.load(Relaxed));
        self.amount.load(Relaxed).saturating_sub(gone)
    }
}

/// What one stream draws from the meters, beyond what it reserved.
#[derive(Debug)]
pub(super) struct Draw {
    meters: Arc<Meters>,
    /// Per meter: the line that the stream was admitted by.
    lines: Box<[Line]>,
    /// Per meter: drawn so far, and how much of that the account knows.
    drawn: Box<[AtomicU64]>,
    known: Box<[AtomicU64]>,
}

impl Draw {
    /// `lines`: those of the meters, in their order.
    pub(super) fn new(meters: Arc<Meters>, lines: Box<[Line]>) -> Self {
        let zeros = || lines.iter().map(|_| AtomicU64::new(0)).collect();
        let (drawn, known) = (zeros(), zeros());
        Self { meters, lines, drawn, known }
    }

    pub(super) fn meters(&self) -> &Arc<Meters> {
        &self.meters
    }

    /// The stream has used so much in all. Ends the tenant's streams here when nothing is left. True: the account is to be told at once, and nobody was
    /// told so before.
    pub(super) fn progress(&self, used: Used) -> bool {
        let (mut spent, mut due) = (false, false);
        for ((line, drawn), meter) in self.lines.iter().zip(&self.drawn).zip(&self.meters.list) {
            let now = line.truth(used).saturating_sub(line.cost);
            let before = drawn.fetch_max(now, Relaxed);
            if now > before {
                meter.drawn.fetch_add(now - before, Relaxed);
                spent |= meter.left() == 0;
                due |= meter.is_due();
            }
        }
        if spent && !self.meters.cut.is_cancelled() {
            self.meters.cut.cancel();
        }
        due && !self.meters.is_due() && !self.meters.due.swap(true, Relaxed)
    }

    /// The account knows that the stream has used so much, and counts it in what it tells.
    pub(super) fn acknowledged(&self, seen: Used) {
        for (((line, drawn), known), meter) in
            self.lines.iter().zip(&self.drawn).zip(&self.known).zip(&self.meters.list)
        {
            // No more than was drawn: another thread may be about to draw what was seen already.
            let told = line.truth(seen).saturating_sub(line.cost).min(drawn.load(Relaxed));
            let before = known.fetch_max(told, Relaxed);
            take(&meter.drawn, told.saturating_sub(before));
        }
    }

    /// The stream is over and settled: what it did not use of its reservation is there again, what it drew is used.
    pub(super) fn settled(&self, used: Used) {
        for (((line, drawn), known), meter) in
            self.lines.iter().zip(&self.drawn).zip(&self.known).zip(&self.meters.list)
        {
            let drawn = drawn.load(Relaxed);
            let untold = drawn.saturating_sub(known.swap(drawn, Relaxed));
            meter.used.fetch_add(untold, Relaxed);
            take(&meter.used, (line.cost + drawn).saturating_sub(line.truth(used)));
            take(&meter.drawn, untold);
        }
    }
}

fn take(from: &AtomicU64, amount: u64) {
    // Of these updates none fails: the closure never says no.
    let _ = from.fetch_update(Relaxed, Relaxed, |value| Some(value.saturating_sub(amount)));
}
