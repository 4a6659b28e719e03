//! The account of one tenant, the twin of `lua/`: pure, time comes with each call.

use super::call::{Admitted, Call, Id, LATE, Open, Refreshed, Reply, TTL, WindowLevel};
use super::line::{Level, Limit, Line, Standing};
use super::rule::{Backlog, Bucket, Rule};
use crate::limits::calendar::Spans;
use crate::limits::plan::Used;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// How many reservations of one kind one call clears away.
const BATCH: usize = 100;
/// The most that a budget counts, 2^53 - 1: as far as the script's numbers are exact.
const USED_MAX: u64 = (1 << 53) - 1;

/// What is known of one tenant.
#[derive(Debug, Default)]
pub(super) struct Tenant {
    cells: HashMap<Arc<str>, Cell>,
    reservations: HashMap<Id, Reservation>,
    /// By when they run out, in microseconds since 1970.
    open: BTreeSet<(u64, Id)>,
    /// By when they are forgotten.
    late: BTreeSet<(u64, Id)>,
    /// Until when any of it matters, in seconds since 1970.
    until: u64,
}

/// The state of one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cell {
    Bucket(Bucket),
    /// How many of a route's streams are held.
    Streams(u64),
    Window(Window),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    /// Seconds since 1970.
    start: i64,
    used: u64,
}

#[derive(Debug)]
struct Reservation {
    place: Place,
    /// `None`: it is over and charged.
    items: Option<Vec<Item>>,
}

/// In which set a reservation is, and under which time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Open(u64),
    Late(u64),
}

/// What is held of one line.
#[derive(Clone, Debug)]
struct Item {
    field: Arc<str>,
    kind: ItemKind,
    charged: u64,
    seen: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ItemKind {
    Bucket,
    /// A stream of a route. The tenant's own are counted by the ids alone.
    Stream,
    /// In the window with this start.
    Window(i64),
}

impl Tenant {
    /// One change, at `now` in microseconds since 1970.
    pub(super) fn apply(&mut self, now: u64, call: &Call<'_>) -> Reply {
        match *call {
            Call::Admit { id, lines } => Reply::Admitted(self.admit(now, id, lines)),
            Call::Settle { id, lines, used } => {
                self.reap(now);
                Reply::Settled(self.close(now, id, lines, used))
            }
            Call::Refresh { open, windows } => {
                self.set_back(now);
                self.reap(now);
                let known = open.iter().map(|open| self.renew(now, open)).collect();
                let windows = windows.iter().map(|line| self.window_level(now, line)).collect();
                Reply::Refreshed(Refreshed { known, windows })
            }
            Call::Charge { id, lines, used } => Reply::Charged(self.charge(now, id, lines, used)),
        }
    }

    /// Whether forgetting it all changes nothing.
    pub(super) fn is_idle(&self, now: u64) -> bool {
        self.until <= now / 1_000_000
    }

    fn admit(&mut self, now: u64, id: Id, lines: &[Line]) -> Admitted {
        let holds = lines.iter().any(Line::is_held);
        if holds {
            self.set_back(now);
            self.reap(now);
        }
        let oks: Vec<bool> = lines.iter().map(|line| self.lets(now, line)).collect();
        let allowed = oks.iter().all(|ok| *ok);
        if allowed {
            for line in lines {
                self.take(now, line, line.cost);
            }
            if holds {
                self.hold(now, id, lines, None);
            }
        }
        let standing = |(ok, line)| Standing { ok, level: self.level(now, line) };
        Admitted { allowed, now, standings: oks.into_iter().zip(lines).map(standing).collect() }
    }

    /// Ends a reservation, if the id names one: what it used replaces what it is charged. Returns whether it was open, or ran out before.
    fn close(&mut self, now: u64, id: Id, lines: &[Line], used: Used) -> bool {
        let Some(Reservation { place, items }) = self.reservations.remove(&id) else { return false };
        self.leave(id, place);
        for mut item in items.into_iter().flatten() {
            if item.kind == ItemKind::Stream {
                if matches!(place, Place::Open(_)) {
                    self.slot(&item.field, -1);
                }
            } else if let Some(line) = lines.iter().find(|line| line.field == item.field) {
                self.correct(now, &mut item, line.truth(used));
            }
        }
        true
    }

    fn charge(&mut self, now: u64, id: Id, lines: &[Line], used: Used) -> bool {
        self.reap(now);
        let known = self.close(now, id, lines, used);
        if !known {
            for line in lines {
                if matches!(line.limit, Limit::Bucket(_) | Limit::Window { .. }) {
                    self.take(now, line, line.truth(used));
                }
            }
        }
        self.remember(now, id, None);
        !known
    }

    /// One request that still runs. Returns whether it was known.
    fn renew(&mut self, now: u64, open: &Open<'_>) -> bool {
        let Some(Reservation { place, items }) = self.reservations.remove(&open.id) else {
            if open.adopt {
                for line in open.lines {
                    self.take(now, line, adopted(line, open.seen));
                }
                self.hold(now, open.id, open.lines, Some(open.seen));
            }
            return false;
        };
        let Some(mut items) = items else {
            self.reservations.insert(open.id, Reservation { place, items });
            return true;
        };
        self.leave(open.id, place);
        for item in &mut items {
            if item.kind == ItemKind::Stream {
                if matches!(place, Place::Late(_)) {
                    self.slot(&item.field, 1);
                }
                continue;
            }
            let line = open.lines.iter().find(|line| line.field == item.field);
            item.seen = item.seen.max(line.map_or(0, |line| line.truth(open.seen)));
            if item.seen > item.charged {
                self.correct(now, item, item.seen);
            }
        }
        self.reopen(now, open.id, items);
        true
    }

    /// Whether the line lets its cost pass.
    fn lets(&mut self, now: u64, line: &Line) -> bool {
        match line.limit {
            Limit::Never => false,
            Limit::Bucket(rule) => rule.admits(self.ruled(now, &line.field, rule), line.cost),
            Limit::Streams { max, of_route } => self.held(&line.field, of_route) < max.into(),
            Limit::Window { amount, stops, spans } => {
                let (Window { used, .. }, _) = self.window(now, &line.field, &spans);
                line.cost == 0 || if stops { used < amount } else { used + line.cost <= amount }
            }
        }
    }

    fn level(&self, now: u64, line: &Line) -> Level {
        match line.limit {
            Limit::Never => Level::Never,
            Limit::Bucket(rule) => Level::Bucket(
                self.bucket(&line.field).map_or_else(Backlog::default, |bucket| bucket.under(rule, now).backlog(now)),
            ),
            Limit::Streams { of_route, .. } => Level::Streams(self.held(&line.field, of_route)),
            Limit::Window { .. } => self.window_level(now, line).map_or(Level::Never, Level::Window),
        }
    }

    fn window_level(&self, now: u64, line: &Line) -> Option<WindowLevel> {
        let Limit::Window { spans, .. } = line.limit else { return None };
        let (Window { used, .. }, span) = self.window(now, &line.field, &spans);
        Some(WindowLevel { used, span })
    }

    /// Charges a line. What is held must have a bucket or a window, so that it can be corrected.
    fn take(&mut self, now: u64, line: &Line, cost: u64) {
        match line.limit {
            Limit::Bucket(rule) => {
                let bucket = self.bucket(&line.field).unwrap_or_else(|| Bucket::new(rule, Backlog::default(), now));
                let bucket = bucket.under(rule, now);
                self.put(&line.field, if cost == 0 { bucket } else { bucket.plus(cost.cast_signed(), now) });
            }
            Limit::Window { spans, .. } => {
                let (window, span) = self.window(now, &line.field, &spans);
                let used = window.used.saturating_add(cost).min(USED_MAX);
                self.until(u64::try_from(spans.all()[span].1).unwrap_or_default());
                self.cells.insert(line.field.clone(), Cell::Window(Window { used, ..window }));
            }
            Limit::Streams { of_route: true, .. } => self.slot(&line.field, 1),
            Limit::Streams { of_route: false, .. } | Limit::Never => {}
        }
    }

    /// Holds what was charged, under the id. `seen` is known of what is adopted.
    fn hold(&mut self, now: u64, id: Id, lines: &[Line], seen: Option<Used>) {
        let mut items = Vec::new();
        for line in lines.iter().filter(|line| line.is_held()) {
            let kind = match line.limit {
                Limit::Bucket(_) => ItemKind::Bucket,
                Limit::Window { spans, .. } => ItemKind::Window(self.window(now, &line.field, &spans).0.start),
                Limit::Streams { of_route: true, .. } => ItemKind::Stream,
                Limit::Streams { of_route: false, .. } | Limit::Never => continue,
            };
            let charged = seen.map_or(line.cost, |seen| adopted(line, seen));
            let seen = seen.map_or(0, |seen| line.truth(seen));
            items.push(Item { field: line.field.clone(), kind, charged, seen });
        }
        self.reopen(now, id, items);
    }

    fn reopen(&mut self, now: u64, id: Id, items: Vec<Item>) {
        let expiry = now + micros(TTL.as_secs());
        self.until((now / 1_000_000) + TTL.as_secs() + LATE.as_secs() + 1);
        self.open.insert((expiry, id));
        self.reservations.insert(id, Reservation { place: Place::Open(expiry), items: Some(items) });
    }

    fn remember(&mut self, now: u64, id: Id, items: Option<Vec<Item>>) {
        let forget_at = now + micros(LATE.as_secs());
        self.until((now / 1_000_000) + LATE.as_secs() + 1);
        self.late.insert((forget_at, id));
        self.reservations.insert(id, Reservation { place: Place::Late(forget_at), items });
    }

    fn leave(&mut self, id: Id, place: Place) {
        match place {
            Place::Open(expiry) => self.open.remove(&(expiry, id)),
            Place::Late(forget_at) => self.late.remove(&(forget_at, id)),
        };
    }

    /// Nothing runs out later than one that begins now, whatever the clock said before it was set back.
    fn set_back(&mut self, now: u64) {
        let latest = now + micros(TTL.as_secs());
        let beyond = self.open.range((latest + 1, Id(0))..).take(BATCH).copied().collect::<Vec<_>>();
        for (expiry, id) in beyond {
            self.open.remove(&(expiry, id));
            self.open.insert((latest, id));
            if let Some(reservation) = self.reservations.get_mut(&id) {
                reservation.place = Place::Open(latest);
            }
        }
    }

    /// Reservations that nobody refreshed: what they were seen to use stays charged, the rest and the slot are given back.
    fn reap(&mut self, now: u64) {
        let due =
            |set: &BTreeSet<(u64, Id)>| set.range(..=(now, Id(u128::MAX))).take(BATCH).copied().collect::<Vec<_>>();
        for (expiry, id) in due(&self.open) {
            self.open.remove(&(expiry, id));
            let mut items = self.reservations.remove(&id).and_then(|reservation| reservation.items).unwrap_or_default();
            for item in &mut items {
                match item.kind {
                    ItemKind::Stream => self.slot(&item.field, -1),
                    ItemKind::Bucket | ItemKind::Window(_) => self.correct(now, item, item.seen),
                }
            }
            self.remember(now, id, Some(items));
        }
        for (forget_at, id) in due(&self.late) {
            self.late.remove(&(forget_at, id));
            self.reservations.remove(&id);
        }
    }

    /// Changes what an item is charged. A bucket or a window that is gone, or is another one by now, stays as it is.
    fn correct(&mut self, now: u64, item: &mut Item, truth: u64) {
        let amount = truth.cast_signed() - item.charged.cast_signed();
        item.charged = truth;
        if amount == 0 {
            return;
        }
        match (item.kind, self.cells.get_mut(&item.field)) {
            (ItemKind::Bucket, Some(Cell::Bucket(bucket))) => {
                *bucket = bucket.plus(amount, now);
                let full_at = bucket.full_at();
                self.until(full_at.saturating_add(1));
            }
            (ItemKind::Window(start), Some(Cell::Window(window))) if window.start == start => {
                window.used = window.used.saturating_add_signed(amount).min(USED_MAX);
            }
            _ => {}
        }
    }

    fn slot(&mut self, field: &Arc<str>, change: i64) {
        let count = self.held(field, true).saturating_add_signed(change);
        self.cells.insert(field.clone(), Cell::Streams(count));
    }

    /// How many streams are held, of the tenant or of the route that the field names.
    fn held(&self, field: &str, of_route: bool) -> u64 {
        match self.cells.get(field) {
            Some(Cell::Streams(count)) if of_route => *count,
            _ if of_route => 0,
            _ => self.open.len() as u64,
        }
    }

    fn bucket(&self, field: &str) -> Option<Bucket> {
        match self.cells.get(field) {
            Some(Cell::Bucket(bucket)) => Some(*bucket),
            _ => None,
        }
    }

    /// The backlog of a line's bucket, which is under the line's rule from now on.
    fn ruled(&mut self, now: u64, field: &Arc<str>, rule: Rule) -> Backlog {
        let Some(before) = self.bucket(field) else { return Backlog::default() };
        let bucket = before.under(rule, now);
        if bucket != before {
            self.put(field, bucket);
        }
        bucket.backlog(now)
    }

    fn put(&mut self, field: &Arc<str>, bucket: Bucket) {
        self.until(bucket.full_at().saturating_add(1));
        self.cells.insert(field.clone(), Cell::Bucket(bucket));
    }

    /// The window that is counted now, and which of the three it is. They follow each other, so it is the last that has begun.
    fn window(&self, now: u64, field: &str, spans: &Spans) -> (Window, usize) {
        let now = (now / 1_000_000).cast_signed();
        let spans = spans.all();
        let mut span = (1..3).take_while(|span| now >= spans[*span].0).count();
        match self.cells.get(field) {
            Some(Cell::Window(window)) if window.start >= spans[span].0 => {
                // A later one has begun before: the clock was set back, and it goes on.
                while span < 2 && window.start > spans[span].0 {
                    span += 1;
                }
                (*window, span)
            }
            _ => (Window { start: spans[span].0, used: 0 }, span),
        }
    }

    fn until(&mut self, second: u64) {
        self.until = self.until.max(second);
    }
}

/// What is charged for a request that began while the account could not be asked.
fn adopted(line: &Line, seen: Used) -> u64 {
    if line.is_held() { line.cost.max(line.truth(seen)) } else { line.cost }
}

const fn micros(seconds: u64) -> u64 {
    seconds * 1_000_000
}
