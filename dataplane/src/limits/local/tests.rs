use super::{share, spent_of_share};
use crate::limits::account::{Backlog, Level, Limit, Line, Rule, WindowLevel};
use crate::limits::calendar::Spans;
use crate::limits::plan::LineUnit;
use crate::limits::tenants::{Known, Tenants};
use relay_snapshot::{ObjectId, RateLimit};
use std::time::Duration;
use tokio::time::{Instant, advance};

const SECOND: u64 = 1_000_000;

fn known(line: Line, level: Level) -> Known {
    Known { key: line.field.clone(), line, level, now: 150 * SECOND, at: Instant::now() }
}

/// A bucket of `burst`, one token a second, of which so many are out.
fn bucket(burst: u32, out: u64) -> Known {
    let rule = Rule::new(&RateLimit { amount: 60, per_seconds: 60, burst }).unwrap();
    let line = Line::new("requests".into(), LineUnit::Requests, Limit::Bucket(rule), 1);
    known(line, Level::Bucket(Backlog(u128::from(out) * 60 * u128::from(SECOND))))
}

#[tokio::test(start_paused = true)]
async fn of_a_bucket_what_was_left_is_divided_and_so_is_a_debt() {
    for (burst, out, proxies, spent) in [
        (90, 0, 3, 0),
        (90, 30, 3, 10),
        (90, 90, 3, 30),
        // One was left: nobody's share has it.
        (90, 89, 3, 30),
        (90, 120, 3, 40),
        (10, 0, 4, 0),
        // A share is one token at least, and begins empty when less than one a proxy was left.
        (2, 0, 10, 1),
        (50, 20, 1, 20),
        (50, 70, 0, 70),
    ] {
        assert_eq!(spent_of_share(&bucket(burst, out), proxies), Some(spent), "{out} of {burst} over {proxies}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_come_back_since_is_left_too() {
    let known = bucket(90, 90);
    advance(Duration::from_mins(1)).await;
    assert_eq!(spent_of_share(&known, 3), Some(10));
    advance(Duration::from_hours(1)).await;
    assert_eq!(spent_of_share(&known, 3), Some(0));
}

fn window(amount: u64) -> Line {
    let spans = Spans::new([0, 100, 200, 300]);
    let limit = Limit::Window { amount, stops: false, spans };
    Line::new("budget/day/tokens".into(), LineUnit::Characters, limit, 1)
}

fn amount(line: &Line) -> u64 {
    line.size()
}

#[tokio::test(start_paused = true)]
async fn of_a_budget_what_was_left_of_the_window_is_divided_and_the_next_begins_whole() {
    let state = Tenants::new().of(&ObjectId::new("team", "a"));
    let mut tenant = state.lock();
    assert_eq!(amount(&share(&tenant, &window(900), 3, 150 * SECOND)), 300, "nothing is known");
    let line = window(900);
    tenant.known.insert(line.field.clone(), known(line, Level::Window(WindowLevel { used: 600, span: 1 })));
    assert_eq!(amount(&share(&tenant, &window(900), 3, 150 * SECOND)), 100);
    assert_eq!(amount(&share(&tenant, &window(660), 3, 150 * SECOND)), 20, "a budget that was lowered meanwhile");
    assert_eq!(amount(&share(&tenant, &window(500), 3, 150 * SECOND)), 0, "it is spent");
    assert_eq!(amount(&share(&tenant, &window(900), 3, 250 * SECOND)), 300, "the next window");
}
