//! The same suite over memory, over Redis, and against a slow, obvious model.

mod claims;
mod model;
mod reach;
mod redis;
mod tables;
mod twins;
mod world;

use super::{Account, Admitted, Call, Id, Level, Limit, Line, Open, Refreshed, Reply, Rule, WindowLevel};
use crate::limits::calendar::Spans;
use crate::limits::plan::{LineUnit, Used};
use relay_snapshot::{Count, ObjectId, RateLimit};

const SECOND: u64 = 1_000_000;
/// 2023-11-14, 22:13:20.
const BEGIN: u64 = 1_700_000_000 * SECOND;
const TOTAL: LineUnit = LineUnit::Tokens(Count::Total);

fn tenant() -> ObjectId {
    ObjectId::new("team", "a")
}

fn output(output: u64) -> Used {
    Used { output, ..Used::default() }
}

fn per_hour(amount: u32, burst: u32) -> Limit {
    Rule::new(&RateLimit { amount, per_seconds: 3600, burst }).map_or(Limit::Never, Limit::Bucket)
}

fn requests(limit: Limit) -> Line {
    Line::new("requests".into(), LineUnit::Requests, limit, 1)
}

fn tokens(limit: Limit, cost: u64) -> Line {
    Line::new("tokens".into(), TOTAL, limit, cost)
}

fn streams(max: u32) -> Line {
    Line::new("streams".into(), LineUnit::Streams, Limit::Streams { max, of_route: false }, 1)
}

fn streams_of_route(max: u32) -> Line {
    Line::new("team/chat:streams".into(), LineUnit::Streams, Limit::Streams { max, of_route: true }, 1)
}

/// A budget by hours: this one began 800 s before [`BEGIN`].
fn budget(amount: u64, stops: bool, cost: u64) -> Line {
    let start = 1_699_999_200;
    let edges = [start - 3600, start, start + 3600, start + 7200];
    let limit = Limit::Window { amount, stops, spans: Spans::new(edges) };
    Line::new("budget/b/tokens".into(), TOTAL, limit, cost)
}

/// One tenant's account, with a clock.
struct Desk {
    account: Account,
    now: u64,
    ids: u128,
}

impl Desk {
    fn new() -> Self {
        Self { account: Account::new(), now: BEGIN, ids: 0 }
    }

    fn apply(&self, call: &Call<'_>) -> Reply {
        self.account.apply(&tenant(), self.now, call)
    }

    fn admit(&mut self, lines: &[Line]) -> (Id, Admitted) {
        self.ids += 1;
        let id = Id(self.ids);
        match self.apply(&Call::Admit { id, lines }) {
            Reply::Admitted(admitted) => (id, admitted),
            other => panic!("{other:?}"),
        }
    }

    fn allowed(&mut self, lines: &[Line]) -> bool {
        self.admit(lines).1.allowed
    }

    fn settle(&self, id: Id, lines: &[Line], used: Used) -> bool {
        self.apply(&Call::Settle { id, lines, used }) == Reply::Settled(true)
    }

    fn charge(&self, id: Id, lines: &[Line], used: Used) -> bool {
        self.apply(&Call::Charge { id, lines, used }) == Reply::Charged(true)
    }

    fn refresh(&self, id: Id, lines: &[Line], seen: Used, adopt: bool) -> Refreshed {
        match self.apply(&Call::Refresh { open: &[Open { id, lines, seen, adopt }], windows: lines }) {
            Reply::Refreshed(refreshed) => refreshed,
            other => panic!("{other:?}"),
        }
    }

    /// How the lines stand, found out without a charge: by a request that is refused.
    fn levels(&mut self, lines: &[Line]) -> Vec<Level> {
        let never = Line { field: "never".into(), ..requests(Limit::Never) };
        let all: Vec<_> = lines.iter().cloned().chain([never]).collect();
        let told = self.admit(&all).1.standings;
        told[..lines.len()].iter().map(|standing| standing.level).collect()
    }

    fn used(&mut self, line: &Line) -> u64 {
        match self.levels(std::slice::from_ref(line))[0] {
            Level::Window(WindowLevel { used, .. }) => used,
            other => panic!("{other:?}"),
        }
    }

    /// Whole tokens left of a bucket.
    fn left(&mut self, line: &Line) -> u64 {
        let level = self.levels(std::slice::from_ref(line))[0];
        line.remaining(level)
    }

    fn open(&mut self) -> u64 {
        match self.levels(&[streams(1000)])[0] {
            Level::Streams(open) => open,
            other => panic!("{other:?}"),
        }
    }
}
