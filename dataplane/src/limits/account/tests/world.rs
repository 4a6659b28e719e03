//! What may happen to an account: rules, and calls with pauses between them.

use super::super::{Call, Id, Limit, Line, Open, Rule};
use crate::limits::calendar::Spans;
use crate::limits::plan::{LineUnit, Used};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestCaseResult;
use relay_snapshot::{Count, RateLimit};

/// 2023-11-14, 22:13:20.
pub(super) const BEGIN: u64 = 1_700_000_000_000_000;

/// A limit, without the request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Template {
    pub(super) field: &'static str,
    pub(super) unit: LineUnit,
    pub(super) kind: TemplateKind,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum TemplateKind {
    /// Amount 0: never.
    Bucket(RateLimit),
    Streams(u32),
    Window {
        amount: u64,
        stops: bool,
        /// In seconds: windows of one length follow each other since 1970.
        length: u32,
    },
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Microseconds pass.
    Pause(u64),
    /// The clock is set back by this many microseconds.
    SetBack(u64),
    /// Other rules hold from here on.
    Rules(usize),
    /// A request comes to a proxy whose clock is wrong by some seconds.
    Admit(Used, i64),
    /// One of all requests so far is over, perhaps not for the first time.
    Settle(usize, Used),
    /// Some of all requests so far are said to run still.
    Refresh(Vec<(usize, Used)>, bool),
    /// A request began and ended without the account; or one that it may know of is charged so.
    Charge(Option<usize>, Used),
    /// A request began without the account, and still runs.
    Adopt(Used, Used),
}

#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) rules: Vec<Vec<Template>>,
    pub(super) steps: Vec<Step>,
}

impl Template {
    /// The line of a request that comes at `now` (microseconds), by a clock that is so many seconds ahead.
    pub(super) fn line(&self, estimate: Used, now: u64, ahead: i64) -> Line {
        let mut cost = self.unit.of(estimate);
        let limit = match self.kind {
            TemplateKind::Bucket(rate) => Rule::new(&rate).map_or(Limit::Never, Limit::Bucket),
            TemplateKind::Streams(max) => Limit::Streams { max, of_route: self.field.contains(':') },
            TemplateKind::Window { amount, stops, length } => {
                if stops && self.unit.is_settled() {
                    cost = estimate.input;
                }
                let length = i64::from(length);
                let start = ((now / 1_000_000).cast_signed() + ahead) / length * length;
                let edges = [start - length, start, start + length, start + 2 * length];
                Limit::Window { amount, stops, spans: Spans::new(edges) }
            }
        };
        Line::new(self.field.into(), self.unit, limit, cost)
    }
}

/// Plays a world: every call in its order, with its time in microseconds.
pub(super) fn play(world: &World, mut each: impl FnMut(u64, &Call<'_>) -> TestCaseResult) -> TestCaseResult {
    let (mut now, mut rules) = (BEGIN, &world.rules[0]);
    let mut requests: Vec<(Id, Vec<Line>)> = Vec::new();
    let lines = |rules: &[Template], estimate, now, ahead| -> Vec<Line> {
        rules.iter().map(|template| template.line(estimate, now, ahead)).collect()
    };
    // Scrambled, so that ids are not in the order of time.
    let id = |count: usize| Id((count as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
    for step in &world.steps {
        match *step {
            Step::Pause(pause) => now += pause,
            Step::SetBack(back) => now = now.saturating_sub(back).max(BEGIN),
            Step::Rules(index) => rules = &world.rules[index % world.rules.len()],
            Step::Admit(estimate, ahead) => {
                requests.push((id(requests.len()), lines(rules, estimate, now, ahead)));
                let (id, lines) = &requests[requests.len() - 1];
                each(now, &Call::Admit { id: *id, lines })?;
            }
            Step::Settle(which, used) => {
                if let Some((id, lines)) = pick(&requests, which) {
                    each(now, &Call::Settle { id: *id, lines, used })?;
                }
            }
            Step::Refresh(ref which, adopt) => {
                let windows = lines(rules, Used::default(), now, 0);
                let running = which.iter().filter_map(|(which, seen)| Some((pick(&requests, *which)?, *seen)));
                let open: Vec<_> = running.map(|((id, lines), seen)| Open { id: *id, lines, seen, adopt }).collect();
                each(now, &Call::Refresh { open: &open, windows: &windows })?;
            }
            Step::Charge(which, used) => {
                let new = (id(requests.len()), lines(rules, used, now, 0));
                let known = which.and_then(|which| pick(&requests, which)).cloned();
                let (id, lines) = known.as_ref().unwrap_or(&new);
                each(now, &Call::Charge { id: *id, lines, used })?;
                if known.is_none() {
                    requests.push(new);
                }
            }
            Step::Adopt(estimate, seen) => {
                requests.push((id(requests.len()), lines(rules, estimate, now, 0)));
                let (id, lines) = &requests[requests.len() - 1];
                each(now, &Call::Refresh { open: &[Open { id: *id, lines, seen, adopt: true }], windows: &[] })?;
            }
        }
    }
    Ok(())
}

fn pick(requests: &[(Id, Vec<Line>)], which: usize) -> Option<&(Id, Vec<Line>)> {
    requests.get(which % requests.len().max(1))
}

/// Rules and up to `length` steps; with clocks that are set back, or not.
pub(super) fn worlds(length: usize, set_back: bool) -> impl Strategy<Value = World> {
    let steps = vec(steps(set_back), 1..length);
    (vec(rules(), 1..4), any::<u32>(), steps).prop_map(|(mut rules, alike, steps)| {
        let (first, others) = rules.split_at_mut(1);
        for (index, template) in others.iter_mut().flatten().enumerate() {
            if alike >> (index % 32) & 1 == 1 {
                but_for_the_burst(template, &first[0]);
            }
        }
        World { rules, steps }
    })
}

/// Makes a bucket the one of the same field in other rules, but for its burst.
fn but_for_the_burst(template: &mut Template, rules: &[Template]) {
    let other = rules.iter().find(|other| other.field == template.field).map(|other| other.kind);
    if let (TemplateKind::Bucket(rate), Some(TemplateKind::Bucket(like))) = (&mut template.kind, other) {
        *rate = RateLimit { burst: rate.burst, ..like };
    }
}

fn rules() -> impl Strategy<Value = Vec<Template>> {
    let counts = select(vec![Count::Input, Count::Output, Count::Total]).prop_map(LineUnit::Tokens);
    (
        maybe("requests", Just(LineUnit::Requests), buckets()),
        maybe("tokens", counts.clone(), buckets()),
        maybe("characters", Just(LineUnit::Characters), buckets()),
        maybe("streams", Just(LineUnit::Streams), (1..6u32).prop_map(TemplateKind::Streams)),
        maybe("budget/t/tokens", Just(LineUnit::Tokens(Count::Total)), windows()),
        maybe("budget/r/requests", Just(LineUnit::Requests), windows()),
        maybe("n/r:tokens", counts, buckets()),
        maybe("n/r:streams", Just(LineUnit::Streams), (1..4u32).prop_map(TemplateKind::Streams)),
    )
        .prop_map(|(a, b, c, d, e, f, g, h)| [a, b, c, d, e, f, g, h].into_iter().flatten().collect())
}

fn maybe(
    field: &'static str,
    unit: impl Strategy<Value = LineUnit>,
    kind: impl Strategy<Value = TemplateKind>,
) -> impl Strategy<Value = Option<Template>> {
    option::of((unit, kind).prop_map(move |(unit, kind)| Template { field, unit, kind }))
}

fn buckets() -> impl Strategy<Value = TemplateKind> {
    let amounts =
        prop_oneof![1 => Just(0), 9 => 1..40u32, 9 => 1..2_000_000u32, 3 => 1..=1_000_000_000u32, 1 => Just(u32::MAX)];
    let bursts = prop_oneof![9 => 1..200u32, 6 => 1..=1_000_000_000u32, 1 => Just(u32::MAX)];
    let periods = prop_oneof![9 => select(vec![1, 60, 3600, 86_400]), 1 => 1..=86_400u64];
    (amounts, periods, bursts)
        .prop_map(|(amount, per_seconds, burst)| TemplateKind::Bucket(RateLimit { amount, per_seconds, burst }))
}

fn windows() -> impl Strategy<Value = TemplateKind> {
    let amounts = prop_oneof![6 => 1..400u64, 3 => 1..2_000_000_000u64, 1 => Just((1 << 53) - 1)];
    (amounts, any::<bool>(), select(vec![60, 3600, 86_400])).prop_map(|(amount, stops, length)| TemplateKind::Window {
        amount,
        stops,
        length,
    })
}

fn uses() -> impl Strategy<Value = Used> {
    let numbers = || prop_oneof![2 => Just(0), 9 => 0..60u64, 2 => 0..3_000_000u64, 1 => 0..2_000_000_000u64];
    (numbers(), numbers(), numbers()).prop_map(|(input, output, characters)| Used { input, output, characters })
}

fn steps(set_back: bool) -> impl Strategy<Value = Step> {
    const SECOND: u64 = 1_000_000;
    let pauses = prop_oneof![
        4 => 0..50u64,
        6 => 0..3 * SECOND,
        4 => 0..40 * SECOND,
        1 => 0..700 * SECOND,
        // The edges of what runs out and of what is forgotten.
        2 => select(vec![30 * SECOND - 1, 30 * SECOND, 600 * SECOND - 1, 600 * SECOND]),
        1 => 0..200_000 * SECOND,
    ];
    let some = || vec((any::<usize>(), uses()), 0..6);
    prop_oneof![
        8 => pauses.prop_map(Step::Pause),
        u32::from(set_back) => (0..100_000 * SECOND).prop_map(Step::SetBack),
        1 => any::<usize>().prop_map(Step::Rules),
        10 => (uses(), -5..=5i64).prop_map(|(estimate, ahead)| Step::Admit(estimate, ahead)),
        5 => (any::<usize>(), uses()).prop_map(|(which, used)| Step::Settle(which, used)),
        3 => (some(), any::<bool>()).prop_map(|(which, adopt)| Step::Refresh(which, adopt)),
        1 => (option::of(any::<usize>()), uses()).prop_map(|(which, used)| Step::Charge(which, used)),
        1 => (uses(), uses()).prop_map(|(estimate, seen)| Step::Adopt(estimate, seen)),
    ]
}
