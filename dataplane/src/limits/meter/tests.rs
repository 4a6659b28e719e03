use super::{Draw, Meters, Told};
use crate::limits::account::{Limit, Line, WindowLevel};
use crate::limits::calendar::Spans;
use crate::limits::plan::{LineUnit, Used};
use relay_snapshot::Count;
use std::sync::Arc;

fn line(amount: u64, cost: u64) -> Line {
    let spans = Spans::new([0, 100, 200, 300]);
    let limit = Limit::Window { amount, stops: true, spans };
    Line::new("budget/day/tokens".into(), LineUnit::Tokens(Count::Total), limit, cost)
}

fn told(line: &Line, used: u64, span: usize) -> [Told<'_>; 1] {
    [Told { line, level: WindowLevel { used, span } }]
}

/// A stream that reserved its input, with the budget standing at `used` behind that.
fn stream(before: Option<&Arc<Meters>>, line: &Line, used: u64) -> Draw {
    Draw::new(Meters::admitted(before, &told(line, used, 1)).unwrap(), [line.clone()].into())
}

fn output(tokens: u64) -> Used {
    Used { input: 10, output: tokens, characters: 0 }
}

#[test]
fn the_event_that_crosses_the_budget_ends_the_stream_and_none_before() {
    let line = line(100, 10);
    let draw = stream(None, &line, 10);
    for tokens in [0, 50, 89] {
        let _ = draw.progress(output(tokens));
        assert!(!draw.meters().cut().is_cancelled(), "{tokens}");
    }
    let _ = draw.progress(output(90));
    assert!(draw.meters().cut().is_cancelled());
}

#[test]
fn streams_draw_from_one_meter_and_end_together() {
    let line = line(100, 10);
    let first = stream(None, &line, 10);
    let second = stream(Some(first.meters()), &line, 20);
    assert!(Arc::ptr_eq(first.meters(), second.meters()));
    let _ = first.progress(output(40));
    let _ = second.progress(output(39));
    assert!(!first.meters().cut().is_cancelled());
    let _ = first.progress(output(41));
    assert!(second.meters().cut().is_cancelled());
}

#[test]
fn what_is_told_twice_is_drawn_once() {
    let line = line(100, 10);
    let draw = stream(None, &line, 10);
    for _ in 0..10 {
        let _ = draw.progress(output(80));
    }
    let _ = draw.progress(output(20));
    assert_eq!(draw.meters().left(), 10);
}

#[test]
fn a_refresh_counts_what_was_told_with_it_no_second_time() {
    let line = line(100, 10);
    let draw = stream(None, &line, 10);
    let _ = draw.progress(output(30));
    let _ = draw.progress(output(35));
    draw.acknowledged(output(30));
    // 40 of this stream, and 20 that others used.
    draw.meters().refreshed(&told(&line, 60, 1));
    assert_eq!(draw.meters().left(), 35);
}

#[test]
fn what_others_used_ends_the_streams_here() {
    let line = line(100, 10);
    let draw = stream(None, &line, 10);
    draw.meters().refreshed(&told(&line, 99, 1));
    assert!(!draw.meters().cut().is_cancelled());
    draw.meters().refreshed(&told(&line, 100, 1));
    assert!(draw.meters().cut().is_cancelled());
}

#[test]
fn a_settle_gives_back_what_was_reserved_and_keeps_what_was_drawn() {
    let line = line(100, 10);
    let (first, second) = {
        let first = stream(None, &line, 10);
        let second = stream(Some(first.meters()), &line, 20);
        (first, second)
    };
    let _ = first.progress(output(30));
    first.settled(output(30));
    assert_eq!(second.meters().left(), 50);
    second.settled(Used::default());
    assert_eq!(second.meters().left(), 60);
}

#[test]
fn the_next_window_has_a_meter_of_its_own() {
    let line = line(100, 10);
    let old = stream(None, &line, 95);
    let new = Meters::admitted(Some(old.meters()), &told(&line, 10, 2)).unwrap();
    assert!(!Arc::ptr_eq(old.meters(), &new));
    assert_eq!(new.left(), 90);
    new.refreshed(&told(&line, 100, 1));
    assert_eq!(new.left(), 90, "another window's level is not taken");
}

#[test]
fn a_budget_that_was_raised_lets_new_streams_run() {
    let small = line(100, 10);
    let old = stream(None, &small, 10);
    let _ = old.progress(output(90));
    assert!(old.meters().cut().is_cancelled());
    let large = line(1000, 10);
    let new = stream(Some(old.meters()), &large, 110);
    assert!(!new.meters().cut().is_cancelled());
    assert_eq!(new.meters().left(), 890);
}

#[test]
fn while_redis_is_away_the_share_of_what_was_left_remains() {
    let line = line(100, 10);
    let draw = stream(None, &line, 10);
    let _ = draw.progress(output(30));
    assert_eq!(draw.meters().left(), 60);
    draw.meters().share(3);
    assert_eq!(draw.meters().left(), 20);
    let _ = draw.progress(output(49));
    assert!(!draw.meters().cut().is_cancelled());
    let _ = draw.progress(output(50));
    assert!(draw.meters().cut().is_cancelled());
}

#[test]
fn without_such_a_budget_there_is_no_meter() {
    assert!(Meters::admitted(None, &[]).is_none());
}

#[test]
fn the_account_is_to_be_told_once_when_an_eighth_of_what_is_left_is_drawn() {
    let line = line(1000, 10);
    let draw = stream(None, &line, 100);
    // 100 of the 900 that were left are an eighth of the 800 that are.
    for (tokens, due) in [(99, false), (100, true), (500, false)] {
        assert_eq!(draw.progress(output(tokens)), due, "{tokens}");
    }
    draw.meters().telling();
    draw.acknowledged(output(500));
    draw.meters().refreshed(&told(&line, 600, 1));
    assert!(!draw.progress(output(501)), "of 400 that are left");
    assert!(draw.progress(output(545)));
}

#[test]
fn what_the_account_was_told_before_it_was_drawn_is_drawn_once() {
    let line = line(100, 10);
    let draw = stream(None, &line, 10);
    draw.acknowledged(output(30));
    let _ = draw.progress(output(30));
    draw.acknowledged(output(30));
    draw.meters().refreshed(&told(&line, 40, 1));
    assert_eq!(draw.meters().left(), 60);
}
