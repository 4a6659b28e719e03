//! Faults of limits and budgets.

use super::{Fault, NAME, TWICE, many, on_route, on_tenant};
use relay_crds::rules;
use serde_json::{Value, json};

fn budget(changes: &[(&str, Value)]) -> Value {
    let mut budget = json!({"name": "month", "unit": "Tokens", "amount": 5, "per": "Month"});
    for (field, value) in changes {
        budget[field] = value.clone();
    }
    budget
}

/// A fault of the same rate in each place that has such a rate.
fn rates(rate: &Value, leaf: &str, message: &'static str) -> Vec<Fault> {
    let places: [(&str, &str); 3] = [
        ("limits.requests", "spec.limits.requests"),
        ("limits.tokens", "spec.limits.tokens"),
        ("limits.characters", "spec.limits.characters"),
    ];
    let field = |place: &str| -> &'static str { Box::leak(format!("{place}{leaf}").into_boxed_str()) };
    let faults = places.into_iter().flat_map(|(part, place)| {
        let changes = || vec![(part, rate.clone())];
        [on_tenant(changes(), field(place), message), on_route(changes(), field(place), message)]
    });
    faults.collect()
}

pub(super) fn by_rule() -> Vec<Fault> {
    let count = |tokens: Value| {
        let changes = || vec![("limits.tokens", tokens.clone())];
        let (field, message) = ("spec.limits.tokens", rules::TOKENS_COUNT.1);
        [on_tenant(changes(), field, message), on_route(changes(), field, message)]
    };
    let stop = budget(&[("unit", json!("Requests")), ("atLimit", json!("StopStreams"))]);
    let faults = [
        rates(&json!({}), "", rules::LIMIT_ONE_OF.1),
        rates(&json!({"unlimited": false}), "", rules::LIMIT_ONE_OF.1),
        rates(&json!({"unlimited": true, "amount": 1, "per": "Day"}), "", rules::LIMIT_ONE_OF.1),
        rates(&json!({"amount": 5}), "", rules::LIMIT_PER.1),
        rates(&json!({"unlimited": true, "per": "Day"}), "", rules::LIMIT_PER.1),
        rates(&json!({"unlimited": true, "burst": 5}), "", rules::LIMIT_PER.1),
        Vec::from(count(json!({"unlimited": true, "count": "Total"}))),
        vec![on_tenant(vec![("budgets", json!([stop]))], "spec.budgets[0].atLimit", rules::BUDGET_STOP.1)],
    ];
    faults.into_iter().flatten().collect()
}

pub(super) fn by_schema() -> Vec<Fault> {
    let burst = "must be 1 to 1000000000; amount: 0 lets nothing pass";
    let streams = |max: u32| {
        let changes = || vec![("limits.streams", json!({"max": max}))];
        let message = "must be 1 to 1000000; leave streams out for no limit";
        [
            on_tenant(changes(), "spec.limits.streams.max", message),
            on_route(changes(), "spec.limits.streams.max", message),
        ]
    };
    let output = |value: u32| on_route(vec![("maxOutput", json!(value))], "spec.maxOutput", "must be 1 to 10000000");
    let faults = [
        rates(&json!({"amount": 1_000_000_001, "per": "Day"}), ".amount", "must be at most 1000000000"),
        rates(&json!({"amount": 1, "per": "Day", "burst": 0}), ".burst", burst),
        rates(&json!({"amount": 1, "per": "Day", "burst": 1_000_000_001}), ".burst", burst),
        Vec::from(streams(0)),
        Vec::from(streams(1_000_001)),
        vec![output(0), output(10_000_001)],
        budgets(),
    ];
    faults.into_iter().flatten().collect()
}

fn budgets() -> Vec<Fault> {
    let one = |field: &str, value: Value, at, message| {
        on_tenant(vec![("budgets", json!([budget(&[(field, value)])]))], at, message)
    };
    let amount = "must be 1 to 9007199254740991";
    let mut faults = vec![
        on_tenant(
            vec![("budgets", many(9, &budget(&[])))],
            "spec.budgets",
            "has 9 entries: at most 8 are allowed, split the object",
        ),
        on_tenant(vec![("budgets", json!([budget(&[]), budget(&[])]))], "spec.budgets[1].name", TWICE),
        one("name", json!("Month"), "spec.budgets[0].name", NAME),
        one("name", json!("a/b"), "spec.budgets[0].name", NAME),
        one("amount", json!(0), "spec.budgets[0].amount", amount),
        one("amount", json!(9_007_199_254_740_992_u64), "spec.budgets[0].amount", amount),
    ];
    for zone in ["", "Berlin", "Europe/Bonn", "+01:00", "CEST-1", "../UTC", "Europe/Berlin ", "Etc/Unknown", "Local"] {
        faults.push(one("timeZone", json!(zone), "spec.budgets[0].timeZone", rules::TIME_ZONE));
    }
    faults
}
