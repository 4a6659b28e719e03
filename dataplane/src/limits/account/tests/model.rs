//! A slow, obvious account: buckets are levels that time fills, budgets are lists of everything that was ever charged, streams are counted one by
//! one. It shares no arithmetic and no state with the account. Its clock never goes back.

use super::super::{
    Account, Admitted, Backlog, Call, Id, Level, Limit, Line, Open, Refreshed, Reply, Rule, Standing, WindowLevel,
};
use super::world::{play, worlds};
use crate::limits::calendar::Spans;
use crate::limits::plan::Used;
use proptest::prelude::*;
use relay_snapshot::ObjectId;
use std::collections::HashMap;

const SECOND: u64 = 1_000_000;
const TTL: u64 = 30 * SECOND;
const LATE: u64 = 600 * SECOND;

#[derive(Default)]
pub(super) struct Model {
    now: u64,
    buckets: HashMap<String, Bucket>,
    /// The window of each budget that was charged last.
    windows: HashMap<String, i64>,
    /// What was charged for good: budget, window, amount.
    spent: Vec<(String, i64, u64)>,
    known: Vec<Known>,
}

/// A level that time fills. One token is `period` million units, so that a microsecond fills `amount` units.
#[derive(Clone, Copy)]
struct Bucket {
    rule: Rule,
    level: i128,
    time: u64,
}

struct Known {
    id: Id,
    state: State,
    entries: Vec<Entry>,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    /// Until then.
    Open(u64),
    /// It ran out; forgotten then.
    Late(u64),
    /// It was charged without a reservation; forgotten then.
    Over(u64),
}

#[derive(Clone)]
struct Entry {
    field: String,
    kind: Kind,
    charged: u64,
    seen: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Bucket,
    Window(i64),
    Stream,
}

impl Bucket {
    fn new(rule: Rule, time: u64) -> Self {
        Self { rule, level: size(rule), time }
    }

    fn at(self, now: u64) -> Self {
        let filled = self.level + i128::from(now - self.time) * i128::from(self.rule.amount());
        Self { level: filled.min(size(self.rule)), time: now, ..self }
    }

    /// Tokens that are out stay out, at most all that fit.
    fn under(self, rule: Rule) -> Self {
        if rule == self.rule {
            return self;
        }
        let out = size(self.rule) - self.level;
        let (before, after) = (token(self.rule), token(rule));
        let out = (out / before) * after + ((out % before) * after + before - 1) / before;
        Self { rule, level: (size(rule) - out).max(0), ..self }
    }

    fn plus(self, tokens: i128) -> Self {
        let level = self.level - tokens * token(self.rule);
        Self { level: level.clamp(-10_000_000_000 * token(self.rule), size(self.rule)), ..self }
    }
}

fn token(rule: Rule) -> i128 {
    i128::from(rule.period()) * 1_000_000
}

fn size(rule: Rule) -> i128 {
    i128::from(rule.burst()) * token(rule)
}

impl Model {
    pub(super) fn apply(&mut self, now: u64, call: &Call<'_>) -> Reply {
        assert!(self.now <= now);
        self.now = now;
        match *call {
            Call::Admit { id, lines } => Reply::Admitted(self.admit(id, lines)),
            Call::Settle { id, lines, used } => {
                self.reap();
                Reply::Settled(self.close(id, lines, used))
            }
            Call::Refresh { open, windows } => {
                self.reap();
                let known = open.iter().map(|open| self.renew(open)).collect();
                let window = |line: &Line| match line.limit {
                    Limit::Window { spans, .. } => Some(self.window(&line.field, &spans)),
                    _ => None,
                };
                Reply::Refreshed(Refreshed { known, windows: windows.iter().map(window).collect() })
            }
            Call::Charge { id, lines, used } => Reply::Charged(self.charge(id, lines, used)),
        }
    }

    fn admit(&mut self, id: Id, lines: &[Line]) -> Admitted {
        let holds = lines.iter().any(Line::is_held);
        if holds {
            self.reap();
        }
        let oks: Vec<_> = lines.iter().map(|line| self.lets(line)).collect();
        let allowed = !oks.contains(&false);
        if allowed {
            let entries = lines.iter().filter_map(|line| self.take(line, line.cost, 0)).collect();
            if holds {
                self.known.push(Known { id, state: State::Open(self.now + TTL), entries });
            }
        }
        let standings = lines.iter().zip(oks).map(|(line, ok)| Standing { ok, level: self.level(line) }).collect();
        Admitted { allowed, now: self.now, standings }
    }

    fn lets(&mut self, line: &Line) -> bool {
        match line.limit {
            Limit::Never => false,
            Limit::Bucket(rule) => {
                let bucket = self.bucket(&line.field, rule);
                let asked = i128::from(line.cost.min(rule.burst().into())) * token(rule);
                line.cost == 0 || bucket.level >= asked
            }
            Limit::Streams { max, of_route } => self.streams(&line.field, of_route) < u64::from(max),
            Limit::Window { amount, stops: true, spans } => {
                line.cost == 0 || self.window(&line.field, &spans).used < amount
            }
            Limit::Window { amount, stops: false, spans } => {
                line.cost == 0 || self.window(&line.field, &spans).used + line.cost <= amount
            }
        }
    }

    fn level(&mut self, line: &Line) -> Level {
        match line.limit {
            Limit::Never => Level::Never,
            Limit::Bucket(rule) => {
                let out = size(rule) - self.bucket(&line.field, rule).level;
                Level::Bucket(Backlog(out.try_into().unwrap()))
            }
            Limit::Streams { of_route, .. } => Level::Streams(self.streams(&line.field, of_route)),
            Limit::Window { spans, .. } => Level::Window(self.window(&line.field, &spans)),
        }
    }

    /// As of now and under this rule, which holds from here on.
    fn bucket(&mut self, field: &str, rule: Rule) -> Bucket {
        let now = self.now;
        match self.buckets.get_mut(field) {
            Some(bucket) => {
                *bucket = bucket.at(now).under(rule);
                *bucket
            }
            None => Bucket::new(rule, now),
        }
    }

    fn streams(&self, field: &str, of_route: bool) -> u64 {
        let open = self.known.iter().filter(|known| matches!(known.state, State::Open(_)));
        let of_this = |known: &&Known| known.entries.iter().any(|e| e.kind == Kind::Stream && e.field == field);
        open.filter(|known| !of_route || of_this(known)).count() as u64
    }

    /// The window that holds now, or the one nearest to it; or a later one that was charged before. And which of the three tells of it.
    fn current(&self, field: &str, spans: &Spans) -> (i64, usize) {
        let now = (self.now / SECOND).cast_signed();
        let distance = |(start, end): (i64, i64)| (start - now).max(now - (end - 1)).max(0);
        let spans = spans.all();
        let nearest = (0..3).min_by_key(|index| distance(spans[*index])).unwrap();
        let start = spans[nearest].0.max(*self.windows.get(field).unwrap_or(&i64::MIN));
        (start, (nearest..3).find(|index| spans[*index].0 >= start).unwrap_or(2))
    }

    fn window(&self, field: &str, spans: &Spans) -> WindowLevel {
        let (start, span) = self.current(field, spans);
        let spent =
            self.spent.iter().filter(|(f, s, _)| (f.as_str(), *s) == (field, start)).map(|(_, _, amount)| amount);
        let held = self.known.iter().flat_map(|known| &known.entries);
        let held = held.filter(|entry| entry.field == field && entry.kind == Kind::Window(start)).map(|e| &e.charged);
        WindowLevel { used: spent.chain(held).sum(), span }
    }

    /// Charges a line, and says what is to be held of it.
    fn take(&mut self, line: &Line, charged: u64, seen: u64) -> Option<Entry> {
        let field = line.field.to_string();
        let kind = match line.limit {
            Limit::Never | Limit::Streams { of_route: false, .. } => return None,
            Limit::Streams { of_route: true, .. } => Kind::Stream,
            Limit::Bucket(rule) => {
                let bucket = self.bucket(&field, rule).plus(charged.into());
                self.buckets.insert(field.clone(), bucket);
                Kind::Bucket
            }
            Limit::Window { spans, .. } => {
                let (start, _) = self.current(&field, &spans);
                self.windows.insert(field.clone(), start);
                if !line.is_held() {
                    self.spent.push((field.clone(), start, charged));
                }
                Kind::Window(start)
            }
        };
        line.is_held().then_some(Entry { field, kind, charged, seen })
    }

    /// What an entry is charged from now on.
    fn correct(&mut self, entry: &mut Entry, truth: u64) {
        let (now, more) = (self.now, i128::from(truth) - i128::from(entry.charged));
        if entry.kind == Kind::Bucket && more != 0 {
            self.buckets.entry(entry.field.clone()).and_modify(|bucket| *bucket = bucket.at(now).plus(more));
        }
        entry.charged = truth;
    }

    fn reap(&mut self) {
        let now = self.now;
        let (out, rest): (Vec<_>, Vec<_>) =
            self.known.drain(..).partition(|known| matches!(known.state, State::Open(until) if until <= now));
        self.known = rest;
        for mut known in out {
            known.entries.iter_mut().for_each(|entry| self.correct(entry, entry.seen));
            self.known.push(Known { state: State::Late(now + LATE), ..known });
        }
        let forgotten = |known: &Known| matches!(known.state, State::Late(until) | State::Over(until) if until <= now);
        let (out, rest): (Vec<_>, Vec<_>) = self.known.drain(..).partition(forgotten);
        self.known = rest;
        for known in out {
            self.bury(known.entries);
        }
    }

    /// What was charged stays charged.
    fn bury(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            if let Kind::Window(start) = entry.kind {
                self.spent.push((entry.field, start, entry.charged));
            }
        }
    }

    fn find(&mut self, id: Id) -> Option<Known> {
        let index = self.known.iter().position(|known| known.id == id)?;
        Some(self.known.remove(index))
    }

    fn close(&mut self, id: Id, lines: &[Line], used: Used) -> bool {
        let Some(mut known) = self.find(id) else { return false };
        for entry in &mut known.entries {
            let line = lines.iter().find(|line| *line.field == *entry.field).unwrap();
            self.correct(entry, line.truth(used));
        }
        self.bury(known.entries);
        true
    }

    fn charge(&mut self, id: Id, lines: &[Line], used: Used) -> bool {
        self.reap();
        let known = self.close(id, lines, used);
        if !known {
            let entries = lines.iter().filter_map(|line| self.take(line, line.truth(used), 0)).collect();
            self.bury(entries);
        }
        self.known.push(Known { id, state: State::Over(self.now + LATE), entries: Vec::new() });
        !known
    }

    fn renew(&mut self, open: &Open<'_>) -> bool {
        let state = State::Open(self.now + TTL);
        let Some(mut known) = self.find(open.id) else {
            if open.adopt {
                let seen = |line: &Line| if line.is_held() { line.truth(open.seen) } else { 0 };
                let entries =
                    open.lines.iter().filter_map(|line| self.take(line, line.cost.max(seen(line)), seen(line)));
                let entries = entries.collect();
                self.known.push(Known { id: open.id, state, entries });
            }
            return false;
        };
        if matches!(known.state, State::Over(_)) {
            self.known.push(known);
            return true;
        }
        for entry in &mut known.entries {
            let line = open.lines.iter().find(|line| *line.field == *entry.field).unwrap();
            entry.seen = entry.seen.max(line.truth(open.seen));
            self.correct(entry, entry.charged.max(entry.seen));
        }
        self.known.push(Known { state, ..known });
        true
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_account_replies_what_the_obvious_one_replies(world in worlds(80, false)) {
        let (account, mut model, tenant) = (Account::new(), Model::default(), ObjectId::new("team", "a"));
        let mut number = 0;
        play(&world, |now, call| {
            number += 1;
            let (told, obvious) = (account.apply(&tenant, now, call), model.apply(now, call));
            prop_assert_eq!(told, obvious, "call {} at {}: {:#?}", number, now, call);
            Ok(())
        })?;
    }
}
