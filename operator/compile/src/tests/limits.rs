//! What limits and budgets become.

use super::manifests::{compiled_route, compiled_tenant, id, inputs, route, tenant};
use crate::{Kind, ObjectKey, Summary, compile};
use relay_crds::{RelayRoute, RelayTenant};
use relay_snapshot::{Budget, Calendar, Count, Limits, RateLimit, TokenLimit, Unavailable, Unit};
use serde_json::{Value, json};

const DEFAULT: RateLimit = RateLimit { amount: 100, per_seconds: 60, burst: 20 };

fn rate(amount: u32, per_seconds: u64, burst: u32) -> RateLimit {
    RateLimit { amount, per_seconds, burst }
}

fn of_tenant(limits: Value) -> Limits {
    compiled_tenant(tenant("team-a/x", &[("limits", limits)])).limits
}

fn of_route(limits: Value) -> Limits {
    compiled_route(route("team-a/x", &[("limits", limits)])).limits
}

fn budgets(budgets: Value) -> Vec<Budget> {
    compiled_tenant(tenant("team-a/x", &[("budgets", budgets)])).limits.budgets
}

#[test]
fn a_tenant_without_limits_has_the_documented_one() {
    let expected = Limits { requests: Some(DEFAULT), ..Limits::default() };
    assert_eq!(compiled_tenant(tenant("team-a/x", &[])).limits, expected);
    assert_eq!(of_tenant(json!({})), expected);
    let tokens = Some(TokenLimit { rate: rate(5, 60, 5), count: Count::Total });
    assert_eq!(of_tenant(json!({"tokens": {"amount": 5, "per": "Minute"}})), Limits { tokens, ..expected });
}

#[test]
fn a_route_without_limits_has_none() {
    assert_eq!(compiled_route(route("team-a/x", &[])).limits, Limits::default());
    assert_eq!(of_route(json!({})), Limits::default());
    let characters = Some(rate(9, 1, 2));
    let only_characters = of_route(json!({"characters": {"amount": 9, "per": "Second", "burst": 2}}));
    assert_eq!(only_characters, Limits { characters, ..Limits::default() });
}

#[test]
fn rates_are_read_and_the_burst_is_the_amount_where_it_is_absent() {
    let rates = [
        (json!({"amount": 5, "per": "Hour"}), Some(rate(5, 3600, 5))),
        (json!({"amount": 5, "per": "Second", "burst": 9}), Some(rate(5, 1, 9))),
        (json!({"amount": 1_000_000_000, "per": "Day"}), Some(rate(1_000_000_000, 86_400, 1_000_000_000))),
        (json!({"amount": 5, "per": "Minute", "unlimited": false}), Some(rate(5, 60, 5))),
        (json!({"amount": 0, "per": "Minute"}), Some(rate(0, 60, 1))),
        (json!({"unlimited": true}), None),
    ];
    for (raw, expected) in rates {
        let all = json!({"requests": raw, "tokens": raw, "characters": raw});
        for limits in [of_tenant(all.clone()), of_route(all.clone())] {
            let tokens = limits.tokens.map(|tokens| tokens.rate);
            assert_eq!([limits.requests, tokens, limits.characters], [expected; 3], "{raw}");
        }
    }
}

#[test]
fn a_limit_of_tokens_says_which_of_them_count() {
    for (name, count) in [("Input", Count::Input), ("Output", Count::Output), ("Total", Count::Total)] {
        let tokens = json!({"tokens": {"amount": 5, "per": "Minute", "count": name}});
        assert_eq!(of_tenant(tokens.clone()).tokens.unwrap().count, count);
        assert_eq!(of_route(tokens).tokens.unwrap().count, count);
    }
}

#[test]
fn streams_have_a_limit_where_one_is_set() {
    for max in [1, 50, 1_000_000] {
        assert_eq!(of_tenant(json!({"streams": {"max": max}})).streams, Some(max));
        assert_eq!(of_route(json!({"streams": {"max": max}})).streams, Some(max));
    }
}

#[test]
fn what_an_absent_redis_does_is_passed_on() {
    let of = |limits: Value| compiled_tenant(tenant("team-a/x", &[("limits", limits)])).on_unavailable;
    assert_eq!(compiled_tenant(tenant("team-a/x", &[])).on_unavailable, Unavailable::Local);
    assert_eq!(of(json!({})), Unavailable::Local);
    for (name, expected) in [("Local", Unavailable::Local), ("Allow", Unavailable::Allow), ("Deny", Unavailable::Deny)]
    {
        assert_eq!(of(json!({"onRedisUnavailable": name})), expected);
    }
}

#[test]
fn a_verdict_says_whether_anything_limits_the_tenant_and_what_it_chose_for_it() {
    let limited = |tenant: RelayTenant, route: RelayRoute| match &compile(&inputs([route], [tenant])).verdicts
        [&ObjectKey { kind: Kind::Tenant, id: id("team-a/x") }]
        .summary
    {
        Summary::Tenant { limited, .. } => *limited,
        Summary::Route { .. } => panic!("a tenant"),
    };
    let free = |more: &[(&str, Value)]| {
        let unlimited = [("limits.requests", json!({"unlimited": true}))];
        tenant("team-a/x", &[&unlimited, more].concat())
    };
    let limiting = |namespace: &str| route(&format!("{namespace}/r"), &[("limits.streams", json!({"max": 1}))]);
    let open = || route("team-a/r", &[]);
    let deny = ("limits.onRedisUnavailable", json!("Deny"));
    assert_eq!(limited(free(&[]), open()), None);
    assert_eq!(limited(free(std::slice::from_ref(&deny)), open()), None);
    assert_eq!(limited(free(&[]), limiting("team-b")), None, "it does not serve this tenant");
    assert_eq!(limited(free(&[]), limiting("team-a")), Some(Unavailable::Local));
    assert_eq!(limited(free(std::slice::from_ref(&deny)), limiting("team-a")), Some(Unavailable::Deny));
    assert_eq!(limited(tenant("team-a/x", &[]), open()), Some(Unavailable::Local));
    let budget = json!([{"name": "a", "unit": "Requests", "amount": 1, "per": "Day"}]);
    assert_eq!(limited(free(&[("budgets", budget)]), open()), Some(Unavailable::Local));
    let refused = tenant("team-a/x", &[("apiKeys", json!([]))]);
    assert_eq!(limited(refused, limiting("team-a")), None);
}

#[test]
fn a_budget_begins_at_midnight_of_utc_and_lets_streams_finish_unless_it_says_otherwise() {
    let plain = budgets(json!([{"name": "a", "unit": "Characters", "amount": 1, "per": "Day"}]));
    let expected = Budget {
        name: "a".into(),
        unit: Unit::Characters,
        amount: 1,
        per: Calendar::Day,
        time_zone: "UTC".into(),
        stops_streams: false,
    };
    assert_eq!(plain, [expected]);
    let other = budgets(json!([{
        "name": "b", "unit": "Tokens", "amount": 9_007_199_254_740_991_u64, "per": "Month", "timeZone": "Asia/Kolkata",
        "atLimit": "StopStreams",
    }]));
    let expected = Budget {
        name: "b".into(),
        unit: Unit::Tokens,
        amount: 9_007_199_254_740_991,
        per: Calendar::Month,
        time_zone: "Asia/Kolkata".into(),
        stops_streams: true,
    };
    assert_eq!(other, [expected]);
}

#[test]
fn zones_are_known_without_files_of_the_machine_and_written_as_the_database_spells_them() {
    let zone = |name: &str| {
        let budget = json!([{"name": "a", "unit": "Requests", "amount": 1, "per": "Day", "timeZone": name}]);
        budgets(budget)[0].time_zone.clone()
    };
    for name in ["UTC", "Etc/GMT+8", "America/Argentina/Buenos_Aires", "Pacific/Chatham", "Europe/Berlin"] {
        assert_eq!(zone(name), name);
    }
    assert_eq!(zone("europe/berlin"), "Europe/Berlin");
}

#[test]
fn the_order_of_budgets_means_nothing() {
    let one = |name: &str| json!({"name": name, "unit": "Requests", "amount": 1, "per": "Day"});
    let of = |names: [&str; 3]| {
        let budgets = names.map(one);
        compile(&inputs([], [tenant("team-a/x", &[("budgets", json!(budgets))])])).snapshot
    };
    let names: Vec<String> =
        of(["c", "a", "b"]).tenants[0].limits.budgets.iter().map(|budget| budget.name.clone()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert_eq!(of(["c", "a", "b"]), of(["a", "b", "c"]));
}

#[test]
fn a_route_says_how_usage_is_learnt_and_how_much_is_reserved() {
    let of = |changes: &[(&str, Value)]| {
        let policy = compiled_route(route("team-a/x", changes)).policy;
        (policy.ask_usage, policy.max_output)
    };
    assert_eq!(of(&[]), (false, 4096));
    assert_eq!(of(&[("usage", json!("AsSent")), ("maxOutput", json!(1))]), (false, 1));
    assert_eq!(of(&[("usage", json!("Ask")), ("maxOutput", json!(10_000_000))]), (true, 10_000_000));
}
