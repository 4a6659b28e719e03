use super::super::account::{Limit, Line};
use super::{Estimate, Kind, LineUnit, RoutePlan, TenantPlan, Used};
use relay_snapshot::{
    Backend, Budget, Calendar, Count, Limits, ObjectId, Policy, Provider, RateLimit, Route, Tenant, Timeouts,
    TokenLimit, Unavailable, Unit,
};

const NOON: i64 = 1_700_049_600;
const ESTIMATE: Estimate = Estimate { input: 30, output: 400, characters: 7 };

fn rate(amount: u32) -> RateLimit {
    RateLimit { amount, per_seconds: 60, burst: amount.max(1) }
}

fn tokens(amount: u32, count: Count) -> TokenLimit {
    TokenLimit { rate: rate(amount), count }
}

fn budget(name: &str, unit: Unit, stops_streams: bool) -> Budget {
    Budget { name: name.into(), unit, amount: 1_000_000, per: Calendar::Day, time_zone: "UTC".into(), stops_streams }
}

fn tenant(limits: Limits) -> TenantPlan {
    TenantPlan::new(&Tenant {
        id: ObjectId::new("team", "a"),
        suspended: false,
        cut: false,
        limits,
        on_unavailable: Unavailable::Local,
        keys: Vec::new(),
    })
}

fn route(limits: Limits) -> RoutePlan {
    RoutePlan::new(&Route {
        id: ObjectId::new("team", "chat"),
        created: 0,
        tenants: Vec::new(),
        matches: Vec::new(),
        backends: vec![Backend::new("one", Provider::OpenAI, "https://api.openai.com")],
        timeouts: Timeouts::default(),
        body_max: 0,
        limits,
        policy: Policy::default(),
        ready: true,
    })
}

fn costs(lines: &[Line]) -> Vec<(&str, u64)> {
    lines.iter().map(|line| (&*line.field, line.cost)).collect()
}

#[test]
fn every_limit_of_tenant_and_route_is_a_line_with_its_cost() {
    let tenant = tenant(Limits {
        requests: Some(rate(10)),
        tokens: Some(tokens(1000, Count::Total)),
        characters: Some(rate(500)),
        streams: Some(50),
        budgets: vec![budget("day", Unit::Tokens, false), budget("calls", Unit::Requests, false)],
    });
    let route = route(Limits { tokens: Some(tokens(100, Count::Output)), streams: Some(2), ..Limits::default() });
    let lines = tenant.request(Some(&route), ESTIMATE, NOON);
    let expected = [
        ("requests", 1),
        ("tokens", 430),
        ("characters", 7),
        ("streams", 1),
        ("budget/day/tokens", 430),
        ("budget/calls/requests", 1),
        ("team/chat:tokens", 400),
        ("team/chat:streams", 1),
    ];
    assert_eq!(costs(&lines), expected);
    let keys: Vec<_> = tenant.all(Some(&route)).map(|line| &*line.key).collect();
    assert_eq!(keys[4..6], ["budget/day", "budget/calls"]);
    assert_eq!(lines[3].limit, Limit::Streams { max: 50, of_route: false });
    assert_eq!(lines[7].limit, Limit::Streams { max: 2, of_route: true });
    assert_eq!(costs(&tenant.request(None, ESTIMATE, NOON)), expected[..6]);
}

#[test]
fn a_budget_that_stops_streams_reserves_the_prompt_alone_and_is_charged_all() {
    let tenant = tenant(Limits { budgets: vec![budget("day", Unit::Tokens, true)], ..Limits::default() });
    let lines = tenant.request(None, ESTIMATE, NOON);
    assert_eq!(costs(&lines), [("budget/day/tokens", 30)]);
    assert_eq!(lines[0].truth(Used { input: 31, output: 200, characters: 7 }), 231);
    assert!(tenant.all(None).all(super::PlanLine::stops_streams));
}

#[test]
fn a_budget_of_requests_stops_no_stream_for_its_cost_is_charged_at_once() {
    let tenant = tenant(Limits { budgets: vec![budget("calls", Unit::Requests, true)], ..Limits::default() });
    let lines = tenant.request(None, ESTIMATE, NOON);
    assert_eq!(costs(&lines), [("budget/calls/requests", 1)]);
    assert!(!lines[0].is_held());
    assert!(!tenant.all(None).any(super::PlanLine::stops_streams));
}

#[test]
fn a_body_is_read_only_where_something_in_it_is_counted() {
    let counts = |limits: Limits| {
        let route = route(limits);
        let tenant = tenant(Limits { requests: Some(rate(10)), streams: Some(1), ..Limits::default() });
        (tenant.counts_tokens(Some(&route)), tenant.counts_characters(Some(&route)))
    };
    assert_eq!(counts(Limits::default()), (false, false));
    assert_eq!(counts(Limits { tokens: Some(tokens(0, Count::Input)), ..Limits::default() }), (true, false));
    assert_eq!(counts(Limits { characters: Some(rate(9)), ..Limits::default() }), (false, true));
    let budgets = vec![budget("a", Unit::Requests, false), budget("b", Unit::Characters, true)];
    assert_eq!(counts(Limits { budgets, ..Limits::default() }), (false, true));
}

#[test]
fn no_limits_are_no_lines() {
    assert!(tenant(Limits::default()).is_empty(Some(&route(Limits::default()))));
    assert!(!tenant(Limits::default()).is_empty(Some(&route(Limits { streams: Some(1), ..Limits::default() }))));
}

#[test]
fn amount_0_lets_nothing_pass() {
    let tenant = tenant(Limits { requests: Some(rate(0)), ..Limits::default() });
    assert!(matches!(tenant.all(None).next().map(|line| &line.kind), Some(Kind::Never)));
}

#[test]
fn units_take_their_part_of_what_was_used() {
    let used = Used { input: 3, output: 40, characters: 500 };
    let all = [Count::Input, Count::Output, Count::Total].map(|count| LineUnit::Tokens(count).of(used));
    assert_eq!(all, [3, 40, 43]);
    assert_eq!([LineUnit::Characters, LineUnit::Requests, LineUnit::Streams].map(|unit| unit.of(used)), [500, 1, 1]);
}
